"""A network that fills holes in pictures, of gated convolutions (Yu et al. 2019, arXiv:1806.03589).

An ordinary convolution treats what lies in a hole like what lies beside it; a gated one learns, for each channel and
place, how much to let through. Of the paper's two networks this is the first, the coarse one; the second, with its
attention, is left out. Written from the paper; no code was copied.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import elu

from equipoise.errors import ConfigError
from equipoise.nets.layers import Norm, activation, norm
from equipoise.nets.translators import enlarged, require_pictures, require_sides

MULTIPLE, LEAST = 4, 8  # pixels: the picture is halved twice, and something is left of it
DILATIONS = (2, 4, 8, 16)  # pixels of the smallest maps between the taps of a kernel; those beyond the map are left out


class GatedGenerator(nn.Module):
    """a [B, *given] -> pictures [B, *shape] within -1..1 in the hole, and bit for bit the given picture outside it.

    a is a picture of C channels, then whatever else may help (sketches, classes as maps), and last the mask: above .5
    is hole. What the picture has in the hole is not looked at. `width` is the number of channels at full size.

    Raises:
        ConfigError: for pictures that do not go through it, here and at use, or where a has no channel for the mask.
    """

    def __init__(self, given: Sequence[int], shape: Sequence[int], *, width: int = 32, norms: Norm = "none"):
        super().__init__()
        require_pictures(given, shape, MULTIPLE, LEAST)
        if given[0] <= shape[0]:
            raise ConfigError(
                f"What is to be filled has {given[0]} channels: it must have the {shape[0]} of a picture, and the mask "
                "as the last one (1 = hole)."
            )
        self.channels, self.multiple = shape[0], MULTIPLE
        reach = [dilation for dilation in DILATIONS if dilation < min(shape[1:]) // MULTIPLE]
        self.draw = nn.Sequential(
            Gated(given[0], width, 5, norms),
            Gated(width, 2 * width, 3, norms, stride=2),
            Gated(2 * width, 2 * width, 3, norms),
            Gated(2 * width, 4 * width, 3, norms, stride=2),
            Gated(4 * width, 4 * width, 3, norms),
            *(Gated(4 * width, 4 * width, 3, norms, dilation=dilation) for dilation in reach),
            Gated(4 * width, 4 * width, 3, norms),
            enlarged(),
            Gated(4 * width, 2 * width, 3, norms),
            enlarged(),
            Gated(2 * width, width, 3, norms),
            nn.Conv2d(width, shape[0], 3, padding=1),
            activation("tanh"),
        )

    def forward(self, a: Tensor, y: Tensor) -> Tensor:
        require_sides(a.shape[2:], MULTIPLE, LEAST)
        picture, help_and_mask = a[:, : self.channels], a[:, self.channels :]
        hole = help_and_mask[:, -1:] > 0.5  # [B, 1, H, W]
        drawn = self.draw(torch.cat([picture.masked_fill(hole, 0), help_and_mask], 1))
        return torch.where(hole, drawn.to(a.dtype), picture)  # [B, C, H, W]


class Gated(nn.Module):
    """[B, C, H, W] -> [B, C', H, W]: elu(features) * 2 sigmoid(gates), each from a convolution (section 3.1).

    The paper has no 2. Without it gates let half pass at the start, and a dozen layers without norms leave nothing.
    """

    def __init__(self, before: int, after: int, kernel: int, norms: Norm, *, stride: int = 1, dilation: int = 1):
        super().__init__()
        self.conv = nn.Conv2d(before, 2 * after, kernel, stride, dilation * (kernel // 2), dilation)
        self.norm = norm(norms, 2 * after, spatial=True)

    def forward(self, x: Tensor) -> Tensor:
        features, gates = self.norm(self.conv(x)).chunk(2, 1)
        y: Tensor = elu(features) * (2 * gates.sigmoid())
        return y
