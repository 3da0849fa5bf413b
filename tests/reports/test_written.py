"""A training ends with its report, however it ends; and is not harmed where that cannot be written."""

from __future__ import annotations

import os
import signal
from contextlib import contextmanager

import pytest

from equipoise import launch
from equipoise.errors import Diverged, RunLocked, Stopped, StorageError
from equipoise.runs.folder import RunFolder

QUIET = ("guardian.mode=off", "evaluate.metrics=[]")


@contextmanager
def stopping(label, total, done):
    def report(seen, signals, news=""):
        if seen == 80:
            os.kill(os.getpid(), signal.SIGTERM)

    yield report


def test_at_its_end_when_it_was_stopped_and_when_it_diverged(tiny, tmp_path):
    ended = launch.start(tiny("digits", *QUIET, steps=12), tmp_path / "ended")
    assert "it is finished" in ended.report.read_text()
    with pytest.raises(Stopped):
        launch.start(tiny("digits", *QUIET, steps=24), tmp_path / "stopped", watch=stopping)
    stopped = RunFolder(tmp_path / "stopped")
    assert "equipoise resume" in stopped.report.read_text()
    launch.resume(stopped.path)
    assert "it is finished" in stopped.report.read_text(), "a resumed run tells its story anew"
    with pytest.raises(Diverged):
        launch.start(tiny("digits", *QUIET, "knobs.g_lr=1e30", steps=24), tmp_path / "diverged")
    assert "left the finite numbers" in (tmp_path / "diverged/report.html").read_text()


def test_a_report_that_cannot_be_written_is_told_and_the_run_is_whole(tiny, tmp_path, monkeypatch):
    def full(run):
        raise StorageError(f"cannot write {run.report}: No space left on device.")

    monkeypatch.setattr(launch.reporting, "write", full)
    said = []
    run = launch.start(tiny("digits", *QUIET, steps=12), tmp_path / "run", warn=said.append)
    assert run.model.exists()
    assert any("No space left" in text and f"equipoise report {run.path}" in text for text in said)


def test_a_run_that_another_process_holds_keeps_its_report(tiny, tmp_path):
    run = launch.start(tiny("digits", *QUIET, steps=12), tmp_path / "run")
    run.report.write_text("theirs")
    with run.locked(), pytest.raises(RunLocked):
        launch.resume(run.path)
    assert run.report.read_text() == "theirs"
