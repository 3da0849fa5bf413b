"""What took long and is remembered on the disk: features, and the nets that were trained here to give them.

An entry is a safetensors file named by the SHA-256 of what it was made from. It carries the sum of its own content: a
damaged one is made again, as if it had never been there.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from equipoise.data.hooks import Warn, unheard
from equipoise.encoders.weights import digest

Tensors = dict[str, Tensor]
GIB = 2**30
MOST_BYTES = 4 * GIB
WRITING = ".writing-"
ABANDONED_S = 3600  # a file still being written after an hour was left by a process that died


def home() -> Path:
    """$EQUIPOISE_CACHE, else equipoise below $XDG_CACHE_HOME, else ~/.cache/equipoise."""
    if own := os.environ.get("EQUIPOISE_CACHE"):
        return Path(own)
    shared = os.environ.get("XDG_CACHE_HOME")
    return (Path(shared) if shared else Path.home() / ".cache") / "equipoise"


class Cache:
    """Entries below `folder`, of at most `most_bytes` together: the least recently used go first.

    A folder that cannot be written to is no error: things are then made each time. `warn` is told so once.
    """

    def __init__(self, folder: Path | None = None, most_bytes: int = MOST_BYTES, warn: Warn = unheard):
        self.folder = home() / "features" if folder is None else folder
        self.most_bytes, self.warn = most_bytes, warn
        self._told = False

    def remembered(self, key: Mapping[str, Any], make: Callable[[], Tensors]) -> Tensors:
        """What `make()` gives, or gave before for the same key."""
        path = self.folder / f"{named(key)}.safetensors"
        if (known := read(path)) is not None:
            return known
        made = make()
        try:
            write(path, made)
            trim(self.folder, self.most_bytes)
        except OSError as error:
            if not self._told:
                self.warn(
                    f"nothing can be remembered in {self.folder}: {error.strerror}.\n"
                    "It is worked out again each time; set EQUIPOISE_CACHE to a folder that can be written to."
                )
            self._told = True
        return made


def named(key: Mapping[str, Any]) -> str:
    """SHA-256 of the key as canonical JSON."""
    return hashlib.sha256(json.dumps(key, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()).hexdigest()


def read(path: Path) -> Tensors | None:
    """An entry as it was written, or None."""
    try:
        raw = path.read_bytes()  # not mapped: a file cut short under a map kills the process
        length = int.from_bytes(raw[:8], "little")
        expected = json.loads(raw[8 : 8 + length])["__metadata__"]["sha256"]
        tensors = load(raw)
    except (OSError, SafetensorError, ValueError, KeyError, TypeError):
        return None
    if digest(tensors) != expected:
        return None
    with suppress(OSError):
        os.utime(path)  # used just now
    return tensors


def write(path: Path, tensors: Tensors) -> None:
    raw = save(tensors, {"sha256": digest(tensors)})
    with replacing(path) as file:
        file.write(raw)


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """A file that takes the place of `path` once it is complete; after any error nothing is left of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    number, temporary = tempfile.mkstemp(dir=path.parent, prefix=WRITING)
    try:
        with os.fdopen(number, "wb") as file:
            yield file
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def trim(folder: Path, most_bytes: int) -> None:
    """Removes what was used longest ago until the rest takes at most `most_bytes`."""
    for leftover in folder.glob(f"{WRITING}*"):
        with suppress(OSError):  # another process may have removed it, here and below
            if time.time() - leftover.stat().st_mtime > ABANDONED_S:
                leftover.unlink()
    entries = []
    for path in folder.glob("*.safetensors"):
        with suppress(OSError):
            entries.append((path.stat().st_mtime_ns, path.stat().st_size, path))
    total = sum(size for _, size, _ in entries)
    for _, size, path in sorted(entries):
        if total <= most_bytes:
            return
        path.unlink(missing_ok=True)
        total -= size
