from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from equipoise.errors import ConfigError, RunLocked, StorageError
from equipoise.runs import folder
from equipoise.runs.folder import RunFolder


def test_a_second_writer_is_refused_and_told_who_the_first_is(tmp_path):
    with RunFolder(tmp_path).locked():
        with pytest.raises(RunLocked, match=f"process {os.getpid()} on") as error, RunFolder(tmp_path).locked():
            pass
        assert error.value.exit_code == 7
        assert RunFolder(tmp_path).is_locked()
    assert not RunFolder(tmp_path).is_locked()


def test_the_lock_of_a_killed_process_is_free(tmp_path):
    code = f"""
import os, pathlib
from equipoise.runs.folder import RunFolder
with RunFolder(pathlib.Path({str(tmp_path)!r})).locked():
    os.kill(os.getpid(), 9)
"""
    assert subprocess.run([sys.executable, "-c", code]).returncode == -9
    assert (tmp_path / "lock").exists()
    with RunFolder(tmp_path).locked():
        pass


def test_a_folder_that_holds_a_run_is_not_written_again(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(ConfigError, match="holds a run already"):
        folder.create("digits", tmp_path)


@pytest.mark.parametrize("parent", ["/proc", "/dev/null"])
def test_a_folder_that_cannot_be_made_is_said_so(parent):
    with pytest.raises(StorageError, match="cannot make the run folder"):
        folder.create("digits", Path(parent) / "run")


def test_a_path_without_a_run_names_the_runs_beside_it(tmp_path):
    (tmp_path / "good").mkdir()
    (tmp_path / "good" / "config.json").write_text('{"recipe": "digits", "kimg": 1, "seed": 0}')
    with pytest.raises(ConfigError, match="good"):
        folder.existing(tmp_path / "godo")
