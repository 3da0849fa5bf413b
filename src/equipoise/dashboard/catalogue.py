"""The runs below a folder: found, told in a line each, searched and compared."""

from __future__ import annotations

import hashlib
import os
import threading
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from equipoise.dashboard import panels
from equipoise.dashboard.digest import Digest
from equipoise.errors import ConfigError, EquipoiseError
from equipoise.figures import meaning
from equipoise.reports import comparison
from equipoise.reports.verdict import verdict
from equipoise.runs.folder import RunFolder, all_runs, is_run
from equipoise.words import interval, number, sentence

OPEN = 8  # digests that are kept, those that were asked for last


class Catalogue:
    """`home` holds runs, or is one itself. Runs go by a key that is made of their name, whatever stands in it."""

    def __init__(self, home: Path):
        self.home = home
        self.digests: OrderedDict[str, Digest] = OrderedDict()
        self.lines: dict[str, tuple[tuple[float, int, bool], dict[str, Any]]] = {}
        self.lock = threading.Lock()

    def runs(self) -> dict[str, RunFolder]:
        """By key, the newest first."""
        if is_run(self.home / "config.json"):
            return {key_of(self.home): RunFolder(self.home)}
        found = sorted(all_runs(self.home), key=lambda run: -changed(run))
        return {key_of(run.path): run for run in found}

    def find(self, key: str) -> RunFolder:
        """Raises ConfigError when there is no such run."""
        if run := self.runs().get(key):
            return run
        raise ConfigError("there is no such run.")

    def digest(self, key: str) -> Digest:
        """Of one run, kept for the next who asks."""
        with self.lock:
            if key in self.digests:
                self.digests.move_to_end(key)
                return self.digests[key]
            found = self.digests[key] = Digest(self.find(key))
            while len(self.digests) > OPEN:
                self.digests.popitem(last=False)
            return found

    def told(self) -> list[dict[str, Any]]:
        """A line for each run."""
        with self.lock:
            runs = self.runs()
            return [self.line(key, run) for key, run in runs.items()]

    def line(self, key: str, run: RunFolder) -> dict[str, Any]:
        """Read again when its record has changed."""
        stamp = (changed(run), size(run), run.is_locked())
        if key in self.lines and self.lines[key][0] == stamp:
            return self.lines[key][1]
        try:
            found = line(key, run)
        except (EquipoiseError, OSError, KeyError, TypeError, ValueError) as error:
            found = {
                "key": key, "name": shown_name(run), "recipe": "", "state": "unreadable", "progress": 0.0,
                "word": (str(error).splitlines() or ["?"])[0][:120], "mood": "unsure", "symbol": "?", "figure": "",
            }  # fmt: skip
        self.lines[key] = (stamp, found)
        return found

    def compared(self, keys: Sequence[str]) -> dict[str, Any]:
        """The final figures of runs, by settings, as `equipoise compare` tells them, or why they do not compare; and
        charts of the first OPEN of them over one another."""
        runs = self.runs()
        chosen = {key: runs[key] for key in dict.fromkeys(keys) if key in runs}
        charts: list[dict[str, Any]] = []
        try:
            charts = panels.overlaid([(shown_name(runs[key]), self.whole(key)) for key in list(chosen)[:OPEN]])
            found = comparison.compare(list(chosen.values()))
        except EquipoiseError as error:
            return {"error": str(error), "charts": charts}
        rows = []
        for name, each in found.figures.items():
            title, better, _ = meaning(name)
            cells = [{"mean": number(m.value), "interval": interval(m.low, m.high)} for m in each.means]
            for cell, apart in zip(cells[1:], each.differences, strict=True):
                cell["verdict"] = apart.verdict
            rows.append({"name": sentence(title), "better": better, "cells": cells})
        arms = [{"name": arm.name, "seeds": ", ".join(map(str, arm.runs))} for arm in found.arms]
        return {"arms": arms, "rows": rows, "notes": [sentence(note) for note in found.notes],
                "charts": charts}  # fmt: skip

    def whole(self, key: str) -> Digest:
        """Of all that the run has written so far."""
        return caught_up(self.digest(key))


def caught_up(digest: Digest) -> Digest:
    while digest.refresh():
        pass
    return digest


def line(key: str, run: RunFolder) -> dict[str, Any]:
    story = caught_up(Digest(run, curves=False)).story()
    answer = verdict(story.events)
    newest = story.final or next((one for one in reversed(story.measured) if one.net == "average"), None)
    name, figure = next(iter(newest.figures.items())) if newest and newest.figures else ("", None)
    return {
        "key": key, "name": shown_name(run), "recipe": story.config.recipe, "seed": story.config.seed,
        "state": story.state, "progress": story.progress, "word": answer.word, "mood": answer.mood,
        "symbol": answer.symbol, "figure": f"{meaning(name).title} {number(figure.value)}" if figure else "",
    }  # fmt: skip


def key_of(path: Path) -> str:
    return hashlib.sha256(os.fsencode(name_of(path))).hexdigest()[:12]


def shown_name(run: RunFolder) -> str:
    """Whatever bytes a name has, as text."""
    return os.fsencode(name_of(run.path)).decode(errors="replace")


def name_of(path: Path) -> str:
    """Within the folder of runs: of a link its own, for what two links lead to may have the same."""
    name = path.absolute().name
    return name if name not in ("", "..") else path.resolve().name


def changed(run: RunFolder) -> float:
    try:
        return run.events.stat().st_mtime
    except OSError:
        return 0.0


def size(run: RunFolder) -> int:
    try:
        return run.events.stat().st_size
    except OSError:
        return 0
