"""Processes of the tests' own, forked: they need not import torch, which takes longer than most of their work."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable


def forked(work: Callable[[], None]) -> int:
    """The number of a process that does the work and then ends at once: no handler of its parent's is run in it."""
    process = os.fork()
    if process:
        return process
    try:
        work()
        os._exit(0)
    except BaseException:
        traceback.print_exc()
        sys.stderr.flush()
        os._exit(1)


def end_of(process: int) -> int:
    """As `subprocess` tells it: what the process returned, or minus the signal that ended it."""
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
