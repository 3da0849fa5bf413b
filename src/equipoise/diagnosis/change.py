"""Whether a signal has become worse than it was, beyond its noise: the guardian's alarm."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from equipoise.diagnosis.calibration import Calibration
from equipoise.diagnosis.history import History, values
from equipoise.diagnosis.signs import OF_SAMPLES, badness

SMOOTH = 3  # looks that the best is the middle of: one lucky look is no standard
NOISES = 4.0  # standard deviations of reals that a change must exceed, however little matters
ENOUGH, DRIFT = 1.5, 0.5  # CUSUM (Page 1954), in units of what matters: the sum that is an alarm, and what a look
# must exceed to add to it
AGREE, OF = 2, 3  # so many of the last looks must be worse by what matters


@dataclass(frozen=True)
class Worse:
    """A signal that has become worse than the run's own best."""

    name: str
    best: float
    now: float  # middle of the last looks
    by: float  # how much worse, in units of what matters
    unit: float  # what matters, on the scale of the signal

    def evidence(self) -> Mapping[str, float]:
        return {self.name: self.now, f"{self.name}_best": self.best}


def worse(history: History, name: str, calibration: Calibration) -> Worse | None:
    """The alarm of one signal of samples, if it is armed and sounds at the last look."""
    if name not in calibration.armed:
        return None
    sign, series = OF_SAMPLES[name], values(history, name)
    bad = (series if sign.bad == "high" else -series)[~np.isnan(series)]
    bad = np.maximum(bad, badness(name, calibration.nulls[name].mean))  # better than reals is no better
    if len(bad) <= SMOOTH or np.isnan(series[-1]):
        return None
    best = best_before(bad)
    unit = what_matters(name, best[-1], calibration)
    excess = (bad[SMOOTH:] - best[SMOOTH:]) / unit
    if cusum(excess) < ENOUGH or (excess[-OF:] > 1).sum() < AGREE:
        return None
    turn = 1 if sign.bad == "high" else -1
    recent = float(np.median(bad[-OF:]))
    return Worse(name, turn * float(best[-1]), turn * recent, (recent - float(best[-1])) / unit, unit)


def best_before(bad: NDArray[np.float64]) -> NDArray[np.float64]:
    """At each look, the lowest middle of SMOOTH looks in a row before it; infinite before there are so many."""
    middles = np.median(np.lib.stride_tricks.sliding_window_view(bad, SMOOTH), axis=1)
    lowest = np.minimum.accumulate(middles)
    return np.concatenate([np.full(SMOOTH, np.inf), lowest[:-1]])


def what_matters(name: str, best: float, calibration: Calibration) -> float:
    """Of a signal that is low at best, a part of it matters as much; never less than its noise."""
    sign, noise = OF_SAMPLES[name], calibration.nulls[name].sd
    least = min(sign.matters, 0.4 * abs(best)) if sign.bad == "low" else sign.matters
    return max(least, sign.matters / 2, NOISES * noise)


def cusum(excess: NDArray[np.float64]) -> float:
    """Page's sum at the last look: what exceeds DRIFT adds up, and what does not takes away. It rises to twice what is
    an alarm and no further, so that after a long illness it comes down again."""
    total = 0.0
    for value in excess:
        total = min(max(0.0, total + float(value) - DRIFT), 2 * ENOUGH)
    return total
