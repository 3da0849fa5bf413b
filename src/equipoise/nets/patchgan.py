"""The discriminator of patches (Isola et al. 2017, arXiv:1611.07004, section 3.3 and appendix), at one scale or several
(Wang et al. 2018, arXiv:1711.11585, section 3.2).

Each logit tells of one patch of the picture and no more: 70 x 70 pixels with three halvings, 34 with two, 16 with one.
Spectral norm comes from `layers.with_spectral_norm`.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, interpolate

from equipoise.errors import ConfigError
from equipoise.nets.convolution import Conv2d
from equipoise.nets.layers import Norm, activation, norm

LAST = 3  # pixels, at least, of the last map that is halved: two more convolutions take one each, and one is left


class PatchDiscriminator(nn.Module):
    """Pictures x [B, *shape] and y -> logits of patches [B, scales, h, w].

    With `given` > 0, y [B, given, H, W] is the picture that x was made of, and is looked at beside it; otherwise y is
    ignored. Each scale has a network of its own, which sees the pictures at half the size of the one before; its map is
    repeated to the size of the first, so that in a mean over all logits each scale weighs the same.

    `width` is the number of channels after the first halving; it doubles with each, up to `max_width`. A picture is
    halved `layers` times, or less often where nothing would be left of it. The first map has no norm, after the paper.

    Raises:
        ConfigError: where the pictures of a scale are too small for one halving.
    """

    def __init__(
        self,
        shape: Sequence[int],
        *,
        given: int = 0,
        width: int = 64,
        max_width: int = 512,
        layers: int = 3,
        scales: int = 1,
        norms: Norm = "none",
    ):
        super().__init__()
        self.given = given
        sides = [min(shape[1:]) >> i for i in range(scales)]
        require_patches(sides)
        self.scales = nn.ModuleList(
            Scale(shape[0] + given, [min(width << i, max_width) for i in range(fitting(side, layers) + 1)], norms)
            for side in sides
        )

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        return self.logits_and_features(x, y)[0]

    def features(self, x: Tensor, y: Tensor) -> list[Tensor]:
        """The hidden maps [B, C, h, w] of all scales, from the pixels on: for the matching of features."""
        return self.logits_and_features(x, y)[1]

    def logits_and_features(self, x: Tensor, y: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Both for the price of one."""
        h = torch.cat([x, y], 1) if self.given else x
        logits: list[Tensor] = []
        features: list[Tensor] = []
        for i, scale in enumerate(self.scales):
            h = avg_pool2d(h, 2) if i else h
            said, maps = scale(h)
            logits.append(said if not i else interpolate(said, logits[0].shape[2:], mode="nearest"))
            features += maps
        return torch.cat(logits, 1), features


class Scale(nn.Module):
    """Pictures [B, C, H, W] -> logits [B, 1, h, w], and the maps before them. The last hidden layer keeps the size."""

    def __init__(self, channels: int, widths: Sequence[int], norms: Norm):
        super().__init__()
        last = len(widths) - 1
        self.hidden = nn.ModuleList(
            nn.Sequential(
                Conv2d(before, after, 4, stride=1 if i == last else 2, padding=1),
                norm(norms if i else "none", after, spatial=True),
                activation("leaky-relu"),
            )
            for i, (before, after) in enumerate(pairwise([channels, *widths]))
        )
        self.realness = Conv2d(widths[-1], 1, 4, padding=1)

    def forward(self, x: Tensor) -> tuple[Tensor, list[Tensor]]:
        maps: list[Tensor] = []
        for layer in self.hidden:
            x = layer(x)
            maps.append(x)
        return self.realness(x), maps


def fitting(side: int, layers: int) -> int:
    """As many of `layers` halvings as leave a logit."""
    return max(halvings for halvings in range(1, max(layers, 1) + 1) if halvings == 1 or side >> halvings >= LAST)


def require_patches(sides: Sequence[int]) -> None:
    """`sides` are those of the scales, in pixels."""
    if sides[-1] < 2 * LAST:
        scales = sum(side >= 2 * LAST for side in sides)
        advice = f"Set scales to {scales} or less." if scales else f"Use pictures of {2 * LAST} pixels or more."
        raise ConfigError(
            f"With scales={len(sides)} the smallest pictures have {sides[-1]} pixels, and D needs {2 * LAST}. {advice}"
        )
