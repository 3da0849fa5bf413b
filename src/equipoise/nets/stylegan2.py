"""The pair of StyleGAN2 (Karras et al. 2020, arXiv:1912.04958), for any power-of-two size from 8.

A mapping net, convolutions whose kernels are scaled by styles and brought back to unit variance, a generator that sums
images over its resolutions, a residual D that sees how alike the samples of a batch are. Equalised learning rates
throughout. Written from the papers, without operators of its own: the authors' code is not free.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from equipoise.nets.convolution import convolution
from equipoise.nets.equalised import EPSILON, GAIN, Conv, Linear, bent, of_unit_size
from equipoise.nets.layers import label
from equipoise.nets.modulated import Doubling, Modulated, Noise, Plain, ToImage, hashed, odd
from equipoise.nets.r3gan import Down, Resampling, Up

SMALLEST = 4  # pixels of the smallest feature map
SLOW = 0.01  # learning rate of the mapping net, over that of the others
KEPT = 0.995  # of the mean of w, by each batch


class Generator(nn.Module):
    """z [B, z_dim] and y [B] -> images [B, *shape], not bounded.

    `mapping` and `synthesis` are its halves, and change nothing. `forward` is both; only in training mode it moves the
    noise by z, mixes styles, and gathers `w_mean`, the running average of w that `truncated` moves to. There is no draw
    in it: what differs between samples is a function of their z.
    """

    w_mean: Tensor  # [w_dim]
    path_mean: Tensor  # running mean of the lengths that `penalties.path_lengths` finds: whoever asks keeps it here
    odds: Tensor  # [z_dim] of the hash of z

    def __init__(
        self,
        shape: Sequence[int],
        *,
        z_dim: int = 512,
        w_dim: int = 512,
        mapping_layers: int = 8,
        capacity: int = 16384,
        max_width: int = 512,
        classes: int = 0,
        style_mixing: float = 0.0,
        checkpointing: bool = False,
    ):
        super().__init__()
        self.z_dim, self.w_dim, self.style_mixing = z_dim, w_dim, style_mixing
        widths = stages(shape[1], capacity, max_width)
        self.layers = 2 * len(widths)
        self.to_w = Mapping(z_dim, w_dim, mapping_layers, classes)
        self.start = Start(widths[0], shape[0], w_dim)
        self.up = nn.ModuleList(
            Stage(before, after, shape[0], SMALLEST << i + 1, w_dim)
            for i, (before, after) in enumerate(pairwise(widths))
        )
        self.register_buffer("w_mean", torch.zeros(w_dim))
        self.register_buffer("path_mean", torch.zeros(()))
        self.register_buffer("odds", torch.tensor([odd(i) for i in range(z_dim)]), persistent=False)
        self.run = RUN[checkpointing]

    def forward(self, z: Tensor, y: Tensor) -> Tensor:
        w = self.mapping(z, y)
        if not self.training:
            return self.synthesis(self.spread(w))
        self.w_mean.lerp_(w.detach().mean(0), 1 - KEPT)
        key = self.key(z)
        return self.synthesis(self.mixed(w, z, y, key), key)

    def mapping(self, z: Tensor, y: Tensor) -> Tensor:
        w: Tensor = self.to_w(z, y)
        return w  # [B, w_dim]

    def spread(self, w: Tensor) -> Tensor:
        """The same style for each layer: [B, w_dim] -> [B, layers, w_dim]."""
        return w[:, None].expand(-1, self.layers, -1)

    def synthesis(self, w: Tensor, key: Tensor | None = None) -> Tensor:
        """Styles w [B, layers, w_dim], from coarse to fine, -> images [B, *shape]. The keys [B] of samples say where
        their noise begins; without them it stands still."""
        key = torch.zeros(1, dtype=torch.long, device=w.device) if key is None else key
        x, image = self.run(self.start, w[:, :2], key)
        for i, stage in enumerate(self.up):
            x, image = self.run(stage, x, image, w[:, 2 * i + 1 : 2 * i + 4], key)
        out: Tensor = image
        return out  # [B, C, H, H]

    def mixed(self, w: Tensor, z: Tensor, y: Tensor, key: Tensor) -> Tensor:
        """Section 3.1 of StyleGAN (arXiv:1812.04948): in a share of the samples, the layers from one on take the style
        of another latent, here the same numbers in reverse. [B, layers, w_dim]."""
        if not self.style_mixing:
            return self.spread(w)
        whether, where = (hashed(key, i) for i in (1, 2))  # the noise has its sizes, from 4
        mixes = (whether >> 33 & 0xFFFFF) < self.style_mixing * 2**20  # [B]
        first = 1 + (where >> 33 & 0xFFFFF) % (self.layers - 1)  # [B]
        takes = mixes[:, None] & (torch.arange(self.layers, device=w.device) >= first[:, None])  # [B, layers]
        return torch.where(takes[..., None], self.mapping(z.flip(1), y)[:, None], w[:, None])

    def key(self, z: Tensor) -> Tensor:
        """A 64-bit number for each z [B, z_dim]: the sum of its bits times odd numbers, modulo 2^64."""
        bits = z.detach().float().contiguous().view(torch.int32).long()
        return (bits * self.odds).sum(1)  # [B]


class Discriminator(nn.Module):
    """Images [B, *shape] and y [B] -> logits [B]; with classes, the product of features and the mapped class (Karras et
    al. 2020, arXiv:2006.06676, appendix). R1 sums over groups of samples that `MinibatchStd` compares."""

    def __init__(
        self,
        shape: Sequence[int],
        *,
        w_dim: int = 512,
        mapping_layers: int = 8,
        capacity: int = 16384,
        max_width: int = 512,
        group: int = 4,
        classes: int = 0,
        checkpointing: bool = False,
    ):
        super().__init__()
        widths = stages(shape[1], capacity, max_width)[::-1]
        self.from_image = Conv(shape[0], widths[0], 1, gain=GAIN)
        self.down = nn.ModuleList(Residual(before, after) for before, after in pairwise(widths))
        self.compare = MinibatchStd(group)
        self.end = Conv(widths[-1] + 1, widths[-1], 3, gain=GAIN)
        self.features = Linear(widths[-1] * SMALLEST**2, widths[-1], gain=GAIN)
        self.head = MappedHead(widths[-1], w_dim, mapping_layers, classes) if classes else PlainHead(widths[-1])
        self.run = RUN[checkpointing]

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        h = self.run(self.entered, x)
        for block in self.down:
            h = self.run(block, h)
        h = bent(self.end(self.compare(h)))  # [B, W, 4, 4]
        logits: Tensor = self.head(bent(self.features(h.flatten(1))), y)
        return logits

    def entered(self, x: Tensor) -> Tensor:
        return bent(self.from_image(x))


class Mapping(nn.Module):
    """z [B, z_dim] and y [B] -> w [B, w_dim], in float32. Without z (0 dimensions), of the class alone."""

    def __init__(self, z_dim: int, w_dim: int, layers: int, classes: int):
        super().__init__()
        self.label = label(classes, w_dim)
        inputs = [z_dim + (w_dim if classes else 0), *[w_dim] * (layers - 1)]
        self.maps = nn.ModuleList(Linear(n, w_dim, rate=SLOW, gain=GAIN) for n in inputs)

    def forward(self, z: Tensor, y: Tensor) -> Tensor:
        with torch.autocast(z.device.type, enabled=False):
            h = torch.cat([of_unit_size(z), of_unit_size(self.label(y))], dim=1)
            for layer in self.maps:
                h = bent(layer(h))
            return h


class Start(nn.Module):
    """Styles [B, 2, w_dim] -> feature maps [B, W, 4, 4] and images [B, C, 4, 4]."""

    def __init__(self, width: int, channels: int, w_dim: int):
        super().__init__()
        self.constant = nn.Parameter(torch.empty(1, width, SMALLEST, SMALLEST))
        self.conv = Modulated(width, width, SMALLEST, w_dim, Plain())
        self.to_image = ToImage(width, channels, w_dim)

    def forward(self, w: Tensor, key: Tensor) -> tuple[Tensor, Tensor]:
        x = self.conv(self.constant, w[:, 0], key)
        return x, self.to_image(x, w[:, 1])


class Stage(nn.Module):
    """Doubles feature maps and images, under styles [B, 3, w_dim]: the image's is also the first of the next stage."""

    def __init__(self, before: int, after: int, channels: int, size: int, w_dim: int):
        super().__init__()
        self.grow = Modulated(before, after, size, w_dim, Doubling(after))
        self.conv = Modulated(after, after, size, w_dim, Plain())
        self.to_image, self.enlarge = ToImage(after, channels, w_dim), Up(channels)

    def forward(self, x: Tensor, image: Tensor, w: Tensor, key: Tensor) -> tuple[Tensor, Tensor]:
        x = self.conv(self.grow(x, w[:, 0], key), w[:, 1], key)
        return x, self.enlarge(image) + self.to_image(x, w[:, 2])


class Residual(nn.Module):
    """[B, I, H, H] -> [B, O, H / 2, H / 2], of unit variance: the sum of two branches over sqrt 2 (section 4.2), a
    factor that stands in the gains."""

    def __init__(self, before: int, after: int):
        super().__init__()
        self.conv = Conv(before, before, 3, gain=GAIN)
        self.halve = Halving(before, after)
        self.skip, self.match = Down(before), nn.Parameter(torch.empty(after, before, 1, 1))
        self.scale = 1 / math.sqrt(2 * before)

    def forward(self, x: Tensor) -> Tensor:
        return bent(self.halve(bent(self.conv(x)))) + convolution(self.skip(x), self.match * self.scale)


class Halving(Resampling):
    """The low-pass, then a convolution of stride 2; [B, I, H, H] -> [B, O, H / 2, H / 2]."""

    def __init__(self, before: int, after: int):
        super().__init__(before)
        self.weight = nn.Parameter(torch.empty(after, before, 3, 3))
        self.bias = nn.Parameter(torch.zeros(after))
        self.scale = 1 / math.sqrt(before * 9)

    def forward(self, x: Tensor) -> Tensor:
        x = convolution(x, self.kernel, padding=(2, 2), groups=x.shape[1])  # [B, I, H + 1, H + 1]
        return convolution(x, self.weight * self.scale, self.bias, stride=(2, 2))


class MinibatchStd(nn.Module):
    """Karras et al. 2018 (arXiv:1710.10196), section 3: one feature map more, that holds how far the samples of a group
    lie apart, as the mean of the deviations of all numbers. [B, C, H, H] -> [B, C + 1, H, H].

    A group is of neighbours, so that processes may share a batch: as many, up to `group`, as divide it. One that is
    alone sees 0.
    """

    def __init__(self, group: int):
        super().__init__()
        self.group = group

    def forward(self, x: Tensor) -> Tensor:
        size = max(n for n in range(1, self.group + 1) if len(x) % n == 0)
        groups = x.float().view(-1, size, *x.shape[1:])  # [B / size, size, C, H, H]
        spread = (groups.var(1, correction=0) + EPSILON).sqrt().mean((1, 2, 3))  # [B / size]
        maps = spread.repeat_interleave(size).view(-1, 1, 1, 1).expand(-1, 1, *x.shape[2:])
        return torch.cat([x, maps.to(x.dtype)], dim=1)


class PlainHead(nn.Module):
    """Features [B, F] -> logits [B], whatever the class."""

    def __init__(self, features: int):
        super().__init__()
        self.realness = Linear(features, 1)

    def forward(self, features: Tensor, y: Tensor) -> Tensor:
        logits: Tensor = self.realness(features)
        return logits.squeeze(1)


class MappedHead(nn.Module):
    """Features [B, F] and classes [B] -> logits [B]: the product with the mapped class, over the root of its size."""

    def __init__(self, features: int, w_dim: int, layers: int, classes: int):
        super().__init__()
        self.project, self.mapping = Linear(features, w_dim), Mapping(0, w_dim, layers, classes)

    def forward(self, features: Tensor, y: Tensor) -> Tensor:
        of_class: Tensor = self.mapping(features[:, :0].float(), y)
        logits: Tensor = (self.project(features) * of_class).sum(1) / math.sqrt(of_class.shape[1])
        return logits


def truncated(w: Tensor, w_mean: Tensor, psi: float) -> Tensor:
    """w [..., w_dim] moved to the mean: psi = 1 leaves it, 0 is the mean itself. Karras et al. 2019 (arXiv:1812.04948),
    appendix B."""
    return w_mean + psi * (w - w_mean)


def starts(net: nn.Module) -> list[tuple[Tensor, float]]:
    """What starts as normal noise, and its deviation: what `init.normal` draws."""
    found: list[tuple[Tensor, float]] = []
    for module in net.modules():
        deviation = 1 / module.rate if isinstance(module, Linear) else 1.0
        found += [(p, deviation) for p in module.parameters(recurse=False) if p.ndim > 1]
        found += [(module.tile, 1.0)] if isinstance(module, Noise) else []
    return found


def stages(size: int, capacity: int, max_width: int) -> list[int]:
    """Channels at 4, 8, ... `size` pixels."""
    return [min(max(capacity // (SMALLEST << i), 1), max_width) for i in range((size // SMALLEST).bit_length())]


def at_once(block: Callable[..., Any], *inputs: Tensor) -> Any:
    return block(*inputs)


def again(block: Callable[..., Any], *inputs: Tensor) -> Any:
    """Keeps the inputs of a block alone, and computes it again where its gradient is asked for."""
    if not torch.is_grad_enabled():
        return block(*inputs)
    return checkpoint(block, *inputs, use_reentrant=False, preserve_rng_state=False)


RUN = {False: at_once, True: again}
