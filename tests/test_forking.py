"""A run that begins at a checkpoint of another: the same bits, until it is asked for something else."""

from __future__ import annotations

import shutil

import pytest

from equipoise import launch
from equipoise.errors import ConfigError, StorageError
from equipoise.forking import fork
from equipoise.requests import Set
from equipoise.runs import folder
from equipoise.runs.checkpoint import manifest, newest_first, step_of
from equipoise.runs.folder import RunFolder
from test_resume import assert_equal_runs, differences, final_state


def test_a_fork_is_the_same_run_and_with_another_knob_another(tiny, tmp_path):
    run = launch.start(tiny("digits", "guardian.mode=on"), tmp_path / "run")
    step = str(step_of(newest_first(run.checkpoints)[2]))
    launch.resume(fork(run, step, tmp_path / "same").path)
    assert_equal_runs(run.path, tmp_path / "same")
    other = fork(run, step, requests=[Set(id="f", who="fork", knobs={"d_lr": 0.0})])
    assert other.path == tmp_path / f"run_from-{step}"
    launch.resume(other.path)
    assert {"d_lr": 0.0} in [row["knobs"] for row in folder.rows(other.events) if row["kind"] == "change"]
    assert differences(final_state(run.path)["game.D"], final_state(other.path)["game.D"])


@pytest.fixture(scope="module")
def guarded(tiny, tmp_path_factory):
    """A run with a guardian that saved more often than it keeps."""
    settings = ["guardian.mode=on", "guardian.every_kimg=.016", "save.every_kimg=.032", "save.keep=2"]
    return launch.start(tiny("ring", *settings), tmp_path_factory.mktemp("guarded") / "run")


def test_any_checkpoint_that_is_kept_can_be_forked_and_has_what_its_guardian_goes_back_to(guarded, tmp_path):
    steps = [step_of(path) for path in newest_first(guarded.checkpoints)]
    assert len(steps) > 2, "milestones stay, too"
    for which in ("best", *map(str, steps)):
        found = fork(guarded, which, tmp_path / which)
        wanted = manifest(newest_first(found.checkpoints)[0])["snapshots"]
        assert wanted
        assert {step_of(path) for path in newest_first(found.snapshots)} == set(wanted)


def test_a_checkpoint_whose_snapshots_are_gone_is_not_forked_by_half(guarded, tmp_path):
    run = RunFolder(shutil.copytree(guarded.path, tmp_path / "run"))
    shutil.rmtree(run.snapshots)
    with pytest.raises(StorageError, match="may go back to the game at step"):
        fork(run, "last", tmp_path / "fork")
    assert not (tmp_path / "fork").exists()


def test_what_cannot_be_forked_is_said(small_run, tmp_path):
    with pytest.raises(ConfigError, match="no checkpoint '7'"):
        fork(small_run, "7")
    with pytest.raises(ConfigError, match="holds a run already"):
        fork(small_run, "last", small_run.path)
