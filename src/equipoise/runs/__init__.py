"""A run is a folder: its files, its record of events, its checkpoints."""
