"""How far samples fall short of reals, as one number: what a remedy is judged by."""

from __future__ import annotations

import math

import numpy as np

from equipoise.diagnosis.calibration import Calibration
from equipoise.diagnosis.change import NOISES
from equipoise.diagnosis.history import History, Look
from equipoise.diagnosis.signs import OF_SAMPLES, badness

OF = 3  # looks whose middle is taken
GAIN, LEAST_GAIN = 0.1, 0.5  # of the shortfall, and in units of what matters: less is no help
MOST = 10.0  # of one signal: what is far out says no more
OF_COPIES = ("copy_rate", "c_t")  # they are good where the samples are bad


def shortfall(look: Look, calibration: Calibration) -> float:
    """The sum over the signals of how much worse than reals each is, in units of what matters; NaN where samples were
    not looked at. A signal too weak to be armed has its say: what a remedy must bring is much more than the least that
    an alarm must see."""
    names = [name for name in calibration.nulls if name not in OF_COPIES and name in look.signals]
    return sum(min(off(name, look.signals[name], calibration), MOST) for name in names) if names else math.nan


def off(name: str, value: float, calibration: Calibration) -> float:
    null = calibration.nulls[name]
    worse = badness(name, value) - badness(name, null.mean)
    return max(worse, 0.0) / max(OF_SAMPLES[name].matters, NOISES * null.sd)


def recent_shortfall(history: History, calibration: Calibration | None, of: int = OF) -> float:
    """The middle one of the last looks; NaN where there is none."""
    if calibration is None:
        return math.nan
    found = np.array([shortfall(look, calibration) for look in history[-of:]])
    return float(np.median(found[~np.isnan(found)])) if (~np.isnan(found)).any() else math.nan


def is_less(a: float, b: float) -> bool:
    """Of two shortfalls, by what matters; not of one that is not known."""
    return b - a > max(GAIN * b, LEAST_GAIN)
