"""Keeps the numbers of a run, and says what is news in them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
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

    def heed(self, numbers: Mapping[str, float]) -> None:
        """The signals of a recorded step."""
        self.steps.append(dict(numbers))

    def add(self, seen: int, signals: Mapping[str, float], shares: Sequence[float] = ()) -> list[Finding]:
        """Takes a look into the history. The findings that it brings."""
        numbers = {**of_steps(self.steps), **signals}
        self.history.append(Look(seen, {k: v for k, v in numbers.items() if math.isfinite(v)}, list(shares)))
        self.steps.clear()
        return self.news()

    def turn(self) -> None:
        """The game is changed after the last look."""
        self.steps.clear()
        if self.history:
            self.history[-1] = replace(self.history[-1], turned=True)

    def news(self) -> list[Finding]:
        """What the last look brought, the worst first; what was there a few looks ago comes and goes, and is none."""
        known = {
            (finding.symptom, finding.severity)
            for back in range(1, min(ABSENCE, len(self.history) - 1) + 1)
            for finding in self.findings(back)
        }
        return [finding for finding in self.findings() if (finding.symptom, finding.severity) not in known]

    def findings(self, back: int = 0) -> list[Finding]:
        """What is wrong now, or was so many looks ago, the worst first."""
        history = self.history[: len(self.history) - back]
        return symptoms(history, self.calibration, self.burn_in)

    def state_dict(self) -> dict[str, Any]:
        history, steps = [look.to_json() for look in self.history], [dict(row) for row in self.steps]
        return {"history": history, "steps": steps}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.history = [Look(**look) for look in state["history"]]
        self.steps = [dict(row) for row in state["steps"]]
