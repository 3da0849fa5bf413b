"""A run told to people: on a page, and against other runs. No torch."""
