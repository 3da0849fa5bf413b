"""The loop: it steps the game, records what it sees, and intervenes in one place, one change at a time."""

from __future__ import annotations

import copy
import json
import math
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any, Generic, TypeVar

from PIL import Image
from torch import Tensor

from equipoise.controller import Controller, Sight
from equipoise.data.batches import Batches
from equipoise.diagnosis.finding import Finding
from equipoise.errors import Diverged, Stopped, StorageError
from equipoise.evaluation import Figures
from equipoise.games.base import Game, Signals
from equipoise.judging import Judge
from equipoise.knobs import Change, Knobs, Schedule, scheduled
from equipoise.probes.step import examined
from equipoise.processes import ALONE, Processes
from equipoise.progress import Reporter, silent
from equipoise.runs import checkpoint
from equipoise.runs.events import Log, Unwritten
from equipoise.runs.folder import RunFolder

G = TypeVar("G", bound=Game)

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


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
    """How far the loop is, and where the knobs stand: those in force are these, times their schedules."""

    knobs: Knobs
    step: int = 0  # rounds of the game so far
    judged: list[tuple[int, float]] = field(default_factory=list)  # see judging.History; the leader's alone

    def state_dict(self) -> dict[str, Any]:
        judged = [list(pair) for pair in self.judged]
        return {"step": self.step, "judged": judged, "knobs": self.knobs.model_dump()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.step, self.knobs = state["step"], Knobs(**state["knobs"])
        self.judged = [(seen, value) for seen, value in state["judged"]]


@dataclass
class Run(Generic[G]):
    """One training: a game, its data, and the folder that remembers it."""

    game: G
    batches: Batches
    plan: Plan
    folder: RunFolder
    draw: Callable[[Game], Image.Image]  # the samples of the fixed latents
    judge: Judge
    controller: Controller
    events: Log | Unwritten
    clock: Log | Unwritten
    standing: Standing
    processes: Processes = ALONE

    def registry(self) -> checkpoint.Registry:
        """Everything that the next step depends on."""
        return checkpoint.Registry(
            game=self.game, batches=self.batches, controller=self.controller, events=self.events, loop=self.standing
        )


def train(run: Run[Any], report: Reporter = silent) -> None:
    """Plays until the plan's number of real samples. Resumes where the run's state stands.

    Raises:
        Diverged: at the first signal that is not finite; the last checkpoint is from before.
        Stopped: after SIGINT, SIGTERM or SIGHUP, with the state saved. A second signal stops without saving.
        StorageError: when nothing can be written; the last checkpoint is intact.
    """
    game, plan, clock = run.game, run.plan, Stopwatch()
    reading_is_free = run.batches.device.type == "cpu"  # elsewhere a signal that is read waits for the device
    with stoppable() as stop:
        if run.standing.step == 0:
            draw(run)
        finished = ended(run)
        while not finished:
            before = game.seen
            game.knobs = scheduled(run.standing.knobs, plan.schedules, before / plan.images)
            due = Due(before)
            soon = before + run.batches.size * game.knobs.d_steps
            recorded = run.standing.step == 0 or due(plan.record_every, soon)
            signals = watched_step(run, clock) if recorded else timed_step(run, clock)
            run.standing.step += 1
            played = game.seen >= plan.images
            judging, watching = (due(every, game.seen) or played for every in (plan.evaluate_every, plan.watch_every))
            if recorded or judging or watching or due(plan.save_every, game.seen) or reading_is_free:
                check_finite(run, signals)
            values = record(run, signals) if recorded or played else {}
            if watching:
                watched(run, clock, report)
            if judging:
                judged(run)
                if finished := ended(run):
                    conclude(run)
            saving = due(plan.save_every, game.seen) or finished
            if due(plan.draw_every, game.seen) or finished:
                draw(run)
            if saving:
                save(run)
                run.clock.append("speed", step=run.standing.step, **clock.figures())
            if not finished and (number := run.processes.largest(stop.number)):
                leave(run, number, saved=saving)
            report(game.seen, values)
    run.clock.append("finished", step=run.standing.step, **clock.figures())


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
    """Writes the signals, then lets the controller propose a change, records it and applies it."""
    run.processes.average(averaged := [value.double() for value in signals.values()])
    values = {name: value.item() for name, value in zip(signals, averaged, strict=True)}  # waits for the device
    run.events.append("signals", step=run.standing.step, seen=run.game.seen, **values)
    if change := decided(run, values):
        changed = {k: v for k, v in change.knobs.model_dump().items() if v != getattr(run.standing.knobs, k)}
        run.events.append("change", step=run.standing.step, seen=run.game.seen, reason=change.reason, knobs=changed)
        run.standing.knobs = change.knobs
    return values


def decided(run: Run[Any], values: Mapping[str, float]) -> Change | None:
    """What the leader's controller proposes: all processes decide alike."""
    change = run.controller.observe(run.game.seen, values)
    told = run.processes.told(change.model_dump_json() if change else "")
    return Change.model_validate_json(told) if told else None


def watched(run: Run[Any], clock: Stopwatch, report: Reporter) -> None:
    """Lets the controller look, and tells what it found: the leader looks, and all processes hear the same."""
    at = {"step": run.standing.step, "seen": run.game.seen}
    with clock.watching():
        sight = run.controller.look(run.game) if run.processes.leads else Sight()
    if sight.signals:
        run.events.append("look", **at, signals=sight.signals, shares=[round(share, 5) for share in sight.shares])
    news = [Finding(**raw) for raw in json.loads(run.processes.told(json.dumps([asdict(f) for f in sight.news])))]
    for finding in news:
        run.events.append("finding", **at, **asdict(finding))
        report(run.game.seen, {}, f"{finding.severity}: {finding.symptom}: {finding.meaning}")
    if sight.picture is not None:
        keep(sight.picture, run.folder.missing_modes(run.standing.step))


def check_finite(run: Run[Any], signals: Mapping[str, Tensor]) -> None:
    """Stops a game that has left the finite numbers, before it is saved."""
    bad = sum(value.item() for name, value in signals.items() if name.endswith("_nonfinite"))
    if bad:
        names = [name for name, value in signals.items() if not math.isfinite(value.item())]
        run.events.append("diverged", step=run.standing.step, seen=run.game.seen, signals=names)
        raise Diverged(
            f"the game diverged at step {run.standing.step}: {', '.join(names)} is not finite.\n"
            f"No checkpoint holds it. Try a learning rate halved (--set optim.g.lr=... optim.d.lr=...), "
            f"more knobs.r1 and knobs.r2, or knobs.clip_norm=1."
        )


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
    """Whether all images were played, or the samples no longer gain and the plan is to stop then."""
    converged = run.plan.stop_when_converged and run.judge.converged(run.standing.judged)
    return bool(run.processes.largest(int(run.game.seen >= run.plan.images or converged)))


def conclude(run: Run[Any]) -> None:
    """The final figures: of the best checkpoint's generator, against data that nothing was chosen by."""
    best = checkpoint.newest_first(run.folder.best)
    if not run.processes.leads or not best:
        return
    G = copy.deepcopy(run.game.ema.net)
    G.load_state_dict(checkpoint.load(best[0])[0]["game.G_ema"])
    if figures := run.judge.final(G):
        at = {"step": checkpoint.step_of(best[0]), "seen": run.game.seen, "part": "test"}
        run.events.append("protocol", **at, figures={name: e.protocol for name, e in figures.items()})
        run.events.append("metrics", **at, net="best", figures=brief(figures))


def keep_best(run: Run[Any]) -> None:
    """One checkpoint: the older is deleted when the new one reads back."""
    path = checkpoint.save(
        run.folder.best, run.standing.step, run.registry().state(), seen=run.game.seen, **run.plan.facts
    )
    checkpoint.verify(path)
    checkpoint.keep_only(path)


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


def keep(picture: Image.Image, path: Path) -> None:
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
    checkpoint.prune(run.folder.checkpoints, run.plan.keep)


def write_checkpoint(run: Run[Any]) -> Path:
    return checkpoint.save(
        run.folder.checkpoints, run.standing.step, run.registry().state(),
        seen=run.game.seen, **run.plan.facts,
    )  # fmt: skip


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


class Stopwatch:
    """Time inside the game's steps, and in all."""

    def __init__(self) -> None:
        self.start, self.inside, self.looking, self.steps = time.perf_counter(), 0.0, 0.0, 0

    @contextmanager
    def stepping(self) -> Iterator[None]:
        began = time.perf_counter()
        yield
        self.inside += time.perf_counter() - began
        self.steps += 1

    @contextmanager
    def watching(self) -> Iterator[None]:
        began = time.perf_counter()
        yield
        self.looking += time.perf_counter() - began

    def figures(self) -> dict[str, float]:
        total = time.perf_counter() - self.start
        return {
            "seconds": round(total, 3), "seconds_in_steps": round(self.inside, 3),
            "seconds_watching": round(self.looking, 3),
            "ms_per_step": round(1000 * self.inside / max(self.steps, 1), 4),
        }  # fmt: skip


@dataclass
class StopRequest:
    number: int = 0


@contextmanager
def stoppable() -> Iterator[StopRequest]:
    """Turns the first signal into a request that the loop reads, and the second into KeyboardInterrupt.

    A signal that is ignored already (SIGHUP under nohup) stays ignored.
    """
    request = StopRequest()

    def ask(number: int, frame: FrameType | None) -> None:
        if request.number:
            raise KeyboardInterrupt
        request.number = number

    try:
        before = {s: signal.signal(s, ask) for s in SIGNALS if signal.getsignal(s) is not signal.SIG_IGN}
    except ValueError:  # not the main thread: whoever owns it decides about signals
        yield request
        return
    try:
        yield request
    finally:
        for s, handler in before.items():
            signal.signal(s, handler)
