"""D that judges several samples at once, so that it sees when they are too much alike (PacGAN).

Lin et al. 2018 (arXiv:1712.04086), section 3: the samples of a pack lie side by side as channels, or features; only the
first layer of D is wider.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn


class Packed(nn.Module):
    """Samples [B, C, ...] and y [B] -> logits [B / pack], by a D made for samples [pack * C, ...].

    A pack is consecutive samples, so that processes that share a batch have the packs of the whole. Samples left over,
    fewer than a pack, are not judged.
    """

    def __init__(self, net: nn.Module, pack: int):
        super().__init__()
        self.net, self.pack = net, pack

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        whole = len(x) // self.pack * self.pack
        packs = x[:whole].reshape(-1, self.pack, *x.shape[1:]).flatten(1, 2)  # [B / pack, pack * C, ...]
        logits: Tensor = self.net(packs, y[: whole : self.pack])
        return logits


def packed(net: nn.Module, pack: int) -> nn.Module:
    return Packed(net, pack) if pack > 1 else net


def shape_of(shape: Sequence[int], pack: int) -> tuple[int, ...]:
    """Of a pack of samples [C, ...]."""
    return (pack * shape[0], *shape[1:])
