"""Sliced Wasserstein distance: of features, and of the patches of a Laplacian pyramid.

Rabin et al. 2011; for images, Karras et al. 2018 (arXiv:1710.10196), section 5.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import conv2d, normalize, pad

from equipoise.errors import DataError
from equipoise.metrics.estimate import Estimate, by_splits, dealt, feasible
from equipoise.metrics.inputs import check_features, check_images, common
from equipoise.streams import Stream

PATCH, PATCHES = 7, 128  # pixels a side; a level and image
COARSEST = 16  # pixels: the pyramid goes no further
BLOCK = 2**23  # projected values held at once of each set


def wasserstein(a: Tensor, b: Tensor, directions: Tensor) -> float:
    """Mean over unit directions [K, d] of the 1-D Wasserstein-1 distance of as many rows of a and b [N, d]."""
    size = max(1, BLOCK // len(a))
    sums = [
        (in_order(some @ a.T) - in_order(some @ b.T)).abs().mean(1).double().sum()
        for some in torch.split(directions, size)
    ]
    return float(torch.stack(sums).sum() / len(directions))


def in_order(x: Tensor) -> Tensor:
    """Each row [K, N] from its least value on; NumPy sorts floats twenty times as fast as torch does on a CPU."""
    return x.sort(1).values if x.is_cuda else torch.from_numpy(np.sort(x.numpy(), 1))


def directions_of(d: int, count: int, seed: int) -> Tensor:
    """Evenly spread unit vectors. [count, d]."""
    return normalize(torch.randn(count, d, generator=Stream(seed, "directions").at(d)))


def sliced_distance(real: Tensor, fake: Tensor, directions: int = 512, splits: int = 10, seed: int = 0) -> Estimate:
    """Of features real [N, d] and fake [M, d], of which the first min(N, M) in a random order are compared.

    0 for equal sets; for equal distributions about proportional to 1 / sqrt(N). Interval from `splits` (0: none).
    """
    check_features("sliced distance", 2, real=real, fake=fake)
    n = min(len(real), len(fake))
    a, b = (shuffled(x, n, seed) for x in common(real, fake))
    slices = directions_of(a.shape[1], directions, seed).to(a.dtype)
    value = wasserstein(a, b, slices)
    splits = feasible(splits, n)
    parts = dealt(n, splits, seed)
    by_part = [wasserstein(a[parts == s], b[parts == s], slices) for s in range(splits)]
    protocol = {"metric": "sliced", "directions": directions, "samples": n, "seed": seed}
    return Estimate(value, *by_splits(value, by_part), len(fake), len(real), protocol)


def shuffled(x: Tensor, n: int, seed: int) -> Tensor:
    return x[torch.randperm(len(x), generator=Stream(seed, "order").at(0))[:n]]


class Sliced(NamedTuple):
    mean: Estimate  # over the levels
    levels: dict[int, Estimate]  # by their side in pixels, from fine to coarse


def sliced_patches(
    real: Tensor, fake: Tensor, bounds: tuple[float, float] = (0.0, 255.0), directions: int = 512,
    splits: int = 10, seed: int = 0,
) -> Sliced:  # fmt: skip
    """Of images real [N, C, H, W] and fake [M, C, H, W], times 1000; the paper takes 16,384 of each.

    At each level of a Laplacian pyramid, 128 patches of 7 x 7 pixels of each image, normalised by channel over the set.
    An image under 32 pixels has one level, itself. Memory: some 100 kB an image and channel. Interval from
    `splits` (0: none).

    Raises:
        DataError: for images that do not fit, or with a side under 7 pixels.
    """
    check_images("sliced distance of patches", bounds, 2, real=real, fake=fake)
    if min(real.shape[2:]) < PATCH:
        raise DataError(
            f"sliced distance looks at patches of {PATCH} x {PATCH} pixels; these images are {list(real.shape[2:])}."
        )
    n = min(len(real), len(fake))
    span = bounds[1] - bounds[0]
    pyramids = [pyramid((shuffled(x, n, seed).float() - bounds[0]) / span) for x in (real, fake)]
    splits = feasible(splits, n)
    parts = dealt(n, splits, seed)
    values, by_part = [], []
    for level, (a, b) in enumerate(zip(*pyramids, strict=True)):
        a, b = (patches(x, Stream(seed, f"patches of {name}").at(level)) for x, name in ((a, "real"), (b, "fake")))
        slices = directions_of(a.shape[2], directions, seed)
        values.append(1000 * wasserstein(whitened(a), whitened(b), slices))
        by_part.append([
            1000 * wasserstein(whitened(a[parts == s]), whitened(b[parts == s]), slices)
            for s in range(splits)
        ])  # fmt: skip

    def estimate(value: float, found: list[float], level: str | int) -> Estimate:
        protocol = {"metric": "sliced_patches", "level": level, "directions": directions, "samples": n, "seed": seed}
        return Estimate(value, *by_splits(value, found), len(fake), len(real), protocol)

    sides = [level.shape[2] for level in pyramids[0]]
    mean, found = sum(values) / len(values), [sum(each) / len(each) for each in zip(*by_part, strict=True)]
    levels = {side: estimate(value, part, side) for side, value, part in zip(sides, values, by_part, strict=True)}
    return Sliced(estimate(mean, found, "mean"), levels)


def patches(x: Tensor, generator: torch.Generator) -> Tensor:
    """[N, C, H, W] -> PATCHES of each image at random places, [N, PATCHES, C * PATCH^2]."""
    n, _, h, w = x.shape
    windows = x.unfold(2, PATCH, 1).unfold(3, PATCH, 1)  # [N, C, H - 6, W - 6, 7, 7], a view
    top = torch.randint(h - PATCH + 1, (n, PATCHES), generator=generator)
    left = torch.randint(w - PATCH + 1, (n, PATCHES), generator=generator)
    return windows[torch.arange(n)[:, None], :, top, left].reshape(n, PATCHES, -1)


def whitened(x: Tensor) -> Tensor:
    """Patches [N, PATCHES, C * PATCH^2] with mean 0 and deviation 1 in each channel, over all. [N * PATCHES, d]."""
    channels = x.view(*x.shape[:2], -1, PATCH**2)
    deviation, mean = torch.std_mean(channels, (0, 1, 3), keepdim=True)
    return ((channels - mean) / deviation.clamp(min=1e-8)).flatten(2).flatten(0, 1)


def pyramid(x: Tensor) -> list[Tensor]:
    """Laplacian, of [N, C, H, W], fine to coarse; the last level is what is left (Burt and Adelson 1983)."""
    levels = []
    while min(x.shape[2:]) >= 2 * COARSEST:
        smaller = smoothed(x)[:, :, ::2, ::2]
        levels.append(x - enlarged(smaller, x.shape))
        x = smaller
    return [*levels, x]


def smoothed(x: Tensor) -> Tensor:
    """Under (1, 4, 6, 4, 1) / 16 on both axes, mirrored at the borders."""
    c = x.shape[1]
    row = (torch.tensor([1.0, 4.0, 6.0, 4.0, 1.0]) / 16).expand(c, 1, 1, 5)
    return conv2d(conv2d(pad(x, (2, 2, 2, 2), "reflect"), row, groups=c), row.mT, groups=c)


def enlarged(x: Tensor, shape: torch.Size) -> Tensor:
    """Twice as large: between the pixels zeros, smoothed; four times as bright, for three in four are zeros."""
    sparse = x.new_zeros(shape)
    sparse[:, :, ::2, ::2] = x
    return 4 * smoothed(sparse)
