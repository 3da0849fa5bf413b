"""The loop: it steps the game, records what it sees, and intervenes in one place, one change at a time."""

from __future__ import annotations

import copy
import json
import math
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor

from equipoise.controller import Controller, Sight
from equipoise.data.batches import Batches
from equipoise.diagnosis.causes import found
from equipoise.diagnosis.finding import Finding
from equipoise.errors import Damaged, Diverged, GaveUp, Stopped, StorageError
from equipoise.evaluation import Figures
from equipoise.games.base import Game, Signals
from equipoise.judging import Judge
from equipoise.knobs import At, Change, Knobs, Ramp, Schedule, ramp, scheduled
from equipoise.pictures import Picture
from equipoise.probes.players import at_rest
from equipoise.probes.step import examined
from equipoise.probes.view import weights
from equipoise.processes import ALONE, Processes
from equipoise.progress import Reporter, silent
from equipoise.requests import (
    ASKED,
    NEVER_TWICE,
    REQUEST,
    Fork,
    Guard,
    Inbox,
    Pause,
    Request,
    Resume,
    Set,
    Snapshot,
    Step,
    Wishes,
    reason,
    row,
)
from equipoise.requests import Due as Asked
from equipoise.runs import checkpoint
from equipoise.runs.events import Record
from equipoise.runs.folder import RunFolder
from equipoise.sitting import StopRequest, Stopwatch
from equipoise.words import sentence

G = TypeVar("G", bound=Game)
COUNTERS = ("seen", "drawn")  # of a game's state: going back does not set them back
WAIT_S = 0.1  # between two looks of a run that waits


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


@dataclass(frozen=True)
class Unaveraged:
    """A game as whoever draws samples knows it, whose samples are those of G itself."""

    game: Any

    @torch.no_grad()
    def sampler(self, z: Tensor, y: Tensor) -> Tensor:
        with at_rest(self.game.G):
            x: Tensor = self.game.G(z, y)
        return x


@dataclass
class Standing:
    """How far the loop is, and where the knobs stand: those in force are these, or on their way to these, times their
    schedules."""

    knobs: Knobs
    step: int = 0  # rounds of the game so far
    judged: list[tuple[int, float]] = field(default_factory=list)  # see judging.History; the leader's alone
    ramp: Ramp | None = None  # of the last change
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
    fits: Callable[[Knobs], None] = lambda knobs: None  # raises ConfigError for knobs that this game cannot play by
    mend: Callable[[], None] = lambda: None  # lets a controller that watches mend, too; or raises ConfigError
    wishes: Wishes = field(default_factory=Wishes)
    processes: Processes = ALONE
    stop: StopRequest = field(default_factory=StopRequest)

    def registry(self) -> checkpoint.Registry:
        """Everything that the next step depends on."""
        return checkpoint.Registry(
            game=self.game, batches=self.batches, controller=self.controller, events=self.events, loop=self.standing
        )


def train(run: Run[Any], report: Reporter = silent) -> None:
    """Plays until the plan's number of real samples. Resumes where the run's state stands.

    Raises:
        Diverged: at a signal that is not finite, unless the controller goes back; the last checkpoint is from before.
        GaveUp: when the controller stops the run, with the state saved.
        Stopped: after SIGINT, SIGTERM or SIGHUP, with the state saved. A second signal stops without saving.
        StorageError: when nothing can be written; the last checkpoint is intact.
    """
    game, plan, clock = run.game, run.plan, Stopwatch()
    if run.standing.step == 0:
        draw(run)
    attend(run, clock, report, saved=True, first=True)
    finished = ended(run)
    while not finished:
        due = Due(game.seen)
        recorded = turned(run, due)
        signals = watched_step(run, clock) if recorded else timed_step(run, clock)
        run.standing.step += 1
        over = game.seen >= plan.images
        watching, judging = (due(every, game.seen) or over for every in (plan.watch_every, plan.evaluate_every))
        saving, drawing = (due(every, game.seen) for every in (plan.save_every, plan.draw_every))
        reading = recorded or watching or judging or saving or run.batches.device.type == "cpu"
        broken = not_finite(signals) if reading else []  # elsewhere a signal that is read waits for the device
        values = record(run, signals) if (recorded or over) and not broken else {}
        if broken:
            rescued(run, broken, report)
        elif watching and run.wishes.guardian != "off":
            watched(run, clock, report)
        if judging:
            judged(run)
            finished = ended(run)
        if not broken and (watching or finished):
            intervene(run, report, over=finished)
            keep_snapshot(run)
        if finished := finished or bool(run.standing.stopped):
            conclude(run)
        if drawing or finished:
            draw(run)
        if saving or finished:
            save(run)
            run.clock.append("speed", step=run.standing.step, **clock.figures())
        if not finished:
            attend(run, clock, report, saved=saving)
        report(game.seen, values)
    run.clock.append("finished", step=run.standing.step, **clock.figures())
    if run.standing.stopped:
        raise GaveUp(f"the guardian stopped the run at step {run.standing.step}.\n{sentence(run.standing.stopped)}.")


def turned(run: Run[Any], due: Due) -> bool:
    """Puts the knobs in force, those of the game and those of its data. Whether the round to come is recorded."""
    standing, seen = run.standing, run.game.seen
    progress = standing.progress(seen, run.plan.images)
    run.game.knobs = knobs = scheduled(standing.unscheduled(seen), run.plan.schedules, progress)
    run.batches.focus(knobs.focus, knobs.focus_on)
    soon = seen + run.batches.size * knobs.d_steps * knobs.accumulate
    return standing.step == 0 or due(run.plan.record_every, soon)


def timed_step(run: Run[Any], clock: Stopwatch) -> Signals:
    """A step. Where the device works on its own, the clock sees only how long it took to ask."""
    with clock.stepping():
        signals: Signals = run.game.step(run.batches)
    return signals


def watched_step(run: Run[Any], clock: Stopwatch) -> Signals:
    """A step with the looks that are too costly for every step."""
    with examined(run.game.networks()) as look:
        signals = timed_step(run, clock)
    return signals | look.signals()


def record(run: Run[Any], signals: Mapping[str, Tensor]) -> dict[str, float]:
    """Writes the signals, and lets the controller hear them."""
    run.processes.average(averaged := [value.double() for value in signals.values()])
    values = {name: value.item() for name, value in zip(signals, averaged, strict=True)}  # waits for the device
    run.events.append("signals", step=run.standing.step, seen=run.game.seen, **values)
    run.controller.observe(run.game.seen, values)
    return values


def intervene(run: Run[Any], report: Reporter, broken: Sequence[str] = (), over: bool = False) -> Change | None:
    """The one place in which a run is changed: what the leader's controller proposes is recorded, then applied, by all
    processes alike."""
    standing, at = run.standing, At(run.standing.step, run.game.seen, bool(broken), over)
    mends = run.processes.leads and run.wishes.guardian in (None, "on")
    proposed = run.controller.propose(at, standing.knobs) if mends else None
    told = run.processes.told(proposed.model_dump_json() if proposed else "")
    if not told:
        return None
    if broken:
        evidence = dict.fromkeys(broken, 1.0)
        run.events.append("finding", step=at.step, seen=at.seen, **asdict(found("divergence", evidence)))
    change = Change.model_validate_json(told)
    make(run, change, at, report)
    return change


def make(run: Run[Any], change: Change, at: At, report: Reporter) -> None:
    """Records a change, and applies it."""
    standing = run.standing
    changed = {k: v for k, v in change.knobs.model_dump().items() if v != getattr(standing.knobs, k)}
    how = change.model_dump(exclude={"knobs", "reason"}, exclude_defaults=True)
    run.events.append("change", step=at.step, seen=at.seen, reason=change.reason, knobs=changed, **how)
    report(run.game.seen, {}, f"changed: {change.reason}")
    if change.back_to is not None:
        go_back(run, change.back_to)
    standing.ramp = ramp(standing.unscheduled(at.seen), change, at.seen)
    standing.knobs = change.knobs
    standing.stopped = change.reason if change.stop else ""


def attend(run: Run[Any], clock: Stopwatch, report: Reporter, *, saved: bool, first: bool = False) -> None:
    """Between two rounds: answers a signal of the system, and what a person asks of the run; waits where that is asked.

    Raises:
        Stopped: after a signal, with the state saved.
    """
    if not first:
        run.wishes.played()
    while True:
        asked = run.inbox.due(run.game.seen) if run.processes.leads else []
        number = 0 if first else run.stop.number  # one that came before the first round is answered after it
        if number := run.processes.largest(number or (ASKED if asked else 0)):
            if number < ASKED:
                leave(run, number, saved=saved)
            saved = False
            obey(run, asked, report)
        if not run.wishes.waits or (first and run.stop.number):
            return
        with clock.pausing():
            time.sleep(WAIT_S)


def obey(run: Run[Any], asked: Sequence[Asked], report: Reporter) -> None:
    """Does what was asked, in all processes alike, and records it; or why it was refused."""
    told = run.processes.told(json.dumps([[each.request.model_dump(), each.again] for each in asked]))
    for raw, again in json.loads(told):
        request = REQUEST.validate_python(raw)
        at = {"step": run.standing.step, "seen": run.game.seen}
        run.clock.append("heard", id=request.id, seen=run.game.seen)
        refused = refusal(run, request)
        noted = {**at, **row(request), **({"refused": refused} if refused else {})}
        run.events.append("request", **noted)
        report(run.game.seen, {}, f"{request.who} asked: {request.do}" + (f", refused: {refused}" if refused else ""))
        run.wishes.heed(noted)
        if not (refused or (again and isinstance(request, NEVER_TWICE))):
            do(run, request, report)


def refusal(run: Run[Any], request: Request) -> str:
    """Why it cannot be done; empty where it can."""
    try:
        match request:
            case Set(knobs=knobs):
                run.fits(turned_to(run.standing.knobs, knobs))
            case Guard(mode="on"):
                run.mend()
    except ValueError as error:  # pydantic's, and ConfigError
        return reason(error)
    return ""


def turned_to(knobs: Knobs, values: Mapping[str, Any]) -> Knobs:
    return Knobs.model_validate(knobs.model_dump() | dict(values))


def do(run: Run[Any], request: Request, report: Reporter) -> None:
    wishes = run.wishes
    match request:
        case Pause():
            wishes.paused, wishes.rounds = True, 0
        case Resume():
            wishes.paused, wishes.rounds = False, 0
        case Step(rounds=rounds):
            wishes.paused, wishes.rounds = True, rounds
        case Set(knobs=values, who=who):
            change = Change(knobs=turned_to(run.standing.knobs, values), reason=f"asked by {who}")
            make(run, change, At(run.standing.step, run.game.seen), report)
            run.controller.overruled()
        case Snapshot():
            save(run)
        case Guard() | Fork():
            pass  # heeded from here on; nothing to be done
    if isinstance(request, NEVER_TWICE):
        run.clock.append("waits" if wishes.paused else "goes on", step=run.standing.step)


def go_back(run: Run[Any], step: int) -> None:
    """Weights, averages, optimizers and schedules are those of a snapshot; counters, latents and data go on."""
    state, manifest = checkpoint.load(run.folder.snapshots / checkpoint.name_of(step))
    game, seen = run.game, run.game.seen
    game.load_state_dict(state | {name: value for name, value in game.state_dict().items() if name in COUNTERS})
    run.standing.went_back = (seen, manifest["progress"])
    run.processes.largest(0)  # nobody deletes it before all have read it


def keep_snapshot(run: Run[Any]) -> None:
    """Of the game as it is now, if the controller may want to go back to it."""
    step, seen = run.standing.step, run.game.seen
    if run.processes.leads and step in run.controller.snapshots():  # after a change, too: it may have to be undone
        progress = run.standing.progress(seen, run.plan.images)
        checkpoint.save(run.folder.snapshots, step, run.game.state_dict(), seen=seen, progress=progress)


def rescued(run: Run[Any], broken: Sequence[str], report: Reporter) -> None:
    """Goes back from numbers that are not finite, before they are saved.

    Raises:
        Diverged: when the controller has no way back, or has gone it too often.
    """
    step = run.standing.step
    change = intervene(run, report, broken=broken)
    if change is None or change.back_to is None:
        run.events.append("diverged", step=step, seen=run.game.seen, signals=list(broken))
        tried = "" if not run.standing.went_back[0] else " The guardian went back before, and it came again."
        raise Diverged(
            f"the game diverged at step {step}: {', '.join(broken)} is not finite.{tried}\n"
            f"No checkpoint holds it. Try a learning rate halved (--set optim.g.lr=... optim.d.lr=...), "
            f"more knobs.r1 and knobs.r2, or knobs.clip_norm=1."
        )


def watched(run: Run[Any], clock: Stopwatch, report: Reporter) -> None:
    """Lets the controller look, and tells what it found: the leader looks, and all processes hear the same."""
    at = {"step": run.standing.step, "seen": run.game.seen}
    with clock.watching():
        sight = run.controller.look(run.game) if run.processes.leads else Sight()
    if sight.signals:
        shares = [round(share, 5) for share in sight.shares]
        run.events.append("look", **at, signals=sight.signals, shares=shares, ill=list(sight.ill))
    news = [Finding(**raw) for raw in json.loads(run.processes.told(json.dumps([asdict(f) for f in sight.news])))]
    for finding in news:
        run.events.append("finding", **at, **asdict(finding))
        report(run.game.seen, {}, f"{finding.severity}: {finding.symptom}: {finding.meaning}")
    if sight.picture is not None:
        keep(sight.picture, run.folder.missing_modes(run.standing.step))
    if run.processes.leads:
        if sight.bins is not None:
            keep(sight.bins, run.folder.bins)
        write_view(run.folder, {**at, **sight.view, "weights": weights(run.game.networks())})


def write_view(folder: RunFolder, view: Mapping[str, Any]) -> None:
    """Whole or not at all: somebody may be reading it."""
    temporary = folder.view.with_suffix(".writing")
    try:
        temporary.write_text(json.dumps(view), encoding="utf-8")
        temporary.replace(folder.view)
    except OSError as error:
        raise StorageError(f"cannot write {folder.view}: {error.strerror}. Free some space, then resume.") from error


def not_finite(signals: Mapping[str, Tensor]) -> list[str]:
    """The names of the signals that are not finite, if the players themselves have left the finite numbers."""
    counts = [name for name, value in signals.items() if name.endswith("_nonfinite") and value.item()]
    return counts and ([name for name, value in signals.items() if not math.isfinite(value.item())] or counts)


def judged(run: Run[Any]) -> None:
    """Has the samples judged, and keeps the best checkpoint."""
    if not run.processes.leads:
        return
    verdict = run.judge.judge(run.game, run.standing.judged)
    at = {"step": run.standing.step, "seen": run.game.seen}
    if verdict.protocol:
        run.events.append("protocol", **at, part="validation", figures=verdict.protocol)
    for net, figures in verdict.figures.items():
        run.events.append("metrics", **at, net=net, part="validation", figures=brief(figures))
    if verdict.value is not None:
        run.standing.judged.append((run.game.seen, verdict.value))
    if verdict.finding:
        run.events.append("finding", **at, **asdict(verdict.finding))
    if verdict.best:
        run.events.append("best", **at, value=verdict.value)
        keep_best(run)


def ended(run: Run[Any]) -> bool:
    """Whether all images were played, or the controller ended the run, or the samples no longer gain and the plan is to
    stop then."""
    converged = run.plan.stop_when_converged and run.judge.converged(run.standing.judged)
    stopped = bool(run.standing.stopped)
    return bool(run.processes.largest(int(run.game.seen >= run.plan.images or stopped or converged)))


def conclude(run: Run[Any]) -> None:
    """The final figures: of the best checkpoint's generators, against data that nothing was chosen by."""
    best = checkpoint.newest_first(run.folder.best)
    if not run.processes.leads or not best:
        return
    state, _ = checkpoint.load(best[0])
    nets = {name: copy.deepcopy(net) for name, net in run.game.averages().items()}
    for name, net in nets.items():
        net.load_state_dict(state[f"game.{name}"])
    at = {"step": checkpoint.step_of(best[0]), "seen": run.game.seen, "part": "test"}
    for told, figures in run.judge.final(nets).items():
        run.events.append("protocol", **at, figures={name: e.protocol for name, e in figures.items()})
        run.events.append("metrics", **at, net=told, figures=brief(figures))


def keep_best(run: Run[Any]) -> None:
    """One checkpoint: the older is deleted when the new one reads back."""
    path = checkpoint.save(
        run.folder.best, run.standing.step, run.registry().state(), seen=run.game.seen, **run.plan.facts
    )
    checkpoint.verify(path)
    checkpoint.keep_only(run.folder.best, [run.standing.step])


def brief(figures: Figures) -> dict[str, dict[str, float | int | None]]:
    """Without their protocols, which stay the same: those are in the row `protocol` before the first."""
    return {
        name: {"value": e.value, "low": e.low, "high": e.high, "n_fake": e.n_fake, "n_real": e.n_real}
        for name, e in figures.items()
    }


def draw(run: Run[Any]) -> None:
    if not run.processes.leads:
        return
    keep(run.draw(run.game), run.folder.grid(run.standing.step))
    if run.reals is not None:
        keep(run.draw(Unaveraged(run.game)), run.folder.raw(run.standing.step))
        if not run.folder.reals.exists():
            keep(run.reals, run.folder.reals)


def keep(picture: Picture, path: Path) -> None:
    try:
        path.parent.mkdir(exist_ok=True)
        picture.save(path)
    except OSError as error:
        raise StorageError(f"cannot write {path}: {error.strerror}. Free some space, then resume.") from error


def save(run: Run[Any]) -> None:
    if not run.processes.leads:
        return
    run.events.append("checkpoint", step=run.standing.step, seen=run.game.seen)
    checkpoint.verify(write_checkpoint(run))  # nothing older is deleted before the new one reads back
    checkpoint.prune(run.folder.checkpoints, run.plan.keep, run.wishes.kept)
    checkpoint.keep_only(run.folder.snapshots, known_snapshots(run))


def write_checkpoint(run: Run[Any]) -> Path:
    return checkpoint.save(
        run.folder.checkpoints, run.standing.step, run.registry().state(),
        seen=run.game.seen, snapshots=list(run.controller.snapshots()), **run.plan.facts,
    )  # fmt: skip


def known_snapshots(run: Run[Any]) -> set[int]:
    """The steps that the newest checkpoints may send a run back to that resumes from them, which it does from none that
    is damaged."""
    known: set[int] = set()
    for path in checkpoint.newest_first(run.folder.checkpoints)[: run.plan.keep]:
        with suppress(Damaged):
            known.update(checkpoint.manifest(path).get("snapshots", []))
    return known


def leave(run: Run[Any], number: int, *, saved: bool) -> None:
    """Saves and goes, politely. The row is in the clock's log: an interruption is not part of the game."""
    if not saved and run.processes.leads:
        write_checkpoint(run)
    run.clock.append("stopped", step=run.standing.step, signal=number)
    raise Stopped(
        f"stopped at step {run.standing.step} with the state saved. Go on with:\n  {run.folder.resume_command}", number
    )


@dataclass
class Due:
    """Whether a multiple of `every` was passed since `before`."""

    before: int

    def __call__(self, every: int, now: int) -> bool:
        return now // every > self.before // every
