"""Whether a run still gains: on histories whose truth is known."""

from __future__ import annotations

import numpy as np
import pytest

from equipoise.diagnosis.convergence import LEAST, plateau

LOOKS, PATIENCE = 25, 5  # in all, and within the patience
KIMG = 1000


def found(values, patience=PATIENCE * KIMG, lower_is_better=True):
    return plateau(
        [KIMG * (i + 1) for i in range(len(values))], list(values), patience, lower_is_better=lower_is_better
    )


def noisy(gain, seed, looks=LOOKS):
    """Falls by `gain` standard deviations of its noise within the patience."""
    return 100 - gain / PATIENCE * np.arange(looks) + np.random.default_rng(seed).normal(size=looks)


def test_a_steady_gain_is_no_plateau_however_slow():
    for slope in (10, 1, 1e-3):
        assert all(found(100 - slope * np.arange(n)) is None for n in range(LOOKS))
        assert found(slope * np.arange(LOOKS), lower_is_better=False) is None


def test_a_gain_that_slows_down_without_noise_is_no_plateau():
    assert found(np.exp(-np.arange(LOOKS) / 5)) is None


def test_flat_noise_has_converged():
    seen = [found(noisy(0, seed)) for seed in range(100)]
    assert all(seen)
    converged = sum(each.symptom == "converged" for each in seen if each)
    assert converged >= 90, "chance alone is not called past its best"


def test_equal_figures_have_converged():
    finding = found([3.0] * LOOKS)
    assert finding is not None and finding.symptom == "converged"
    assert finding.evidence["gain"] == 0
    assert finding.evidence["noise"] == pytest.approx(0, abs=1e-9)


def test_a_gain_and_then_a_loss_is_past_its_best():
    values = [*np.linspace(100, 10, 12), *np.linspace(10, 60, 12)]
    finding = found(values)
    assert finding is not None
    assert (finding.symptom, finding.severity) == ("past its best", "warning")
    assert finding.evidence["best"] == 10
    assert finding.evidence["best_at_kimg"] in (12, 13)
    assert finding.evidence["last"] == 60
    assert "best checkpoint" in finding.advice
    mirrored = found([-v for v in values], lower_is_better=False)
    assert mirrored is not None and mirrored.symptom == "past its best"
    assert found(values, lower_is_better=False) is None or found(values[:12], lower_is_better=False) is not None


@pytest.mark.parametrize(("gain", "most"), [(3, 0.2), (4, 0.08), (6, 0.01)])
def test_false_alarms_on_noisy_curves_that_still_gain(gain, most):
    """The share of looks with a false alarm; a gain of 6 deviations of the noise within the patience is left alone."""
    curves = [noisy(gain, seed) for seed in range(60)]
    alarms = [found(curve[:n]) is not None for curve in curves for n in range(LOOKS + 1)]
    assert np.mean(alarms) <= most


def test_a_plateau_is_noticed_soon_after_it_begins():
    late = []
    for seed in range(40):
        curve = np.concatenate(
            [noisy(10, seed, 15), noisy(10, seed, 15)[-1] + np.random.default_rng(seed).normal(size=15)]
        )
        late.append(next(n for n in range(16, 31) if found(curve[:n])) - 15)
    assert np.median(late) <= 2 * PATIENCE


@pytest.mark.parametrize("looks", range(LEAST + 1))
def test_few_looks_tell_nothing(looks):
    assert found([1.0] * looks, patience=10 * KIMG) is None
    assert found([1.0] * looks) is None or looks > LEAST


def test_patience_longer_than_the_run_tells_nothing():
    assert found([1.0] * LOOKS, patience=(LOOKS + 1) * KIMG) is None


def test_it_forgets_nothing_that_a_look_more_would_change():
    """A function of the history alone: a resumed run finds what an uninterrupted one did."""
    curve = noisy(1, 0)
    assert [found(curve[:n]) for n in range(LOOKS)] == [found(curve[:n]) for n in range(LOOKS)]
