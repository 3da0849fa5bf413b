"""Networks, one family a file. Generators are G(z, y), discriminators D(x, y) -> logits [B].

Networks without classes ignore y. A generator carries `z_dim`. None has a base class of ours.
"""
