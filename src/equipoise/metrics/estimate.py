"""What a metric answers: a figure, how sure it is, and how it was got.

Intervals come from parts of the samples drawn without replacement: disjoint splits, subsamples, or all but one group.
Never from a bootstrap: samples that occur twice are each other's nearest neighbours, and they take rank from a
covariance, which moves a Frechet distance of 2.3 above 4.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from scipy.special import stdtrit
from torch import Tensor

from equipoise.streams import Stream


@dataclass(frozen=True)
class Estimate:
    """A figure with its 95% interval; without one where `low` and `high` are None."""

    value: float
    low: float | None
    high: float | None
    n_fake: int
    n_real: int
    protocol: Mapping[str, Any]  # everything that the figure depends on: two figures compare only where it is equal

    def __float__(self) -> float:
        return self.value


Interval = tuple[float | None, float | None]
UNKNOWN: Interval = (None, None)


def feasible(groups: int, *counts: int) -> int:
    """As many of `groups` as leave two samples in each; 0, which means no interval, where that is not even two."""
    found = min(groups, *(n // 2 for n in counts))
    return found if found >= 2 else 0


def dealt(n: int, groups: int, seed: int) -> Tensor:
    """Which of `groups` equal groups each of n samples falls in, at random: an order by class must not matter. [n].

    All in one, for 0 groups.
    """
    return torch.randperm(n, generator=Stream(seed, "groups").at(0)) % max(groups, 1)


def jackknife(
    value: float, figure: Callable[..., float], *samples: Tensor, groups: int = 10, seed: int = 0
) -> Interval:
    """`by_jackknife` of a figure that is cheap to compute again: figure(*samples), without the rows of each group.

    Samples of different sources lose a group of each at once, which adds up their independent variances.
    """
    groups = feasible(groups, *map(len, samples))
    parts = [dealt(len(x), groups, seed) for x in samples]
    return by_jackknife(
        value,
        [figure(*(x[part != g] for x, part in zip(samples, parts, strict=True))) for g in range(groups)],
    )


def by_jackknife(value: float, left_out: Sequence[float]) -> Interval:
    """Around `value`, from the same figure without each of g equal groups of the samples (Efron and Stein 1981)."""
    g = len(left_out)
    if g < 2:
        return UNKNOWN
    mean = sum(left_out) / g
    return around(value, math.sqrt((g - 1) / g * sum((v - mean) ** 2 for v in left_out)), g - 1)


def by_splits(value: float, splits: Sequence[float]) -> Interval:
    """Around `value`, from the same figure on each of g disjoint parts of the samples: Var = Var(part) / g."""
    g = len(splits)
    if g < 2:
        return UNKNOWN
    mean = sum(splits) / g
    return around(value, math.sqrt(sum((v - mean) ** 2 for v in splits) / (g - 1) / g), g - 1)


def by_subsamples(value: float, subsamples: Sequence[float], size: int, n: int) -> Interval:
    """Around `value`, from the same figure on subsamples of `size` of the n samples, each without replacement.

    Var(n) = Var(size) size / (n - size), where Var(size) is about their mean: Politis, Romano and Wolf 1999, with the
    correction for a finite population.
    """
    if len(subsamples) < 2:
        return UNKNOWN
    mean = sum(subsamples) / len(subsamples)
    variance = sum((v - mean) ** 2 for v in subsamples) / (len(subsamples) - 1)
    return around(value, math.sqrt(variance * size / (n - size)), len(subsamples) - 1)


def by_mean(values: Tensor) -> Interval:
    """Around the mean of independent values [N]."""
    return by_splits(float(values.double().mean()), values.double().tolist())


def by_count(share: float, n: int) -> Interval:
    """Around a share of n independent samples; it has a width at 0 and 1, too (Wilson 1927)."""
    z2 = 1.959964**2
    middle = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = math.sqrt(z2 * (share * (1 - share) / n + z2 / (4 * n**2))) / (1 + z2 / n)
    return max(middle - half, 0.0), min(middle + half, 1.0)


def wider(a: Interval, b: Interval) -> Interval:
    """From the lower low to the higher high; unknown where one is: each sees a variance that the other may miss."""
    if a[0] is None or a[1] is None or b[0] is None or b[1] is None:
        return UNKNOWN
    return min(a[0], b[0]), max(a[1], b[1])


def around(value: float, deviation: float, freedom: int) -> Interval:
    half = float(stdtrit(freedom, 0.975)) * deviation  # Student's quantile; scipy.stats takes a second to import
    return value - half, value + half
