"""Copying: what a copier, half a copier and an honest generator must show."""

import pytest
import torch
from scipy.stats import mannwhitneyu

from equipoise.errors import DataError
from equipoise.metrics import Bins, copy_rate, copying_test
from equipoise.metrics.copies import mann_whitney, share_within


def gauss(n, d=8, seed=0):
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("quantile", [0.05, 0.2])
def test_fresh_samples_are_as_near_to_the_training_data_as_held_out_ones(quantile):
    rate = copy_rate(gauss(3000), gauss(2000, seed=2), gauss(2000, seed=1), quantile).value
    assert rate == pytest.approx(quantile, abs=4 * (2 * quantile * (1 - quantile) / 2000) ** 0.5)


@pytest.mark.parametrize("noise", [0, 0.01])
def test_a_generator_that_only_copies_has_a_rate_of_one(noise):
    train = gauss(1000)
    assert copy_rate(train, train[:300] + noise * gauss(300, seed=2), gauss(500, seed=1)).value == 1


def test_half_copies_have_half_the_rate():
    train = gauss(1000)
    mixed = torch.cat([train[:400], gauss(400, seed=2)])
    assert copy_rate(train, mixed, gauss(1000, seed=1)).value == pytest.approx(0.5 + 0.5 * 0.05, abs=0.02)


def rows(n, seed, columns=8):
    """Of flags, which are often equal by chance."""
    return (gauss(n, columns, seed) < -0.5).float()


def test_rows_that_are_equal_by_chance_are_no_copies():
    train = rows(200, 0)
    equal = (torch.cdist(rows(2000, 1), train).amin(1) == 0).double().mean()
    assert equal > 0.3, "many of the held-out rows are equal to a training row"
    assert copy_rate(train, rows(2000, 2), rows(2000, 1)).value == pytest.approx(0.05, abs=0.01)
    assert copy_rate(train, train.repeat(10, 1), rows(2000, 1)).value == pytest.approx(0.05 / float(equal), rel=0.01)


@pytest.mark.parametrize("figure", [copy_rate, copying_test])
@pytest.mark.parametrize("share", [0.1, 1])
def test_held_out_reals_that_are_training_data_are_refused(figure, share):
    train, held_out = gauss(400), gauss(200, seed=1)
    held_out[: int(share * 200)] = train[: int(share * 200)]
    with pytest.raises(DataError, match=f"{share:.0%} of the held-out reals are among the training data"):
        figure(train, train[200:], held_out)
    with pytest.raises(DataError, match="among the training data"):  # as an encoder sees them in another batch
        figure(train, train[200:], held_out * (1 + 1e-7))


@pytest.mark.parametrize("figure", [copy_rate, copying_test])
def test_a_few_held_out_reals_that_are_training_data_are_not(figure):
    train, held_out = gauss(400), gauss(200, seed=1)
    held_out[:6] = train[:6]
    usual, found = figure(train, train[200:], gauss(200, seed=1)).value, figure(train, train[200:], held_out).value
    assert found == pytest.approx(usual, rel=0.05)


def test_distances_at_the_limit_count_as_often_as_among_the_others():
    others = torch.tensor([0.0, 1, 1, 1, 2, 2, 2, 2, 2, 2])
    assert share_within(others, others, 0.2) == pytest.approx(0.2)
    assert share_within(torch.tensor([1.0, 1, 1, 2]), others, 0.2) == pytest.approx(0.75 / 3)
    assert share_within(torch.tensor([0.5, 1.5]), others, 0.2) == 0.5


def test_samples_far_from_everything_are_no_copies():
    assert copy_rate(gauss(300), 50 + gauss(100), gauss(100, seed=1)).value == 0


def test_a_rate_of_zero_is_not_sure():
    found = copy_rate(gauss(300), 50 + gauss(100), gauss(100, seed=1))
    assert found.low == 0
    assert found.high == pytest.approx(1.96**2 / (100 + 1.96**2), rel=0.01)  # Wilson 1927, at 0


@pytest.mark.parametrize("ties", [False, True])
def test_z_is_that_of_scipy(ties):
    x, y = gauss(40, 1)[:, 0], 0.3 + gauss(25, 1, seed=1)[:, 0]
    if ties:
        x, y = x.round(), y.round()
    u = mannwhitneyu(x.numpy(), y.numpy()).statistic
    assert mann_whitney(x, y) == pytest.approx((u - 500) / (40 * 25 * 66 / 12) ** 0.5)


def test_an_honest_generator_has_a_c_t_of_standard_normal_size():
    found = torch.tensor([
        copying_test(gauss(400), gauss(200, seed=2 * s + 1), gauss(200, seed=2 * s + 2), groups=0).value
        for s in range(60)
    ])  # fmt: skip
    assert abs(found.mean()) < 4 / 60**0.5 + 0.4  # all draws share one training set
    assert found.std() == pytest.approx(1, abs=0.3)


@pytest.mark.parametrize("cells", [1, 5])
def test_c_t_is_far_below_for_a_copier_and_far_above_for_a_stray(cells):
    train, held_out = gauss(1000), gauss(300, seed=1)
    bins = Bins.fit(train, cells) if cells > 1 else None
    assert copying_test(train, train[:300] + 0.05 * gauss(300, seed=2), held_out, bins).value < -3
    assert copying_test(train, 1.5 * gauss(300, seed=2), held_out, bins).value > 3
    assert abs(copying_test(train, gauss(300, seed=3), held_out, bins).value) < 3


def test_cells_see_copying_in_one_place_that_straying_in_another_hides():
    """Meehan et al. 2020, section 3: the reason for cells."""
    left, right = torch.tensor([-20.0] + 7 * [0.0]), torch.tensor([20.0] + 7 * [0.0])
    train = torch.cat([left + gauss(500), right + gauss(500, seed=1)])
    held_out = torch.cat([left + gauss(300, seed=2), right + gauss(100, seed=3)])
    fake = torch.cat([train[:300] + 0.05 * gauss(300, seed=4), right + 2 * gauss(300, seed=5)])
    found = copying_test(train, fake, held_out, Bins.fit(train, 2))
    assert found.value < -3
    assert copying_test(train, fake, held_out).value > found.value + 3


def test_cells_too_small_to_judge_are_refused():
    train = gauss(500)
    with pytest.raises(DataError, match="Use fewer bins"):
        copying_test(train, gauss(20, seed=1), gauss(20, seed=2), Bins.fit(train, 50))
