"""One sitting of a run: where its time goes, and how it is asked to stop."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1)  # the last: of clusters, before a time limit


class Stopwatch:
    """Time inside the game's steps, and in all."""

    def __init__(self) -> None:
        self.start, self.inside, self.looking, self.steps = time.perf_counter(), 0.0, 0.0, 0
        self.waited = 0.0

    @contextmanager
    def stepping(self) -> Iterator[None]:
        began = time.perf_counter()
        yield
        self.inside += time.perf_counter() - began
        self.steps += 1

    @contextmanager
    def watching(self) -> Iterator[None]:
        began = time.perf_counter()
        yield
        self.looking += time.perf_counter() - began

    @contextmanager
    def pausing(self) -> Iterator[None]:
        """Time that is not the run's."""
        began = time.perf_counter()
        yield
        self.waited += time.perf_counter() - began

    def figures(self) -> dict[str, float]:
        total = time.perf_counter() - self.start - self.waited
        return {
            "seconds": round(total, 3), "seconds_in_steps": round(self.inside, 3),
            "seconds_watching": round(self.looking, 3),
            "ms_per_step": round(1000 * self.inside / max(self.steps, 1), 4),
        }  # fmt: skip


@dataclass
class StopRequest:
    number: int = 0


@contextmanager
def stoppable() -> Iterator[StopRequest]:
    """Turns the first signal into a request that the loop reads, and the second into KeyboardInterrupt.

    A signal that is ignored already (SIGHUP under nohup) stays ignored.
    """
    request = StopRequest()

    def ask(number: int, frame: FrameType | None) -> None:
        if request.number:
            raise KeyboardInterrupt
        request.number = number

    try:
        before = {s: signal.signal(s, ask) for s in SIGNALS if signal.getsignal(s) is not signal.SIG_IGN}
    except ValueError:  # not the main thread: whoever owns it decides about signals
        yield request
        return
    try:
        yield request
    finally:
        for s, handler in before.items():
            signal.signal(s, handler)
