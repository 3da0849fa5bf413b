"""Keeps the numbers of a run, and says what is news in them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from equipoise.diagnosis.calibration import Calibration
from equipoise.diagnosis.finding import Finding
from equipoise.diagnosis.history import Look, of_steps
from equipoise.diagnosis.symptoms import symptoms

ABSENCE = 5  # looks without a finding, after which it is news again


@dataclass
class Watch:
    """All findings are a function of (history, calibration, burn-in): the same numbers give the same words."""

    calibration: Calibration | None  # None: samples are not watched, only the players
    burn_in: int  # before so much was seen, only what is beyond doubt is told
    history: list[Look] = field(default_factory=list)
    steps: list[Mapping[str, float]] = field(default_factory=list)  # recorded since the last look
    told: dict[str, int] = field(default_factory=dict)  # findings, and the number of the look that they were last in

    def heed(self, numbers: Mapping[str, float]) -> None:
        """The signals of a recorded step."""
        self.steps.append(dict(numbers))

    def add(self, seen: int, signals: Mapping[str, float], shares: Sequence[float] = ()) -> list[Finding]:
        """Takes a look into the history. The findings that it brings."""
        numbers = {**of_steps(self.steps), **signals}
        self.history.append(Look(seen, {k: v for k, v in numbers.items() if math.isfinite(v)}, list(shares)))
        self.steps.clear()
        return self.news(self.findings())

    def news(self, findings: Sequence[Finding]) -> list[Finding]:
        """Those that were absent for a while: what comes and goes is told once."""
        now, new = len(self.history), []
        for finding in findings:
            name = f"{finding.severity} {finding.symptom}"
            if now - self.told.get(name, -ABSENCE) > ABSENCE:
                new.append(finding)
            self.told[name] = now
        return new

    def findings(self) -> list[Finding]:
        """What is wrong now, the worst first."""
        return symptoms(self.history, self.calibration, self.burn_in)

    def state_dict(self) -> dict[str, Any]:
        history, steps = [look.to_json() for look in self.history], [dict(row) for row in self.steps]
        return {"history": history, "steps": steps, "told": dict(self.told)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.history = [Look(**look) for look in state["history"]]
        self.steps = [dict(row) for row in state["steps"]]
        self.told = dict(state["told"])
