"""The convolutional pair of Radford et al. 2015 (arXiv:1511.06434), for any power-of-two size from 8.

Upsampling is a resize followed by a convolution, which leaves no checkerboard (Odena et al. 2016,
https://distill.pub/2016/deconv-checkerboard), or the paper's transposed convolution.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Literal, assert_never

import torch
from torch import Tensor, nn

from equipoise.nets.convolution import Conv2d
from equipoise.nets.layers import Activation, Conditioning, Norm, Output, Said, activation, head, label, norm
from equipoise.nets.minibatch import Minibatch, minibatch

Upsample = Literal["resize", "transposed"]
LABEL_DIM = 32


class Generator(nn.Module):
    """z [B, z_dim] and y [B] -> images [B, *shape]; the class is concatenated to z.

    `width` is the number of channels before the last upsampling; it doubles towards the small maps, up to
    `max_width`.
    """

    def __init__(
        self,
        shape: Sequence[int],
        *,
        z_dim: int = 100,
        width: int = 64,
        max_width: int = 512,
        classes: int = 0,
        act: Activation = "relu",
        norms: Norm = "batch",
        upsample: Upsample = "resize",
        output: Output = "tanh",
    ):
        super().__init__()
        self.z_dim = z_dim
        channels, size = shape[0], shape[1]
        small, widths = smallest(size), pyramid(size, width, max_width)
        self.label = label(classes, LABEL_DIM)
        self.start = nn.Sequential(
            nn.Linear(z_dim + (LABEL_DIM if classes else 0), widths[0] * small * small),
            nn.Unflatten(1, (widths[0], small, small)),
            norm(norms, widths[0], spatial=True),
            activation(act),
        )
        layers: list[nn.Module] = []
        for before, after in pairwise(widths):
            layers += [*grow(before, after, upsample), norm(norms, after, spatial=True), activation(act)]
        layers += [*grow(widths[-1], channels, upsample), activation(output)]
        self.up = nn.Sequential(*layers)

    def forward(self, z: Tensor, y: Tensor) -> Tensor:
        h = self.start(torch.cat([z, self.label(y)], dim=1))  # [B, W, S, S]
        x: Tensor = self.up(h)
        return x  # [B, C, H, H]


class Discriminator(nn.Module):
    """Images [B, *shape] and y [B] -> logits [B], and what the head says of the class. The first layer has no norm,
    after the paper."""

    def __init__(
        self,
        shape: Sequence[int],
        *,
        width: int = 64,
        max_width: int = 512,
        classes: int = 0,
        conditioning: Conditioning = "projection",
        act: Activation = "leaky-relu",
        norms: Norm = "batch",
        mixing: Minibatch = "none",
    ):
        super().__init__()
        channels, size = shape[0], shape[1]
        concatenated = classes if conditioning == "concatenation" else 0
        self.label = label(concatenated, LABEL_DIM)
        widths = pyramid(size, width, max_width)[::-1]
        inputs = channels + (LABEL_DIM if concatenated else 0)
        layers: list[nn.Module] = [Conv2d(inputs, widths[0], 4, stride=2, padding=1), activation(act)]
        for before, after in pairwise(widths):
            layers += [
                Conv2d(before, after, 4, stride=2, padding=1),
                norm(norms, after, spatial=True),
                activation(act),
            ]
        self.down = nn.Sequential(*layers, nn.Flatten())
        self.beside, features = minibatch(mixing, widths[-1] * smallest(size) ** 2)
        self.head = head(features, classes, conditioning)

    def forward(self, x: Tensor, y: Tensor) -> Said:
        maps = self.label(y)[:, :, None, None].expand(-1, -1, *x.shape[2:])  # the class as constant channels
        h = self.down(torch.cat([x, maps], dim=1))  # [B, W * S * S]
        said: Said = self.head(self.beside(h), y)
        return said


def smallest(size: int) -> int:
    """Pixels of the smallest feature map: the paper's 4, or 2 for images of 8, so that D has two layers there."""
    return min(4, size // 4)


def pyramid(size: int, width: int, max_width: int) -> list[int]:
    """Channels at S, 2 S, ... size / 2 pixels."""
    steps = (size // smallest(size)).bit_length() - 1
    return [min(width * 2 ** (steps - 1 - i), max_width) for i in range(steps)]


def grow(before: int, after: int, upsample: Upsample) -> list[nn.Module]:
    """Layers that double the resolution."""
    match upsample:
        case "resize":
            return [nn.Upsample(scale_factor=2, mode="nearest"), nn.Conv2d(before, after, 3, padding=1)]
        case "transposed":
            return [nn.ConvTranspose2d(before, after, 4, stride=2, padding=1)]
        case other:
            assert_never(other)
