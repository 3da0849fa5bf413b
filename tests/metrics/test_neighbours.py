"""Nearest-neighbour figures against scikit-learn, and the conventions that a collapse must show."""

import numpy as np
import pytest
import torch
from sklearn.neighbors import NearestNeighbors
from torch.testing import assert_close

from equipoise.errors import DataError
from equipoise.metrics import neighbours
from equipoise.metrics.neighbours import PRDC, nearest, prdc, squared_radii


def gauss(n, d=8, seed=0):
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed))


def values(real, fake, k=5):
    return PRDC(*(estimate.value for estimate in prdc(real, fake, k, subsamples=0)))


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
    assert values(real, fake, k) == pytest.approx(prdc_by_hand(real, fake, k))


@pytest.mark.parametrize("k", [1, 4])
def test_radii_reach_the_kth_other_row(k):
    x = gauss(80)
    expected = NearestNeighbors(n_neighbors=k).fit(x).kneighbors()[0][:, -1]  # without x, its own rows are left out
    assert_close(squared_radii(x, k).sqrt().double(), torch.from_numpy(expected).double(), atol=1e-6, rtol=0)


@pytest.mark.parametrize("k", [1, 3, 5])
def test_equal_distributions_have_density_one_and_a_coverage_of_one_minus_two_to_the_minus_k(k):
    found = values(gauss(1500, 4), gauss(1500, 4, seed=1), k)
    assert found.density == pytest.approx(1, abs=0.06)
    assert found.coverage == pytest.approx(1 - 2**-k, abs=0.04)


def test_a_copy_of_the_reals_has_every_figure_at_one():
    real = gauss(200)
    shuffled = real[torch.randperm(200, generator=torch.Generator().manual_seed(1))]
    assert values(real, shuffled) == pytest.approx(
        (1, 1, 1, 1), abs=0.005
    )  # the k-th neighbour is on the edge of a ball


def test_collapsed_fakes_have_high_precision_and_low_recall():
    real = gauss(500, 4)
    inside = real[real.norm(dim=1).argmin()]
    found = values(real, inside + 1e-3 * gauss(500, 4, seed=1))
    assert found.precision == 1
    assert found.recall == pytest.approx(0, abs=0.02)
    assert found.coverage == pytest.approx(0.1, abs=0.1)


def test_fakes_that_cover_and_overshoot_have_low_precision_and_high_recall():
    found = values(gauss(500, 4), 3 * gauss(500, 4, seed=1))
    assert found.precision == pytest.approx(0.15, abs=0.15)
    assert found.recall == pytest.approx(1, abs=0.1)


def test_distant_fakes_have_every_figure_at_zero():
    assert values(gauss(100), 1000 + gauss(100, seed=1)) == PRDC(0, 0, 0, 0)


def test_the_order_of_the_samples_does_not_matter():
    real, fake = gauss(100), gauss(100, seed=1)
    assert values(real.flip(0), fake.roll(7, 0)) == pytest.approx(values(real, fake))


@pytest.mark.parametrize("offset", [100, 3000])
def test_prdc_does_not_depend_on_where_the_features_lie(offset):
    real, fake = (gauss(300) * 64).round() / 64, (gauss(300, seed=1) * 64).round() / 64  # exact after the shift, too
    assert values(real + offset, fake + offset) == pytest.approx(values(real, fake), abs=1e-9)


def test_nearest_distance_is_that_of_scikit_learn():
    samples, references = gauss(50), gauss(70, seed=1)
    expected = NearestNeighbors(n_neighbors=1).fit(references).kneighbors(samples)[0][:, 0]
    distance, place = nearest(samples, references)
    assert_close(distance, torch.from_numpy(expected).double(), atol=1e-6, rtol=0)
    assert_close((samples - references[place]).norm(dim=1).double(), distance)


@pytest.mark.parametrize("kind", [torch.float32, torch.float64])
def test_a_copy_is_at_distance_zero_wherever_it_lies(kind):
    references = gauss(500).to(kind) + 1000
    distance, place = nearest(references[100:130], references)
    assert (distance == 0).all()
    assert (place == torch.arange(100, 130)).all()


@pytest.mark.parametrize("block", [1, 1000, 4000])
def test_the_size_of_the_blocks_does_not_matter(block, monkeypatch):
    real, fake = gauss(300), gauss(200, seed=1)
    whole = values(real, fake), nearest(fake, real)[1]
    monkeypatch.setattr(neighbours, "BLOCK", block)
    assert values(real, fake) == pytest.approx(whole[0])
    assert (nearest(fake, real)[1] == whole[1]).all()


@pytest.mark.slow
def test_gaussians_in_1000_dimensions_have_the_published_figures():
    """clovaai/generative-evaluation-prdc, README: N(0, I), 10,000 against 10,000, k = 5.

    The published figures are of one draw without a seed, so within three deviations of a draw, as found over eight:
    .010, .009, .06, .006. The density of equal distributions is 1 on average, for a fake is in a ball with k / N.
    """
    found = values(gauss(10_000, 1000), gauss(10_000, 1000, seed=1))
    assert found.precision == pytest.approx(0.4772, abs=0.03)
    assert found.recall == pytest.approx(0.4705, abs=0.03)
    assert found.density == pytest.approx(1.0555, abs=0.18)
    assert found.coverage == pytest.approx(0.9735, abs=0.018)


@pytest.mark.parametrize("k", [3, 5])
def test_coverage_of_one_half_of_a_set_by_the_other(k):
    """Naeem et al. 2020, section 3.3: 1 - (N - 1)...(N - k) / ((2N - 1)...(2N - k)), which goes to 1 - 2^-k."""
    found = [values(*gauss(8000, 16, seed).split(4000), k).coverage for seed in range(3)]
    assert sum(found) / 3 == pytest.approx(1 - 2**-k, abs=0.01)


def test_the_convention_of_collapsed_and_of_spread_samples():
    """As torch-fidelity tests it: the reals are the wide set, so precision is high and recall low, not the reverse."""
    found = values(3 * gauss(200, 16), 0.1 * gauss(200, 16, seed=1))
    assert found.precision > 0.8
    assert found.recall < 0.3


@pytest.mark.parametrize(
    ("real", "fake", "words"),
    [
        (gauss(5), gauss(50), "at least 6 samples; 'real' has 5"),
        (gauss(50), gauss(3), "at least 6 samples; 'fake' has 3"),
        (gauss(50, 8), gauss(50, 9), "real \\[50, 8\\] and fake \\[50, 9\\]"),
        (gauss(50), torch.full((50, 8), float("nan")), "50 of 50 rows of 'fake' hold NaN"),
        (gauss(50), gauss(50).index_fill(0, torch.tensor([7]), float("inf")), "1 of 50 rows of 'fake' hold NaN"),
        (gauss(50), torch.zeros(50, 8, dtype=torch.uint8), "'fake' is uint8"),
        (gauss(50), torch.zeros(50, 1, 8, 8), "takes features as floats"),
    ],
)
def test_what_fits_no_metric_is_refused_in_words(real, fake, words):
    with pytest.raises(DataError, match=words) as refused:
        prdc(real, fake)
    assert refused.value.exit_code == 3
    assert len(str(refused.value).splitlines()) <= 3
