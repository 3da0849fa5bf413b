"""What was changed in a run: each change with its cause, its effect and its undoing. No torch."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from equipoise.reports.looks import calibrated, falling_short, of_kind
from equipoise.words import counted, number

Row = Mapping[str, Any]
UNDONE = ": undone, because it did not help: "  # how diagnosis.treatment words it
BY = 3  # looks whose median is before, and after


@dataclass(frozen=True)
class Act:
    number: int  # among all changes, as charts mark it
    row: Row  # of the change
    cause: Row | None  # the finding that it answered
    effect: str
    undoing: tuple[int, Row] | None  # the change that took it back

    @property
    def seen(self) -> int:
        return int(self.row["seen"])

    @property
    def symptom(self) -> str:
        return str(self.row["reason"]).partition(":")[0]


def acts(events: Sequence[Row]) -> list[Act]:
    """In order. An undoing is told with what it undid."""
    changes = list(enumerate(of_kind(events, "change"), 1))
    done = [(i, row) for i, row in changes if UNDONE not in row["reason"]]
    undone = {of_whom(i, row, done): (i, row) for i, row in changes if UNDONE in row["reason"]}
    return [Act(i, row, cause(events, row), effect(events, row, until(i, changes)), undone.get(i)) for i, row in done]


def of_whom(number: int, undoing: Row, done: Sequence[tuple[int, Row]]) -> int | None:
    """The number of the last change before with the same symptom and remedy."""
    symptom, remedy = undoing["reason"].split(UNDONE)
    same = [i for i, row in done if i < number and row["reason"].startswith(symptom) and row["reason"].endswith(remedy)]
    return same[-1] if same else None


def until(number: int, changes: Sequence[tuple[int, Row]]) -> float:
    """When the next change was made: what came after is its doing."""
    return next((row["seen"] for i, row in changes if i > number), math.inf)


def cause(events: Sequence[Row], change: Row) -> Row | None:
    """The newest finding of the symptom that the change names, at its step or before."""
    symptom = change["reason"].partition(":")[0].removesuffix(" at the end")
    found = [row for row in of_kind(events, "finding") if row["symptom"] == symptom and row["step"] <= change["step"]]
    return found[-1] if found else None


def effect(events: Sequence[Row], change: Row, end: float) -> str:
    """What the looks up to the next change say of it; empty where there were none."""
    looks = of_kind(events, "look")
    after = [look for look in looks if change["seen"] < look["seen"] <= end]
    if not after or change.get("stop"):
        return ""
    before = [look for look in looks if look["seen"] <= change["seen"]]
    return "; ".join(
        filter(None, [ended(change["reason"].partition(":")[0], before, after), nearer(events, change, end)])
    )


def ended(symptom: str, before: Sequence[Row], after: Sequence[Row]) -> str:
    """Whether the symptom was found no more, and after how many looks."""
    if not before or symptom not in before[-1].get("ill", ()):
        return ""
    for i, look in enumerate(after, 1):
        if symptom not in look["ill"]:
            return f"{symptom} was over after {counted(i, 'look')}"
    return f"{symptom} was still found after {counted(len(after), 'look')}"


def nearer(events: Sequence[Row], change: Row, end: float) -> str:
    """How far the samples fell short of reals, before and after."""
    calibration = calibrated(events)
    if calibration is None:
        return ""
    line = falling_short("", of_kind(events, "look"), calibration)
    at = change["seen"] / 1000
    before = [y for x, y in zip(line.x, line.y, strict=True) if x <= at and math.isfinite(y)][-BY:]
    after = [y for x, y in zip(line.x, line.y, strict=True) if at < x <= end / 1000 and math.isfinite(y)][-BY:]
    if not (before and after):
        return ""
    return f"samples fell short of reals by {number(median(before))} before and {number(median(after))} after"
