"""The judge of a run in progress: it looks at samples on a schedule of its own, and changes nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from equipoise.diagnosis.convergence import plateau
from equipoise.diagnosis.finding import Finding
from equipoise.encoders.encoder import Encoder
from equipoise.errors import ConfigError
from equipoise.evaluation import LOWER_IS_BETTER, Figures, Reference, evaluate, seen_by
from equipoise.games.base import Game
from equipoise.metrics import Estimate

CHUNK = 256  # samples drawn at a time


@dataclass(frozen=True)
class Verdict:
    figures: Mapping[str, Figures] = field(default_factory=dict)  # of the average of G, and of G itself
    best: float | None = None  # the figure that the best checkpoint is chosen by, where it is the best so far
    finding: Finding | None = None
    protocol: Mapping[str, Any] = field(default_factory=dict)  # of the figures; told the first time


class Judge(Protocol):
    """What the loop knows of whoever judges its samples."""

    def judge(self, game: Game) -> Verdict: ...

    def final(self, G: nn.Module) -> Figures:
        """Of the best generator, against the part of the data that nothing was chosen by."""
        ...

    def state_dict(self) -> dict[str, Any]: ...

    def load_state_dict(self, state: dict[str, Any]) -> None: ...


class Nobody:
    """The judge of a run that is not judged."""

    def judge(self, game: Game) -> Verdict:
        return Verdict()

    def final(self, G: nn.Module) -> Figures:
        return {}

    def state_dict(self) -> dict[str, Any]:
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None: ...


@dataclass
class OfSamples:
    """Judges by the same latents and the same reals each time, so that the figures of two times compare."""

    validation: Reference
    test: Callable[[], Reference | None]  # made when it is asked for; None where there is too little
    encoder: Encoder
    families: Sequence[str]
    best_by: str  # name of a figure
    patience: int  # images
    z: Tensor
    y: Tensor
    seen: list[int] = field(default_factory=list)  # of all evaluations so far
    values: list[float] = field(default_factory=list)  # of the average of G

    def judge(self, game: Game) -> Verdict:
        figures = {"average": self.figures(game.sampler, self.validation)}
        G = game.networks()["G"]
        with at_rest(G):
            figures["generator"] = self.figures(G, self.validation)
        protocol = {} if self.seen else {name: e.protocol for name, e in figures["average"].items()}
        lower = LOWER_IS_BETTER[self.best_by]
        chosen = self.chosen(figures["average"])
        best = not self.values or (chosen.value < min(self.values) if lower else chosen.value > max(self.values))
        had = self.found()
        self.seen.append(game.seen)
        self.values.append(chosen.value)
        found = self.found()
        news = found if found and (had is None or had.symptom != found.symptom) else None
        return Verdict(figures, chosen.value if best else None, news, protocol)

    def chosen(self, figures: Figures) -> Estimate:
        """Raises ConfigError when the figure that the best checkpoint is chosen by cannot be had."""
        if self.best_by not in figures:
            raise ConfigError(
                f"evaluate.best_by={self.best_by} is not among the figures of this run: {', '.join(figures) or 'none'}.\n"
                "Choose one of them, or other evaluate.metrics."
            )
        return figures[self.best_by]

    def found(self) -> Finding | None:
        return plateau(self.seen, self.values, self.patience, lower_is_better=LOWER_IS_BETTER[self.best_by])

    def final(self, G: nn.Module) -> Figures:
        against = self.test()
        return {} if against is None else self.figures(G, against)

    @torch.no_grad()
    def figures(self, G: Callable[[Tensor, Tensor], Tensor], against: Reference) -> Figures:
        fake = torch.cat([G(z, y) for z, y in zip(torch.split(self.z, CHUNK), torch.split(self.y, CHUNK), strict=True)])
        found, _ = evaluate(seen_by(self.encoder, fake.float().cpu()), against, self.families)
        return found

    def state_dict(self) -> dict[str, Any]:
        return {"seen": list(self.seen), "values": list(self.values)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.seen, self.values = list(state["seen"]), list(state["values"])


@contextmanager
def at_rest(net: nn.Module) -> Iterator[None]:
    """In its mode for use, in which norms keep their statistics as they are."""
    was = net.training
    net.eval()
    try:
        yield
    finally:
        net.train(was)
