"""The costly looks at a live game. A look changes nothing."""
