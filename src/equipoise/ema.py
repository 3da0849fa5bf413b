"""A moving average of a network's weights: the generator that is sampled, judged and shared."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn


class EMA:
    """Exponential moving average whose memory is counted in images, so that the batch size may change.

    Karras et al. 2018 (arXiv:1710.10196), with the half-life and ramp of Karras et al. 2020 (arXiv:2006.06676):
    while fewer than halflife / ramp images have been seen, the half-life is ramp * seen.
    """

    def __init__(self, net: nn.Module):
        self.net = copy.deepcopy(net).eval().requires_grad_(False)

    @torch.no_grad()
    def update(self, net: nn.Module, images: int, seen: int, halflife: float, ramp: float | None) -> None:
        """Moves towards `net` after a round on `images` images, `seen` in all; `halflife` in images."""
        keep = decay(images, seen, halflife, ramp)
        torch._foreach_lerp_(list(self.net.parameters()), list(net.parameters()), 1 - keep)
        for mean, now in zip(self.net.buffers(), net.buffers(), strict=True):
            mean.copy_(now)  # BatchNorm's running statistics are means already

    def state_dict(self) -> dict[str, Tensor]:
        return self.net.state_dict()

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        self.net.load_state_dict(state)


def decay(images: int, seen: int, halflife: float, ramp: float | None) -> float:
    """The share of the old average that stays after `images` more images: 2^(-images / halflife)."""
    if ramp is not None:
        halflife = min(halflife, ramp * seen)
    return 0.5 ** (images / halflife) if halflife > 0 else 0.0
