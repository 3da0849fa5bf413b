"""What the guardian saw of a run over time, and where it was changed: curves, from its record. No torch."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from equipoise import charts
from equipoise.charts import Line, Mark
from equipoise.diagnosis.calibration import Calibration
from equipoise.diagnosis.causes import KNOWN
from equipoise.diagnosis.health import shortfall
from equipoise.diagnosis.history import Look

Row = Mapping[str, Any]
OF_LOOKS = KNOWN.keys() - {"data too sparse", "data imbalanced", "batch too small"}  # those are told beforehand


def drawn(events: Sequence[Row]) -> Iterator[str]:
    """The charts: how far samples fall short of reals, and how many modes are drawn."""
    looks, calibration = of_kind(events, "look"), calibrated(events)
    changes = of_kind(events, "change")
    if not looks:
        return
    if calibration:
        far = falling_short("", looks, calibration)
        yield charts.curves("How far samples fall short of reals", [far], marks(far, changes))
    if any(row["shares"] for row in looks):
        many = modes("", looks)
        yield charts.curves("Modes that are drawn (effective number of bins)", [many], marks(many, changes))


def over(events: Sequence[Row]) -> list[str]:
    """The symptoms that were found, of those that looks can tell, and that the last look no longer found."""
    last = next(iter(of_kind(events, "look")[-1:]), None)
    if last is None or "ill" not in last:
        return []
    earlier = [row["symptom"] for row in of_kind(events, "finding") if row["step"] < last["step"]]
    return [symptom for symptom in dict.fromkeys(earlier) if symptom in OF_LOOKS and symptom not in last["ill"]]


def of_kind(events: Sequence[Row], kind: str) -> list[Row]:
    return [row for row in events if row["kind"] == kind]


def calibrated(events: Sequence[Row]) -> Calibration | None:
    row = next(iter(of_kind(events, "calibration")), None)
    return None if row is None else Calibration.from_json({k: v for k, v in row.items() if k != "kind"})


def falling_short(name: str, looks: Sequence[Row], calibration: Calibration) -> Line:
    """In units of what matters, summed over the signals: see diagnosis.health."""
    seen = [Look(row["seen"], row["signals"], row["shares"]) for row in looks]
    return Line(name, [look.seen / 1000 for look in seen], [shortfall(look, calibration) for look in seen])


def modes(name: str, looks: Sequence[Row]) -> Line:
    return Line(name, [row["seen"] / 1000 for row in looks], [effective(row["shares"]) for row in looks])


def effective(shares: Sequence[float]) -> float:
    """exp of their entropy: as many bins of equal share would be as mixed."""
    return math.exp(-sum(p * math.log(p) for p in shares if p > 0)) if shares else math.nan


def marks(line: Line, changes: Sequence[Row]) -> list[Mark]:
    """A number for each change, at the look after which it was made."""
    found = []
    for i, row in enumerate(changes, 1):
        if then := [y for x, y in zip(line.x, line.y, strict=True) if x >= row["seen"] / 1000]:
            found.append(Mark(row["seen"] / 1000, then[0], f"{i}"))
    return found
