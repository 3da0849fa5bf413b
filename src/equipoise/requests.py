"""What a person asks of a run while it plays: lines of requests.jsonl, read between two rounds. No torch.

Whoever asks appends a line, and the run alone answers: by the event `request`, which says when it was obeyed or why it
was refused. When each was heard is in clock.jsonl, too, so that a resumed run obeys it at the same round again.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from equipoise.errors import StorageError
from equipoise.runs.events import write_whole

Mode = Literal["off", "watch", "on"]
EVERY_S = 0.25  # between two looks at the file: a stat each
LONGEST = 4096  # bytes of a line
ASKED = 1000  # among numbers of signals, which are smaller: somebody asks for something


class Asked(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    id: str = Field("", max_length=40)  # the same is obeyed once; without one, it is made of the line and where it is
    who: str = Field("somebody", max_length=80)
    at_seen: int | None = Field(None, ge=0)  # not before so many reals were seen; None: at once


class Pause(Asked):
    do: Literal["pause"] = "pause"


class Resume(Asked):
    do: Literal["resume"] = "resume"


class Step(Asked):
    """Plays so many rounds, then waits."""

    do: Literal["step"] = "step"
    rounds: int = Field(1, ge=1, le=1_000_000)


class Set(Asked):
    do: Literal["set"] = "set"
    knobs: dict[str, Any] = Field(min_length=1)


class Snapshot(Asked):
    """A checkpoint of now, which is kept."""

    do: Literal["snapshot"] = "snapshot"


class Guard(Asked):
    do: Literal["guardian"] = "guardian"
    mode: Mode


class Fork(Asked):
    """A note that another run was begun from a checkpoint of this one."""

    do: Literal["fork"] = "fork"
    checkpoint: int = Field(ge=0)
    out: str = Field(max_length=400)


Request = Pause | Resume | Step | Set | Snapshot | Guard | Fork
REQUEST: TypeAdapter[Request] = TypeAdapter(Annotated[Request, Field(discriminator="do")])
NEVER_TWICE = (Pause, Resume, Step)  # a run that hears them again has nobody who waits


@dataclass(frozen=True)
class Due:
    request: Request
    again: bool = False  # it was obeyed at this round before: by a sitting that was cut, or by the run that is repeated


@dataclass
class Wishes:
    """What still holds of what was asked."""

    paused: bool = False
    rounds: int = 0  # that are played nevertheless
    guardian: Mode | None = None  # None: as in the config
    mended: bool = False  # it was told to mend once, and has a place for what it tried
    kept: set[int] = field(default_factory=set)  # steps of checkpoints that are not deleted

    @property
    def waits(self) -> bool:
        return self.paused and not self.rounds

    def played(self) -> None:
        """One round."""
        self.rounds = max(0, self.rounds - 1)

    def heed(self, row: Mapping[str, Any]) -> None:
        """A row `request` of the record, as far as it outlives its sitting."""
        if row["do"] == "guardian" and "refused" not in row:
            self.guardian = row["mode"]
            self.mended |= row["mode"] == "on"
        if row["do"] == "snapshot":
            self.kept.add(row["step"])


class Inbox:
    """The requests of a run. What was obeyed is known from the record, so it has no state of its own."""

    def __init__(self, path: Path, misread: Callable[[str, str], None], now: Callable[[], float] = time.monotonic):
        """`misread` is told of lines that are no requests: the line, shortened, and why."""
        self.path, self.misread, self.now = path, misread, now
        self.waiting: list[Request] = []
        self.obeyed: set[str] = set()
        self.heard: dict[str, int] = {}  # by id: reals seen when it was obeyed, in an earlier sitting
        self._offset, self._next = 0, 0.0
        self._own = ""  # of a fork: what tells its lines from those of the run that it began from

    def remember(self, events: Iterable[Mapping[str, Any]], clock: Iterable[Mapping[str, Any]]) -> Wishes:
        """Takes up a run where its record stands. What still holds of what was obeyed."""
        wishes = Wishes()
        for row in events:
            if row["kind"] == "request":
                self.obeyed.add(row["id"])
                wishes.heed(row)
        for row in clock:
            if row["kind"] == "heard":
                self.heard.setdefault(row["id"], row["seen"])
            elif row["kind"] == "forked":
                self._own = row.get("id", "")
        return wishes

    def due(self, seen: int) -> list[Due]:
        """What is to be obeyed now, in the order in which it was asked; each once."""
        if self.now() >= self._next:
            self._next = self.now() + EVERY_S
            self.waiting += self.fresh()
        if not self.waiting:
            return []
        now = [request for request in self.waiting if self.when(request) <= seen]
        self.waiting = [request for request in self.waiting if request not in now]
        self.obeyed |= {request.id for request in now}
        return [Due(request, request.id in self.heard or request.at_seen is not None) for request in now]

    def when(self, request: Request) -> int:
        return self.heard.get(request.id, request.at_seen or 0)

    def fresh(self) -> list[Request]:
        """The lines that were added since they were read last; one that is not whole yet waits."""
        try:
            if self.path.stat().st_size <= self._offset:
                return []
            with self.path.open("rb") as file:
                file.seek(self._offset)
                blob = file.read()
        except OSError:
            return []  # nobody asked for anything yet
        whole = blob[: blob.rfind(b"\n") + 1]
        found = list(self.read(whole))
        self._offset += len(whole)
        return found

    def read(self, blob: bytes) -> Iterator[Request]:
        place, known = self._offset, self.obeyed | {request.id for request in self.waiting}
        for line in blob.splitlines(keepends=True):
            name = hashlib.sha256(b"%s%d:%s" % (self._own.encode(), place, line)).hexdigest()[:12]
            place += len(line)
            if line.strip() and (request := self.parsed(line, name)) and request.id not in known:
                known.add(request.id)
                yield request

    def parsed(self, line: bytes, name: str) -> Request | None:
        try:
            if len(line) > LONGEST:
                raise ValueError(f"a line of {len(line)} bytes is too long")
            request = REQUEST.validate_json(line)
        except ValueError as error:
            self.misread(line[:80].decode(errors="replace"), reason(error))
            return None
        return request if request.id else request.model_copy(update={"id": name})


def reason(error: ValueError) -> str:
    """Why something was refused, in a line."""
    if isinstance(error, ValidationError):
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"]))
        return f"{where}: {first['msg']}" if where else first["msg"]
    return " ".join(str(error).split())


def row(request: Request) -> dict[str, Any]:
    """As it stands in the record: nothing of when it was asked for."""
    return request.model_dump(exclude={"at_seen"})


def ask(path: Path, request: Request) -> None:
    """Appends a request, in one piece: several may ask at once. A line that somebody left without its end is ended.

    Raises:
        StorageError: when it cannot be written; what was asked before is kept.
    """
    line = json.dumps(request.model_dump(exclude_none=True)).encode() + b"\n"
    try:
        with path.open("a+b", buffering=0) as file:
            fcntl.flock(file, fcntl.LOCK_EX)  # until it is closed: what is taken back is nobody else's
            file.seek(max(0, file.seek(0, os.SEEK_END) - 1))
            write_whole(file, line if file.read(1) in (b"", b"\n") else b"\n" + line)
    except OSError as error:
        full = " Make room there, then ask again." if error.errno in (errno.ENOSPC, errno.EDQUOT) else ""
        raise StorageError(f"cannot write to {path}: {error.strerror}.{full}") from error


def repeated(events: Iterable[Mapping[str, Any]]) -> list[Request]:
    """The requests of a record, to be obeyed at the same rounds by a run that repeats it."""
    own = ("kind", "step", "seen", "refused")
    return [
        REQUEST.validate_python({k: v for k, v in row.items() if k not in own} | {"at_seen": row["seen"]})
        for row in events
        if row["kind"] == "request"
    ]
