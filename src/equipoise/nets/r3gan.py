"""The residual pair of R3GAN, configuration E (Huang et al. 2024, arXiv:2501.05441, section 4 and Table 9).

ConvNeXt-like blocks without norm layers: an inverted bottleneck around a grouped 3x3 convolution, biases only in front
of the activations, binomial low-pass filters for resampling. Written from the paper: the authors' code carries no
licence.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd import Function
from torch.nn.functional import conv_transpose2d, leaky_relu_

from equipoise.nets.checkpointing import Through, kept
from equipoise.nets.convolution import Conv2d, convolution
from equipoise.nets.layers import LinearHead, label

SMALLEST = 4  # pixels of the smallest feature map
EXPANSION, GROUP = 2, 16  # channels inside a block, over those outside; channels in a group, where they divide
FULL_WIDTH_UP_TO = 32  # pixels; beyond, the width halves with each doubling
SLOPE = 0.2


class Generator(nn.Module):
    """z [B, z_dim] and y [B] -> images [B, *shape], not bounded; the class is concatenated to z."""

    def __init__(
        self,
        shape: Sequence[int],
        *,
        z_dim: int = 64,
        width: int = 384,
        blocks: int = 2,
        classes: int = 0,
        through: Through = kept,
    ):
        super().__init__()
        self.z_dim = z_dim
        widths = stages(shape[1], width)
        self.label = label(classes, widths[0])
        self.start = nn.Linear(z_dim + (widths[0] if classes else 0), widths[0], bias=False)
        self.basis = nn.Parameter(torch.empty(widths[0], SMALLEST, SMALLEST))
        layers: list[nn.Module] = [Block(widths[0], through) for _ in range(blocks)]
        for before, after in pairwise(widths):
            layers += [*matched(before, after), Up(after), *(Block(after, through) for _ in range(blocks))]
        self.up = nn.Sequential(*layers, Conv2d(widths[-1], shape[0], 1, bias=False))

    def forward(self, z: Tensor, y: Tensor) -> Tensor:
        scale = self.start(torch.cat([z, self.label(y)], dim=1))  # [B, W]
        x: Tensor = self.up(self.basis * scale[:, :, None, None])
        return x  # [B, C, H, H]

    def branches(self) -> list[list[nn.Module]]:
        return branches(self)


class Discriminator(nn.Module):
    """Images [B, *shape] and y [B] -> logits [B]; with classes, the features' product with the embedding of y."""

    def __init__(
        self,
        shape: Sequence[int],
        *,
        width: int = 384,
        blocks: int = 2,
        classes: int = 0,
        through: Through = kept,
    ):
        super().__init__()
        widths = stages(shape[1], width)[::-1]
        layers: list[nn.Module] = [Conv2d(shape[0], widths[0], 1, bias=False)]
        for before, after in pairwise(widths):
            layers += [*(Block(before, through) for _ in range(blocks)), Down(before), *matched(before, after)]
        layers += [Block(widths[-1], through) for _ in range(blocks)]
        self.down = nn.Sequential(
            *layers, Conv2d(widths[-1], widths[-1], SMALLEST, groups=widths[-1], bias=False), nn.Flatten()
        )
        self.head = MatchHead(widths[-1], classes) if classes else LinearHead(widths[-1], bias=False)

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        logits: Tensor = self.head(self.down(x), y)
        return logits

    def branches(self) -> list[list[nn.Module]]:
        return branches(self)


class Block(nn.Module):
    """x + the branch 1x1 -> 3x3 in groups -> 1x1; [B, C, H, H] in and out."""

    def __init__(self, width: int, through: Through = kept):
        super().__init__()
        self.through = through
        inner = EXPANSION * width
        self.branch = nn.Sequential(
            Conv2d(width, inner, 1, bias=False),
            BiasedLeakyReLU(inner),
            Conv2d(inner, inner, 3, padding=1, groups=inner // math.gcd(inner, GROUP), bias=False),
            BiasedLeakyReLU(inner),
            Conv2d(inner, width, 1, bias=False),
        )

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = x + self.through(self.branch, x)
        return y


class BiasedLeakyReLU(nn.Module):
    """max(x + b, .2 (x + b)), with a bias of its own for each channel, at first 0."""

    def __init__(self, channels: int):
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        bias = self.bias[..., None, None]  # [C, 1, 1], or [B, C, 1, 1] where each sample has its own
        if not torch.is_grad_enabled():
            return leaky_relu_(x + bias, SLOPE)
        y: Tensor = Kink.apply(x + bias)  # type: ignore[no-untyped-call]
        return y


class Kink(Function):
    """Leaky ReLU of a tensor that nobody else needs: it is overwritten. Its second derivative is nothing, where torch
    hands on a tensor of zeros, for which all layers before would work out gradients of zero."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        y = leaky_relu_(x, SLOPE)
        ctx.mark_dirty(x)
        ctx.save_for_backward(y)
        return y

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Tensor:
        (y,) = ctx.saved_tensors
        gradient: Tensor = torch.ops.aten.leaky_relu_backward(g, y.detach(), SLOPE, True)  # signs of y are those of x
        return gradient


class Resampling(nn.Module):
    """Depthwise, by the low-pass [1, 2, 1] * [1, 1] = [1, 3, 3, 1] along each axis; at the edge of zeros."""

    kernel: Tensor

    def __init__(self, channels: int):
        super().__init__()
        row = torch.tensor([1.0, 3.0, 3.0, 1.0]) / 8
        self.register_buffer("kernel", row.outer(row).repeat(channels, 1, 1, 1), persistent=False)  # [C, 1, 4, 4]


class Up(Resampling):
    """[B, C, H, H] -> [B, C, 2 H, 2 H]."""

    def forward(self, x: Tensor) -> Tensor:
        return conv_transpose2d(x, 4 * self.kernel, stride=2, padding=1, groups=x.shape[1])


class Down(Resampling):
    """[B, C, H, H] -> [B, C, H / 2, H / 2]."""

    def forward(self, x: Tensor) -> Tensor:
        return convolution(x, self.kernel, None, (2, 2), (1, 1), x.shape[1])


class MatchHead(nn.Module):
    """Features [B, F] and classes [B] -> logits [B]: e(y) . phi."""

    def __init__(self, features: int, classes: int):
        super().__init__()
        self.project = nn.Linear(features, features, bias=False)
        self.embed = nn.Embedding(classes, features)

    def forward(self, features: Tensor, y: Tensor) -> Tensor:
        logits: Tensor = (self.embed(y) * self.project(features)).sum(1)
        return logits


def stages(size: int, width: int) -> list[int]:
    """Channels at 4, 8, ... `size` pixels."""
    sizes = [SMALLEST << i for i in range((size // SMALLEST).bit_length())]
    return [width * FULL_WIDTH_UP_TO // max(side, FULL_WIDTH_UP_TO) for side in sizes]


def matched(before: int, after: int) -> list[nn.Module]:
    """The layer that changes the width, where it changes."""
    return [] if before == after else [Conv2d(before, after, 1, bias=False)]


def branches(net: nn.Module) -> list[list[nn.Module]]:
    """The weighted layers of each residual branch: what `init.fixup` acts on."""
    blocks = [block for block in net.modules() if isinstance(block, Block)]
    return [[layer for layer in block.branch if isinstance(layer, nn.Conv2d)] for block in blocks]
