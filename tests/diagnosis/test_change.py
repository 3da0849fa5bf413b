"""The alarm of one signal against sums that are done by hand."""

from __future__ import annotations

import numpy as np
import pytest

from equipoise.diagnosis.calibration import Calibration, Null
from equipoise.diagnosis.change import DRIFT, ENOUGH, NOISES, OF, SMOOTH, best_before, cusum, what_matters, worse
from equipoise.diagnosis.history import Look
from equipoise.diagnosis.signs import OF_SAMPLES

SD = 0.002
NAMES = [name for name in OF_SAMPLES if name not in ("copy_rate", "c_t")]


def calibration(power=1.0, sd=SD, **means):
    means = {name: 1.0 if sign.bad == "low" else 0.0 for name, sign in OF_SAMPLES.items()} | means
    nulls = {name: Null(mean, sd, mean, 0.05) for name, mean in means.items()}
    return Calibration(
        30, "pixels", nulls, {d: dict.fromkeys(nulls, power) for s in OF_SAMPLES.values() for d in s.sees}, 20
    )


def alarm(name, series, of=None):
    looks = [Look(i, {} if np.isnan(value) else {name: float(value)}) for i, value in enumerate(series)]
    return worse(looks, name, of or calibration())


def turned(name, good, units):
    """Values that are worse than `good` by so many units of what matters."""
    turn = 1 if OF_SAMPLES[name].bad == "high" else -1
    return good + turn * OF_SAMPLES[name].matters * np.array(units)


def good(name):
    return 0.9 if OF_SAMPLES[name].bad == "low" else 0.05


@pytest.mark.parametrize(
    ("excess", "expected"),
    [
        ([], 0), ([0.5, 0.5, 0.5], 0), ([0.75], 0.25), ([2, 2], 3), ([2, 0, 0, 0], 0), ([2, 0, 0], 0.5),
        ([-100, 2], 1.5), ([1, 1, -1, 1], 0.5), ([0.25, 1.5, 1.5, 0.25], 1.75), ([9, -9, 1], 0.5),
    ],
)  # fmt: skip
def test_the_sum_of_page(excess, expected):
    """S = max(0, S + x - .5): Page 1954, with a drift of half of what matters."""
    assert (DRIFT, ENOUGH) == (0.5, 1.5)
    assert cusum(np.array(excess, float)) == pytest.approx(expected)


def test_after_a_long_illness_the_sum_comes_down_again():
    assert cusum(np.array([6.0] * 30)) == 2 * ENOUGH
    assert cusum(np.array([6.0] * 30 + [0.0] * 7)) == 0


def test_the_best_is_the_lowest_middle_of_three_looks_in_a_row_before():
    bad = np.array([5.0, 1, 4, 3, 0, 2, 9, 2, 1])
    #          middles of three: 4, 3, 3, 2, 2, 2, 2
    assert best_before(bad).tolist() == [np.inf] * 3 + [4, 3, 3, 2, 2, 2]


@pytest.mark.parametrize("seed", range(5))
def test_the_best_is_that_of_loops(seed):
    bad = np.random.default_rng(seed).normal(size=12)
    for i, best in enumerate(best_before(bad)):
        middles = [sorted(bad[j : j + 3])[1] for j in range(i - SMOOTH + 1)]
        assert best == min(middles, default=np.inf)


def test_the_best_knows_nothing_of_what_comes_after():
    bad = np.random.default_rng(0).normal(size=20)
    for n in range(SMOOTH, 20):
        assert (best_before(bad[:n]) == best_before(bad)[:n]).all()


@pytest.mark.parametrize("name", NAMES)
def test_two_looks_that_are_worse_by_more_than_matters_are_an_alarm(name):
    of = calibration()
    unit = what_matters(name, good(name), of) / OF_SAMPLES[name].matters
    series = turned(name, good(name), [0, 0, 0, 0, 0, 1.6 * unit, 1.6 * unit])
    found = alarm(name, series, of)
    assert found is not None
    assert (found.name, found.best, found.now) == (name, pytest.approx(good(name)), pytest.approx(series[-1]))
    assert found.by == pytest.approx(1.6)
    assert found.evidence() == {name: found.now, f"{name}_best": found.best}
    assert alarm(name, series[:-1], of) is None, "one look is not enough"
    assert (
        alarm(name, turned(name, good(name), [0, 0, 0, 0, 0, 0.9 * unit, 0.9 * unit, 0.9 * unit, 0.9 * unit])) is None
    )


@pytest.mark.parametrize("name", NAMES)
def test_what_becomes_better_is_no_alarm(name):
    assert alarm(name, turned(name, good(name), [0, 0, 0, 0, 0, -3, -3, -3, -3])) is None


@pytest.mark.parametrize("name", NAMES)
def test_what_was_better_than_reals_and_then_is_as_they_are_is_no_alarm(name):
    real = calibration().nulls[name].mean
    assert alarm(name, turned(name, real, [-9, -9, -9, -9, -9, 0, 0, 0, 0])) is None
    assert alarm(name, turned(name, real, [-9, -9, -9, -9, -9, 3, 3, 3, 3])) is not None


@pytest.mark.parametrize("name", NAMES)
def test_what_is_not_armed_is_no_alarm(name):
    series = turned(name, good(name), [0, 0, 0, 0, 0, 5, 5, 5])
    assert alarm(name, series) is not None
    assert alarm(name, series, calibration(power=0.7)) is None


def test_the_alarm_lasts_as_long_as_two_of_three_looks_are_bad():
    sounding = [alarm("coverage", [0.9] * 5 + tail) is not None for tail in (
        [0.6], [0.6, 0.6], [0.6, 0.9, 0.6], [0.6, 0.6, 0.9], [0.6, 0.6, 0.9, 0.9], [0.6, 0.9, 0.9, 0.6],
    )]  # fmt: skip
    assert sounding == [False, True, True, True, False, False]


def test_a_slow_decline_is_an_alarm_too():
    series = 0.9 - 0.01 * np.arange(40)
    first = next(n for n in range(1, 41) if alarm("coverage", series[:n]))
    assert 0.12 < 0.9 - series[first - 1] < 0.16, "as soon as it matters"


def test_one_lucky_look_is_no_standard():
    series = np.array([0.6] * 5 + [0.99] + [0.6] * 6)
    assert all(alarm("coverage", series[:n]) is None for n in range(13))


@pytest.mark.parametrize("looks", range(SMOOTH + 1))
def test_there_is_no_alarm_before_there_is_a_best(looks):
    assert alarm("coverage", [0.9, 0.1, 0.1][:looks]) is None


def test_what_matters_is_never_less_than_the_noise():
    assert what_matters("coverage", -0.9, calibration()) == 0.12
    assert what_matters("coverage", -0.9, calibration(sd=0.05)) == pytest.approx(NOISES * 0.05)
    assert what_matters("coverage", -0.2, calibration()) == pytest.approx(0.4 * 0.2)
    assert what_matters("coverage", -0.001, calibration()) == 0.06, "half of it, at least"
    assert what_matters("jsd", 0.001, calibration()) == 0.05, "a divergence is none at best"


def test_looks_without_the_signal_are_passed_over():
    gaps = [0.9, np.nan, 0.9, 0.9, np.nan, 0.9, 0.5, np.nan, 0.5]
    found = alarm("coverage", gaps)
    assert found is not None and found.by == pytest.approx(0.4 / 0.12)
    assert alarm("coverage", [*gaps, np.nan]) is None, "it does not sound at a look that did not see it"
    assert alarm("coverage", [np.nan] * 9) is None


def test_noise_around_a_level_is_no_alarm():
    """At most one of 200 runs of 50 looks, where the noise is a quarter of what matters."""
    alarmed = 0
    for seed in range(200):
        series = 0.8 + 0.03 * np.random.default_rng(seed).normal(size=50)
        alarmed += any(alarm("coverage", series[:n]) for n in range(SMOOTH + OF, 51, OF))
    assert alarmed <= 1
