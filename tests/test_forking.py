"""A run that begins at a checkpoint of another: the same bits, until it is asked for something else."""

from __future__ import annotations

import pytest

from equipoise import launch
from equipoise.errors import ConfigError
from equipoise.forking import fork
from equipoise.requests import Set
from equipoise.runs import folder
from equipoise.runs.checkpoint import newest_first, step_of
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


def test_what_cannot_be_forked_is_said(small_run, tmp_path):
    with pytest.raises(ConfigError, match="no checkpoint '7'"):
        fork(small_run, "7")
    with pytest.raises(ConfigError, match="holds a run already"):
        fork(small_run, "last", small_run.path)
