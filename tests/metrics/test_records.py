"""Records whose marginals and correlations are known."""

from __future__ import annotations

import math

import pytest
import torch

from equipoise.errors import DataError
from equipoise.metrics.records import area, correlations, likeness, usefulness

D, RHO = 12, 0.6  # columns in pairs (2 i, 2 i + 1), whose normals behind them have this correlation


def flags(n, seed, rho=RHO):
    """Flag i is a normal below a threshold; P(flag) rises from .1 to .65 over the columns. [n, D]."""
    lots = torch.Generator().manual_seed(seed)
    z = torch.randn(n, D, generator=lots)
    z[:, 1::2] = rho * z[:, ::2] + math.sqrt(1 - rho**2) * z[:, 1::2]
    return (z < torch.special.ndtri(prevalence())).float()


def prevalence():
    return torch.linspace(0.1, 0.65, D)


def shuffled(x, seed=0):
    lots = torch.Generator().manual_seed(seed)
    return torch.stack([column[torch.randperm(len(x), generator=lots)] for column in x.T], 1)


def test_of_equal_distributions_they_are_near_1_and_0():
    found = likeness(flags(4000, 0), flags(4000, 1))
    assert found.prevalence_r2.value > 0.99
    assert found.correlation_error.value < 1.5 * math.sqrt(2 * 2 / (math.pi * 4000)), "E|N(0, 2 / n)|"
    same = likeness(flags(500, 0), flags(500, 0))
    assert (same.prevalence_r2.value, same.correlation_error.value) == (1, 0)


def test_r2_is_that_of_the_prevalences():
    """Of fakes whose flags are off by .1 each."""
    real = flags(50_000, 0)
    off = torch.where(torch.rand(real.shape, generator=torch.Generator().manual_seed(5)) < 0.1, 1.0, real)
    expected = 1 - (0.1 * (1 - prevalence())).square().sum() / (prevalence() - prevalence().mean()).square().sum()
    assert likeness(real, off).prevalence_r2.value == pytest.approx(float(expected), abs=0.01)


def test_correlations_are_those_of_numpy_and_are_lost_by_shuffling():
    import numpy as np

    x = flags(300, 2)
    expected = np.corrcoef(x.numpy().T)[np.triu_indices(D, 1)]
    torch.testing.assert_close(correlations(x.double()), torch.from_numpy(expected))
    real = flags(20_000, 3)
    lost = likeness(real, shuffled(real))
    assert lost.prevalence_r2.value == 1, "the control: means are the same"
    assert lost.correlation_error.value == pytest.approx(correlations(real.double()).abs().mean().item(), abs=0.005)


def test_intervals_hold_the_figure_of_repeated_draws():
    found = [likeness(flags(400, 10 + i), flags(400, 50 + i)).prevalence_r2 for i in range(20)]
    mean = sum(each.value for each in found) / len(found)
    assert sum(each.low <= mean <= each.high for each in found) >= 16


def test_what_is_learned_from_fakes_is_worth_as_much_as_they_are_alike():
    train, test = flags(1500, 0), flags(1500, 1)
    good, lost = usefulness(train, flags(1500, 2), test), usefulness(train, shuffled(train), test)
    assert good.trtr_auc.value > 0.6
    assert good.tstr_auc.value == pytest.approx(good.trtr_auc.value, abs=0.02)
    assert lost.tstr_auc.value < 0.56
    assert lost.trtr_auc.value == good.trtr_auc.value
    alone = usefulness(train, torch.ones_like(train), test)
    assert alone.tstr_auc.value == 0.5, "one kind teaches nothing"


def test_area_counts_pairs_and_halves_of_equal_ones():
    high, low = torch.tensor([3.0, 1.0]), torch.tensor([2.0, 1.0, 0.0])
    assert area(high, low) == pytest.approx((3 + 1.5) / 6)


def test_what_is_no_records_is_refused():
    with pytest.raises(DataError, match="whole numbers from 0, and 'fake' holds others"):
        likeness(flags(50, 0), flags(50, 1) / 2)
    with pytest.raises(DataError, match="fewer than two columns differ"):
        likeness(torch.ones(30, 4), torch.ones(30, 4))
    with pytest.raises(DataError, match="fewer than two columns have 10"):
        usefulness(torch.zeros(30, 4), torch.zeros(30, 4), torch.zeros(30, 4))
