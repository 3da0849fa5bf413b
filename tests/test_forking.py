"""A run that begins at a checkpoint of another: the same bits, until it is asked for something else."""

from __future__ import annotations

import os
import shutil

import pytest

from equipoise import launch
from equipoise.cli import watch
from equipoise.errors import ConfigError, StorageError
from equipoise.forking import fork
from equipoise.requests import Inbox, Set
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
        wanted = set(manifest(newest_first(found.checkpoints)[0])["snapshots"])
        assert wanted
        for best in newest_first(found.best):
            wanted.update(manifest(best)["snapshots"])
        assert {step_of(path) for path in newest_first(found.snapshots)} == wanted
    fork(fork(guarded, "last", tmp_path / "fork"), "best", tmp_path / "of a fork")


def test_what_a_kill_left_of_a_fork_is_cleared_away_by_a_later_one(guarded, tmp_path):
    old, new = tmp_path / ".forking-old", tmp_path / ".forking-new"
    for path in (old, new):
        (path / "run").mkdir(parents=True)
    os.utime(old, (0, 0))
    fork(guarded, "last", tmp_path / "fork")
    assert not old.exists() and new.exists(), "a new one may still be made"


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


def test_half_of_a_run_is_none(small_run, tmp_path, monkeypatch):
    """A kill between two files: what was written is there, and nobody takes it for a run."""

    def killed(*_):
        assert list(tmp_path.glob(".forking-*/run/config.json")), "the control: a config was written already"
        monkeypatch.setattr("equipoise.forking.TemporaryDirectory.__exit__", lambda *_: None)  # nobody cleans up
        raise KeyboardInterrupt

    monkeypatch.setattr("equipoise.forking.clock", killed)
    with pytest.raises(KeyboardInterrupt):
        fork(small_run, "last", tmp_path / "fork")
    assert [run.path for run in folder.all_runs(tmp_path)] == []
    assert not (tmp_path / "fork").exists()


def test_a_full_disk_leaves_nothing_of_a_fork(small_run, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("equipoise.forking.clock", full)
    with pytest.raises(StorageError, match="No space left"):
        fork(small_run, "last", tmp_path / "fork")
    assert list(tmp_path.iterdir()) == []


def test_a_place_is_free_while_it_is_empty(small_run, tmp_path):
    (tmp_path / "reserved").mkdir()
    assert fork(small_run, "last", tmp_path / "reserved").config.exists()
    assert [path.name for path in tmp_path.iterdir()] == ["reserved"]
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "mine.txt").write_text("mine")
    with pytest.raises(ConfigError, match="is not empty, and nothing is overwritten"):
        fork(small_run, "last", tmp_path / "taken")
    assert (tmp_path / "taken" / "mine.txt").read_text() == "mine"


def test_a_fork_of_a_fork_is_asked_for_something_else(small_run, tmp_path):
    """What its parent obeyed is in its record, by names; what is asked of it has others."""
    line = '{"do": "set", "knobs": {"g_lr": 0.0}}\n'  # by hand, without an id, the same of each
    steps = sorted(step_of(path) for path in newest_first(small_run.checkpoints))
    first, second = RunFolder(tmp_path / "first"), RunFolder(tmp_path / "second")
    watch.fork(small_run.path, str(steps[0]), first.path, ["knobs.d_lr=0.0"], play=False)
    with first.requests.open("a") as file:
        file.write(line)
    launch.resume(first.path)
    watch.fork(first.path, "last", second.path, ["knobs.r1=0.25"], play=False)
    assert obeyed(first) == [{"d_lr": 0.0}, {"g_lr": 0.0}]
    assert obeyed(second) == obeyed(first), "the control: the record of its parent is its own"
    inbox = heard_by(second)
    with second.requests.open("a") as file:
        file.write(line)
    assert [each.request.knobs for each in inbox.due(10**9)] == [{"r1": 0.25}, {"g_lr": 0.0}]
    assert heard_by(first).due(10**9) == [], "in one run each is obeyed once"


def obeyed(run):
    return [row["knobs"] for row in folder.rows(run.events) if row["kind"] == "request"]


def heard_by(run):
    inbox = Inbox(run.requests, lambda line, why: None)
    inbox.remember(folder.rows(run.events), folder.rows(run.clock))
    return inbox
