"""Real data: where it comes from, how it is split, and in which order it is shown."""
