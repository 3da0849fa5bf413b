from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
import time
from multiprocessing import active_children

import pytest

from equipoise import beside
from equipoise.errors import MachineError, StorageError


def here() -> str:
    return str(os.getpid())


def refused() -> str:
    raise StorageError("the disk is full.")


def vanished() -> str:
    os._exit(3)


def endless() -> str:
    time.sleep(600)
    return ""


def test_it_plays_in_another_process_that_is_gone_afterwards() -> None:
    with beside.beside(here) as word:
        assert int(word()) != os.getpid()
    assert not active_children()


THREADED = """
import torch
from equipoise.beside import beside

def summed():
    return torch.ones(1_000_000).mul(2).sum().item()

torch.set_num_threads(2)
here = summed()  # from here on OpenMP has a second thread
with beside(summed) as word:
    print(here, word())
"""


def test_the_copy_waits_for_no_thread_that_was_not_copied() -> None:
    """With more than one thread the first large sum in the copy never ended."""
    said = subprocess.run([sys.executable, "-c", THREADED], check=True, timeout=60, capture_output=True, text=True)
    assert said.stdout.split() == ["2000000.0", "2000000.0"]


def test_what_is_shared_is_swept_again_afterwards() -> None:
    with beside.beside(here) as word:
        assert gc.get_freeze_count() > 0
        word()
    assert gc.get_freeze_count() == 0


def test_where_none_can_be_made_it_has_played_here_before(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(beside, "forks", lambda: False)
    with beside.beside(here) as word:
        assert int(word()) == os.getpid()


def test_what_it_is_refused_is_raised_here() -> None:
    with beside.beside(refused) as word, pytest.raises(StorageError, match="the disk is full"):
        word()


def test_one_that_vanishes_is_told() -> None:
    with beside.beside(vanished) as word, pytest.raises(MachineError, match="ended without a word"):
        word()


def interrupted() -> str:
    signal.raise_signal(signal.SIGINT)
    return "went on"


def test_ctrl_c_is_for_whoever_made_the_copy() -> None:
    """A terminal tells both: the copy's traceback would be all that is seen."""
    with beside.beside(interrupted) as word:
        assert word() == "went on"


def test_it_ends_with_the_block_also_where_that_fails() -> None:
    start = time.monotonic()
    with pytest.raises(KeyError), beside.beside(endless):
        raise KeyError
    assert not active_children()
    assert time.monotonic() - start < 60
