"""A game that goes both ways between two domains, judged and watched each way: what is wrong with one is wrong."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from torch import nn

from equipoise.controller import Sight
from equipoise.diagnosis.finding import RANK, Finding, Severity
from equipoise.diagnosis.remedies import Setting, ladder_of
from equipoise.diagnosis.treatment import Treatment
from equipoise.diagnosis.watch import Each
from equipoise.evaluation import Figures
from equipoise.games.cyclegan import BACK, of_way_back
from equipoise.guardian import OfGame
from equipoise.judging import History, OfSamples, Verdict
from equipoise.knobs import At, Change, Knobs

NAME = "on the way back"


@dataclass(frozen=True)
class JudgedEachWay:
    """The best checkpoint is that whose figures of both ways have the best sum."""

    there: OfSamples
    back: OfSamples

    def judge(self, game: Any, history: History) -> Verdict:
        there, back = self.there.seen(game.there), self.back.seen(game.back)
        value = self.there.chosen(there["average"]).value + self.back.chosen(back["average"]).value
        protocol = {} if history else {name: e.protocol for name, e in there["average"].items()}
        named = {f"{net}, back": figures for net, figures in back.items()}
        return self.there.verdict(there | named, value, game.seen, history, protocol)

    def converged(self, history: History) -> bool:
        return self.there.converged(history)

    def final(self, best: Mapping[str, nn.Module]) -> Mapping[str, Figures]:
        """The way there comes last: it is what a run is known by."""
        found = {
            "best, back": self.back.at_last(best[f"{BACK}G_ema"]),
            "best": self.there.at_last(best["G_ema"]),
        }
        return {net: figures for net, figures in found.items() if figures}


class WatchedEachWay:
    """The controller of such a run: a finding of either way is one of the game, and one change at a time is made."""

    def __init__(self, there: OfGame, back: OfGame, images: int, setting: Setting | None = None):
        """`images` is the length of the run; `setting`: the game may be changed."""
        self.there, self.back = there, back
        self.treatment: Treatment | None = None
        if setting is not None:
            self.mend(setting, images)

    def observe(self, seen: int, signals: Mapping[str, float]) -> None:
        own = {name: value for name, value in signals.items() if not name.startswith(BACK)}
        of_both = {name: value for name, value in own.items() if name.startswith("g_")}  # both G descend at once
        others = {name.removeprefix(BACK): value for name, value in signals.items() if name.startswith(BACK)}
        self.there.observe(seen, own)
        self.back.observe(seen, of_both | others)

    def look(self, game: Any) -> Sight:
        there, back = self.there.look(game.there), self.back.look(game.back)
        return Sight(
            {**there.signals, **of_way_back(dict(back.signals))},
            there.shares,
            [*there.news, *map(of_back, back.news)],
            worst_of(there.ill, back.ill),
            there.picture or back.picture,
            there.view,
            there.bins,
        )

    def propose(self, at: At, knobs: Knobs) -> Change | None:
        return None if self.treatment is None else self.treatment.propose(at, knobs)

    def mend(self, setting: Setting, images: int) -> None:
        """From now on."""
        self.treatment = Treatment(setting, Each([self.there.watch, self.back.watch]), images, ladder_of(setting))

    def overruled(self, asked: Mapping[str, Any]) -> None:
        self.there.overruled(asked)
        self.back.overruled(asked)
        if self.treatment is not None:
            self.treatment.overruled(asked)

    def snapshots(self) -> Sequence[int]:
        return () if self.treatment is None else self.treatment.steps

    def forget(self, steps: Collection[int]) -> None:
        if self.treatment is not None:
            self.treatment.forget(steps)

    def facts(self) -> Mapping[str, Any]:
        return self.there.facts()

    def beforehand(self) -> Sequence[Finding]:
        return [*self.there.beforehand(), *map(of_back, self.back.beforehand())]

    def told(self) -> str:
        ways = {"": self.there.told(), f"{NAME}, ": self.back.told()}
        return "\n".join(f"{way}{text}" for way, text in ways.items() if text)

    def state_dict(self) -> dict[str, Any]:
        treatment = {} if self.treatment is None else {"treatment": self.treatment.state_dict()}
        return self.there.state_dict() | of_way_back(self.back.state_dict()) | treatment

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.there.load_state_dict(state)
        self.back.load_state_dict({k.removeprefix(BACK): v for k, v in state.items() if k.startswith(BACK)})
        if self.treatment is not None:
            self.treatment.load_state_dict(state["treatment"])


def worst_of(there: Mapping[str, Severity], back: Mapping[str, Severity]) -> dict[str, Severity]:
    """Of each symptom."""
    found = dict(there)
    for symptom, severity in back.items():
        found[symptom] = min(found.get(symptom, severity), severity, key=RANK.index)
    return found


def of_back(finding: Finding) -> Finding:
    return replace(finding, meaning=f"{NAME}: {finding.meaning}")
