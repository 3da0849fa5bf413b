"""The verbs that follow runs while they play: the page, its likeness in a terminal, and forks."""

from __future__ import annotations

import secrets
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from equipoise.cli import screen
from equipoise.errors import ConfigError, MachineError
from equipoise.runs.folder import existing

MISSING = "the page needs a few more packages (FastAPI, uvicorn, Jinja): pip install 'equipoise[dashboard]'"


def dashboard(home: Path, port: int | None, host: str) -> None:
    try:
        from equipoise.dashboard.server import serve
    except ImportError as error:
        raise MachineError(MISSING) from error

    def announce(address: str) -> None:
        print(address, flush=True)
        screen.say("Open it in a browser; Ctrl-C ends the page, not the runs. With this address one may act: keep it.")

    serve(home, port, host, announce)


@contextmanager
def page_of(run: Path) -> Iterator[None]:
    """The page of a run that begins, in a process of its own, until the run ends."""
    page = subprocess.Popen([sys.executable, "-m", "equipoise.cli.main", "dashboard", str(run)])
    try:
        yield
    finally:
        page.terminate()
        page.wait(10)


def follow(path: Path, every_s: float, *, once: bool) -> None:
    from equipoise.cli.following import follow

    follow(existing(path), every_s, once=once)


def fork(path: Path, which: str, out: Path | None, settings: list[str], *, play: bool) -> None:
    from equipoise import launch
    from equipoise.forking import fork
    from equipoise.requests import Request, Set

    knobs = knobs_of(settings)
    requests: list[Request] = [Set(id=secrets.token_hex(6), who="fork", knobs=knobs)] if knobs else []
    new = fork(existing(path), which, out, requests)
    if not play:
        screen.say(f"{new.path}: a run that begins there. Play it: {new.resume_command}")
        return
    launch.resume(new.path, watch=screen.watch, track=screen.track, warn=screen.fail)
    screen.say(f"{new.path}: finished")


def knobs_of(settings: list[str]) -> dict[str, object]:
    """`knobs.r1=.5` and its short spellings; a fork is the same run, so nothing else can be set."""
    import yaml

    short = {"loss": "loss", "optim.g.lr": "g_lr", "optim.d.lr": "d_lr"}
    found: dict[str, object] = {}
    for text in settings:
        key, sign, value = text.partition("=")
        name = short.get(key, key.removeprefix("knobs.") if key.startswith("knobs.") else "")
        if not (sign and name):
            raise ConfigError(f"--set {text}: of a fork only knobs can be set, as knobs.r1=0.5.")
        found[name] = yaml.safe_load(value)
    return found
