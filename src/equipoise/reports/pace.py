"""How long a run still takes, by its own clock: the middle of the speeds between its checkpoints, and their range."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median, quantiles
from typing import NamedTuple

from equipoise.figures import Row
from equipoise.words import duration

LAST = 20  # speeds that count
FEWEST = 3  # of them, for a range


class Left(NamedTuple):
    seconds: float
    low: float | None  # four of five speeds lie between low and high
    high: float | None

    @property
    def words(self) -> str:
        if self.low is None or self.high is None:
            return f"about {duration(self.seconds)}"
        return f"about {duration(self.seconds)} ({duration(self.low)} to {duration(self.high)})"


def left(clock: Sequence[Row], steps: float) -> Left | None:
    """For so many steps more; None before the first checkpoint."""
    found = [pace * steps for pace in paces(clock)[-LAST:]]
    if not found:
        return None
    if len(found) < FEWEST:
        return Left(median(found), None, None)
    ends = quantiles(found, n=10, method="inclusive")
    return Left(median(found), ends[0], ends[-1])


def paces(clock: Sequence[Row]) -> list[float]:
    """Seconds a step between the checkpoints of the last sitting."""
    found: list[float] = []
    step, seconds = 0, 0.0
    for row in clock:
        if row["kind"] in ("started", "resumed"):
            found, step, seconds = [], row.get("step", 0), 0.0
        elif row["kind"] == "speed" and row["step"] > step and "seconds" in row:
            found.append((row["seconds"] - seconds) / (row["step"] - step))
            step, seconds = row["step"], row["seconds"]
    return found
