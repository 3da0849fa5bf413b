"""Mixtures of Gaussians: where their modes are, and what is drawn from them."""

import math

import pytest
import torch
from scipy.stats import chisquare, kstest
from torch.testing import assert_close

from equipoise.data.source import everything
from equipoise.data.toy import MIXTURES, grid, ring, splits


@pytest.fixture(scope="module")
def ring_splits():
    return splits(ring())


def test_the_ring_has_eight_modes_an_eighth_of_a_turn_apart():
    x, y = ring().centres.double().T
    angles = torch.atan2(y, x).remainder(2 * math.pi).sort().values
    assert_close(torch.hypot(x, y), torch.ones(8, dtype=torch.float64), atol=1e-6, rtol=0)
    assert_close(angles, torch.arange(8).double() * math.pi / 4, atol=1e-6, rtol=0)
    assert ring().sigma == 0.01


def test_the_ring_of_the_copied_notebook_has_only_seven():
    angles = torch.linspace(0, 2 * math.pi, 8)
    points = torch.stack([angles.cos(), angles.sin()], 1)
    assert len((points * 1000).round().unique(dim=0)) == 7
    assert len((ring().centres * 1000).round().unique(dim=0)) == 8


def test_the_grid_has_twenty_five_modes_two_apart():
    side = (-4, -2, 0, 2, 4)
    assert {tuple(c) for c in grid().centres.tolist()} == {(x, y) for x in side for y in side}
    assert len(grid().centres) == 25
    assert grid().sigma == 0.05


@pytest.mark.parametrize("name", MIXTURES)
def test_points_are_gaussian_about_the_mode_that_they_are_labelled_with(name):
    mixture = MIXTURES[name]()
    points, modes = mixture.sample(20_000, torch.Generator().manual_seed(0))
    off = ((points - mixture.centres[modes]) / mixture.sigma).double()
    assert all(kstest(axis, "norm").pvalue > 0.01 for axis in off.T)
    assert torch.corrcoef(off.T)[0, 1].item() == pytest.approx(0, abs=4 / 20_000**0.5)
    assert chisquare(torch.bincount(modes, minlength=len(mixture.centres))).pvalue > 0.01


def test_splits_have_their_sizes_and_the_mode_as_class(ring_splits):
    parts = (ring_splits.train, ring_splits.validation, ring_splits.test)
    assert [len(part) for part in parts] == [100_000, 5_000, 5_000]
    for part in parts:
        x, y = everything(part)
        assert (part.shape, part.classes) == ((2,), 8)
        assert torch.equal(torch.cdist(x, ring().centres).argmin(1), y)


def test_splits_share_no_point(ring_splits):
    parts = (ring_splits.train, ring_splits.validation, ring_splits.test)
    points = [{tuple(p) for p in part.x[:5_000].tolist()} for part in parts]
    assert not points[0] & points[1] | points[0] & points[2] | points[1] & points[2]


def test_every_call_draws_the_same_points(ring_splits):
    torch.manual_seed(5)
    again = splits(ring())
    assert torch.equal(again.train.x, ring_splits.train.x)
    assert not torch.equal(splits(ring(), seed=1).test.x, ring_splits.test.x)
