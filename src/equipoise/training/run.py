"""What a run is to the loop: its plan, where it stands, and all that it plays with."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Generic, TypeVar

from equipoise.controller import Controller
from equipoise.data.batches import Batches
from equipoise.diagnosis.apt import apt
from equipoise.diagnosis.finding import Finding
from equipoise.games.base import Game
from equipoise.judging import Judge
from equipoise.knobs import Knobs, Ramp, Schedule
from equipoise.pictures import Picture
from equipoise.processes import ALONE, Processes
from equipoise.requests import Inbox, Wishes
from equipoise.runs import checkpoint
from equipoise.runs.events import Record
from equipoise.runs.folder import RunFolder
from equipoise.sitting import StopRequest

G = TypeVar("G", bound=Game)


@dataclass(frozen=True)
class Plan:
    """When what happens, in real samples shown to D. A run is a function of its plan and its game, not of the clock."""

    images: int
    record_every: int
    draw_every: int
    save_every: int
    watch_every: int
    evaluate_every: int
    keep: int
    stop_when_converged: bool
    schedules: Mapping[str, Schedule]
    facts: Mapping[str, Any]  # of the run, for the manifest of each checkpoint


@dataclass
class Standing:
    """How far the loop is, and where the knobs stand: those in force are these, or on their way to these, times their
    schedules."""

    knobs: Knobs
    step: int = 0  # rounds of the game so far
    judged: list[tuple[int, float]] = field(default_factory=list)  # see judging.History; the leader's alone
    ramp: Ramp | None = None  # what is still on its way
    went_back: tuple[int, float] = (0, 0.0)  # when so much was seen, to this part of the schedules
    stopped: str = ""  # why the controller ended the run

    def unscheduled(self, seen: int) -> Knobs:
        return self.ramp.at(self.knobs, seen) if self.ramp else self.knobs

    def progress(self, seen: int, images: int) -> float:
        """The part of their schedules that the knobs have reached: the rest of the run plays the rest of them."""
        since, part = self.went_back
        return part if seen <= since else part + (1 - part) * (seen - since) / (images - since)

    def state_dict(self) -> dict[str, Any]:
        judged = [list(pair) for pair in self.judged]
        return {
            "step": self.step, "judged": judged, "knobs": self.knobs.model_dump(), "went_back": list(self.went_back),
            "ramp": self.ramp.model_dump() if self.ramp else None, "stopped": self.stopped,
        }  # fmt: skip

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.step, self.knobs = state["step"], Knobs(**state["knobs"])
        self.judged = [(seen, value) for seen, value in state["judged"]]
        self.ramp = Ramp(**state["ramp"]) if state["ramp"] else None
        seen, part = state["went_back"]
        self.went_back, self.stopped = (seen, part), state["stopped"]


@dataclass
class Run(Generic[G]):
    """One training: a game, its data, and the folder that remembers it."""

    game: G
    batches: Batches
    plan: Plan
    folder: RunFolder
    draw: Callable[[Any], Picture]  # the samples of the fixed latents
    reals: Picture | None  # held-out reals, shown alike; None: the samples stand alone
    judge: Judge
    controller: Controller
    events: Record
    clock: Record
    standing: Standing
    inbox: Inbox
    settings: Callable[[Knobs], Mapping[str, Any]]  # all that is set, by the names of --set, with these knobs
    fits: Callable[[Knobs], None] = lambda knobs: None  # raises ConfigError for knobs that this game cannot play by
    mend: Callable[[], None] = lambda: None  # lets a controller that watches mend, too; or raises ConfigError
    watch: Callable[[], None] = lambda: None  # raises ConfigError where nobody watches
    wishes: Wishes = field(default_factory=Wishes)
    processes: Processes = ALONE
    stop: StopRequest = field(default_factory=StopRequest)

    def apt(self, finding: Finding) -> Finding:
        """With advice that fits the game as it is played now."""
        return apt(finding, self.settings(self.game.knobs))

    def note(self, finding: Finding) -> None:
        """Writes down what is found now."""
        self.events.append("finding", step=self.standing.step, seen=self.game.seen, **asdict(self.apt(finding)))

    def registry(self) -> checkpoint.Registry:
        """Everything that the next step depends on."""
        return checkpoint.Registry(
            game=self.game, batches=self.batches, controller=self.controller, events=self.events, loop=self.standing
        )
