"""A run that begins at a checkpoint of another: the same to the bit, until something else is asked of it."""

from __future__ import annotations

import json
import secrets
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from equipoise.errors import ConfigError, StorageError
from equipoise.requests import Request, ask
from equipoise.runs import checkpoint, folder
from equipoise.runs.folder import RunFolder

HALF, LONG_S = ".forking-", 3600.0  # the name of what is being made; older than that nobody makes it any more


def fork(run: RunFolder, which: str = "last", out: Path | None = None, requests: Sequence[Request] = ()) -> RunFolder:
    """The folder of a new run, which `resume` plays. `which` is best, last or a step; `requests` are asked of it at its
    start.

    Raises:
        ConfigError: when there is no such checkpoint, or `out` holds anything.
        StorageError: when the checkpoint is damaged, what its guardian may go back to is gone, or it cannot be written.
    """
    source = chosen(run, which)
    state, manifest = checkpoint.load(source)
    require_snapshots(run, source, manifest)
    new = RunFolder(out or folder.fork_path(run.path, manifest["step"]))
    refuse_taken(new.path)
    with made(new.path) as half:
        copy(run, half, source, manifest)
        with run.events.open("rb") as file:
            half.events.write_bytes(file.read(state["events.offset"]))
        half.clock.write_text(clock(run, manifest["step"]), encoding="utf-8")
        half.resume_note.write_text(f"{new.resume_command}\n", encoding="utf-8", errors="surrogateescape")
        for request in requests:
            ask(half.requests, request)
    return new


def refuse_taken(path: Path) -> None:
    """An empty folder is free: whoever wants two forks at once reserves their names by such."""
    folder.refuse_existing(path)
    if path.is_dir() and any(path.iterdir()):
        raise ConfigError(f"{path} is not empty, and nothing is overwritten. Choose another --out.")


@contextmanager
def made(out: Path) -> Iterator[RunFolder]:
    """A run that has its place only once it is complete: what a kill leaves of it lies in a hidden folder beside, one
    level too deep to be listed among the runs, until the next fork clears it away.

    Raises:
        StorageError: when it cannot be written; then nothing is left behind.
    """
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        for left in out.parent.glob(f"{HALF}*"):
            if time.time() - left.stat().st_mtime > LONG_S:
                shutil.rmtree(left, ignore_errors=True)
        with TemporaryDirectory(prefix=HALF, dir=out.parent) as beside:
            half = RunFolder(Path(beside) / "run")
            half.checkpoints.mkdir(parents=True)
            yield half
            half.path.rename(out)
    except OSError as error:
        raise StorageError(f"cannot write to {out}: {error.strerror or error}.") from error
    except StorageError as error:  # of a request, in a folder that is gone by now
        why = getattr(error.__cause__, "strerror", None) or error
        raise StorageError(f"cannot write to {out}: {why}.") from error


def require_snapshots(run: RunFolder, source: Path, manifest: Mapping[str, object]) -> None:
    """Raises StorageError where a state that the guardian may go back to is gone."""
    if gone := missing(run, manifest):
        raise StorageError(
            f"{source} may go back to the game at step {', '.join(map(str, gone))}, which was deleted from "
            f"{run.snapshots}.\nFork another checkpoint of the run, such as the last one."
        )


def missing(run: RunFolder, manifest: Mapping[str, object]) -> list[int]:
    return [step for step in snapshots_of(manifest) if not (run.snapshots / checkpoint.name_of(step)).is_dir()]


def snapshots_of(manifest: Mapping[str, object]) -> list[int]:
    steps = manifest.get("snapshots", [])
    return [int(step) for step in steps] if isinstance(steps, list) else []


def chosen(run: RunFolder, which: str) -> Path:
    places = {checkpoint.step_of(path): path for path in checkpoint.newest_first(run.checkpoints)}
    best = checkpoint.newest_first(run.best)
    if which == "best" and best:
        return best[0]
    if which == "last" and places:
        return checkpoint.latest(run.checkpoints)[0]
    if which.isdigit() and int(which) in places:
        return places[int(which)]
    there = ", ".join([*(["best"] if best else []), *map(str, sorted(places))]) or "none"
    raise ConfigError(f"{run.path} has no checkpoint {which!r}. There are: {there}.")


def copy(run: RunFolder, new: RunFolder, source: Path, manifest: Mapping[str, object]) -> None:
    """Everything that the run depends on from there, and the pictures up to there."""
    step = int(str(manifest["step"]))
    shutil.copytree(source, new.checkpoints / source.name)
    for path in (run.config, run.env):
        if path.exists():
            shutil.copy2(path, new.path)
    wanted = set(snapshots_of(manifest))
    for best in checkpoint.newest_first(run.best):
        own = checkpoint.manifest(best)
        if checkpoint.step_of(best) <= step and not missing(run, own):
            shutil.copytree(best, new.best / best.name)
            wanted.update(snapshots_of(own))
    for snapshot in sorted(wanted):
        shutil.copytree(run.snapshots / checkpoint.name_of(snapshot), new.snapshots / checkpoint.name_of(snapshot))
    new.samples.mkdir()
    for path in run.samples.iterdir():
        of = path.stem.rpartition("-")[2]
        if not of.isdigit() or int(of) <= step:
            shutil.copy2(path, new.samples)
    if run.figures.exists():
        shutil.copytree(run.figures, new.figures)


def clock(run: RunFolder, step: int) -> str:
    """The first row of its own clock. By its `id` the run tells its requests from those of the other."""
    row = {
        "kind": "forked", "id": secrets.token_hex(6), "from": str(run.path.resolve()), "step": step,
        "unix_time": round(time.time()),
    }  # fmt: skip
    return json.dumps(row) + "\n"
