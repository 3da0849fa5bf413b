"""Networks, one family a file. Generators are G(z, y), discriminators D(x, y) -> logits [B], or a map of patches.

Networks without classes ignore y. A generator that begins with noise carries `z_dim`; one that begins with a picture
G(a, y) carries `multiple`, of which the sides of pictures must be multiples. None has a base class of ours.
"""
