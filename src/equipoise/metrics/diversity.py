"""How varied samples are among themselves: spectra, distances, repeats. Compare with what reals have."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from scipy.special import gammaincinv
from torch import Tensor
from torch.nn.functional import normalize, one_hot

from equipoise.metrics.estimate import Estimate, Interval, by_jackknife, dealt, feasible, jackknife, wider
from equipoise.metrics.frechet import Moments
from equipoise.metrics.inputs import check_features
from equipoise.metrics.neighbours import centred, squared_distances, squared_radii


def effective_number(weights: Tensor, order: float = 1.0) -> float:
    """How many equal weights are as varied as `weights` [K] >= 0: Hill 1973, eq. 3. exp H for order 1, 1 / max for inf.

    A larger order counts rare things less. 0 where all weights are 0.
    """
    if not weights.any():
        return 0.0
    p = weights.double() / weights.double().sum()
    if order == 1:
        return float(torch.special.entr(p).sum().exp())
    if order == torch.inf:
        return float(1 / p.max())
    return float((p[p > 0] ** order).sum() ** (1 / (1 - order)))


def vendi_score(fake: Tensor, order: float = 1.0, groups: int = 10, seed: int = 0) -> Estimate:
    """Of features [N, d] under the cosine kernel: 1 for samples of one direction, at most min(N, d).

    The effective number of eigenvalues of K / N: Friedman and Dieng 2023 (arXiv:2210.02410), definition 3.1; other
    orders: Pasarkar and Dieng 2024 (arXiv:2310.12952). K has the eigenvalues of X^T X, which is [d, d]. Features
    are not centred, so that a mean far from 0 hides variety. Rows of zeros, which have no direction, count as alike and
    unlike all others. Interval by the jackknife over `groups` (0: none).
    """
    check_features("Vendi score", 2, fake=fake)

    def vendi(of: Moments) -> float:
        products = of.scatter + of.n * torch.outer(of.mean, of.mean)  # X^T X
        return effective_number(spectrum(products), order)

    nothing = (fake == 0).all(1, keepdim=True)
    unit = torch.cat([normalize(fake.double()), nothing], 1)
    total = Moments.of(unit)
    value = vendi(total)
    left_out = [vendi(rest) for rest in total.without_each(unit, feasible(groups, len(fake)), seed)]
    protocol = {"metric": "vendi", "kernel": "cosine", "order": order, "dimension": fake.shape[1]}
    return Estimate(value, *by_jackknife(value, left_out), len(fake), 0, protocol)


def effective_rank(fake: Tensor, groups: int = 10, seed: int = 0) -> Estimate:
    """Of centred features [N, d]: exp H of the singular values over their sum. Roy and Vetterli 2007, definition 1.

    0 for samples that are all alike, at most min(N - 1, d). Interval by the jackknife over `groups` (0: none).
    """
    check_features("effective rank", 2, fake=fake)

    def rank(of: Moments) -> float:
        return effective_number(spectrum(of.scatter).sqrt())

    total = Moments.of(fake)
    value = rank(total)
    left_out = [rank(rest) for rest in total.without_each(fake, feasible(groups, len(fake)), seed)]
    protocol = {"metric": "effective_rank", "dimension": fake.shape[1]}
    return Estimate(value, *by_jackknife(value, left_out), len(fake), 0, protocol)


def spectrum(matrix: Tensor) -> Tensor:
    """Eigenvalues of a symmetric matrix [d, d] >= 0. [d]. Within rounding, 0: a small order would count them."""
    found = torch.linalg.eigvalsh(matrix)
    return torch.where(found > len(matrix) * torch.finfo(matrix.dtype).eps * found[-1], found, 0)


def feature_std(fake: Tensor, groups: int = 10, seed: int = 0) -> Estimate:
    """Standard deviation of features [N, d], mean over the dimensions: what minibatch discrimination looks at.

    Nearly blind to modes that are missing: see `vendi_score`. Interval by the jackknife over `groups` (0: none).
    """
    check_features("feature std", 3, fake=fake)

    def figure(x: Tensor) -> float:
        return float(x.double().std(0).mean())

    value = figure(fake)
    interval = jackknife(value, figure, fake, groups=groups, seed=seed)
    return Estimate(value, *interval, len(fake), 0, {"metric": "feature_std", "dimension": fake.shape[1]})


def pairwise_distance(fake: Tensor, groups: int = 10, seed: int = 0) -> Estimate:
    """Mean Euclidean distance of two different samples, of features [N, d].

    Nearly blind to modes that are missing. Interval by the jackknife over `groups` (0: none).
    """
    check_features("pairwise distance", 2, fake=fake)
    value, interval = mean_of_pairs(fake, torch.sqrt, groups, seed)
    return Estimate(value, *interval, len(fake), 0, {"metric": "pairwise_distance", "dimension": fake.shape[1]})


def mean_of_pairs(x: Tensor, figure: Callable[[Tensor], Tensor], groups: int, seed: int) -> tuple[float, Interval]:
    """Mean of `figure` of the squared distance of two different rows of x [N, d], and its jackknife over `groups`.

    From one pass: the sums over the pairs of every two groups give the mean without any one of them.
    """
    groups = feasible(groups, len(x))
    member = one_hot(dealt(len(x), groups, seed)).double()  # [N, g]
    counts = member.sum(0)
    sums = torch.zeros(len(counts), len(counts), dtype=torch.float64)
    near, _ = centred(x, x[:1])
    for rows, distance in squared_distances(near, near):
        found = figure(distance).double()
        found.diagonal(rows.start).zero_()
        sums += member[rows].T @ (found @ member)

    def mean(kept: Tensor) -> float:
        n = counts @ kept
        return float(kept @ sums @ kept / (n * (n - 1)))

    every = torch.ones_like(counts)
    value = mean(every)
    left_out = [mean(every - one) for one in torch.eye(groups, dtype=torch.float64)]
    return value, by_jackknife(value, left_out)


def rounding(*features: Tensor) -> float:
    """What equal rows may lie apart, squared, by the rounding of |x|^2 + |y|^2 - 2 x.y over d terms."""
    d, kind = features[0].shape[1], features[0].dtype
    return 4 * d * torch.finfo(kind).eps * float(max(x.square().sum(1).max() for x in features))


class Birthday(NamedTuple):
    chance: Estimate  # that two fakes are duplicates; its inverse is the number of equally likely samples
    real: Estimate  # the same of two reals: no generator can be asked for less


def birthday(real: Tensor, fake: Tensor, quantile: float = 0.01, groups: int = 10, seed: int = 0) -> Birthday:
    """How soon samples repeat: Arora, Risteski and Zhang 2018 (arXiv:1706.08224), on features real [N, d], fake [M, d].

    Duplicates are nearer to each other than the `quantile` of reals are to their nearest neighbour. Where M^2 is well
    above 1 / chance, M samples hold a repeat. The interval is the wider one of the jackknife over `groups` (0: none),
    which sees repeats in clusters, and of Poisson's for the count of pairs (Garwood 1936), which holds for few.
    """
    check_features("birthday test", round(1 / quantile), real=real, fake=fake)
    near, other = centred(real.double(), fake.double())
    limit = torch.quantile(squared_radii(near, 1), quantile)  # of the square: a quantile is blind to its root
    limit = limit.clamp(min=rounding(near, other))

    def chance(x: Tensor) -> Estimate:
        value, jackknifed = mean_of_pairs(x, lambda squared: squared <= limit, groups, seed)
        pairs = len(x) * (len(x) - 1) / 2
        repeats = round(value * pairs)
        poisson = (
            float(gammaincinv(repeats, 0.025)) / pairs if repeats else 0.0,
            gammaincinv(repeats + 1, 0.975) / pairs,
        )
        interval = wider(jackknifed, poisson)
        protocol = {"metric": "birthday", "quantile": quantile, "limit": float(limit) ** 0.5}
        return Estimate(value, *interval, len(x), len(real), protocol)

    return Birthday(chance(other), chance(near))
