"""A 95% interval must hold the figure's own mean at these counts in 88 to 100 of 100 draws, and not be idle."""

import statistics
from functools import cache

import pytest
import torch

from equipoise.metrics import (
    effective_rank,
    frechet_distance,
    inception_score,
    kernel_distance,
    prdc,
    sliced_distance,
    vendi_score,
)
from equipoise.metrics.estimate import (
    UNKNOWN,
    by_count,
    by_jackknife,
    by_splits,
    by_subsamples,
    dealt,
    jackknife,
    wider,
)
from equipoise.metrics.modes import Bins, binned

DRAWS = 100


def gauss(n, d=16, seed=0):
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed))


def reals(seed):
    return gauss(300, seed=2 * seed)


def fakes(seed):
    return 0.25 + 1.1 * gauss(300, seed=2 * seed + 1)


@cache
def neighbours(seed):
    return prdc(reals(seed), fakes(seed))


BINS = Bins.fit(gauss(2000, seed=10_000), 20)

FIGURES = {
    "frechet": lambda s: frechet_distance(reals(s), fakes(s)),
    "kernel": lambda s: kernel_distance(reals(s), fakes(s)),
    "kernel in subsets": lambda s: kernel_distance(reals(s), fakes(s), subsets=10, size=100),
    "precision": lambda s: neighbours(s).precision,
    "recall": lambda s: neighbours(s).recall,
    "density": lambda s: neighbours(s).density,
    "coverage": lambda s: neighbours(s).coverage,
    "inception score": lambda s: inception_score(2 * fakes(s)[:, :10]),
    "vendi": lambda s: vendi_score(fakes(s)),
    "effective rank": lambda s: effective_rank(fakes(s)),
    "jsd": lambda s: binned(BINS, reals(s), fakes(s)).jsd,
    "sliced": lambda s: sliced_distance(reals(s), fakes(s), directions=64),
}


@pytest.mark.parametrize("figure", FIGURES.values(), ids=FIGURES)
def test_the_interval_holds_the_mean_of_the_figure(figure):
    found = [figure(s) for s in range(DRAWS)]
    values = [f.value for f in found]
    mean, deviation = statistics.mean(values), statistics.stdev(values)
    held = sum(f.low <= mean <= f.high for f in found)
    assert held >= 88
    assert held < DRAWS or statistics.mean(f.high - f.low for f in found) < 2 * 3.5 * deviation


@pytest.mark.parametrize("n", [10, 57])
def test_groups_are_equal_and_mixed(n):
    part = dealt(n, 5, seed=0)
    assert torch.bincount(part).tolist() in ([2] * 5, [12, 12, 11, 11, 11])
    assert part.tolist() != sorted(part.tolist())
    assert (part == dealt(n, 5, seed=0)).all() and (part != dealt(n, 5, seed=1)).any()


def test_the_jackknife_of_a_mean_is_students_interval():
    x = torch.tensor([1.0, 2.0, 4.0, 8.0, 15.0])
    mean, error = 6.0, (sum((v - 6) ** 2 for v in x.tolist()) / 4 / 5) ** 0.5
    t = 2.776445  # Student's .975 quantile for 4 degrees of freedom
    found = by_jackknife(mean, [float(x[torch.arange(5) != i].mean()) for i in range(5)])
    assert found == pytest.approx((mean - t * error, mean + t * error))
    assert by_splits(mean, x.tolist()) == pytest.approx(found)


def test_two_sources_add_their_variances():
    x, y = gauss(1000, 1)[:, 0], 3 * gauss(1000, 1, 1)[:, 0]
    low, high = jackknife(0.0, lambda a, b: float(a.mean() - b.mean()), x, y, groups=100)
    assert (high - low) / 2 == pytest.approx(1.98 * (10 / 1000) ** 0.5, rel=0.2)


def test_subsamples_of_a_mean_have_its_variance_at_the_full_count():
    x = gauss(400, 1)[:, 0]
    drawn = [float(x[torch.randperm(400, generator=torch.Generator().manual_seed(s))[:200]].mean()) for s in range(300)]
    low, high = by_subsamples(0.0, drawn, 200, 400)
    assert (high - low) / 2 == pytest.approx(1.968 * float(x.std()) / 20, rel=0.15)


def test_a_share_has_the_interval_of_wilson():
    assert by_count(0.5, 100) == pytest.approx((0.4038, 0.5962), abs=1e-4)
    assert by_count(0, 10) == pytest.approx((0, 0.2775), abs=1e-4)
    assert by_count(1, 10) == pytest.approx((0.7225, 1), abs=1e-4)


def test_what_cannot_be_known_stays_unknown():
    assert by_jackknife(1, []) == by_splits(1, [1]) == by_subsamples(1, [], 5, 10) == UNKNOWN
    assert wider((0, 1), UNKNOWN) == UNKNOWN
    assert wider((0, 1), (-1, 0.5)) == (-1, 1)
    x = gauss(50)
    for found in (frechet_distance(x, x, groups=0), kernel_distance(x, x, groups=0), *prdc(x, x, subsamples=0)):
        assert (found.low, found.high) == UNKNOWN
