"""Checkpoints of a run, and how it is left."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

from equipoise.errors import Damaged, Stopped
from equipoise.runs import checkpoint
from equipoise.training.run import Run


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
    """The steps that a checkpoint may send a run back to that resumes from it, or is forked from it; none that is
    damaged."""
    known: set[int] = set()
    for path in [*checkpoint.newest_first(run.folder.checkpoints), *checkpoint.newest_first(run.folder.best)]:
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
