"""Nearest-neighbour figures against scikit-learn, and the conventions that a collapse and a copier must show."""

import numpy as np
import pytest
import torch
from sklearn.neighbors import NearestNeighbors
from torch.testing import assert_close

from equipoise.metrics.neighbours import PRDC, copy_rate, nearest_distance, prdc, radii


def gauss(n, d=8, seed=0):
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed))


def prdc_by_hand(real, fake, k):
    """Kynkaanniemi et al. 2019, eq. 1-2, and Naeem et al. 2020, eq. 3-4, in loops."""
    real, fake = real.double().numpy(), fake.double().numpy()

    def balls(x):
        return NearestNeighbors(n_neighbors=k + 1).fit(x).kneighbors(x)[0][:, k]

    real_radius, fake_radius = balls(real), balls(fake)
    distance = np.array([[np.linalg.norm(r - f) for f in fake] for r in real])
    return PRDC(
        precision=np.mean([(distance[:, j] < real_radius).any() for j in range(len(fake))]),
        recall=np.mean([(distance[i] < fake_radius).any() for i in range(len(real))]),
        density=np.mean([(distance[:, j] < real_radius).sum() / k for j in range(len(fake))]),
        coverage=np.mean([distance[i].min() < real_radius[i] for i in range(len(real))]),
    )


@pytest.mark.parametrize("k", [1, 3, 5])
@pytest.mark.parametrize(("shift", "scale", "n_fake"), [(0, 1, 60), (1, 1, 60), (0, 0.3, 90), (0, 3, 30), (20, 1, 60)])
def test_prdc_is_that_of_a_plain_implementation(k, shift, scale, n_fake):
    real, fake = gauss(60), shift + scale * gauss(n_fake, seed=1)
    assert prdc(real, fake, k) == pytest.approx(prdc_by_hand(real, fake, k))


@pytest.mark.parametrize("k", [1, 4])
def test_radii_reach_the_kth_other_row(k):
    x = gauss(80)
    expected = NearestNeighbors(n_neighbors=k).fit(x).kneighbors()[0][:, -1]  # without x, its own rows are left out
    assert_close(radii(x, k).double(), torch.from_numpy(expected).double(), atol=1e-6, rtol=0)


@pytest.mark.parametrize("k", [1, 3, 5])
def test_equal_distributions_have_density_one_and_a_coverage_of_one_minus_two_to_the_minus_k(k):
    found = prdc(gauss(1500, 4), gauss(1500, 4, seed=1), k)
    assert found.density == pytest.approx(1, abs=0.06)
    assert found.coverage == pytest.approx(1 - 2**-k, abs=0.04)


def test_a_copy_of_the_reals_has_every_figure_at_one():
    real = gauss(200)
    shuffled = real[torch.randperm(200, generator=torch.Generator().manual_seed(1))]
    assert prdc(real, shuffled) == pytest.approx((1, 1, 1, 1), abs=0.005)  # the k-th neighbour is on the edge of a ball


def test_collapsed_fakes_have_high_precision_and_low_recall():
    real = gauss(500, 4)
    inside = real[real.norm(dim=1).argmin()]
    found = prdc(real, inside + 1e-3 * gauss(500, 4, seed=1))
    assert found.precision == 1
    assert found.recall == pytest.approx(0, abs=0.02)
    assert found.coverage == pytest.approx(0.1, abs=0.1)


def test_fakes_that_cover_and_overshoot_have_low_precision_and_high_recall():
    found = prdc(gauss(500, 4), 3 * gauss(500, 4, seed=1))
    assert found.precision == pytest.approx(0.15, abs=0.15)
    assert found.recall == pytest.approx(1, abs=0.1)


def test_distant_fakes_have_every_figure_at_zero():
    assert prdc(gauss(100), 1000 + gauss(100, seed=1)) == PRDC(0, 0, 0, 0)


def test_fakes_that_are_no_numbers_are_never_near():
    found = prdc(gauss(100), torch.full((100, 8), float("nan")))
    assert (found.precision, found.density, found.coverage) == (0, 0, 0)


def test_the_order_of_the_samples_does_not_matter():
    real, fake = gauss(100), gauss(100, seed=1)
    assert prdc(real.flip(0), fake.roll(7, 0)) == pytest.approx(prdc(real, fake))


@pytest.mark.parametrize("offset", [100, 3000])
def test_prdc_does_not_depend_on_where_the_features_lie(offset):
    real, fake = (gauss(300) * 64).round() / 64, (gauss(300, seed=1) * 64).round() / 64  # exact after the shift, too
    assert prdc(real + offset, fake + offset) == pytest.approx(prdc(real, fake), abs=1e-9)


def test_nearest_distance_is_that_of_scikit_learn():
    samples, references = gauss(50), gauss(70, seed=1)
    expected = NearestNeighbors(n_neighbors=1).fit(references).kneighbors(samples)[0][:, 0]
    assert_close(nearest_distance(samples, references).double(), torch.from_numpy(expected).double(), atol=1e-6, rtol=0)


@pytest.mark.parametrize("quantile", [0.05, 0.2])
def test_fresh_samples_are_as_near_to_the_training_data_as_held_out_ones(quantile):
    rate = copy_rate(gauss(2000, seed=2), gauss(3000), gauss(2000, seed=1), quantile)
    assert rate == pytest.approx(quantile, abs=4 * (2 * quantile * (1 - quantile) / 2000) ** 0.5)


@pytest.mark.parametrize("noise", [0, 0.01])
def test_a_generator_that_only_copies_has_a_rate_of_one(noise):
    train = gauss(1000)
    assert copy_rate(train[:300] + noise * gauss(300, seed=2), train, gauss(500, seed=1)) == 1


def test_half_copies_have_half_the_rate():
    train = gauss(1000)
    mixed = torch.cat([train[:400], gauss(400, seed=2)])
    assert copy_rate(mixed, train, gauss(1000, seed=1)) == pytest.approx(0.5 + 0.5 * 0.05, abs=0.02)


def test_samples_far_from_everything_are_no_copies():
    assert copy_rate(50 + gauss(100), gauss(300), gauss(100, seed=1)) == 0
