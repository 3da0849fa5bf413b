"""The survey of a place: every picture is opened once, before step 1, and each bad one is named. No torch."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future
from pathlib import Path

import numpy as np

from equipoise.data.decode import Pixels
from equipoise.data.hooks import Track
from equipoise.data.readers import DIGEST, Answer, Readers
from equipoise.errors import DataError

CHUNK_BYTES, CHUNK = 2**22, 256  # of pixels that travel at once; pictures, at most
LISTED = 200  # files that a message or a row names
TOLERATED = 0.01  # share of bad pictures that is left out with a warning


class Surveyor:
    """Collects the pixels of a set while they fit into `budget` bytes, and what is wrong with its pictures."""

    def __init__(self, names: Sequence[str], size: int, budget: int):
        self.names, self.size, self.budget = names, size, budget
        self.bad: dict[str, str] = {}
        self.channels = 0  # of the pictures so far
        self.digests, self.sizes = np.zeros((len(names), DIGEST), np.uint8), np.zeros((len(names), 2), np.int64)
        self.pixels: Pixels | None = np.empty((0, size, size, 1), np.uint8)  # None: too many
        self.good = np.ones(len(names), bool)

    def go(self, readers: Readers, window: int, track: Track) -> None:
        for i, reason in track(self.looks(readers, window), "reading pictures", len(self.names)):
            if reason is not None:
                self.good[i] = False
                self.bad[self.names[i]] = reason

    def looks(self, readers: Readers, window: int) -> Iterator[tuple[int, str | None]]:
        """(index, what is wrong) of each picture; `window` chunks are asked for ahead."""
        chunk = max(1, min(CHUNK, CHUNK_BYTES // (3 * self.size**2)))
        starts = iter(range(0, len(self.names), chunk))
        asked: deque[tuple[int, Future[Answer]]] = deque()
        while True:
            while len(asked) < window and (start := next(starts, None)) is not None:
                indices = np.arange(start, min(start + chunk, len(self.names)))
                asked.append((start, readers.submit(indices, self.pixels is not None)))
            if not asked:
                return
            start, future = asked.popleft()
            answer = future.result()
            self.take(start, answer)
            yield from ((start + i, answer.bad.get(i)) for i in range(len(answer.digests)))

    def take(self, start: int, answer: Answer) -> None:
        stop = start + len(answer.digests)
        self.digests[start:stop], self.sizes[start:stop] = answer.digests, answer.sizes
        if answer.channels > self.channels:
            self.channels = answer.channels
            self.make_room()
        if self.pixels is not None:
            self.pixels[start:stop] = answer.pixels

    def make_room(self) -> None:
        """For all pictures with as many channels as are known of. Pages that are not written to cost nothing."""
        shape = (len(self.names), self.size, self.size, self.channels)
        if self.pixels is None or int(np.prod(shape)) > self.budget:
            self.pixels = None
            return
        grey, self.pixels = self.pixels, np.empty(shape, np.uint8)
        self.pixels[: len(grey)] = grey  # one channel becomes three


def refuse_many(bad: Mapping[str, str], count: int, path: Path, what: str = "pictures") -> None:
    """Raises DataError, which names all bad pictures, when they are more than a few of `count`."""
    if len(bad) <= TOLERATED * count:
        return
    lines = [f"  {shown(name)}: {reason}" for name, reason in list(bad.items())[:LISTED]]
    more = [f"  and {len(bad) - LISTED} more"] if len(bad) > LISTED else []
    listed = "\n".join(lines + more)
    raise DataError(
        f"{len(bad)} of {count} {what} in {path} cannot be read, more than one in a hundred.\n"
        f"Remove or repair them, then try again:\n{listed}"
    )


def left_out(bad: Mapping[str, str], count: int, path: Path, what: str = "pictures") -> str:
    """The warning about a few bad pictures."""
    first = ", ".join(f"{shown(name)} ({reason})" for name, reason in list(bad.items())[:3])
    more = f" and {len(bad) - 3} more" if len(bad) > 3 else ""
    return f"{len(bad)} of {count} {what} in {path} cannot be read and are left out: {first}{more}."


def shown(name: str) -> str:
    """A name that cannot steer a terminal."""
    return name if name.isprintable() else ascii(name)[1:-1]
