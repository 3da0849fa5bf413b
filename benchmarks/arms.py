"""The arms that the guardian is held against: who may change a run, and when."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from equipoise.controller import HandsOff
from equipoise.diagnosis.remedies import GAMMA, LADDER, REMEDIES, Case, Rung, Setting
from equipoise.knobs import At, Change, Knobs
from equipoise.streams import Stream

Row = Mapping[str, Any]
Ladder = Mapping[str, Sequence[Rung]]


@dataclass
class Yoked(HandsOff):
    """Makes the changes of another run, at its times: what it is worth to know when a game is ill, and of what."""

    changes: Sequence[Row]  # of kind "change", in order
    done: int = 0

    def propose(self, at: At, knobs: Knobs) -> Change | None:
        if at.broken or self.done >= len(self.changes) or at.seen < self.changes[self.done]["seen"]:
            return None
        row, self.done = self.changes[self.done], self.done + 1
        turned = Knobs(**{**knobs.model_dump(), **row["knobs"]})
        how = {name: row[name] for name in ("over", "back_to", "stop") if name in row}
        return Change(knobs=turned, reason=f"yoked: {row['reason']}", **how)

    def snapshots(self) -> Sequence[int]:
        return [row["back_to"] for row in self.changes if "back_to" in row]


@dataclass
class AtRandom(HandsOff):
    """As many interventions as another run had, of any rungs that would change something, at any time; none is judged.
    (In rows of before 2026-11-27 a rung that changed nothing counted, too: about four fifths were made.)"""

    setting: Setting
    count: int
    seed: int
    images: int
    done: int = 0
    looks: list[int] = field(default_factory=list)  # steps

    def propose(self, at: At, knobs: Knobs) -> Change | None:
        self.looks.append(at.step)
        if at.broken or self.done >= self.count or at.seen < self.times[self.done]:
            return None
        self.done += 1
        for rung in self.draw(self.done):
            new = REMEDIES[rung.remedy].turn(Case(knobs, self.setting, ()))
            back = self.looks[-min(5, len(self.looks))] if rung.back else None
            if new is not None and back != at.step:  # nothing lies before the first look
                return Change(knobs=new, reason=f"at random: {rung.words}", back_to=back)
        return None

    @property
    def times(self) -> list[float]:
        """Anywhere in the run but its last tenth, in which nothing could be gained or lost."""
        u = torch.rand(self.count, generator=Stream(self.seed, "times").at(0)).sort().values
        return (0.9 * self.images * u).tolist()

    def draw(self, index: int) -> list[Rung]:
        """All of them, in an order of chance."""
        rungs = sorted({rung for ladder in LADDER.values() for rung in ladder})
        order = torch.randperm(len(rungs), generator=Stream(self.seed, "rungs").at(index)).tolist()
        return [rungs[i] for i in order]

    def snapshots(self) -> Sequence[int]:
        return self.looks[-5:]


def always_on(knobs: Knobs, apart2: float, images: bool) -> Knobs:
    """The relativistic loss with R1 and R2, and DiffAugment for images, from the first step."""
    gamma = GAMMA * apart2
    more = {"loss": "relativistic", "r1": knobs.r1 or gamma, "r2": knobs.r2 or gamma, "gp": 0.0, "clip_weights": 0.0}
    return Knobs(**{**knobs.model_dump(), **more, "augment_p": max(knobs.augment_p, 0.3 if images else 0.0)})


OF_SAMPLES = ("total collapse", "partial collapse", "imbalance", "shrinkage", "quality loss", "memorising")


def ladder(keep: Callable[[str, Rung], bool]) -> Ladder:
    """What is left of the guardian's own; a symptom without a rung is not treated."""
    left = {symptom: [rung for rung in rungs if keep(symptom, rung)] for symptom, rungs in LADDER.items()}
    return {symptom: rungs for symptom, rungs in left.items() if rungs}


ABLATIONS: Mapping[str, Ladder] = {
    "of samples": ladder(lambda symptom, rung: symptom in OF_SAMPLES),
    "of the game": ladder(lambda symptom, rung: symptom not in OF_SAMPLES),
    "no pairing": ladder(lambda symptom, rung: rung.remedy != "paired"),
    "no going back": ladder(lambda symptom, rung: not rung.back),
}
LADDERS: Mapping[str, Ladder] = {
    "on": LADDER,
    "rollback-only": {symptom: (Rung("as it is", back=True),) for symptom in LADDER},
    **ABLATIONS,
}
