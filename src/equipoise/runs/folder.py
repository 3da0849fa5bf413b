"""Where the files of a run are, and the lock that lets one process write them. No torch."""

from __future__ import annotations

import fcntl
import json
import os
import shlex
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import IO, Any

from equipoise.errors import ConfigError, RunLocked, StorageError
from equipoise.runs.events import read

HOME = Path("runs")


@dataclass(frozen=True)
class RunFolder:
    path: Path

    @property
    def config(self) -> Path:
        return self.path / "config.json"

    @property
    def env(self) -> Path:
        return self.path / "env.json"

    @property
    def events(self) -> Path:
        return self.path / "events.jsonl"

    @property
    def clock(self) -> Path:
        return self.path / "clock.jsonl"

    @property
    def requests(self) -> Path:
        """What people ask of the run while it plays, a line each: see `requests`."""
        return self.path / "requests.jsonl"

    @property
    def samples(self) -> Path:
        return self.path / "samples"

    @property
    def checkpoints(self) -> Path:
        return self.path / "checkpoints"

    @property
    def snapshots(self) -> Path:
        """Healthy states of the game that the guardian may go back to."""
        return self.path / "snapshots"

    @property
    def best(self) -> Path:
        """Holds the one checkpoint that was judged best."""
        return self.path / "best"

    @property
    def evaluations(self) -> Path:
        """What `equipoise evaluate` found, a row each time."""
        return self.path / "evaluations.jsonl"

    @property
    def figures(self) -> Path:
        """Pictures that an evaluation drew: modes.png, nearest.png."""
        return self.path / "figures"

    @property
    def logs(self) -> Path:
        """What loggers of others write; see `loggers`."""
        return self.path / "logs"

    @property
    def view(self) -> Path:
        """What the page shows of the last look: points of a map, histograms of weights, the field of D."""
        return self.path / "view.json"

    @property
    def report(self) -> Path:
        return self.path / "report.html"

    @property
    def model(self) -> Path:
        return self.path / "model.safetensors"

    @property
    def model_back(self) -> Path:
        """Of a game that goes both ways."""
        return self.path / "model-back.safetensors"

    @property
    def resume_note(self) -> Path:
        return self.path / "RESUME.txt"

    @property
    def resume_command(self) -> str:
        return f"equipoise resume {shlex.quote(str(self.path))}"

    def grid(self, step: int) -> Path:
        return self.samples / f"step-{step:09d}.png"

    def drawn(self) -> list[int]:
        """The steps whose samples were drawn as pictures, in order."""
        return sorted(int(path.stem.removeprefix("step-")) for path in self.samples.glob("step-*.png"))

    def raw(self, step: int) -> Path:
        """The same latents through G itself, which `grid` shows by its average."""
        return self.samples / f"raw-{step:09d}.png"

    @property
    def reals(self) -> Path:
        """Held-out reals, beside which the samples are looked at."""
        return self.samples / "real.png"

    @property
    def bins(self) -> Path:
        """An example of each bin of the data, in a row."""
        return self.figures / "bins.png"

    def missing_modes(self, step: int) -> Path:
        """What was missing when a finding told so."""
        return self.figures / f"missing-{step:09d}.png"

    def is_locked(self) -> bool:
        """Whether a process is writing to the run now."""
        try:
            with (self.path / "lock").open(encoding="utf-8") as file:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        except OSError:
            return False  # no lock file yet
        return False

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Holds the run for this process. The system frees the lock however the process ends.

        Raises:
            RunLocked: while another process holds it.
        """
        with opened_lock(self.path / "lock") as file:
            try:
                acquire(file)
            except OSError as error:
                raise RunLocked(
                    f"{self.path} is being written by {holder(file)}.\nWait for it, or stop it, and try again."
                ) from error
            file.seek(0)
            file.truncate()
            started = datetime.now().isoformat(timespec="seconds")
            json.dump({"pid": os.getpid(), "host": socket.gethostname(), "started": started}, file)
            file.flush()
            yield


def opened_lock(path: Path) -> IO[str]:
    try:
        return path.open("a+", encoding="utf-8")
    except OSError as error:
        raise StorageError(f"cannot write to {path.parent}: {error.strerror}. A run must be writable.") from error


def acquire(file: IO[str]) -> None:
    """Waits a moment: `equipoise runs` asks for the lock too, to see whether somebody holds it."""
    for _ in range(4):
        try:
            return fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(0.05)
    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def holder(file: IO[str]) -> str:
    file.seek(0)
    try:
        who = json.load(file)
        return f"process {who['pid']} on {who['host']}, since {who['started']}"
    except (ValueError, KeyError):
        return "another process"


def fresh_path(recipe: str, out: Path | None) -> Path:
    """`out`, or runs/<date>_<time>_<recipe>."""
    return out or HOME / f"{datetime.now():%Y-%m-%d_%H%M%S}_{recipe}"


def fork_path(run: Path, step: int) -> Path:
    """Beside the run that it begins from, and new."""
    stem = f"{run.resolve().name}_from-{step}"
    names = (stem, *(f"{stem}-{i}" for i in range(2, 1000)))
    return next(path for name in names if not (path := run.resolve().parent / name).exists())


def refuse_existing(path: Path) -> None:
    """Raises ConfigError when `path` holds a run."""
    if (run := RunFolder(path)).config.exists():
        raise ConfigError(f"{path} holds a run already.\nGo on with it: {run.resume_command}, or choose another --out.")


def create(recipe: str, out: Path | None) -> RunFolder:
    """A new run folder at `fresh_path`.

    Raises:
        ConfigError: when `out` holds a run already.
        StorageError: when it cannot be made.
    """
    path = fresh_path(recipe, out)
    run = RunFolder(path)
    refuse_existing(path)
    try:
        run.samples.mkdir(parents=True, exist_ok=True)
        run.checkpoints.mkdir(exist_ok=True)
    except OSError as error:
        raise StorageError(
            f"cannot make the run folder {path}: {error.strerror}.\nChoose a folder that can be written with --out."
        ) from error
    return run


def existing(path: Path) -> RunFolder:
    """The run at `path`.

    Raises:
        ConfigError: when there is none.
    """
    run = RunFolder(path)
    if not run.config.exists():
        near = [str(r.path) for r in all_runs(path.parent)][-3:]
        hint = f"Runs there: {', '.join(near)}." if near else "`equipoise runs` lists the runs of a folder."
        raise ConfigError(f"{path} is not a run: it has no config.json.\n{hint}")
    return run


def all_runs(home: Path) -> list[RunFolder]:
    """The runs directly below `home`, oldest first. Folders of other programs are passed over."""
    return [RunFolder(config.parent) for config in sorted(home.glob("*/config.json")) if is_run(config)]


def is_run(config: Path) -> bool:
    try:
        content = json.loads(config.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(content, dict) and {"recipe", "kimg", "seed"} <= content.keys()


def summary(run: RunFolder) -> dict[str, object]:
    """What `equipoise runs` tells of a run."""
    config = json.loads(run.config.read_text(encoding="utf-8"))
    signals = [row for row in rows(run.events) if row["kind"] == "signals"]
    last = signals[-1] if signals else {"step": 0, "seen": 0}
    return {
        "run": str(run.path), "recipe": config["recipe"], "state": state(run), "step": last["step"],
        "progress": min(1.0, last["seen"] / (1000 * config["kimg"])), "seed": config["seed"],
    }  # fmt: skip


def state(run: RunFolder) -> str:
    """running, finished, stopped (by a signal, saved), or interrupted (killed, or by an error)."""
    if run.is_locked():
        return "running"
    kinds = [row["kind"] for row in rows(run.clock)]
    return kinds[-1] if kinds and kinds[-1] in ("finished", "stopped") else "interrupted"


def rows(path: Path, before: int | None = None) -> list[dict[str, Any]]:
    """Those of a log; up to an offset, where one is given."""
    return list(read(path, before)) if path.exists() else []
