"""Variety: known spectra, the definitions by kernel matrices in numpy, and supports that are known."""

import numpy as np
import pytest
import torch
from scipy.spatial.distance import pdist

from equipoise.errors import DataError
from equipoise.metrics import (
    birthday,
    effective_number,
    effective_rank,
    feature_std,
    pairwise_distance,
    vendi_score,
)


def gauss(n, d=8, seed=0):
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed))


def vendi_by_kernel(x, order):
    """Friedman and Dieng 2023, definition 3.1: the entropy of the eigenvalues of the [N, N] kernel matrix."""
    x = x.double().numpy()
    x = x / np.linalg.norm(x, axis=1, keepdims=True)
    p = np.linalg.eigvalsh(x @ x.T / len(x))
    p = p[p > 1e-12]
    if order == 1:
        return np.exp(-(p * np.log(p)).sum())
    return 1 / p.max() if order == np.inf else (p**order).sum() ** (1 / (1 - order))


@pytest.mark.parametrize("order", [0.5, 1, 2, float("inf")])
@pytest.mark.parametrize(("n", "d"), [(50, 8), (8, 50)])
def test_vendi_is_that_of_the_kernel_matrix(n, d, order):
    x = gauss(n, d) + 0.3
    assert vendi_score(x, order).value == pytest.approx(vendi_by_kernel(x, order), rel=1e-6)


@pytest.mark.parametrize("order", [0.1, 1, 3])
def test_vendi_counts_orthogonal_directions(order):
    assert vendi_score(torch.eye(12)[:7].repeat(5, 1), order).value == pytest.approx(7)
    assert vendi_score(torch.ones(20, 12), order).value == pytest.approx(1)


def test_vendi_falls_with_the_modes_that_are_missing():
    modes = 3 * torch.linalg.qr(gauss(64, 64)).Q
    full, half = (modes[:k].repeat(1000 // k, 1) for k in (50, 25))
    whole = vendi_score(full + 0.1 * gauss(1000, 64, 1)).value
    assert vendi_score(half + 0.1 * gauss(1000, 64, 1)).value < 0.7 * whole
    assert feature_std(half).value > 0.65 * feature_std(full).value  # nearly blind, as the pilot found
    assert pairwise_distance(half).value == pytest.approx(pairwise_distance(full).value, rel=0.03)


def test_rows_without_direction_are_a_direction_of_their_own():
    rows = torch.cat([torch.eye(12)[:3].repeat(5, 1), torch.zeros(5, 12)])
    assert vendi_score(rows).value == pytest.approx(4)
    assert vendi_score(torch.zeros(20, 12)).value == pytest.approx(1)


def test_effective_rank_is_that_of_the_singular_values():
    x = gauss(60, 10) * torch.logspace(0, -2, 10) + 5
    s = np.linalg.svd((x - x.mean(0)).double().numpy(), compute_uv=False)
    p = s / s.sum()
    assert effective_rank(x).value == pytest.approx(np.exp(-(p * np.log(p)).sum()), rel=1e-4)


@pytest.mark.parametrize("rank", [1, 3])
def test_effective_rank_of_even_axes_is_their_number(rank):
    x = torch.zeros(40, 9)
    x[:, :rank] = torch.linalg.qr(gauss(40, 9) - gauss(40, 9).mean(0)).Q[:, :rank]
    assert effective_rank(x, groups=0).value == pytest.approx(rank, rel=1e-5)


def test_samples_that_are_all_alike_have_no_rank_and_no_distance():
    same = torch.ones(30, 4)
    assert effective_rank(same).value == 0
    assert pairwise_distance(same).value == 0
    assert feature_std(same).value == 0


def test_effective_number_of_hill_at_its_ends():
    assert effective_number(torch.tensor([2, 2, 2, 0])) == pytest.approx(3)
    assert effective_number(torch.tensor([3.0, 1.0]), torch.inf) == pytest.approx(4 / 3)
    assert effective_number(torch.tensor([3.0, 1.0]), 2) == pytest.approx(1 / (9 / 16 + 1 / 16))


@pytest.mark.parametrize("n", [2, 300])
def test_pairwise_distance_is_that_of_scipy(n):
    x = gauss(n, seed=3).double() + 100
    assert pairwise_distance(x).value == pytest.approx(pdist(x.numpy()).mean(), rel=1e-9)


def test_pairwise_distance_leaves_groups_out_of_the_definition():
    from equipoise.metrics.estimate import by_jackknife, dealt

    x = gauss(40).double()
    part = dealt(40, 5, 0)
    expected = by_jackknife(pdist(x.numpy()).mean(), [pdist(x[part != g].numpy()).mean() for g in range(5)])
    found = pairwise_distance(x, groups=5)
    assert (found.low, found.high) == pytest.approx(expected)


def test_feature_std_by_hand():
    assert feature_std(torch.tensor([[0.0, 0.0], [1.0, 0.0], [2.0, 0.0]])).value == pytest.approx(0.5)


@pytest.mark.parametrize("support", [50, 500])
def test_the_birthday_test_finds_the_size_of_a_support(support):
    real = gauss(1000, 16)
    points = gauss(support, 16, 1)
    picks = [torch.randint(support, (1000,), generator=torch.Generator().manual_seed(s)) for s in range(20)]
    found = [birthday(real, points[i]) for i in picks]
    assert 1 / (sum(f.chance.value for f in found) / 20) == pytest.approx(support, rel=0.1)
    held = sum(f.chance.low <= 1 / support <= f.chance.high for f in found)
    assert held >= 17


def test_reals_seldom_repeat_and_no_repeat_is_no_proof():
    real = gauss(1000, 16)
    found = birthday(real, gauss(1000, 16, 1))
    assert found.real.value == pytest.approx(0.01 * 1000 / 2 / (1000 * 999 / 2), rel=0.5)  # 1% have a near neighbour
    far = birthday(real, 3 * gauss(1000, 16, 2)).chance
    assert far.value == 0
    assert far.low == 0
    assert far.high == pytest.approx(3.689 / (1000 * 999 / 2), rel=1e-3)  # Garwood 1936: 0 counts, up to 3.689


@pytest.mark.parametrize("repeats", [0, 150])
def test_repeats_are_counted_where_reals_repeat_exactly_too(repeats):
    real, fake = 50 + 3 * gauss(300, 64), 50 + 3 * gauss(300, 64, 1)
    real[:6] = real[6:12]
    fake[:repeats] = fake[300 - repeats :]
    found = birthday(real, fake)
    assert [round(chance.value * 300 * 299 / 2) for chance in found] == [repeats, 6]


def test_a_birthday_needs_enough_samples_for_its_quantile():
    with pytest.raises(DataError, match="at least 100 samples; 'fake' has 99"):
        birthday(gauss(200), gauss(99))
