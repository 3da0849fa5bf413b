"""The guardian's judgment: one change at a time, held until it can be judged, undone when it did not help.

A function of the history and of its own state: the same numbers give the same changes.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from equipoise.diagnosis.finding import Finding
from equipoise.diagnosis.health import is_less
from equipoise.diagnosis.remedies import LADDER, PASSING, REMEDIES, Case, Rung, Setting, eased
from equipoise.diagnosis.snapshots import CONFIRMED, Snapshot, kept
from equipoise.diagnosis.watch import Watching
from equipoise.knobs import At, Change, Knobs

LOOKS = 3  # at least, until a remedy is judged
HOLD, LONG_HOLD = 0.05, 0.16  # of a run: the same in images, and for another loss, in which D must find its feet first
FAILURES = 2  # after so many, a remedy is banned
HEALING = 5  # looks, over which samples that become better by themselves are seen to
CALM = 5  # looks without a finding, after which what is for a time only goes half of the way back
LASTING = 2  # times that a remedy must be begun to stay
RESCUES = 0.25  # of a run: so many images may be given up by going back
SCALES = (  # knobs on which the size of gradients depends
    "loss", "r1", "r2", "gp", "frozen_norm", "accumulate", "imitation", "temperature",
)  # fmt: skip
REGION, VISITS = 0.05, 3  # snapshots so near to each other, of a run, are one region: it is gone back to so often


@dataclass(frozen=True)
class Trial:
    """A remedy that waits for its judgment."""

    rung: str
    symptom: str
    step: int | None  # whose state it began with, or had when it was last seen to help; None where that is lost
    seen: int
    look: int
    shortfall: float  # then
    before: dict[str, Any]  # the knobs until then; none once it has helped
    changed: list[str]  # which of them were turned


@dataclass(frozen=True)
class Easing:
    """Something that was for a time only, and went part of the way back: does the game bear it?"""

    remedy: str
    look: int
    shortfall: float  # then
    before: dict[str, Any]  # the knobs that were turned, as they were


@dataclass
class Treatment:
    """State: what was tried, what failed, and what can be gone back to."""

    setting: Setting
    watch: Watching
    images: int | None = None  # of the run, where that is known
    ladder: Mapping[str, Sequence[Rung]] = field(default_factory=lambda: LADDER)
    goes_back: bool = True
    trial: Trial | None = None
    tried: dict[str, int] = field(default_factory=dict)  # rungs
    failed: dict[str, int] = field(default_factory=dict)
    snapshots: list[Snapshot] = field(default_factory=list)
    best: Snapshot | None = None  # of those that were ever confirmed: it stays, however long the run is ill
    imitated: Snapshot | None = None  # of sentences: the last one before G played against D
    visited: list[int] = field(default_factory=list)  # `seen` of the states that were gone back to
    given_up: int = 0  # images lost by going back
    back_at: int = -1  # the look after which it went back last: the looks before tell nothing of the game as it is
    backs: list[tuple[int, int]] = field(default_factory=list)  # each time: what was seen, and given up in all
    ill_at: int = -1  # the last look with a finding
    eased_at: int = -1
    easing: Easing | None = None
    stays: list[str] = field(default_factory=list)  # remedies that the game fell ill without
    asked: dict[str, Any] = field(default_factory=dict)  # knobs that a person has turned: they are where it begins now

    @property
    def look(self) -> int:
        return len(self.watch.history) - 1

    def propose(self, at: At, knobs: Knobs) -> Change | None:
        """The change to make after a look, or when numbers are no longer finite, if any."""
        if at.broken:
            return self.noted(at.seen, knobs, self.rescue(at.step, at.seen, knobs))
        findings = self.treatable()
        self.remember(at.step, at.seen, findings)
        return self.noted(at.seen, knobs, self.chosen(at, knobs, findings))

    def treatable(self) -> list[Finding]:
        return [f for f in self.watch.findings() if f.severity != "note" and f.symptom in self.ladder]

    def overruled(self, asked: Mapping[str, Any]) -> None:
        """A person has turned knobs: so they are meant to be, and nothing is judged by what it was before."""
        self.trial = self.easing = None
        self.begin_at({**self.asked, **asked})

    def begin_at(self, asked: Mapping[str, Any]) -> None:
        self.asked = dict(asked)
        self.setting = replace(self.setting, start=Knobs(**{**self.setting.start.model_dump(), **self.asked}))

    def chosen(self, at: At, knobs: Knobs, findings: Sequence[Finding]) -> Change | None:
        if at.over:
            return self.settled(knobs, findings)
        if self.trial:
            return self.judged(at.step, at.seen, knobs)
        if self.misses_what_was_eased(findings):
            return self.put_back(at.step, at.seen, knobs, findings)
        if not findings:
            return self.eased(knobs)
        too_soon = self.back_at >= 0 and self.look - self.back_at < LOOKS
        return None if too_soon or self.is_healing else self.treated(at.step, at.seen, knobs, findings)

    def noted(self, seen: int, knobs: Knobs, change: Change | None) -> Change | None:
        """A change after which what was seen before does not compare."""
        if change and change.back_to is not None:
            self.back_at, self.easing = self.look, None
            self.backs.append((seen, self.given_up))
        if change and (
            change.back_to is not None or any(getattr(knobs, k) != getattr(change.knobs, k) for k in SCALES)
        ):
            self.watch.turn()
        return change

    def remember(self, step: int, seen: int, findings: Sequence[Finding]) -> None:
        """A look without a finding may be gone back to; one with a finding puts what came shortly before in doubt."""
        now = self.watch.shortfall(self.look)
        new, before = Snapshot(step, seen, self.look, now, not findings), self.snapshots
        if findings:
            self.ill_at = self.look
            doubtful = self.look - CONFIRMED
            before = [replace(s, healthy=False) if s.look >= doubtful else s for s in before]
        before = [self.weighed(s) if s.look == self.look - CONFIRMED else s for s in before]
        self.snapshots = kept([new, *before])
        if seen <= (self.setting.imitates or 0):
            self.imitated = new
        known = [*([self.best] if self.best else []), *self.confirmed]
        self.best = min(known, key=lambda s: math.inf if math.isnan(s.shortfall) else s.shortfall, default=None)

    def weighed(self, snapshot: Snapshot) -> Snapshot:
        """By the looks about it, once they are there: the best of many single looks would be the luckiest."""
        first = max(self.back_at + 1, snapshot.look - CONFIRMED)
        return replace(snapshot, shortfall=self.watch.shortfall(first, of=2 * CONFIRMED + 1))

    @property
    def confirmed(self) -> list[Snapshot]:
        """The snapshots that were healthy in the looks after them, too, the newest first."""
        return [s for s in self.snapshots if s.healthy and self.look - s.look >= CONFIRMED]

    @property
    def shortfall(self) -> float:
        """Of the last looks at the game as it is."""
        return self.watch.shortfall(self.back_at + 1)

    @property
    def is_healing(self) -> bool:
        """Whether the samples become better by themselves: then nothing is touched."""
        before = self.watch.shortfall(self.back_at + 1, -HEALING)
        return is_less(self.shortfall, before)

    # -- a remedy that was begun

    def judged(self, step: int, seen: int, knobs: Knobs) -> Change | None:
        """A remedy that helps is left alone as long as it does; one that harms is undone, weights and all."""
        trial = self.trial
        assert trial is not None
        if not self.is_ripe(trial):
            return None
        now, symptoms = self.shortfall, {f.symptom for f in self.treatable()}
        helped = is_less(now, trial.shortfall)
        if not helped and trial.before and self.is_healing:
            return None  # it may have done harm at first: it has time as long as the samples become better
        self.trial = None
        if helped:
            self.trial = Trial(trial.rung, trial.symptom, step, seen, self.look, now, {}, [])
            return None
        harmed = is_less(trial.shortfall, now)
        if not trial.before or (trial.symptom not in symptoms and not harmed):
            return None
        self.failed[trial.rung] = self.failed.get(trial.rung, 0) + 1
        reason = f"{trial.symptom}: undone, because it did not help: {words_of(trial.rung)}"
        known = trial.step is not None and self.visits(trial.seen) < VISITS
        back = harmed and known and self.affords(seen, trial.seen)
        if back:
            self.visit(trial.seen, seen)
        return Change(knobs=Knobs(**trial.before), reason=reason, back_to=trial.step if back else None)

    def is_ripe(self, trial: Trial) -> bool:
        looks, seen = self.look - trial.look, [look.seen for look in self.watch.history]
        long = "loss" in trial.changed and trial.before
        if self.images is None:
            return looks >= LOOKS * (4 if long else 1)
        part = (seen[-1] - seen[trial.look]) / self.images
        return looks >= LOOKS and part >= (LONG_HOLD if long else HOLD)

    # -- a finding

    def treated(self, step: int, seen: int, knobs: Knobs, findings: Sequence[Finding]) -> Change | None:
        for finding in findings:
            for rung in self.order(finding.symptom):
                if change := self.begun(rung, finding.symptom, step, seen, knobs):
                    return change
        return self.given_up_on(knobs, findings[0])

    def order(self, symptom: str) -> list[Rung]:
        """As on the ladder, but what failed once comes last, and what failed twice no more."""
        left = [rung for rung in self.ladder.get(symptom, ()) if self.failed.get(rung.name, 0) < FAILURES]
        return sorted(left, key=lambda rung: self.failed.get(rung.name, 0))

    def begun(self, rung: Rung, symptom: str, step: int, seen: int, knobs: Knobs) -> Change | None:
        new = REMEDIES[rung.remedy].turn(Case(knobs, self.setting, self.watch.drawn, seen))
        snapshot = self.way_back(rung, symptom, seen) if rung.back else None
        if new is None or (rung.back and snapshot is None):
            return None
        before = knobs.model_dump()
        changed = [name for name, value in new.model_dump().items() if value != before[name]]
        if snapshot:
            step = snapshot.step  # the state that it begins with
            self.visit(snapshot.seen, seen)
        shortfall = snapshot.shortfall if snapshot else self.shortfall
        self.tried[rung.name] = self.tried.get(rung.name, 0) + 1
        self.trial = Trial(rung.name, symptom, step, seen, self.look, shortfall, before, changed)
        over = 0 if rung.back else self.between_looks
        return Change(
            knobs=new, reason=f"{symptom}: {rung.words}", over=over, back_to=snapshot.step if snapshot else None
        )

    @property
    def between_looks(self) -> int:
        """Images from look to look."""
        seen = [look.seen for look in self.watch.history[-2:]]
        return seen[1] - seen[0] if len(seen) == 2 else 0

    def way_back(self, rung: Rung, symptom: str, seen: int) -> Snapshot | None:
        """The end of imitation is gone back to once, whatever that gives up: nothing else is left then."""
        if not rung.to_imitation:
            return self.within_reach(seen, finite=symptom == "divergence")
        end = self.imitated
        return end if end and end.seen < seen and end.seen not in self.visited else None

    def within_reach(self, seen: int, finite: bool) -> Snapshot | None:
        """The newest healthy snapshot, or after failures an older one, that the run can afford to go back to. Where it
        never was healthy, and `finite` numbers will do, the oldest of the last ones."""
        known = self.confirmed or (self.snapshots[-1:] if finite else [])
        healthy = [s for s in known if s.seen < seen and self.visits(s.seen) < VISITS]
        depth = sum(count for rung, count in self.failed.items() if rung.startswith("back"))
        chosen = healthy[min(depth, len(healthy) - 1)] if healthy else None
        return chosen if chosen and self.affords(seen, chosen.seen) else None

    def affords(self, seen: int, then: int) -> bool:
        """Whether the run may give up what it played since `then`."""
        if not self.goes_back:
            return False
        return self.images is None or self.given_up + self.lost(seen, then) <= RESCUES * self.images

    def lost(self, seen: int, then: int) -> int:
        """The images behind the game as it is now that are not behind its state when `then` were seen."""
        return self.behind(seen) - self.behind(then)

    def behind(self, seen: int) -> int:
        """The images that were behind the game when so much was seen: all but what had been given up."""
        return seen - next((lost for back, lost in reversed(self.backs) if back <= seen), 0)

    def visit(self, then: int, seen: int) -> None:
        self.visited.append(then)
        self.given_up += self.lost(seen, then)

    def visits(self, then: int) -> int:
        near = REGION * (self.images or 0)
        return sum(abs(seen - then) <= near for seen in self.visited)

    # -- the last resorts

    def rescue(self, step: int, seen: int, knobs: Knobs) -> Change | None:
        """From numbers that are not finite one can only go back; None where that was done often enough."""
        if self.trial and self.trial.before:  # one that has helped did not fail
            self.failed[self.trial.rung] = self.failed.get(self.trial.rung, 0) + 1
            knobs = Knobs(**self.trial.before)
        self.trial = None
        for rung in self.order("divergence"):
            if change := self.begun(rung, "divergence", step, seen, knobs):
                return change
        return None

    def given_up_on(self, knobs: Knobs, finding: Finding) -> Change | None:
        """Where nothing is left to be tried and the samples were better before: back to then, and stop. That is asked
        at each look, so that it takes more of them than at the end."""
        better = self.better(of=HEALING)
        if better is None or self.look - self.back_at < HEALING:
            return None
        reason = f"{finding.symptom}: nothing is left to be tried, and its samples were better before"
        return Change(knobs=knobs, reason=reason, back_to=better.step, stop=True)

    def settled(self, knobs: Knobs, findings: Sequence[Finding]) -> Change | None:
        """At the end, a run that is ill ends as it was when it was healthy last."""
        better = self.better() if findings else None
        if better is None:
            return None
        reason = f"{findings[0].symptom} at the end: its samples were better before"
        return Change(knobs=knobs, reason=reason, back_to=better.step)

    def better(self, of: int = LOOKS) -> Snapshot | None:
        """The best healthy snapshot, if its samples were better, by what matters, than in so many last looks."""
        now = self.watch.shortfall(self.back_at + 1, of=of)
        return self.best if self.goes_back and self.best and is_less(self.best.shortfall, now) else None

    # -- a healthy game

    def eased(self, knobs: Knobs) -> Change | None:
        """What is for a time only goes half of the way back now and then, one thing at a time. What had to be done
        twice stays, and what the game fell ill without."""
        if self.look - max(self.ill_at, self.eased_at) < CALM:
            return None
        self.easing = None  # the last one was borne
        for names, remedies in PASSING:
            if remedies[0] in self.stays or max(map(self.begun_so_often, remedies)) >= LASTING:
                continue
            if new := eased(self.setting, knobs, names):
                before = {name: getattr(knobs, name) for name in names}
                self.easing = Easing(remedies[0], self.look, self.shortfall, before)
                self.eased_at = self.look
                reason = f"healthy: half of the way back: {REMEDIES[remedies[0]].words}"
                return Change(knobs=new, reason=reason, over=self.between_looks)
        return None

    def misses_what_was_eased(self, findings: Sequence[Finding]) -> bool:
        return self.easing is not None and (bool(findings) or is_less(self.easing.shortfall, self.shortfall))

    def put_back(self, step: int, seen: int, knobs: Knobs, findings: Sequence[Finding]) -> Change:
        """It has some looks to take effect; nothing hangs on its judgment."""
        easing, symptom = self.easing, findings[0].symptom if findings else "quality loss"
        assert easing is not None
        self.stays.append(easing.remedy)
        self.easing, self.ill_at = None, self.look
        self.trial = Trial(easing.remedy, symptom, step, seen, self.look, self.shortfall, {}, [])
        reason = f"{symptom}: put back, because it was missed: {REMEDIES[easing.remedy].words}"
        return Change(knobs=Knobs(**{**knobs.model_dump(), **easing.before}), reason=reason)

    def begun_so_often(self, remedy: str) -> int:
        """With or without going back, and not undone."""
        return sum(self.tried.get(name, 0) - self.failed.get(name, 0) for name in (remedy, f"back, {remedy}"))

    @property
    def steps(self) -> list[int]:
        """Whose state may be gone back to."""
        others = [each.step for each in (self.best, self.imitated, self.trial) if each and each.step is not None]
        return list(dict.fromkeys([*(snapshot.step for snapshot in self.snapshots), *others]))

    def forget(self, steps: Collection[int]) -> None:
        """Their states are lost."""
        self.snapshots = [snapshot for snapshot in self.snapshots if snapshot.step not in steps]
        self.best = None if self.best and self.best.step in steps else self.best
        self.imitated = None if self.imitated and self.imitated.step in steps else self.imitated
        if self.trial and self.trial.step in steps:
            self.trial = replace(self.trial, step=None)

    def state_dict(self) -> dict[str, Any]:
        return {
            "trial": asdict(self.trial) if self.trial else None, "tried": dict(self.tried), "failed": dict(self.failed),
            "snapshots": [asdict(s) for s in self.snapshots],
            "best": asdict(self.best) if self.best else None, "visited": list(self.visited),
            "given_up": self.given_up, "back_at": self.back_at, "backs": [list(pair) for pair in self.backs],
            "ill_at": self.ill_at, "eased_at": self.eased_at,
            "easing": asdict(self.easing) if self.easing else None, "stays": list(self.stays),
            "asked": dict(self.asked),
        } | ({"imitated": asdict(self.imitated)} if self.imitated else {})  # fmt: skip

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.trial = Trial(**state["trial"]) if state["trial"] else None
        self.tried, self.failed, self.visited = dict(state["tried"]), dict(state["failed"]), list(state["visited"])
        self.snapshots = [Snapshot(**raw) for raw in state["snapshots"]]
        self.best = Snapshot(**state["best"]) if state["best"] else None
        self.imitated = Snapshot(**state["imitated"]) if state.get("imitated") else None
        self.given_up, self.back_at = state["given_up"], state["back_at"]
        self.backs = [(seen, lost) for seen, lost in state["backs"]]
        self.ill_at, self.eased_at = state["ill_at"], state["eased_at"]
        self.easing = Easing(**state["easing"]) if state.get("easing") else None
        self.stays = list(state.get("stays", ()))
        self.begin_at(state.get("asked", {}))


def words_of(rung: str) -> str:
    return REMEDIES[rung.removeprefix("back, ")].words
