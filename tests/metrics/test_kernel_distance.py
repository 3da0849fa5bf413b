"""KID against the definition in loops, and its one virtue: no bias at any count."""

import itertools

import pytest
import torch

from equipoise.metrics import kernel_distance
from equipoise.metrics.estimate import by_jackknife, dealt


def gauss(n, d=6, seed=0):
    return torch.randn(n, d, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def by_hand(real, fake):
    """Gretton et al. 2012, eq. 3, with a loop over each of the three sums."""

    def k(x, y):
        return float((x @ y / len(x) + 1) ** 3)

    def within(x):
        return sum(k(a, b) for a, b in itertools.permutations(x, 2)) / (len(x) * (len(x) - 1))

    across = sum(k(a, b) for a in real for b in fake) / (len(real) * len(fake))
    return within(real) + within(fake) - 2 * across


@pytest.mark.parametrize(("n", "m"), [(2, 2), (13, 13)])
def test_small_sets_are_taken_whole(n, m):
    real, fake = gauss(n), 0.4 + gauss(m, seed=1)
    assert kernel_distance(real, fake).value == pytest.approx(by_hand(real, fake), rel=1e-10)


def test_the_mean_over_subsets_comes_near_all_pairs():
    real, fake = gauss(60), 1 + gauss(45, seed=1)
    found = kernel_distance(real, fake, subsets=300, size=20)
    assert found.value == pytest.approx(by_hand(real, fake), rel=0.03)
    assert (found.protocol["subsets"], found.protocol["size"]) == (300, 20)


def test_the_interval_leaves_groups_out_of_the_definition():
    real, fake = gauss(20), 0.5 + gauss(20, seed=1)
    part = dealt(20, 4, seed=3)
    left_out = [by_hand(real[part != g], fake[part != g]) for g in range(4)]
    found = kernel_distance(real, fake, groups=4, seed=3)
    assert (found.low, found.high) == pytest.approx(by_jackknife(found.value, left_out))


@pytest.mark.parametrize("n", [5, 20, 100])
def test_equal_distributions_are_at_zero_on_average_at_any_count(n):
    values = torch.tensor([kernel_distance(gauss(n, seed=2 * s), gauss(n, seed=2 * s + 1), groups=0).value
                           for s in range(200)])  # fmt: skip
    assert abs(values.mean()) < 3 * values.std() / 200**0.5
    assert (values < 0).any()


def test_small_sets_measure_what_large_ones_do():
    small = [
        kernel_distance(gauss(20, seed=2 * s), 0.5 + gauss(20, seed=2 * s + 1), groups=0).value for s in range(200)
    ]
    large = kernel_distance(gauss(5000), 0.5 + gauss(5000, seed=1), subsets=20, groups=0).value
    assert sum(small) / 200 == pytest.approx(large, rel=0.2)


def test_float32_loses_nothing_that_matters():
    real, fake = gauss(1000, 256), 1.05 * gauss(1000, 256, seed=1)
    exact = kernel_distance(real, fake, groups=0).value
    assert kernel_distance(real.float(), fake.float(), groups=0).value == pytest.approx(exact, abs=1e-7)


def test_the_seed_decides_the_subsets():
    real, fake = gauss(300), gauss(300, seed=1)
    once = kernel_distance(real, fake, 5, 50)
    assert kernel_distance(real, fake, 5, 50) == once
    assert kernel_distance(real, fake, 5, 50, groups=0).value == pytest.approx(once.value, rel=1e-9)
    assert kernel_distance(real, fake, 5, 50, seed=1).value != once.value
