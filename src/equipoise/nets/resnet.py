"""The residual pair of SNGAN (Miyato et al. 2018, arXiv:1802.05957, Tables 3 and 4), SAGAN (Zhang et al. 2019,
arXiv:1805.08318) and BigGAN (Brock et al. 2019, arXiv:1809.11096, appendix B), for any power-of-two size from 8.

They differ in the widths, in attention, and in what the norms of G are told: see `ClassTables` and `SharedEmbedding`.
Spectral norm comes from `layers.with_spectral_norm`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate, relu

from equipoise.nets.attention import SelfAttention
from equipoise.nets.checkpointing import Through, kept
from equipoise.nets.convolution import Conv2d
from equipoise.nets.layers import ConditionalBatchNorm, UnconditionalBatchNorm, head, label

Embedding = Literal["each-norm", "shared"]
NormOf = Callable[[int], nn.Module]  # channels -> a norm that takes (x, condition)

SMALLEST = 4  # pixels of G's first maps, and of D's last ones for images beyond 32 pixels
TWO_HALVINGS_UP_TO = 32  # pixels: D as in Table 3; beyond, as in Table 4
EMBEDDING_DIM = 128


class Generator(nn.Module):
    """z [B, z_dim] and y [B] -> images [B, *shape] in -1..1; the norms of its blocks are told the class.

    `width` is the number of channels at the full size; it doubles with each halving, up to `max_width`. With `skip_z`
    each block is told a chunk of z of its own, and the start makes do with the first. `attention` is the side in pixels
    of the maps that have it.
    """

    def __init__(
        self,
        shape: Sequence[int],
        *,
        z_dim: int = 128,
        width: int = 256,
        max_width: int = 256,
        classes: int = 0,
        embedding: Embedding = "each-norm",
        skip_z: bool = False,
        attention: int | None = None,
        through: Through = kept,
    ):
        super().__init__()
        self.z_dim, self.through = z_dim, through
        sides = generator_sides(shape[1])
        widths = [min(width * shape[1] // side, max_width) for side in sides]
        self.chunks = chunks(z_dim, len(sides)) if skip_z else [z_dim] + [0] * (len(sides) - 1)
        self.condition = told(classes, embedding, skip_z)
        self.start = nn.Sequential(
            nn.Linear(self.chunks[0], widths[0] * SMALLEST**2), nn.Unflatten(1, (widths[0], SMALLEST, SMALLEST)),
            attending(widths[0], sides[0], attention),
        )  # fmt: skip
        self.blocks = nn.ModuleList(
            UpBlock(before, after, self.condition.norms(chunk), attending(after, side, attention))
            for (before, after), side, chunk in zip(pairwise(widths), sides[1:], self.chunks[1:], strict=True)
        )
        self.end = nn.Sequential(
            nn.BatchNorm2d(widths[-1]), nn.ReLU(), Conv2d(widths[-1], shape[0], 3, padding=1), nn.Tanh()
        )

    def forward(self, z: Tensor, y: Tensor) -> Tensor:
        first, *others = torch.split(z, self.chunks, 1)
        h = self.start(first)  # [B, W, 4, 4]
        for block, chunk in zip(self.blocks, others, strict=True):
            h = self.through(block, h, self.condition(chunk, y))
        x: Tensor = self.end(h)
        return x  # [B, C, H, H]


class Discriminator(nn.Module):
    """Images [B, *shape] and y [B] -> logits [B]; the class by projection. No norm layers.

    `width` is the number of channels of the first block; it doubles with each halving, up to `max_width`.
    """

    def __init__(
        self,
        shape: Sequence[int],
        *,
        width: int = 128,
        max_width: int = 128,
        classes: int = 0,
        attention: int | None = None,
        through: Through = kept,
    ):
        super().__init__()
        self.through = through
        sides = discriminator_sides(shape[1])
        widths = [min(width * shape[1] // (2 * side), max_width) for side in sides]
        blocks = [Block(shape[0], widths[0], nn.Identity(), nn.AvgPool2d(2), attending(widths[0], sides[0], attention))]
        for (before, after), (larger, side) in zip(pairwise(widths), pairwise(sides), strict=True):
            pool = nn.AvgPool2d(2) if side < larger else nn.Identity()
            looks = attending(after, side, attention) if side < larger else nn.Identity()  # once at a resolution
            blocks.append(Block(before, after, nn.ReLU(), pool, looks))
        self.blocks = nn.ModuleList(blocks)
        self.head = head(widths[-1], classes, "projection")

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        for block in self.blocks:
            x = self.through(block, x)
        logits: Tensor = self.head(relu(x).sum((2, 3)), y)  # of features [B, W]
        return logits


class UpBlock(nn.Module):
    """[B, C, H, H] and what the norms are told -> [B, C', 2 H, 2 H]."""

    def __init__(self, before: int, after: int, norm: NormOf, looks: nn.Module):
        super().__init__()
        self.norms = nn.ModuleList([norm(before), norm(after)])
        self.first = Conv2d(before, after, 3, padding=1)
        self.second = Conv2d(after, after, 3, padding=1)
        self.shortcut = Conv2d(before, after, 1)
        self.looks = looks

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        h = self.first(doubled(relu(self.norms[0](x, condition))))
        h = self.second(relu(self.norms[1](h, condition)))
        y: Tensor = self.looks(doubled(self.shortcut(x)) + h)
        return y


class Block(nn.Module):
    """[B, C, H, H] -> [B, C', H, H], or half the size, as `pool` says; the first block enters without a ReLU."""

    def __init__(self, before: int, after: int, enters: nn.Module, pool: nn.Module, looks: nn.Module):
        super().__init__()
        self.branch = nn.Sequential(
            enters, Conv2d(before, after, 3, padding=1), nn.ReLU(), Conv2d(after, after, 3, padding=1), pool
        )
        same = before == after and isinstance(pool, nn.Identity)
        self.shortcut = nn.Identity() if same else nn.Sequential(pool, Conv2d(before, after, 1))  # the two commute
        self.looks = looks

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.looks(self.shortcut(x) + self.branch(x))
        return y


class Nothing(nn.Module):
    """Without classes and chunks of z the norms heed nothing."""

    def norms(self, chunk: int) -> NormOf:
        return UnconditionalBatchNorm

    def forward(self, chunk: Tensor, y: Tensor) -> Tensor:
        return y  # [B]


class ClassTables(nn.Module):
    """Every norm is told the class itself, for which it has a table of its own (SNGAN, SAGAN)."""

    def __init__(self, classes: int):
        super().__init__()
        self.classes = classes

    def norms(self, chunk: int) -> NormOf:
        def norm(channels: int) -> nn.Module:
            gain, bias = (nn.Embedding(self.classes, channels) for _ in range(2))
            return ConditionalBatchNorm(channels, gain, bias)

        return norm

    def forward(self, chunk: Tensor, y: Tensor) -> Tensor:
        return y  # [B]


class SharedEmbedding(nn.Module):
    """The norms of a block are told its chunk of z and the class in an embedding that all share (BigGAN, Figure 15)."""

    def __init__(self, classes: int):
        super().__init__()
        self.label = label(classes, EMBEDDING_DIM)
        self.dim = EMBEDDING_DIM if classes else 0

    def norms(self, chunk: int) -> NormOf:
        def norm(channels: int) -> nn.Module:
            gain, bias = (nn.Linear(chunk + self.dim, channels, bias=False) for _ in range(2))
            return ConditionalBatchNorm(channels, gain, bias)

        return norm

    def forward(self, chunk: Tensor, y: Tensor) -> Tensor:
        return torch.cat([chunk, self.label(y)], 1)  # [B, F]


def told(classes: int, embedding: Embedding, skip_z: bool) -> Nothing | ClassTables | SharedEmbedding:
    if skip_z or (classes and embedding == "shared"):
        return SharedEmbedding(classes)
    return ClassTables(classes) if classes else Nothing()


def generator_sides(size: int) -> list[int]:
    """Pixels of G's maps: 4, 8, ... size."""
    return [SMALLEST << i for i in range((size // SMALLEST).bit_length())]


def discriminator_sides(size: int) -> list[int]:
    """Pixels of the maps that the blocks of D make: size / 2, ... and at the end blocks that keep the size."""
    if size <= TWO_HALVINGS_UP_TO:
        return [size // 2, size // 4, size // 4, size // 4]
    return [*generator_sides(size)[-2::-1], SMALLEST]


def common_sides(size: int) -> list[int]:
    """Pixels of maps that both players have: where attention can be."""
    return sorted(set(generator_sides(size)) & set(discriminator_sides(size)))


def attending(channels: int, side: int, attention: int | None) -> nn.Module:
    """What stands behind maps of `side` pixels."""
    return SelfAttention(channels) if side == attention else nn.Identity()


def chunks(z_dim: int, count: int) -> list[int]:
    """Lengths of the parts of z, as equal as they can be."""
    return [len(part) for part in torch.arange(z_dim).tensor_split(count)]


def doubled(x: Tensor) -> Tensor:
    """Each pixel four times."""
    return interpolate(x, scale_factor=2.0, mode="nearest")
