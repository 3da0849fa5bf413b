"""What people do with trained networks: walks, mixing, inversion, directions, export; what D says of pictures."""
