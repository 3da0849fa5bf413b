"""Keeps the numbers of a run, and says what is news in them; and those of a run with several kinds of samples."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import numpy as np

from equipoise.diagnosis.calibration import Calibration
from equipoise.diagnosis.finding import RANK, Finding
from equipoise.diagnosis.health import OF, recent_shortfall
from equipoise.diagnosis.history import History, Look, of_steps
from equipoise.diagnosis.symptoms import symptoms

ABSENCE = 5  # looks without a finding, after which it is news again


class Watching(Protocol):
    """What a treatment asks of whoever keeps the numbers."""

    @property
    def history(self) -> History: ...

    def findings(self) -> list[Finding]:
        """What is wrong now, the worst first."""
        ...

    def shortfall(self, first: int, end: int | None = None, of: int = OF) -> float:
        """Of the last `of` looks from `first` to before `end` as places of a list: see `health`. NaN where there are
        none."""
        ...

    @property
    def drawn(self) -> Sequence[float]:
        """The shares of the bins at the last look, in the order of `Setting.shares`."""
        ...

    def turn(self) -> None:
        """The game is changed after the last look."""
        ...


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

    @property
    def drawn(self) -> Sequence[float]:
        return self.history[-1].shares if self.history else ()

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

    def shortfall(self, first: int, end: int | None = None, of: int = OF) -> float:
        return recent_shortfall(self.history[first:end], self.calibration, of)

    def state_dict(self) -> dict[str, Any]:
        history, steps = [look.to_json() for look in self.history], [dict(row) for row in self.steps]
        return {"history": history, "steps": steps}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.history = [Look(**look) for look in state["history"]]
        self.steps = [dict(row) for row in state["steps"]]


@dataclass(frozen=True)
class Each:
    """Several watches over one game, each of samples of its own, that take their looks at the same times: what is wrong
    with any of them is wrong with the game, and it is as far from healthy as the worst of them."""

    watches: Sequence[Watch]

    @property
    def history(self) -> History:
        """Where the looks are and when the game was turned."""
        return self.watches[0].history

    def findings(self) -> list[Finding]:
        """Of each symptom the worst, which stands first."""
        found = [finding for watch in self.watches for finding in watch.findings()]
        worst: dict[str, Finding] = {}
        for finding in sorted(found, key=lambda finding: RANK.index(finding.severity)):
            worst.setdefault(finding.symptom, finding)
        return list(worst.values())

    def shortfall(self, first: int, end: int | None = None, of: int = OF) -> float:
        return float(np.fmax.reduce([watch.shortfall(first, end, of) for watch in self.watches]))

    @property
    def drawn(self) -> Sequence[float]:
        """The bins of all, one behind another."""
        return [share for watch in self.watches for share in watch.drawn]

    def turn(self) -> None:
        for watch in self.watches:
            watch.turn()
