"""Numbers that are sent elsewhere: the right ones, and nothing of the run depends on it."""

from __future__ import annotations

import csv
from contextlib import closing

import pytest

from equipoise import launch, loggers
from equipoise.config import override
from equipoise.errors import ConfigError, MachineError, Stopped
from equipoise.loggers import Sending
from equipoise.runs.events import Log
from equipoise.runs.folder import rows
from test_resume import stop_at

QUIET = ("guardian.mode=off", "evaluate.metrics=[]")


class Noting:
    def __init__(self, fails_at=None):
        self.seen, self.fails_at, self.closed = [], fails_at, False

    def log_metrics(self, metrics, step=None):
        if step == self.fails_at:
            raise RuntimeError("no connection\nand more")
        self.seen.append((step, metrics))

    def finalize(self, status):
        self.closed = True


def figure(value):
    return {"value": value, "low": None, "high": None, "n_fake": 10, "n_real": 10}


@pytest.fixture
def record(tmp_path):
    with closing(Log(tmp_path / "events.jsonl")) as log:
        yield log


def test_signals_figures_and_looks_are_sent_by_name_over_seen(record):
    noting = Noting()
    log = Sending(record, {"noting": noting}, pytest.fail)
    log.append("signals", step=1, seen=8, d_loss=0.5, g_loss=float("nan"))
    log.append("metrics", step=1, seen=8, net="average", part="validation", figures={"fd": figure(3.0)})
    log.append("metrics", step=1, seen=8, net="best", part="test", figures={"fd": figure(4.0)})
    log.append("look", step=1, seen=8, signals={"coverage": 0.9}, shares=[0.5, 0.5], ill=[])
    log.append("finding", step=1, seen=8, symptom="cycling", evidence={"motion": 1.0})
    log.close()
    assert noting.closed
    assert noting.seen == [
        (8, {"signals/d_loss": 0.5}), (8, {"figures/average/fd": 3.0}), (8, {"figures/best/test/fd": 4.0}),
        (8, {"look/coverage": 0.9}),
    ]  # fmt: skip
    assert len(rows(record.path)) == 5, "the record has all"


def test_a_logger_that_fails_is_left_out_and_the_others_go_on(record):
    said, bad, good = [], Noting(fails_at=16), Noting()
    log = Sending(record, {"bad": bad, "good": good}, said.append)
    for seen in (8, 16, 24):
        log.append("signals", step=1, seen=seen, d_loss=0.5)
    assert said == ["bad failed and is left out from now on: no connection"]
    assert [step for step, _ in bad.seen] == [8]
    assert [step for step, _ in good.seen] == [8, 16, 24]
    assert len(rows(record.path)) == 3


def test_a_run_with_a_logger_has_the_same_bits_and_the_file_has_its_numbers(tiny, tmp_path):
    plain = launch.start(tiny("digits", *QUIET, steps=24), tmp_path / "plain")
    sent = launch.start(tiny("digits", *QUIET, "log.to=[csv]", steps=24), tmp_path / "sent")
    assert sent.events.read_bytes() == plain.events.read_bytes()
    assert sent.model.read_bytes() == plain.model.read_bytes()
    with (sent.logs / "csv/version_0/metrics.csv").open() as file:
        found = [(int(row["step"]), float(row["signals/d_loss"])) for row in csv.DictReader(file)]
    wanted = [(row["seen"], row["d_loss"]) for row in rows(sent.events) if row["kind"] == "signals"]
    assert found == wanted
    assert not plain.logs.exists(), "off by default"


def test_a_logger_that_cannot_be_opened_is_told_and_ends_neither_a_run_nor_its_resume(tiny, tmp_path, monkeypatch):
    """Without an account, or while its server is down."""

    def refused(run, config):
        raise RuntimeError("No API key configured.\nUse `wandb login`")

    monkeypatch.setattr(loggers, "WandB", refused)
    monkeypatch.setattr(loggers, "find_spec", lambda package: True)
    told: list[str] = []
    config = tiny("digits", *QUIET, "log.to=[wandb, csv]", steps=24)
    with pytest.raises(Stopped):
        launch.start(config, tmp_path / "run", watch=stop_at(8 * 9), warn=told.append)
    run = launch.resume(tmp_path / "run", warn=told.append)
    sentence = "wandb could not be opened and is left out until the run is resumed: No API key configured."
    assert [text for text in told if "wandb" in text] == [sentence] * 2
    assert run.model.exists()
    assert len(list(run.logs.glob("csv/version_*"))) == 2, "the others go on"


@pytest.mark.filterwarnings("ignore")  # of tensorboard's own dependencies
def test_tensorboard_is_given_what_the_record_has(tiny, tmp_path):
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    run = launch.start(tiny("digits", *QUIET, "log.to=[tensorboard]", steps=24), tmp_path / "run")
    (folder,) = {path.parent for path in run.logs.rglob("events.out.tfevents.*")}
    found = accumulator.EventAccumulator(str(folder))
    found.Reload()
    scalars = [(each.step, each.value) for each in found.Scalars("signals/g_loss")]
    wanted = [(row["seen"], row["g_loss"]) for row in rows(run.events) if row["kind"] == "signals"]
    assert [step for step, _ in scalars] == [seen for seen, _ in wanted]
    assert [value for _, value in scalars] == pytest.approx([value for _, value in wanted], rel=1e-6)


@pytest.mark.parametrize("name", ["tensorboard", "wandb", "mlflow"])
def test_a_package_that_is_missing_is_told_before_anything_is_written(tiny, tmp_path, monkeypatch, name):
    monkeypatch.setattr(loggers, "find_spec", lambda package: None)
    with pytest.raises(MachineError, match=rf"log.to={name} needs .*pip install equipoise\[logging\]") as missing:
        launch.start(tiny("digits", f"log.to=[{name}]"), tmp_path / "run")
    assert missing.value.exit_code == 6
    assert not (tmp_path / "run").exists()


def test_an_unknown_logger_is_a_wrong_config(tiny):
    with pytest.raises(ConfigError, match="log"):
        override(tiny("digits"), ["log.to=[comet]"])
