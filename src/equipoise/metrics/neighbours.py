"""Figures from nearest neighbours in a feature space: precision, density, recall, coverage.

Kynkaanniemi et al. 2019 (arXiv:1904.06991) for precision and recall, Naeem et al. 2020 (arXiv:2002.09797) for
density and coverage. Compare only figures with equal counts, k and features.

Distances are computed in blocks, in the features' own precision: float32 is twice as fast, float64 tells apart what
lies closer together than a thousandth of its distance from the middle.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from equipoise.metrics.estimate import Estimate, by_count, by_subsamples, wider
from equipoise.metrics.inputs import check_features, common
from equipoise.streams import Stream

BLOCK = 2**22  # distances held at once: 16 MB in float32
PART = 2  # an interval comes from subsamples of half of the samples: with less, it is too narrow in many dimensions


class PRDC(NamedTuple):
    precision: Estimate  # share of fakes inside the reals' k-NN balls
    recall: Estimate  # share of reals inside the fakes' k-NN balls
    density: Estimate  # how many reals' balls hold a fake, over k; 1 for equal distributions
    coverage: Estimate  # share of reals whose ball holds a fake; 1 - 2^-k for equal distributions of equal count


def prdc(real: Tensor, fake: Tensor, k: int = 5, subsamples: int = 10, seed: int = 0) -> PRDC:
    """Of features real [N, d] and fake [M, d], both with more than k rows.

    Precision and recall for equal distributions depend on d, k and the counts: compare with reals against reals.
    Intervals from `subsamples` (0: none), which by default take two and a half times as long as the figures.
    """
    check_features(f"precision and recall with k = {k}", k + 1, real=real, fake=fake)
    real, fake = centred(real, fake)
    values = shares(real, fake, k)
    if min(len(real), len(fake)) // PART <= k:
        subsamples = 0
    drawn = [shares(half(real, seed, 2 * s), half(fake, seed, 2 * s + 1), k) for s in range(subsamples)]

    def estimate(i: int) -> Estimate:
        interval = by_subsamples(values[i], [found[i] for found in drawn], len(fake) // PART, len(fake))
        if PRDC._fields[i] != "density":
            interval = wider(interval, by_count(values[i], len(fake) if i == 0 else len(real)))
        return Estimate(values[i], *interval, len(fake), len(real), {"metric": PRDC._fields[i], "k": k})

    return PRDC(*(estimate(i) for i in range(4)))


def half(x: Tensor, seed: int, index: int) -> Tensor:
    return x[torch.randperm(len(x), generator=Stream(seed, "neighbours").at(index))[: len(x) // PART]]


def shares(real: Tensor, fake: Tensor, k: int) -> tuple[float, float, float, float]:
    """Precision, recall, density and coverage of features near the origin, real [N, d] and fake [M, d]."""
    real_radius, fake_radius = squared_radii(real, k), squared_radii(fake, k)  # [N], [M]
    balls, covered = torch.empty(len(fake)), torch.zeros(len(real), dtype=torch.bool)
    reached = torch.zeros(len(real), dtype=torch.bool)
    for rows, distance in squared_distances(fake, real):  # [B, N]
        in_real = distance < real_radius
        balls[rows] = in_real.sum(1, dtype=torch.float32)  # how many hold each fake
        covered |= in_real.any(0)
        reached |= (distance < fake_radius[rows, None]).any(0)
    return (
        float((balls > 0).double().mean()),
        float(reached.double().mean()),
        float(balls.double().mean() / k),
        float(covered.double().mean()),
    )


def squared_radii(features: Tensor, k: int) -> Tensor:
    """Squared distance of each row to its k-th nearest other row. [N]."""
    blocks = squared_distances(features, features)  # of all rows, the nearest is the row itself
    return torch.cat([distance.topk(k + 1, largest=False).values[:, k] for _, distance in blocks])


def nearest(samples: Tensor, references: Tensor) -> tuple[Tensor, Tensor]:
    """Distance of each sample [M, d] to the nearest reference [N, d], and its place: [M] float64, [M] int64."""
    x, y = centred(samples, references)
    place = torch.cat([distance.argmin(1) for _, distance in squared_distances(x, y)])
    # from the difference: a product of matrices would see a copy at the distance of its rounding
    distance = [(a.double() - references[i].double()).norm(dim=1) for a, i in pairs(samples, place)]
    return torch.cat(distance), place


def pairs(samples: Tensor, place: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    return zip(torch.split(samples, 1024), torch.split(place, 1024), strict=True)


def centred(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """Both moved by one row of `a`, the nearest to its mean: the product of matrices loses small distances far out."""
    a, b = common(a, b)
    origin = a[(a - a.mean(0)).square().sum(1).argmin()]
    return a - origin, b - origin


def squared_distances(a: Tensor, b: Tensor) -> Iterator[tuple[slice, Tensor]]:
    """|x - y|^2 = |x|^2 + |y|^2 - 2 x.y of each pair of rows, in blocks of rows of `a`: (rows, [B, N]).

    A block is valid until the next one, which takes its memory: fresh blocks would leave the heap full of holes.
    """
    ours, theirs = a.square().sum(1, keepdim=True), b.square().sum(1)
    size = min(len(a), max(1, BLOCK // len(b)))
    memory = torch.empty(size, len(b), dtype=a.dtype)
    for start in range(0, len(a), size):
        rows = slice(start, min(start + size, len(a)))
        block = memory[: rows.stop - start]
        torch.addmm(theirs, a[rows], b.T, alpha=-2, out=block)
        yield rows, block.add_(ours[rows]).clamp_(min=0)
