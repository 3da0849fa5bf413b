"""Numbers in, findings out. No torch."""
