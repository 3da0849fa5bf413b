"""The record of a run: one JSON object a line, only ever appended. No torch.

`events.jsonl` holds what happened to the game and nothing that depends on the clock or the machine, so that a
resumed run's file equals an uninterrupted one's, byte for byte. Starts, stops and speeds are in `clock.jsonl`.
"""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Iterator, Mapping
from io import FileIO
from pathlib import Path
from typing import Any, Protocol

from equipoise.errors import Damaged, StorageError


class Record(Protocol):
    """What a run writes its rows to."""

    def append(self, kind: str, **values: Any) -> None: ...

    def state_dict(self) -> dict[str, int]: ...

    def load_state_dict(self, state: dict[str, int]) -> None: ...

    def close(self) -> None: ...


class Log:
    """An open JSONL file. State: its length, so that a resumed run takes back what came after its checkpoint.

    A last line that a crash cut short is taken away when the file is opened.
    """

    def __init__(self, path: Path):
        self.path = path
        self._file = path.open("ab", buffering=0)  # a row that cannot be written must not come back at the end
        if self.offset and not (whole := path.read_bytes()).endswith(b"\n"):
            self._file.truncate(whole.rfind(b"\n") + 1)
            self._file.seek(0, os.SEEK_END)

    def append(self, kind: str, **values: Any) -> None:
        """Writes one row and hands it to the system. Numbers that are not finite become strings.

        Raises:
            StorageError: when it cannot be written; what was written before is kept.
        """
        row = json.dumps({"kind": kind, **{k: printable(v) for k, v in values.items()}}) + "\n"
        try:
            write_whole(self._file, row.encode())
        except OSError as error:
            raise StorageError(
                f"cannot write to {self.path}: {error.strerror}. Free some space, then resume."
            ) from error

    @property
    def offset(self) -> int:
        return self._file.tell()

    def sync(self) -> None:
        os.fsync(self._file.fileno())

    def state_dict(self) -> dict[str, int]:
        self.sync()  # rows before the offset must outlive a power loss, like the checkpoint that names it
        return {"offset": self.offset}

    def load_state_dict(self, state: dict[str, int]) -> None:
        if self.offset < state["offset"]:
            raise StorageError(
                f"{self.path} is shorter than its checkpoint says: rows are missing, so it is not resumed."
            )
        self._file.truncate(state["offset"])
        self._file.seek(state["offset"])

    def close(self) -> None:
        self._file.close()


class Unwritten:
    """The log of a process that leaves the record to the leader of its run."""

    def append(self, kind: str, **values: Any) -> None: ...

    def state_dict(self) -> dict[str, int]:
        return {"offset": 0}

    def load_state_dict(self, state: dict[str, int]) -> None: ...

    def close(self) -> None: ...


def write_whole(file: FileIO, line: bytes) -> None:
    """All of a line at the end of a file, or nothing of it. Raises OSError when it cannot be written."""
    before, left = file.seek(0, os.SEEK_END), line
    try:
        while left:  # a disk that is nearly full takes what fits, and refuses the rest
            left = left[file.write(left) :]
    except OSError:
        if file.tell() > before:
            file.truncate(before)
        raise


def read(path: Path, before: int | None = None) -> Iterator[dict[str, Any]]:
    """The rows of a log, those of a run in progress too: a last line cut short is left out. `before`: those that end
    before this offset.

    Raises:
        Damaged: for a line that is not as it was written.
    """
    place = 0
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            place += len(line)
            if before is not None and place > before:
                return
            if line.endswith(b"\n"):
                yield parsed(line, path, number)


def parsed(line: bytes, path: Path, number: int) -> dict[str, Any]:
    try:
        row = json.loads(line)
    except ValueError:
        row = None
    if isinstance(row, dict) and "kind" in row:
        return row
    if path.name == "events.jsonl":  # whose length checkpoints know
        run = shlex.quote(str(path.parent))
        remedy = (
            "Put the file back from a copy. Without one the run can be read once that line is out, but not resumed;\n"
            f"a new one can begin with its weights: equipoise train --config {run}/config.json --from {run}"
        )
    else:
        remedy = "Nothing of the game hangs on it: take that line out."
    raise Damaged(f"{path} is damaged: line {number} is not a row as it was written.\n{remedy}")


def printable(value: Any) -> Any:
    """JSON has no NaN and no infinity."""
    if isinstance(value, Mapping):
        return {name: printable(inner) for name, inner in value.items()}
    if isinstance(value, float) and not (-float("inf") < value < float("inf")):
        return str(value)
    return value
