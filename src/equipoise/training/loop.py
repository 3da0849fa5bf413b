"""The loop: it steps the game, records what it sees, and intervenes in one place, one change at a time."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from equipoise.errors import GaveUp
from equipoise.games.base import Signals
from equipoise.knobs import scheduled
from equipoise.probes.step import examined
from equipoise.progress import Reporter, silent
from equipoise.sitting import Stopwatch
from equipoise.training.attending import attend
from equipoise.training.changing import intervene, keep_snapshot, rescued
from equipoise.training.looking import conclude, draw, judged, watched
from equipoise.training.run import Run
from equipoise.training.saving import save
from equipoise.words import sentence


def train(run: Run[Any], report: Reporter = silent) -> None:
    """Plays until the plan's number of real samples. Resumes where the run's state stands.

    Raises:
        Diverged: at a signal that is not finite, unless the controller goes back; the last checkpoint is from before.
        GaveUp: when the controller stops the run, with the state saved.
        Stopped: after SIGINT, SIGTERM, SIGHUP or SIGUSR1, with the state saved. A second signal stops without saving.
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


def not_finite(signals: Mapping[str, Tensor]) -> list[str]:
    """The names of the signals that are not finite, if the players themselves have left the finite numbers."""
    counts = [name for name, value in signals.items() if name.endswith("_nonfinite") and value.item()]
    return counts and ([name for name, value in signals.items() if not math.isfinite(value.item())] or counts)


def ended(run: Run[Any]) -> bool:
    """Whether all images were played, or the controller ended the run, or the samples no longer gain and the plan is to
    stop then."""
    converged = run.plan.stop_when_converged and run.judge.converged(run.standing.judged)
    stopped = bool(run.standing.stopped)
    return bool(run.processes.largest(int(run.game.seen >= run.plan.images or stopped or converged)))


@dataclass
class Due:
    """Whether a multiple of `every` was passed since `before`."""

    before: int

    def __call__(self, every: int, now: int) -> bool:
        return now // every > self.before // every
