"""Copying: what a copier, half a copier and an honest generator must show."""

import pytest
import torch

from equipoise.metrics import copy_rate


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


def test_samples_far_from_everything_are_no_copies():
    assert copy_rate(gauss(300), 50 + gauss(100), gauss(100, seed=1)).value == 0
