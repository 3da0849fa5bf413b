"""Kernel distance (KID): the squared maximum mean discrepancy under a cubic kernel. Unbiased, so good for few samples.

Binkowski et al. 2018 (arXiv:1801.01401), section 4; Gretton et al. 2012, eq. 3.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from equipoise.metrics.estimate import Estimate, by_jackknife, dealt, feasible
from equipoise.metrics.inputs import check_features, common
from equipoise.streams import Stream


def kernel(x: Tensor, y: Tensor) -> Tensor:
    """(x . y / d + 1)^3 of each pair of rows of x [N, d] and y [M, d], float64. [N, M]."""
    return ((x @ y.T).double() / x.shape[1] + 1) ** 3


@dataclass(frozen=True)
class KernelSums:
    """Sums of the kernel over the pairs of a subset, by the groups that the two samples belong to."""

    m: Tensor  # [g] reals in each group
    n: Tensor  # [g] fakes
    real: Tensor  # [g, g], without the pairs of a sample and itself
    fake: Tensor
    cross: Tensor

    @classmethod
    def of(cls, real: Tensor, fake: Tensor, of_real: Tensor, of_fake: Tensor, groups: int) -> KernelSums:
        a, b = one_hot(of_real, groups).double(), one_hot(of_fake, groups).double()
        within_real, within_fake = kernel(real, real).fill_diagonal_(0), kernel(fake, fake).fill_diagonal_(0)
        return cls(
            a.sum(0), b.sum(0), a.T @ within_real @ a, b.T @ within_fake @ b, a.T @ kernel(real, fake) @ b
        )  # fmt: skip

    def mmd(self, kept: Tensor) -> float:
        """Unbiased MMD^2 over the groups that `kept` [g] has at 1 and not at 0. Gretton et al. 2012, eq. 3."""
        m, n = self.m @ kept, self.n @ kept
        real, fake, cross = (kept @ sums @ kept for sums in (self.real, self.fake, self.cross))
        return float(real / (m * (m - 1)) + fake / (n * (n - 1)) - 2 * cross / (m * n))


def kernel_distance(
    real: Tensor, fake: Tensor, subsets: int = 100, size: int = 1000, groups: int = 10, seed: int = 0
) -> Estimate:
    """Of features real [N, d] and fake [M, d]: mean over `subsets`, each of `size` samples of both without replacement.

    0 on average for equal distributions, at any count, and so sometimes below 0. Sets smaller than `size` are taken
    whole; where both are, one subset is all. Interval by the jackknife over `groups` of samples (0: none), which the
    spread of the subsets would not be: they share samples.
    """
    check_features("kernel distance", 2, real=real, fake=fake)
    real, fake = common(real, fake)
    size = min(size, len(real), len(fake))
    subsets = 1 if size == len(real) == len(fake) else subsets
    groups = feasible(groups, size if subsets == 1 else size // 8)  # a subset must have pairs left without a group
    of_real, of_fake = dealt(len(real), groups, seed), dealt(len(fake), groups, seed)
    sums = []
    for s in range(subsets):
        r = torch.randperm(len(real), generator=Stream(seed, "kernel real").at(s))[:size]
        f = torch.randperm(len(fake), generator=Stream(seed, "kernel fake").at(s))[:size]
        sums.append(KernelSums.of(real[r], fake[f], of_real[r], of_fake[f], max(groups, 1)))

    def mean(kept: Tensor) -> float:
        return sum(subset.mmd(kept) for subset in sums) / subsets

    every = torch.ones(max(groups, 1), dtype=torch.float64)
    value = mean(every)
    left_out = [mean(every - one) for one in torch.eye(groups, dtype=torch.float64)]
    protocol = {"metric": "kernel", "kernel": "(x.y/d + 1)^3", "subsets": subsets, "size": size, "seed": seed}
    return Estimate(value, *by_jackknife(value, left_out), len(fake), len(real), protocol)
