"""The one place in which a run is changed: what was proposed is recorded, then applied; and the ways back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from equipoise.diagnosis.causes import found
from equipoise.errors import Damaged, Diverged
from equipoise.knobs import At, Change, ramp
from equipoise.progress import Reporter
from equipoise.runs import checkpoint
from equipoise.training.run import Run

COUNTERS = ("seen", "drawn")  # of a game's state: going back does not set them back


def intervene(run: Run[Any], report: Reporter, broken: Sequence[str] = (), over: bool = False) -> Change | None:
    """The one place in which a run is changed: what the leader's controller proposes is recorded, then applied, by all
    processes alike."""
    standing, at = run.standing, At(run.standing.step, run.game.seen, bool(broken), over)
    mends = run.processes.leads and run.wishes.guardian in (None, "on")
    proposed = run.controller.propose(at, standing.knobs) if mends else None
    if proposed and (why := lost(run, proposed.back_to)):
        report(at.seen, {}, f"not gone back: {why}")
        reason = f"{proposed.reason}; without going back, because that snapshot is damaged or gone"
        proposed = None if broken else proposed.model_copy(update={"back_to": None, "reason": reason})
    told = run.processes.told(proposed.model_dump_json() if proposed else "")
    if not told:
        return None
    if broken:
        run.note(found("divergence", dict.fromkeys(broken, 1.0)))
    change = Change.model_validate_json(told)
    make(run, change, at, report)
    return change


def lost(run: Run[Any], step: int | None) -> str:
    """Why a snapshot cannot be gone back to, which is then forgotten; empty where nothing is wrong."""
    if step is None:
        return ""
    try:
        checkpoint.verify(run.folder.snapshots / checkpoint.name_of(step))
    except Damaged as error:
        run.controller.forget([step])
        return str(error)
    return ""


def make(run: Run[Any], change: Change, at: At, report: Reporter) -> None:
    """Records a change, and applies it."""
    standing = run.standing
    changed = {k: v for k, v in change.knobs.model_dump().items() if v != getattr(standing.knobs, k)}
    how = change.model_dump(exclude={"knobs", "reason"}, exclude_defaults=True)
    run.events.append("change", step=at.step, seen=at.seen, reason=change.reason, knobs=changed, **how)
    report(run.game.seen, {}, f"changed: {change.reason}")
    if change.back_to is not None:
        go_back(run, change.back_to)
    standing.ramp = ramp(standing.knobs, standing.ramp, change, at.seen)
    standing.knobs = change.knobs
    standing.stopped = change.reason if change.stop else ""


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
