"""From the history of a run to findings."""

from __future__ import annotations

from equipoise.diagnosis.calibration import Calibration
from equipoise.diagnosis.finding import Finding
from equipoise.diagnosis.history import History


def symptoms(history: History, calibration: Calibration | None, burn_in: int) -> list[Finding]:
    return []
