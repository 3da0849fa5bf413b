"""A network that draws one picture in the style of another (Huang & Belongie 2017, arXiv:1703.06868).

The features of the content are given the mean and the deviation that the style's have, channel by channel. In the paper
a classifier that was trained elsewhere makes the features, here two encoders that are trained with the rest; and the
style is told at every size on the way up, not only at the smallest. Written from the paper; no code was copied.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.functional import relu

from equipoise.nets.layers import activation
from equipoise.nets.translators import (
    at,
    enlarged,
    reflecting,
    require_heads,
    require_pictures,
    require_sides,
    unit_vectors,
)

MULTIPLE, LEAST = 4, 8  # pixels: the picture is halved twice, and something is left of it

Style = tuple[Tensor, Tensor]  # mean and deviation of each channel, [B, C, 1, 1]


class StyleGenerator(nn.Module):
    """The content a [B, *given] and a picture y [B, C, H', W'] of the style -> pictures [B, *shape] within -1..1.

    `width` is the number of channels at full size; it doubles with each of two halvings. y may have any size from 4
    pixels. `contrast` is as of `translators.ResNetGenerator`.

    Raises:
        ConfigError: for pictures that do not go through it, here and at use.
    """

    def __init__(
        self, given: Sequence[int], shape: Sequence[int], *, width: int = 64, blocks: int = 4, contrast: int = 0
    ):  # fmt: skip
        super().__init__()
        require_pictures(given, shape, MULTIPLE, LEAST)
        self.multiple = MULTIPLE
        widths = [width, 2 * width, 4 * width]
        self.content = Encoder(given[0], widths)
        self.style = Encoder(shape[0], widths)
        self.blocks = nn.ModuleList(StyledResidual(widths[-1]) for _ in range(blocks))
        self.up = nn.ModuleList(
            nn.Sequential(enlarged(), reflecting(before, after, 3)) for before, after in pairwise(widths[::-1])
        )
        self.end = nn.Sequential(reflecting(width, shape[0], 7), activation("tanh"))
        self.heads = nn.ModuleList(
            unit_vectors(channels, contrast) for channels in ([given[0], *widths] if contrast else [])
        )

    def forward(self, a: Tensor, y: Tensor) -> Tensor:
        require_sides(a.shape[2:], MULTIPLE, LEAST)
        *larger, small = [moments(h) for h in self.style(y)]
        h = relu(adain(self.content(a)[-1], small))
        for block in self.blocks:
            h = block(h, small)
        for up, style in zip(self.up, larger[::-1], strict=True):
            h = relu(adain(up(h), style))
        x: Tensor = self.end(h)
        return x  # [B, C, H, W]

    def patches(self, x: Tensor, places: Tensor) -> list[Tensor]:
        """Unit vectors [B, S, contrast] that tell of x [B, *given] at S places, for its pixels and each map of the
        content's encoder: see `translators.ResNetGenerator.patches`.

        Raises:
            ConfigError: where the generator was built without `contrast`.
        """
        require_heads(self.heads)
        return [head(at(h, places)) for head, h in zip(self.heads, [x, *self.content(x)], strict=True)]


class Encoder(nn.Module):
    """Pictures [B, C, H, W] -> what its convolutions make of them at each size, the largest first."""

    def __init__(self, channels: int, widths: Sequence[int]):
        super().__init__()
        self.start = reflecting(channels, widths[0], 7)
        self.down = nn.ModuleList(reflecting(before, after, 3, stride=2) for before, after in pairwise(widths))

    def forward(self, x: Tensor) -> list[Tensor]:
        maps: list[Tensor] = [self.start(x)]
        for down in self.down:
            maps.append(down(relu(maps[-1])))
        return maps


class StyledResidual(nn.Module):
    """x + a branch of two convolutions, each given the style; [B, C, H, W] in and out."""

    def __init__(self, width: int):
        super().__init__()
        self.first = reflecting(width, width, 3)
        self.second = reflecting(width, width, 3)

    def forward(self, x: Tensor, style: Style) -> Tensor:
        h = relu(adain(self.first(x), style))
        return x + adain(self.second(h), style)


def adain(x: Tensor, style: Style) -> Tensor:
    """x [B, C, H, W] with the mean and the deviation of the style in each channel (eq. 8)."""
    mean, deviation = style
    own_mean, own_deviation = moments(x)
    return deviation * (x - own_mean) / own_deviation + mean


def moments(x: Tensor) -> Style:
    """Mean and deviation of each channel of x [B, C, H, W] over its places; the deviation of nothing is .003."""
    variance, mean = torch.var_mean(x, (2, 3), correction=0, keepdim=True)
    return mean, (variance + 1e-5).sqrt()
