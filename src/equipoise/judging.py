"""The judge of a run in progress: it looks at samples on a schedule of its own, and changes nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor, nn

from equipoise.data.source import to_uint8
from equipoise.diagnosis.convergence import plateau
from equipoise.diagnosis.finding import Finding
from equipoise.encoders.encoder import Encoder
from equipoise.errors import ConfigError
from equipoise.evaluation import Figures, Reference, evaluate, seen_by
from equipoise.figures import meaning
from equipoise.games.base import Game
from equipoise.metrics import Estimate
from equipoise.probes.players import at_rest as at_rest

CHUNK = 256  # samples drawn at a time


History = Sequence[tuple[int, float]]  # (images seen, the figure that the best is chosen by), of all evaluations so far


@dataclass(frozen=True)
class Verdict:
    figures: Mapping[str, Figures] = field(default_factory=dict)  # of the average of G, and of G itself
    value: float | None = None  # of the average: the figure that the best checkpoint is chosen by
    best: bool = False  # so far
    finding: Finding | None = None  # where it is news
    protocol: Mapping[str, Any] = field(default_factory=dict)  # of the figures; told the first time


class Judge(Protocol):
    """What the loop knows of whoever judges its samples. Without state: the loop keeps the history."""

    def judge(self, game: Game, history: History) -> Verdict: ...

    def converged(self, history: History) -> bool:
        """Whether nothing was gained, beyond noise, for as long as the run's patience."""
        ...

    def final(self, best: Mapping[str, nn.Module]) -> Mapping[str, Figures]:
        """Of the best averages of a game, by what the record calls them, against the part of the data that nothing was
        chosen by."""
        ...


class Nobody:
    """The judge of a run that is not judged."""

    def judge(self, game: Game, history: History) -> Verdict:
        return Verdict()

    def converged(self, history: History) -> bool:
        return False

    def final(self, best: Mapping[str, nn.Module]) -> Mapping[str, Figures]:
        return {}


class Held(NamedTuple):
    """What fakes are held against, and what they begin with."""

    against: Reference
    z: Tensor
    y: Tensor


@dataclass(frozen=True)
class OfSamples:
    """Judges by the same latents and the same reals each time, so that the figures of two times compare."""

    validation: Held
    test: Callable[[], Held | None]  # made when it is asked for; None where there is too little
    encoder: Encoder
    families: Sequence[str]
    best_by: str  # name of a figure
    patience: int  # images
    at_once: int = CHUNK  # samples drawn at a time

    @property
    def lower_is_better(self) -> bool:
        return meaning(self.best_by).better == "lower"

    def judge(self, game: Game, history: History) -> Verdict:
        figures = self.seen(game)
        value = self.chosen(figures["average"]).value
        protocol = {} if history else {name: e.protocol for name, e in figures["average"].items()}
        return self.verdict(figures, value, game.seen, history, protocol)

    def seen(self, game: Game) -> dict[str, Figures]:
        """The figures of the average of G, and of G itself."""
        G = game.networks()["G"]
        of_average = self.figures(game.sampler, self.validation)
        with at_rest(G):
            return {"average": of_average, "generator": self.figures(G, self.validation)}

    def verdict(
        self, figures: Mapping[str, Figures], value: float, seen: int, history: History, protocol: Mapping[str, Any]
    ) -> Verdict:
        before = [value for _, value in history]
        best = not before or (value < min(before) if self.lower_is_better else value > max(before))
        found, had = self.found([*history, (seen, value)]), self.found(history)
        news = None if found and had and found.symptom == had.symptom else found
        return Verdict(figures, value, best, news, protocol)

    def chosen(self, figures: Figures) -> Estimate:
        """Raises ConfigError when the figure that the best checkpoint is chosen by cannot be had."""
        directed = [name for name in figures if meaning(name).better]
        if self.best_by not in directed:
            raise ConfigError(
                f"evaluate.best_by={self.best_by} is no figure of this run that has a better side.\n"
                f"It has {', '.join(directed) or 'none'}: choose one of them, or other evaluate.metrics."
            )
        return figures[self.best_by]

    def converged(self, history: History) -> bool:
        return self.found(history) is not None

    def found(self, history: History) -> Finding | None:
        seen, values = [seen for seen, _ in history], [value for _, value in history]
        return plateau(seen, values, self.patience, lower_is_better=self.lower_is_better)

    def final(self, best: Mapping[str, nn.Module]) -> Mapping[str, Figures]:
        return {"best": figures} if (figures := self.at_last(best["G_ema"])) else {}

    def at_last(self, G: nn.Module) -> Figures:
        """None where the test data is too little."""
        against = self.test()
        return {} if against is None else self.figures(G, against)

    @torch.no_grad()
    def figures(self, G: Callable[[Tensor, Tensor], Tensor], held: Held) -> Figures:
        fake = drawn(G, held.z, held.y, self.at_once)
        found, _ = evaluate(seen_by(self.encoder, fake), held.against, self.families)
        return found


def drawn(G: Callable[[Tensor, Tensor], Tensor], z: Tensor, y: Tensor, at_once: int = CHUNK) -> Tensor:
    """What G makes of z, so many at a time: points, or pictures as a file would hold them, uint8 [N, C, H, W]."""
    pairs = zip(torch.split(z, at_once), torch.split(y, at_once), strict=True)
    parts = (G(z, y).float().cpu() for z, y in pairs)
    return torch.cat([to_uint8(x) if x.ndim == 4 else x for x in parts])
