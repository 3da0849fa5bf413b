"""What the signals of samples are worth on the user's own data, found before the first step."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import fmean, stdev
from typing import Any

from equipoise.diagnosis.signs import OF_SAMPLES, badness

RATE = 0.05  # of false alarms of one signal at one look
TRUSTED = 0.8  # power below which a signal is not armed
Draw = Mapping[str, float]  # the signals of one look


@dataclass(frozen=True)
class Null:
    """A signal of real data in place of fakes."""

    mean: float
    sd: float
    limit: float  # beyond it, on the bad side, lie RATE of the draws
    false_alarms: float  # share of other draws beyond it


@dataclass(frozen=True)
class Calibration:
    n: int  # fakes, and reals, in a look
    features: str
    nulls: Mapping[str, Null]
    power: Mapping[str, Mapping[str, float]]  # defect -> signal -> share of trials beyond its limit
    trials: int

    def sight(self, name: str) -> float:
        """The power of a signal for what it is there to see."""
        return max(self.power[defect].get(name, 0) for defect in OF_SAMPLES[name].sees)

    @property
    def armed(self) -> tuple[str, ...]:
        """The signals that see what they are there for."""
        return tuple(name for name in self.nulls if self.sight(name) >= TRUSTED)

    @property
    def unarmed(self) -> dict[str, str]:
        quoted = {name: " or ".join(map(repr, OF_SAMPLES[name].sees)) for name in self.nulls}
        return {
            name: f"sees {quoted[name]} in {self.sight(name):.0%} of {self.trials} trials"
            for name in self.nulls
            if name not in self.armed
        }

    def told(self) -> str:
        """What the looks are worth, in words."""
        if not self.armed:
            return f"no signal of samples sees enough here, by {self.features} features: only the players are judged."
        weakest = min(self.sight(name) for name in self.armed)
        false = max(self.nulls[name].false_alarms for name in self.armed)
        blind = "".join(f"\nNot by {name}: it {why}." for name, why in self.unarmed.items())
        return (
            f"watched by {', '.join(self.armed)}, of {self.n} samples in {self.features} features: each sees the "
            f"defect that it is there for in {weakest:.0%} of {self.trials} trials or more, at limits that {false:.0%} "
            f"of looks at reals exceed, or fewer.{blind}"
        )

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, raw: Mapping[str, Any]) -> Calibration:
        return cls(**{**raw, "nulls": {name: Null(**null) for name, null in raw["nulls"].items()}})


def calibration(
    n: int, features: str, nulls: Sequence[Draw], others: Sequence[Draw], defects: Mapping[str, Sequence[Draw]],
    pool: float = math.inf,
) -> Calibration:  # fmt: skip
    """From looks at reals (`nulls` for the limits, `others` for the rate of false alarms) and at reals with defects.

    The draws come from `pool` reals, without replacement: they differ less from each other than fresh ones would, by
    1 - n / pool of the variance, and share what sets the pool apart, n / pool of it. Limits are wider by both.
    """
    wider = math.sqrt((1 + n / pool) / (1 - n / pool))
    found = {}
    for name in nulls[0]:
        if name not in OF_SAMPLES:
            continue
        bad, again = ([badness(name, draw[name]) for draw in draws] for draws in (nulls, others))
        limit = quantile(bad, 1 - RATE)
        limit = max(limit, fmean(bad) + wider * (limit - fmean(bad)))
        mean = fmean(draw[name] for draw in nulls)
        found[name] = Null(mean, stdev(bad), badness(name, limit), share_above(again, limit))
    power = {
        defect: {
            name: share_above([badness(name, draw[name]) for draw in draws], badness(name, null.limit))
            for name, null in found.items()
        }
        for defect, draws in defects.items()
    }
    return Calibration(n, features, found, power, len(next(iter(defects.values()))))


def quantile(values: Sequence[float], q: float) -> float:
    """The smallest value that is exceeded by chance alone at most 1 - q of the time, for the next draw: rank
    q (N + 1)."""
    ordered = sorted(values)
    return ordered[min(math.ceil(q * (len(ordered) + 1)), len(ordered)) - 1]


def share_above(values: Sequence[float], limit: float) -> float:
    return sum(value > limit for value in values) / len(values)
