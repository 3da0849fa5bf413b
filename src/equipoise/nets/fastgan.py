"""The pair of FastGAN (Liu et al. 2021, arXiv:2101.04775), for small sets of images: any power-of-two size from 8.

In G, feature maps of few pixels gate the channels of those with many (skip-layer excitation). D is also the encoder of
small decoders that draw its reals again, so that its features must tell of all of an image. Written from the paper. Two
things differ: what was drawn again is compared by L1, not by LPIPS, and D has spectral norm instead of BatchNorm.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.functional import adaptive_avg_pool2d

from equipoise.nets.convolution import Conv2d
from equipoise.nets.layers import activation, label

SMALLEST = 4  # pixels of G's smallest feature map
LABEL_DIM = 32
REACH = 4  # doublings between a feature map and the one that it gates
LAST = 8  # pixels of D's last feature map; of the one before, a quarter is drawn again
DRAWN = 128  # pixels of what is drawn again, at most


class Generator(nn.Module):
    """z [B, z_dim] and y [B] -> images [B, *shape] within -1..1; the class is concatenated to z.

    `width` is the number of channels at full size; it doubles towards the small maps, up to `max_width`.
    """

    def __init__(
        self, shape: Sequence[int], *, z_dim: int = 256, width: int = 32, max_width: int = 512, classes: int = 0
    ):
        super().__init__()
        self.z_dim = z_dim
        widths = pyramid(shape[1], SMALLEST, width, max_width)
        self.label = label(classes, LABEL_DIM)
        self.start = nn.Sequential(
            nn.Unflatten(1, (-1, 1, 1)),
            nn.ConvTranspose2d(z_dim + (LABEL_DIM if classes else 0), 2 * widths[0], SMALLEST, bias=False),
            *gated(widths[0]),
        )
        self.up = nn.ModuleList(doubling(before, after) for before, after in pairwise(widths))
        self.reach = min(REACH, len(self.up))
        self.excite = nn.ModuleList(
            Excitation(low, high) for low, high in zip(widths, widths[self.reach :], strict=False)
        )
        self.out = nn.Sequential(nn.Conv2d(widths[-1], shape[0], 3, padding=1), nn.Tanh())

    def forward(self, z: Tensor, y: Tensor) -> Tensor:
        maps: list[Tensor] = [self.start(torch.cat([z, self.label(y)], dim=1))]  # [B, W, 4, 4], and so on
        for i, stage in enumerate(self.up, start=1 - self.reach):
            x = stage(maps[-1])
            maps.append(x if i < 0 else self.excite[i](maps[i], x))
        image: Tensor = self.out(maps[-1])
        return image  # [B, C, H, H]


class Excitation(nn.Module):
    """Section 3.1, eq. 2: a map of few pixels says how much of each channel of `high` [B, C, H, H] stays."""

    def __init__(self, low: int, high: int):
        super().__init__()
        self.gate = nn.Sequential(
            nn.AdaptiveAvgPool2d(4), nn.Conv2d(low, high, 4), nn.LeakyReLU(0.1), nn.Conv2d(high, high, 1), nn.Sigmoid()
        )

    def forward(self, low: Tensor, high: Tensor) -> Tensor:
        excited: Tensor = high * self.gate(low)
        return excited


class Discriminator(nn.Module):
    """Images [B, *shape] and y [B] -> logits of places [B, S, S]; the match with the class is that of the whole image
    (Miyato & Koyama 2018, arXiv:1802.05637, eq. 4). `reconstruction` is a loss of its own for reals."""

    def __init__(self, shape: Sequence[int], *, width: int = 32, max_width: int = 512, classes: int = 0):
        super().__init__()
        channels, size = shape[0], shape[1]
        last = min(LAST, size // 4)
        widths = pyramid(size, last, width, max_width)[::-1]
        self.large = nn.Sequential(
            Conv2d(channels, widths[0], 3, padding=1),
            activation("leaky-relu"),
            *(Halving(before, after) for before, after in pairwise(widths[:-1])),
        )
        self.small = Halving(widths[-2], widths[-1])
        self.judge = nn.Sequential(Conv2d(widths[-1], widths[-1], 1), activation("leaky-relu"))
        self.realness = Conv2d(widths[-1], 1, min(4, last))
        self.label = label(classes, widths[-1])
        self.whole = decoder(widths[-1], channels, last, min(DRAWN, size))
        self.quarter = decoder(widths[-2], channels, last, min(DRAWN, size // 2))

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        h = self.judge(self.small(self.large(x)))  # [B, W, S, S]
        of_class = self.label(y)  # [B, W], or [B, 0] without classes
        match = (of_class * h.mean((2, 3))[:, : of_class.shape[1]]).sum(1)
        logits: Tensor = self.realness(h).squeeze(1) + match[:, None, None]
        return logits

    def reconstruction(self, x: Tensor, first: int = 0) -> Tensor:
        """Section 3.2, eq. 3: |what is drawn again - x [B, C, H, H]|, of the whole image from the last feature map, and
        of a quarter of it from that quarter of the map before. [B].

        The quarters take turns; `first` is the place of x[0] in a batch that several processes share.
        """
        large = self.large(x)
        whole = self.whole(self.small(large))
        turns = torch.arange(first, first + len(x), device=x.device) % 4
        part, of_x = self.quarter(quarters(large, turns)), quarters(x, turns)
        return off(whole, x) + off(part, of_x)


class Halving(nn.Module):
    """[B, I, H, H] -> [B, O, H / 2, H / 2]: the mean of a branch of two convolutions and one that pools (Figure 4)."""

    def __init__(self, before: int, after: int):
        super().__init__()
        self.branch = nn.Sequential(
            Conv2d(before, after, 4, stride=2, padding=1), activation("leaky-relu"),
            Conv2d(after, after, 3, padding=1), activation("leaky-relu"),
        )  # fmt: skip
        self.pooled = nn.Sequential(nn.AvgPool2d(2), Conv2d(before, after, 1), activation("leaky-relu"))

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = (self.branch(x) + self.pooled(x)) / 2
        return y


def decoder(width: int, channels: int, small: int, large: int) -> nn.Sequential:
    """[B, width, small, small] -> [B, channels, large, large] within -1..1; half as many channels at each doubling."""
    widths = [max(width >> i, channels) for i in range((large // small).bit_length())]
    doublings = (doubling(before, after) for before, after in pairwise(widths))
    return nn.Sequential(*doublings, nn.Conv2d(widths[-1], channels, 3, padding=1), nn.Tanh())


def doubling(before: int, after: int) -> nn.Sequential:
    """[B, before, H, H] -> [B, after, 2 H, 2 H]."""
    return nn.Sequential(
        nn.Upsample(scale_factor=2, mode="nearest"),
        nn.Conv2d(before, 2 * after, 3, padding=1, bias=False),
        *gated(after),
    )


def gated(width: int) -> list[nn.Module]:
    """BatchNorm, and half of the channels times the sigmoid of the others (Dauphin et al. 2017, arXiv:1612.08083)."""
    return [nn.BatchNorm2d(2 * width), nn.GLU(dim=1)]


def quarters(x: Tensor, which: Tensor) -> Tensor:
    """[B, C, H, H] and numbers 0 to 3 [B] -> the upper left, upper right, lower left, lower right [B, C, H/2, H/2]."""
    b, c, h, _ = x.shape
    return x.reshape(b, c, 2, h // 2, 2, h // 2)[torch.arange(b, device=x.device), :, which // 2, :, which % 2]


def off(drawn: Tensor, x: Tensor) -> Tensor:
    """Mean distance to x, at the size of what was drawn. [B]."""
    return (drawn.float() - adaptive_avg_pool2d(x, drawn.shape[2])).abs().flatten(1).mean(1)


def pyramid(size: int, smallest: int, width: int, max_width: int) -> list[int]:
    """Channels at `smallest`, ... size / 2, size pixels."""
    steps = (size // smallest).bit_length()
    return [min(width << steps - 1 - i, max_width) for i in range(steps)]
