"""Counting modes: a perfect sampler, and samplers with a known illness."""

import math

import pytest
import torch
from scipy.stats import entropy

from equipoise.data.toy import grid, ring
from equipoise.metrics.modes import PERFECT_HIGH_QUALITY, captured, kl_from_uniform, present

N = 20_000
MIXTURES = pytest.mark.parametrize("mixture", [ring(), grid()], ids=["ring", "grid"])
IDEAL = 1 - 4.5 * math.exp(-4.5) / (1 - math.exp(-4.5))  # E[r^2 | r < 3 sigma] / (2 sigma^2) in the plane


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def looked_at(mixture, samples):
    return captured(samples, mixture.centres, mixture.sigma)


@MIXTURES
def test_a_perfect_sampler_covers_all_modes_equally_with_the_quality_and_spread_of_a_gaussian(mixture):
    points, modes = mixture.sample(N, seeded())
    found, k = looked_at(mixture, points), len(mixture.centres)
    assert found.covered() == k
    assert found.high_quality == pytest.approx(1 - math.exp(-4.5), abs=0.003)
    assert pytest.approx(1 - math.exp(-4.5)) == PERFECT_HIGH_QUALITY
    assert found.spread == pytest.approx(1, abs=0.03)
    frequencies = torch.bincount(modes, minlength=k) / N
    assert found.shares.tolist() == pytest.approx(frequencies.tolist(), abs=0.005)
    assert found.shares.sum().item() == pytest.approx(found.high_quality)


@MIXTURES
@pytest.mark.parametrize("mode", [0, 5])
def test_a_sampler_collapsed_to_a_point_covers_one_mode_without_spread(mixture, mode):
    found = looked_at(mixture, mixture.centres[mode].expand(N, 2))
    assert found.covered() == 1
    assert found.shares[mode] == 1
    assert found.high_quality == 1
    assert found.spread == pytest.approx(0, abs=1e-6)


@MIXTURES
@pytest.mark.parametrize("factor", [0.5, 0.7])
def test_shrunk_modes_have_too_high_a_quality_and_too_little_spread(mixture, factor):
    points, modes = mixture.sample(N, seeded())
    shrunk = mixture.centres[modes] + factor * (points - mixture.centres[modes])
    found = looked_at(mixture, shrunk)
    assert found.covered() == len(mixture.centres)
    assert found.high_quality == pytest.approx(1 - math.exp(-4.5 / factor**2), abs=0.003)
    assert found.high_quality > PERFECT_HIGH_QUALITY
    cut = 4.5 / factor**2
    kept = 1 - cut * math.exp(-cut) / (1 - math.exp(-cut))
    assert found.spread == pytest.approx(factor**2 * kept / IDEAL, rel=0.03)


@pytest.mark.parametrize(("mixture", "half"), [(ring(), 1.5), (grid(), 5.0)], ids=["ring", "grid"])
def test_noise_has_the_quality_of_the_area_of_the_modes(mixture, half):
    n = 200_000
    points = half * (2 * torch.rand(n, 2, generator=seeded()) - 1)
    area = len(mixture.centres) * math.pi * (3 * mixture.sigma) ** 2 / (2 * half) ** 2
    assert looked_at(mixture, points).high_quality == pytest.approx(area, abs=4 * math.sqrt(area / n))


@MIXTURES
def test_samples_far_from_every_mode_are_of_no_quality(mixture):
    found = looked_at(mixture, torch.full((100, 2), 50.0))
    assert (found.high_quality, found.spread, found.covered(), found.shares.sum()) == (0, 0, 0, 0)


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_samples_that_are_no_numbers_lie_on_no_mode(bad):
    points, _ = ring().sample(N, seeded())
    points[::2, 0] = bad
    assert looked_at(ring(), points).high_quality == pytest.approx(PERFECT_HIGH_QUALITY / 2, abs=0.003)


def test_a_mode_needs_its_part_of_the_fair_share():
    centres = ring().centres
    rare = torch.cat([centres[0].expand(9_950, 2), centres[1].expand(50, 2)])  # fair would be 1,250 each
    found = captured(rare, centres, 0.01)
    assert found.covered() == 1
    assert found.covered(fair=0.03) == 2


def test_kl_from_uniform_by_hand():
    assert kl_from_uniform(torch.tensor([0, 0, 1]), 2) == pytest.approx(2 / 3 * math.log(4 / 3) + math.log(2 / 3) / 3)


@pytest.mark.parametrize(
    ("classes", "count", "kl"),
    [([0, 1, 2, 3], 4, 0), ([3, 1, 0, 2, 0, 1, 2, 3], 4, 0), ([2] * 9, 10, math.log(10)), ([0, 1], 8, math.log(4))],
)
def test_kl_from_uniform_at_its_ends(classes, count, kl):
    assert kl_from_uniform(torch.tensor(classes), count) == pytest.approx(kl, abs=1e-12)


def test_kl_from_uniform_is_that_of_scipy():
    classes = torch.randint(7, (100,), generator=seeded()) ** 2 % 11
    frequencies = torch.bincount(classes, minlength=11).numpy()
    assert kl_from_uniform(classes, 11) == pytest.approx(entropy(frequencies, [1 / 11] * 11))


def test_kl_of_a_uniform_source_has_the_bias_of_finite_counts():
    draws = [kl_from_uniform(torch.randint(100, (5_000,), generator=seeded(s)), 100) for s in range(20)]
    assert sum(draws) / 20 == pytest.approx(99 / 10_000, rel=0.1)


@pytest.mark.parametrize(("classes", "count"), [([5], 1), ([1, 1, 1], 1), ([0, 999, 3, 0], 3)])
def test_present_counts_different_classes(classes, count):
    assert present(torch.tensor(classes)) == count
