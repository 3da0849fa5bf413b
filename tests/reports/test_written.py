"""A training ends with its report, however it ends; and is not harmed where that cannot be written."""

from __future__ import annotations

import os
import signal
from contextlib import contextmanager

import pytest

from equipoise import launch
from equipoise.dashboard.digest import Digest
from equipoise.errors import Diverged, RunLocked, Stopped, StorageError
from equipoise.reports import story
from equipoise.reports.report import report, write
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


@pytest.mark.parametrize(
    "trouble", [StorageError("no room"), UnicodeEncodeError("utf-8", "\udcff", 0, 1, "no"), KeyError("seen")]
)
def test_a_run_ends_as_it_ended_whatever_becomes_of_its_report(recorded, monkeypatch, trouble):
    def troubled(run):
        raise trouble

    run, said = recorded("run"), []
    monkeypatch.setattr(launch.reporting, "write", troubled)
    with pytest.raises(Stopped, match="by a signal"), launch.held(run, said.append):
        raise Stopped("stopped by a signal", signal.SIGTERM)
    with launch.held(run, said.append):
        pass
    assert len(said) == 2
    assert all(f"equipoise report {run.path}" in text for text in said)


def test_a_file_name_of_any_bytes_does_not_cost_the_report(recorded):
    name = os.fsdecode(b"caf\xe9.png")
    row = {"kind": "left_out", "count": 1, "files": {name: "not a picture"}}
    run = recorded("run", events=[row])
    page = write(run).read_bytes().decode("utf-8")
    assert "caf\\udce9.png" in page
    with pytest.raises(UnicodeEncodeError):
        report(run).encode()  # the control: it is in there


def test_the_environment_is_written_whole_and_a_torn_one_is_none(tiny, recorded, tmp_path, monkeypatch):
    run = recorded("run")
    launch.describe(run, tiny("digits"))
    assert story.env_of(run)["seed"] == 0
    assert [path.name for path in run.path.iterdir() if path.name.startswith(".")] == []
    whole = run.env.read_text()
    monkeypatch.setattr(launch.checkpoint, "write_synced", full)
    with pytest.raises(StorageError, match="No space left"):
        launch.describe(run, tiny("digits"))
    assert run.env.read_text() == whole
    for torn in (whole[:20], "", "[]", "\udcff"):
        run.env.write_text(torn, errors="surrogateescape")
        assert story.told(run).env == Digest(run).env == {}
    run.env.unlink()
    assert story.told(run).env == {}


def full(path, blob):
    raise OSError(28, "No space left on device")
