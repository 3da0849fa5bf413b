"""Limits and power against what can be counted by hand."""

from __future__ import annotations

import json
from fractions import Fraction

import numpy as np
import pytest

from equipoise.diagnosis.calibration import RATE, TRUSTED, Calibration, Null, calibration, quantile, share_above
from equipoise.diagnosis.signs import OF_SAMPLES, badness


def draws(seed, count, **means):
    """Looks at signals N(mean, 1)."""
    draw = np.random.default_rng(seed)
    return [{name: mean + draw.normal() for name, mean in means.items()} for _ in range(count)]


def of(power):
    """One whose signals have this power for all that they are there to see."""
    nulls = {name: Null(0.0, 1.0, 1.6, 0.05) for name in power}
    return Calibration(
        30, "pixels", nulls, {d: dict(power) for sign in OF_SAMPLES.values() for d in sign.sees}, trials=20
    )


def by_hand(values, q):
    """The smallest value that at least q (N + 1) of the values do not exceed; the largest if none does."""
    rank = Fraction(q).limit_denominator(1000) * (len(values) + 1)
    enough = [v for v in values if sum(other <= v for other in values) >= rank]
    return min(enough, default=max(values))


@pytest.mark.parametrize("q", [0.5, 0.8, 0.95, 1 - RATE])
@pytest.mark.parametrize("n", [1, 2, 9, 19, 39, 59, 99, 100, 101, 199])
def test_the_quantile_is_the_rank_of_q_times_one_more(n, q):
    values = np.random.default_rng(n).normal(size=n).tolist()
    assert quantile(values, q) == by_hand(values, q)
    assert quantile(sorted(values), q) == quantile(sorted(values, reverse=True), q)


def test_equal_values_are_not_beyond_their_quantile():
    assert quantile([3.0] * 20, 0.95) == 3
    assert share_above([3.0] * 20, 3.0) == 0
    assert share_above([1.0, 2.0, 3.0, 4.0], 2.0) == 0.5


def test_the_next_draw_exceeds_the_limit_as_often_as_it_says():
    """100 values split a continuous distribution into 101 equally likely parts: five of them lie beyond the 96th."""
    draw = np.random.default_rng(0)
    beyond = [draw.normal() > quantile(draw.normal(size=100).tolist(), 1 - RATE) for _ in range(8000)]
    assert np.mean(beyond) == pytest.approx(5 / 101, abs=3 * np.sqrt(0.05 * 0.95 / 8000))


def test_limits_lie_on_the_bad_side_and_false_alarms_are_those_of_other_draws():
    found = calibration(
        30, "pixels", draws(0, 1000, coverage=5, jsd=5), draws(1, 4000, coverage=5, jsd=5),
        {"drop 25%": draws(2, 1000, coverage=3, jsd=7)},
    )  # fmt: skip
    low, high = found.nulls["coverage"], found.nulls["jsd"]
    assert low.limit == pytest.approx(5 - 1.645, abs=0.15)
    assert high.limit == pytest.approx(5 + 1.645, abs=0.15)
    for null in (low, high):
        assert (null.mean, null.sd) == (pytest.approx(5, abs=0.1), pytest.approx(1, abs=0.07))
        assert null.false_alarms == pytest.approx(RATE, abs=0.02)
    for power in found.power["drop 25%"].values():  # P(N(2, 1) > 1.645)
        assert power == pytest.approx(0.639, abs=0.06)
    assert (found.n, found.features, found.trials) == (30, "pixels", 1000)


def test_fresh_reals_exceed_limits_from_a_small_pool_as_often_as_they_should():
    """The mean of n = 20 of a pool of 60, against means of 20 fresh ones: without the pool's size, twice too often."""
    draw, rates = np.random.default_rng(0), {60.0: [], np.inf: []}
    for _ in range(150):
        pool = draw.normal(size=60)
        nulls = [{"jsd": float(draw.choice(pool, 20, replace=False).mean())} for _ in range(100)]
        fresh = draw.normal(size=(500, 20)).mean(1)
        for size, found in rates.items():
            limit = calibration(20, "pixels", nulls, nulls, {"drop 25%": nulls}, pool=size).nulls["jsd"].limit
            found.append((fresh > limit).mean())
    assert np.mean(rates[60.0]) == pytest.approx(RATE, abs=0.02)
    assert np.mean(rates[np.inf]) > 2 * RATE


def test_false_alarms_and_power_are_counts():
    nulls = [{"jsd": float(i)} for i in range(1, 101)]  # the limit is the 96th
    found = calibration(
        30, "pixels", nulls, [{"jsd": v} for v in (96.0, 96.5, 0.0, 99.0)],
        {"drop 25%": [{"jsd": v} for v in (96.0, 97.0, 98.0, 99.0, 100.0)]},
    )  # fmt: skip
    assert found.nulls["jsd"].limit == 96
    assert found.nulls["jsd"].false_alarms == 0.5
    assert found.power == {"drop 25%": {"jsd": 0.8}}


def test_a_change_to_the_good_side_is_never_beyond_the_limit():
    better = {"drop 25%": draws(2, 50, coverage=50, jsd=-50)}
    found = calibration(30, "pixels", draws(0, 100, coverage=5, jsd=5), draws(1, 40, coverage=5, jsd=5), better)
    assert found.power["drop 25%"] == {"coverage": 0, "jsd": 0}


def test_what_has_no_sign_is_not_judged():
    found = calibration(
        30, "pixels", draws(0, 9, jsd=0, density=1), draws(1, 9, jsd=0, density=1), {"shrink": draws(2, 9, jsd=0)}
    )
    assert set(found.nulls) == {"jsd"}


def test_a_signal_is_armed_from_four_in_five_on():
    assert TRUSTED == 0.8
    found = of({"jsd": 0.8, "coverage": 0.79, "apart": 1.0})
    assert found.armed == ("jsd", "apart")
    assert found.unarmed == {"coverage": "sees 'drop 25%' in 79% of 20 trials"}


def test_of_several_defects_one_is_enough():
    sees_noise = Calibration(
        30, "pixels", {"precision": Null(0.9, 0.1, 0.7, 0.05)},
        {"blur": {"precision": 0.1}, "noise": {"precision": 0.9}}, 20,
    )  # fmt: skip
    assert sees_noise.sight("precision") == 0.9
    assert sees_noise.armed == ("precision",)
    assert of({"precision": 0.1}).unarmed == {"precision": "sees 'blur' or 'noise' in 10% of 20 trials"}


def test_power_for_something_else_arms_no_signal():
    found = Calibration(
        30, "pixels", {"jsd": Null(0, 1, 1.6, 0.05)}, {"drop 25%": {"jsd": 0.1}, "copies": {"jsd": 1.0}}, 20
    )
    assert found.armed == ()


def test_it_is_the_same_after_a_file():
    found = calibration(
        30, "pixels", draws(0, 100, coverage=5, jsd=5), draws(1, 40, coverage=5, jsd=5),
        {"drop 25%": draws(2, 20, coverage=3, jsd=7), "shrink": draws(3, 20, coverage=3, jsd=7)},
    )  # fmt: skip
    again = Calibration.from_json(json.loads(json.dumps(found.to_json(), allow_nan=False)))
    assert again == found
    assert again.armed == found.armed


def test_more_badness_is_always_worse():
    for name, sign in OF_SAMPLES.items():
        worse = 0.2 if sign.bad == "low" else 0.6
        assert badness(name, worse) > badness(name, 0.4)
        assert badness(name, badness(name, 0.4)) == 0.4
        assert sign.matters > 0 and sign.sees and sign.about
