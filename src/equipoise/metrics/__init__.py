"""Figures about samples, one family a file. Every function is usable alone, on tensors."""
