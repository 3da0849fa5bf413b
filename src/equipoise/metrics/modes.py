"""Modes that can be counted: of a mixture of Gaussians, of classes, or bins of k-means where there are neither."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from equipoise.errors import DataError
from equipoise.metrics.diversity import effective_number
from equipoise.metrics.estimate import Estimate, Interval, jackknife
from equipoise.metrics.inputs import check_count, check_features
from equipoise.metrics.neighbours import nearest

NEAR = 3.0  # standard deviations of a mode within which a sample has high quality (PacGAN's MetricLogger)
PERFECT_HIGH_QUALITY = 1 - math.exp(-(NEAR**2) / 2)  # .9889 in the plane: above it, the modes have shrunk


@dataclass(frozen=True)
class Capture:
    """How samples lie on the modes of a mixture."""

    shares: Tensor  # [K]: of all samples, those of high quality that lie on each mode
    high_quality: float  # share of samples within 3 sigma of a mode
    spread: float  # mean squared distance of these to their mode, over that of a perfect sampler

    def covered(self, fair: float = 0.05) -> int:
        """Modes with at least `fair` of their fair share 1 / K."""
        return int((self.shares >= fair / len(self.shares)).sum())


def captured(samples: Tensor, centres: Tensor, sigma: float) -> Capture:
    """Samples [N, 2] against modes N(centre, sigma^2 I), centres [K, 2].

    The protocol of VEEGAN and PacGAN: 2,500 samples, high quality within 3 sigma of the nearest centre.
    """
    distance, nearest = torch.cdist(samples.double(), centres.double()).min(dim=1)
    good = distance < NEAR * sigma  # NaN is never near
    shares = torch.bincount(nearest[good], minlength=len(centres)).double() / len(samples)
    # E[r^2 | r < 3 sigma] of a perfect sampler: r^2 / (2 sigma^2) is exponential, cut at 4.5
    cut = NEAR**2 / 2
    ideal = 2 * sigma**2 * (1 - cut * math.exp(-cut) / (1 - math.exp(-cut)))
    spread = float(distance[good].square().mean() / ideal) if good.any() else 0.0
    return Capture(shares, float(good.double().mean()), spread)


def kl_from_uniform(classes: Tensor, count: int) -> float:
    """KL(samples || uniform) in nats of classes [N] out of `count`: 0 when all are equally frequent.

    'Reverse KL' in the literature on stacked MNIST. N samples of a uniform source give about (count - 1) / (2 N).
    """
    p = torch.bincount(classes, minlength=count).double() / len(classes)
    return float(torch.special.entr(p).sum().neg() + math.log(count))


def present(classes: Tensor) -> int:
    """How many different classes occur."""
    return len(torch.unique(classes))


class ClassModes(NamedTuple):
    covered: Estimate  # classes that occur; without an interval, for more samples find more of them
    effective: Estimate  # exp H(class): how many equally frequent classes are as varied
    reverse_kl: Estimate  # KL(fake || real) in nats; about (count - 1) / 2 (1/N + 1/M) for equal distributions


def class_modes(fake: Tensor, count: int, real: Tensor | None = None, groups: int = 10, seed: int = 0) -> ClassModes:
    """Of classes fake [N] out of `count`, as a classifier names them, against those of reals [M]; by default uniform.

    Intervals by the jackknife over `groups` (0: none).

    Raises:
        DataError: for fewer than 2 classes, a class outside, or one that the reals never have: KL is infinite.
    """
    check_classes(fake, count, "fake")
    samples = [fake]
    if real is not None:
        check_classes(real, count, "real")
        samples.append(real)
        if absent := (torch.bincount(real, minlength=count) == 0).nonzero().flatten().tolist():
            raise DataError(
                f"KL(fake || real) is infinite: the reals never have class {absent[0]}, one of {len(absent)} such.\n"
                "Give more reals, or count only the classes that they have."
            )

    def reverse_kl(fakes: Tensor, reals: Tensor | None = None) -> float:
        if reals is None:
            return kl_from_uniform(fakes, count)
        q, p = (torch.bincount(x, minlength=count).double() / len(x) for x in (fakes, reals))
        return float(torch.special.xlogy(q, q / p.clamp(min=0.5 / len(reals))).sum())  # a group left out may empty one

    def estimate(name: str, value: float, interval: Interval) -> Estimate:
        protocol = {"metric": name, "classes": count, "against": "uniform" if real is None else "real"}
        return Estimate(value, *interval, len(fake), 0 if real is None else len(real), protocol)

    number, kl = effective_classes(fake), reverse_kl(*samples)
    return ClassModes(
        estimate("covered", present(fake), (None, None)),
        estimate("effective", number, jackknife(number, effective_classes, fake, groups=groups, seed=seed)),
        estimate("reverse_kl", kl, jackknife(kl, reverse_kl, *samples, groups=groups, seed=seed)),
    )


def effective_classes(classes: Tensor) -> float:
    """exp H of the frequencies of classes [N]."""
    return effective_number(torch.bincount(classes))


def check_classes(classes: Tensor, count: int, name: str) -> None:
    if count < 2:
        raise DataError("modes are counted among at least 2 classes; here is one. Use bins: Bins.fit(real).")
    check_count("counting of modes", 2, name, classes)
    if classes.min() < 0 or classes.max() >= count:
        raise DataError(
            f"classes of '{name}' reach from {int(classes.min())} to {int(classes.max())}, outside 0 to {count - 1}."
        )


@dataclass(frozen=True)
class Bins:
    """A partition of the feature space into the cells of k-means on real data: modes for data without classes."""

    centres: Tensor  # [K, d]

    @classmethod
    def fit(cls, real: Tensor, count: int = 100, seed: int = 0) -> Bins:
        """Of features real [N, d], N at least 5 a bin. Fit on other reals than those that fakes are compared with."""
        from sklearn.cluster import KMeans  # takes a second to import

        check_features(f"fitting {count} bins", 5 * count, real=real)
        found = KMeans(count, n_init=1, random_state=seed).fit(real.double().numpy())
        return cls(torch.from_numpy(found.cluster_centers_))

    def assign(self, features: Tensor) -> Tensor:
        """The bin of each row of features [N, d]. [N]."""
        return nearest(features, self.centres)[1]


MISSING = 0.1  # of its share of the reals: below it, a bin is missing from the fakes
LIMIT = 1.96  # standard errors: 5% of the bins of equal distributions differ by more


class Binned(NamedTuple):
    ndb: Estimate  # share of bins whose proportions differ significantly; .05 for equal distributions
    jsd: Estimate  # Jensen-Shannon divergence of the proportions in nats, from 0 to log 2
    jsd_null: float  # the divergence of equal distributions, on average
    real: Tensor  # [K] shares
    fake: Tensor  # [K]
    missing: Tensor  # places of the bins that the fakes as good as never reach


def binned(bins: Bins, real: Tensor, fake: Tensor, groups: int = 10, seed: int = 0) -> Binned:
    """Features real [N, d] and fake [M, d], both of at least 5 a bin, by their shares of the bins.

    NDB: Richardson and Weiss 2018 (arXiv:1805.12462), section 3. The mean of JSD for equal distributions is that of the
    chi-squared statistic to which it is proportional. Intervals by the jackknife over `groups` (0: none).
    """
    k = len(bins.centres)
    check_features(f"comparing {k} bins", 5 * k, real=real, fake=fake)
    of_real, of_fake = bins.assign(real), bins.assign(fake)

    def shares(reals: Tensor, fakes: Tensor) -> tuple[Tensor, Tensor]:
        p, q = (torch.bincount(x, minlength=k).double() / len(x) for x in (reals, fakes))
        return p, q

    def ndb(reals: Tensor, fakes: Tensor) -> float:
        return float((deviations(*shares(reals, fakes), len(reals), len(fakes)).abs() > LIMIT).double().mean())

    def jsd(reals: Tensor, fakes: Tensor) -> float:
        return jensen_shannon(*shares(reals, fakes))

    def estimate(name: str, value: float, interval: Interval) -> Estimate:
        return Estimate(value, *interval, len(fake), len(real), {"metric": name, "bins": k})

    p, q = shares(of_real, of_fake)
    different, divergence = ndb(of_real, of_fake), jsd(of_real, of_fake)
    missing = (deviations(p, q, len(real), len(fake)) < -LIMIT) & (q < MISSING * p)
    return Binned(
        estimate("ndb", different, jackknife(different, ndb, of_real, of_fake, groups=groups, seed=seed)),
        estimate("jsd", divergence, jackknife(divergence, jsd, of_real, of_fake, groups=groups, seed=seed)),
        (k - 1) * (1 / len(real) + 1 / len(fake)) / 8, p, q, missing.nonzero().flatten(),
    )  # fmt: skip


def deviations(p: Tensor, q: Tensor, n: int, m: int) -> Tensor:
    """z of the pooled test of two proportions, shares p of n samples and q of m: negative where q is smaller. [K]."""
    pooled = (n * p + m * q) / (n + m)
    error = (pooled * (1 - pooled) * (1 / n + 1 / m)).sqrt()
    return torch.where(error > 0, (q - p) / error, 0)


def jensen_shannon(p: Tensor, q: Tensor) -> float:
    """H((p + q) / 2) - (H(p) + H(q)) / 2 in nats, of distributions [K]."""
    h = torch.special.entr
    return float(h((p + q) / 2).sum() - (h(p).sum() + h(q).sum()) / 2)
