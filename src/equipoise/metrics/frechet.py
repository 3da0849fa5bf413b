"""Frechet distance: how far two sets of features are apart when both are taken for Gaussians.

Dowson and Landau 1982; for images, Heusel et al. 2017 (arXiv:1706.08500), eq. 6. On features of Inception it is FID.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import reduce
from operator import add

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.linalg import eigvalsh, lapack, svdvals
from torch import Tensor

from equipoise.errors import DataError
from equipoise.metrics.estimate import Estimate, by_jackknife, dealt, feasible
from equipoise.metrics.inputs import check_features
from equipoise.streams import Stream

Matrix = NDArray[np.float64]

BLOCK = 2**25  # numbers turned into float64 at once: 256 MB
WELL_CONDITIONED = 1e-10  # of squares: roots then reach down to 10^-5 of the largest, and err by 10^-10 of it at most


@dataclass(frozen=True)
class Moments:
    """Count, mean and scatter of features. Parts add up: Moments.of(a) + Moments.of(b) is that of both together."""

    n: int
    mean: Tensor  # [d] float64
    scatter: Tensor  # [d, d] float64: sum of (x - mean)(x - mean)^T

    @classmethod
    def of(cls, features: Tensor) -> Moments:
        """Of features [N, d]."""
        blocks = torch.split(features, max(1, BLOCK // features.shape[1]))
        return reduce(add, map(cls.of_block, blocks))

    @classmethod
    def of_block(cls, features: Tensor) -> Moments:
        x = features.detach().to("cpu", torch.float64, copy=True).numpy()
        mean = x.mean(0)
        x -= mean
        # numpy sees X^T X and computes half of it; torch would compute all
        return cls(len(x), torch.from_numpy(mean), torch.from_numpy(x.T @ x))

    @property
    def cov(self) -> Tensor:
        """Unbiased, [d, d]."""
        return self.scatter / (self.n - 1)

    def __add__(self, other: Moments) -> Moments:
        """Chan, Golub and LeVeque 1979, eq. 2.1."""
        n = self.n + other.n
        step = other.mean - self.mean
        scatter = self.scatter + other.scatter + torch.outer(step, step) * (self.n * other.n / n)
        return Moments(n, self.mean + step * (other.n / n), scatter)

    def __sub__(self, part: Moments) -> Moments:
        """What is left when `part` of the samples is taken out: the inverse of the sum."""
        n = self.n - part.n
        step = (part.mean - self.mean) * (self.n / n)  # from the mean of the rest to that of the part
        scatter = self.scatter - part.scatter - torch.outer(step, step) * (n * part.n / self.n)
        return Moments(n, self.mean - step * (part.n / self.n), scatter)

    def without_each(self, features: Tensor, groups: int, seed: int) -> Iterator[Moments]:
        """Of the same features [N, d] without each of `groups` groups in turn, for the jackknife."""
        part = dealt(self.n, groups, seed)
        return (self - Moments.of(features[part == g]) for g in range(groups))


def frechet(mean1: Tensor, cov1: Tensor, mean2: Tensor, cov2: Tensor) -> float:
    """|mean1 - mean2|^2 + tr(cov1 + cov2 - 2 (cov1 cov2)^1/2), of means [d] and covariances [d, d] of any rank.

    With cov = L L^T, cov1 cov2 has the eigenvalues of M M^T for M = L1^T L2: the trace of its root is the sum of M's
    singular values. So no root is taken of a matrix that rounding has made indefinite.
    """
    shift = (mean1.double() - mean2.double()).square().sum()
    root = nuclear_norm(factor(cov1).T @ factor(cov2))
    return float(shift + cov1.double().trace() + cov2.double().trace()) - 2 * root


def nuclear_norm(m: Matrix) -> float:
    """Sum of the singular values of m [r, s].

    As roots of the eigenvalues of m m^T, in half the time, where rounding, which is relative to the largest eigenvalue,
    cannot matter to the smallest; as singular values proper where it can.
    """
    if m.size == 0:
        return 0.0
    wide = m if m.shape[0] <= m.shape[1] else m.T
    squares = eigvalsh(wide @ wide.T, overwrite_a=True, check_finite=False)
    if squares[0] > WELL_CONDITIONED * squares[-1]:
        return float(np.sqrt(squares).sum())
    return float(svdvals(m, overwrite_a=True, check_finite=False).sum())


def factor(cov: Tensor) -> Matrix:
    """L [d, rank] with L L^T = cov: Cholesky with pivots, which stops at the rank (Higham 1990)."""
    triangle, pivots, rank, _ = lapack.dpstrf(cov.double().numpy(), lower=1)
    found = np.empty((len(cov), rank))
    found[pivots - 1] = np.tril(triangle)[:, :rank]
    return found


def between(a: Moments, b: Moments) -> float:
    return frechet(a.mean, a.cov, b.mean, b.cov)


def frechet_distance(real: Tensor, fake: Tensor, groups: int = 10, seed: int = 0) -> Estimate:
    """Of features real [N, d] and fake [M, d]; its interval by the jackknife over `groups` (0: none).

    0 for equal sets. For equal distributions about proportional to 1/N + 1/M, so that only figures of equal counts
    compare. With fewer samples than dimensions the covariances lack rank, and the figure says little.
    """
    check_features("Frechet distance", 2, real=real, fake=fake)
    a, b = Moments.of(real), Moments.of(fake)
    value = between(a, b)
    groups = feasible(groups, len(real), len(fake))
    pairs = zip(a.without_each(real, groups, seed), b.without_each(fake, groups, seed), strict=True)
    interval = by_jackknife(value, [between(r, f) for r, f in pairs])
    protocol = {"metric": "frechet", "dimension": real.shape[1], "covariance": "unbiased"}
    return Estimate(value, *interval, len(fake), len(real), protocol)


def frechet_at_infinity(real: Tensor, fake: Tensor, points: int = 15, seed: int = 0) -> Estimate:
    """Where the distance goes as the fakes grow without end: Chong and Forsyth 2020 (arXiv:1911.07023), section 4.

    The line through the distance against 1/M, for `points` counts M from a tenth of the fakes to all, each drawn
    without replacement, all against the same reals. Without an interval: the points share samples.

    Raises:
        DataError: for features that do not fit, or fewer than 10 fakes a dimension: the line then bends.
    """
    check_features("Frechet distance at infinity", 20, real=real, fake=fake)
    if len(fake) < 10 * fake.shape[1]:
        raise DataError(
            f"the line to infinity needs 10 samples a dimension: {10 * fake.shape[1]}; 'fake' has {len(fake)}.\n"
            "Below that the distance is not linear in 1/N. Give more, or use kernel_distance, which has no bias."
        )
    a = Moments.of(real)
    sizes = np.linspace(len(fake) // 10, len(fake), points).astype(int)
    distances = [
        between(a, Moments.of(fake[torch.randperm(len(fake), generator=Stream(seed, "infinity").at(i))[:m]]))
        for i, m in enumerate(sizes.tolist())
    ]
    _, value = np.polyfit(1 / sizes, distances, 1)
    protocol = {"metric": "frechet_at_infinity", "dimension": real.shape[1], "points": points, "seed": seed}
    return Estimate(float(value), None, None, len(fake), len(real), protocol)
