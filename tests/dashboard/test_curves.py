"""Curves of bounded size: what is kept is the least, the mean and the largest of each bucket, whatever came when."""

from __future__ import annotations

import json

import numpy as np
import pytest

from equipoise.dashboard.curves import MOST, NAMES, Curves


def fed(values: np.ndarray, pieces: int) -> Curves:
    curves = Curves()
    for part in np.array_split(np.arange(len(values)), pieces):
        curves.add([float(i) for i in part], [{"y": float(values[i]), "kind": "signals", "seen": int(i)} for i in part])
    return curves


@pytest.mark.parametrize("pieces", [1, 7, 400])
def test_a_peak_is_never_lost(pieces):
    values = np.random.default_rng(0).normal(size=5003)
    values[3217], values[12] = 99.0, -77.0
    told = fed(values, pieces).told(["y"])
    mean, low, high = (np.array(part) for part in told["curves"]["y"])
    assert len(mean) <= MOST
    assert (low.min(), high.max()) == (-77.0, 99.0)
    assert told["x"][-1] == pytest.approx(5002, rel=1e-3)
    assert list(told["curves"]) == ["y"], "where a row stands is no curve"


def test_the_means_are_those_of_numpy():
    values = np.random.default_rng(1).normal(size=MOST * 4 - 4)
    curves = fed(values, 9)
    assert curves.stride == 4
    expected = values.reshape(-1, 4)
    for got, by in zip(curves.buckets["y"], (expected.min(1), expected.mean(1), expected.max(1)), strict=True):
        np.testing.assert_allclose(got, by)


def test_what_is_missing_or_not_finite_is_a_gap():
    curves = Curves()
    curves.add([0.0, 1.0, 2.0, 3.0], [{"a": 1.0}, {"a": "nan"}, {"b": 2.0}, {"a": "inf", "b": True, "c": "<img>"}])
    told = curves.told(["a", "b", "c"])
    assert told["curves"]["a"] == [[1.0, None, None, None]]
    assert told["curves"]["b"] == [[None, None, 2.0, 1.0]]
    assert "c" not in told["curves"]
    json.dumps(told, allow_nan=False)


def test_the_rest_is_told_from_where_it_changed():
    curves = fed(np.arange(3 * MOST, dtype=float), 1)
    whole, n = curves.told(["y"]), len(curves)
    curves.add([3000.0], [{"y": 5.0}])
    news = curves.told(["y"], n - 1)
    assert whole["x"][: n - 1] + news["x"] == curves.told(["y"])["x"]


def test_names_are_bounded():
    curves = Curves()
    curves.add([0.0], [{f"signal {i}": 1.0 for i in range(10 * NAMES)}])
    assert len(curves.buckets) == NAMES
