"""Something else meanwhile, in a second process."""

from __future__ import annotations

import gc
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing import get_context
from multiprocessing.connection import Connection
from typing import Any, TypeVar

import torch

from equipoise.errors import EquipoiseError, MachineError

T = TypeVar("T")


@contextmanager
def beside(play: Callable[[], T]) -> Iterator[Callable[[], T]]:
    """Plays in a copy of this process, which shares what both hold; where none can be made, here and beforehand. What
    is yielded waits for the end, and returns or raises what `play` does. The copy ends with the block.

    The copy has one thread, and what it plays must ask for no more: those of OpenMP are not copied, and would be waited
    for without end.

    Raises:
        MachineError: when it is asked for, and the copy ended without a word.
    """
    if not forks():
        found = play()
        yield lambda: found
        return
    process = get_context("fork")
    ours, theirs = process.Pipe(duplex=False)
    copy = process.Process(target=_play, args=(play, theirs), daemon=True)
    with unswept():
        copy.start()
        theirs.close()
        try:
            yield lambda: _heard(ours, copy.pid)
        finally:
            copy.terminate()
            copy.join()
            ours.close()


@contextmanager
def unswept() -> Iterator[None]:
    """What is there now is no garbage: a sweep of either process would write to what they share, and so double it."""
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


def forks() -> bool:
    """Whether a copy of this process can train: neither another system's libraries nor an accelerator's threads bear
    being copied."""
    return sys.platform == "linux" and not torch.accelerator.is_available()


def _play(play: Callable[[], T], theirs: Connection) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is heard here too: whoever made the copy ends it
    torch.set_num_threads(1)
    try:
        theirs.send(play())
    except EquipoiseError as error:
        theirs.send(error)


def _heard(ours: Connection, pid: int | None) -> Any:
    try:
        said = ours.recv()
    except EOFError:
        raise MachineError(f"process {pid}, which played the second run, ended without a word.") from None
    if isinstance(said, EquipoiseError):
        raise said
    return said
