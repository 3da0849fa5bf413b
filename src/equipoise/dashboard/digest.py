"""What is kept of a run's record while its page is open: of bounded size, and brought up to date a piece at a time."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

from pydantic_core import from_json

from equipoise.config import TrainConfig, read
from equipoise.dashboard.curves import Curves
from equipoise.dashboard.tail import Tail
from equipoise.diagnosis.calibration import Calibration
from equipoise.diagnosis.health import shortfall
from equipoise.diagnosis.history import Look
from equipoise.errors import ConfigError
from equipoise.figures import Row, final_of, history
from equipoise.reports.looks import effective
from equipoise.reports.story import Story, env_of
from equipoise.runs.folder import RunFolder

KEPT = 500  # rows of each kind, the newest
FEWER = {"signals": 1, "look": 1, "checkpoint": 100, "protocol": 10}
SIGNALS = b'{"kind": "signals"'


class Digest:
    """Of one run. Several may read it; one at a time brings it up to date."""

    def __init__(self, run: RunFolder, *, curves: bool = True):
        """Without `curves` it is quick to read: enough for a list."""
        self.run, self.curves = run, curves
        self.lock = threading.Lock()
        self.config: TrainConfig = read(run.config)
        self.env = env_of(run)
        self.events, self.clock, self.asked = Tail(run.events), Tail(run.clock), Tail(run.requests)
        self.epoch = 0  # how often the record was begun again
        self.forget()

    def forget(self) -> None:
        self.epoch += 1
        self.steps, self.looks = Curves(), Curves()
        self.kept: dict[str, deque[tuple[int, Row]]] = {}
        self.newest: dict[str, tuple[int, Row]] = {}  # findings by symptom
        self.seen_of: set[int] = set()  # at which figures were measured
        self.count = 0
        self.calibration: Calibration | None = None
        self.times: deque[Row] = deque(maxlen=2 * KEPT)  # rows of clock.jsonl
        self.requests: deque[Row] = deque(maxlen=KEPT)
        self.answered: deque[str] = deque(maxlen=2 * KEPT)

    def reread(self) -> None:
        """What stands beside a record that begins: it may be another run's. As before where it cannot be read."""
        with suppress(ConfigError):
            self.config, self.env = read(self.run.config), env_of(self.run)

    def refresh(self) -> bool:
        """Reads a piece of what is new. Whether there was anything."""
        with self.lock:
            before = (self.events.offset, self.clock.offset, self.asked.offset)
            lines, again = self.events.lines()
            if again:
                self.forget()
                self.clock, self.asked = Tail(self.run.clock), Tail(self.run.requests)
            if again or (lines and not before[0]):  # its first lines: of a new run at an old place they come later
                self.reread()
            self.take(lines)
            self.times.extend(parsed(self.clock.lines()[0]))
            self.requests.extend(parsed(self.asked.lines()[0]))
            self.answered.extend(row.get("id", "") for row in self.times if row.get("kind") == "heard")
            return again or before != (self.events.offset, self.clock.offset, self.asked.offset)

    @property
    def behind(self) -> bool:
        return self.events.behind

    def take(self, lines: list[bytes]) -> None:
        if not self.curves:  # of signals the last will do
            others = [line for line in lines if not line.startswith(SIGNALS)]
            last = next((line for line in reversed(lines) if line.startswith(SIGNALS)), None)
            lines = [*others, last] if last else others
        signals: list[Row] = []
        for row in parsed(lines):
            if row.get("kind") == "signals":
                signals.append(row)
            else:
                self.keep(row)
        if signals:
            self.keep(signals[-1])
            if self.curves:
                self.steps.add([row["seen"] / 1000 for row in signals], signals)

    def keep(self, row: Row) -> None:
        """A row of another shape than ours is passed over, as a line that is none."""
        kind = str(row.get("kind"))
        with suppress(KeyError, TypeError, ValueError):
            match kind:
                case "finding":
                    self.newest[row["symptom"]] = (self.count + 1, row)
                case "calibration":
                    self.calibration = Calibration.from_json({k: v for k, v in row.items() if k != "kind"})
                case "look" if self.curves:
                    self.looks.add([row["seen"] / 1000], [{**row["signals"], **self.derived(row)}])
            self.count += 1
            self.kept.setdefault(kind, deque(maxlen=FEWER.get(kind, KEPT))).append((self.count, row))

    def derived(self, row: Row) -> dict[str, float]:
        """Of a look: how far samples fall short of reals, and how many bins they fill."""
        found = {"modes": effective(row["shares"])} if row["shares"] else {}
        if self.calibration:
            found["shortfall"] = shortfall(Look(row["seen"], row["signals"], row["shares"]), self.calibration)
        return found

    @property
    def rows(self) -> list[Row]:
        """What is kept of the record, in its order."""
        kept = {place: row for rows in self.kept.values() for place, row in rows}
        kept.update(dict(self.newest.values()))
        return [kept[place] for place in sorted(kept)]

    def of_kind(self, kind: str) -> list[Row]:
        return [row for _, row in self.kept.get(kind, ())]

    def story(self) -> Story:
        """The run as all tell it."""
        rows = self.rows
        measured = history(rows)
        return Story(
            self.run, self.config, self.env, self.state(), rows, list(self.times), measured,
            final_of(self.run, measured),
        )  # fmt: skip

    def state(self) -> str:
        """As folder.state, or `paused`."""
        kinds = [row.get("kind") for row in self.times]
        if self.run.is_locked():
            return "paused" if self.waits else "running"
        return str(kinds[-1]) if kinds and kinds[-1] in ("finished", "stopped") else "interrupted"

    @property
    def waits(self) -> bool:
        marks = ("started", "resumed", "waits", "goes on")
        return next((row["kind"] for row in reversed(self.times) if row.get("kind") in marks), "") == "waits"

    @property
    def unanswered(self) -> list[Row]:
        """Requests that the run has not heard yet."""
        heard = set(self.answered)
        return [row for row in self.requests if row.get("id") and row["id"] not in heard]

    @property
    def drawn(self) -> list[int]:
        """Steps whose samples were drawn."""
        return sorted({int(path.stem[5:]) for path in self.run.samples.glob("step-*") if path.stem[5:].isdigit()})


def parsed(lines: Iterable[bytes]) -> list[dict[str, Any]]:
    """Rows; a line that is none is passed over: the page shows what there is."""
    found = []
    for line in lines:
        try:
            row = from_json(line)
        except ValueError:
            continue
        if isinstance(row, dict):
            found.append(row)
    return found
