"""A picture of any size through a net that was trained on small ones: in tiles that overlap, without seams.

Each tile has the size that the net was trained on, so that whatever its norms and its depth make of a whole picture is
what they learned. Tiles overlap by half, and fade into each other by sin^2, whose sum with its own shift is 1: no edge
of a tile is seen. Memory is that of the picture and of a few tiles.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import pad

from equipoise.data.hooks import Track, untracked

PIXELS_AT_ONCE = 2**17  # of tiles that go through the net together
OVERLAP = 0.5  # of a tile, at least

Net = Callable[[Tensor], Tensor]  # [B, C, side, side] -> [B, C', side, side]


class Corner(NamedTuple):
    top: int
    left: int


def through(net: Net, x: Tensor, side: int, track: Track = untracked) -> Tensor:
    """What a net for pictures of `side` pixels makes of x [C, H, W] of any size: [C', H, W].

    A picture of exactly that size goes through as it is; one that is smaller is mirrored at its edges first.
    """
    _, height, width = x.shape
    x = mirrored_up_to(x, side)
    if x.shape[1:] == (side, side):
        return net(x[None])[0, :, :height, :width]
    corners = [Corner(t, left) for t in starts(x.shape[1], side) for left in starts(x.shape[2], side)]
    some = max(1, PIXELS_AT_ONCE // side**2)
    batches = [corners[i : i + some] for i in range(0, len(corners), some)]
    return woven(net, x, side, track(batches, "translating tiles", len(batches)))[:, :height, :width]


def woven(net: Net, x: Tensor, side: int, batches: Iterable[Sequence[Corner]]) -> Tensor:
    fade = window(side)
    weights = torch.zeros(x.shape[1:])
    total = torch.empty(0)
    for corners in batches:
        made = net(torch.stack([x[:, t : t + side, left : left + side] for t, left in corners])).float()
        if not len(total):
            total = torch.zeros(made.shape[1], *x.shape[1:])
        for tile, (top, left) in zip(made, corners, strict=True):
            total[:, top : top + side, left : left + side] += tile * fade
            weights[top : top + side, left : left + side] += fade
    return total.div_(weights)


def starts(length: int, side: int) -> list[int]:
    """Where tiles begin, evenly, so that neighbours overlap by at least OVERLAP."""
    count = 1 + -(-(length - side) // int(side * (1 - OVERLAP)))
    return [round(i * (length - side) / max(1, count - 1)) for i in range(count)]


def window(side: int) -> Tensor:
    """sin^2 over a tile in both directions [side, side]; nowhere 0, so that corners of the picture have a weight."""
    ramp = torch.sin(torch.pi * (torch.arange(side) + 0.5) / side).square()
    return ramp[:, None] * ramp


def mirrored_up_to(x: Tensor, side: int) -> Tensor:
    """x [C, H, W] with at least `side` pixels either way: below and to the right, its mirror image, as often as
    needed."""
    while (short := [max(0, side - n) for n in x.shape[1:]]) != [0, 0]:
        down, right = (min(gap, n - 1) if n > 1 else 0 for gap, n in zip(short, x.shape[1:], strict=True))
        if not (down or right):  # of one pixel: there is nothing to mirror
            return pad(x[None], (0, short[1], 0, short[0]), "replicate")[0]
        x = pad(x[None], (0, right, 0, down), "reflect")[0]
    return x
