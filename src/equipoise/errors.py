"""What can go wrong, and the exit code of the command line for each.

EquipoiseError
├── ConfigError      2   a wrong key, value or combination; also a ValueError
├── DataError        3   data that cannot be found, read or used
├── Diverged         4   the game left the finite numbers
├── GaveUp           4   the guardian knows of nothing else to try, and has stopped the run
├── StorageError     5   disk or I/O: nothing could be written or read
│   └── Damaged      5   a file is not as it was written
├── MachineError     6   this machine lacks what was asked for
├── RunLocked        7   another process is writing to the run
└── Stopped        130   asked to stop by a signal (143 for SIGTERM, 138 for SIGUSR1), with the state saved

Every message says what happened, why, and what to do, in one to three lines.
"""

from __future__ import annotations


class EquipoiseError(Exception):
    """The root: catch it to catch everything that Equipoise raises on purpose."""

    exit_code = 1


class ConfigError(EquipoiseError, ValueError):
    exit_code = 2


class DataError(EquipoiseError):
    exit_code = 3


class Diverged(EquipoiseError):
    exit_code = 4


class GaveUp(EquipoiseError):
    """Raised once the state is on disk: it is that of the last healthy snapshot."""

    exit_code = 4


class StorageError(EquipoiseError):
    exit_code = 5


class Damaged(StorageError):
    pass


class MachineError(EquipoiseError):
    exit_code = 6


class RunLocked(EquipoiseError):
    exit_code = 7


class Stopped(EquipoiseError):
    """Raised once the state is on disk; `exit_code` is 128 + the signal's number."""

    def __init__(self, message: str, signal_number: int):
        super().__init__(message)
        self.exit_code = 128 + signal_number
