"""A run that is judged keeps its best checkpoint, says when it has converged, and is the run that it would have been
without.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from equipoise import build, forecast, generator, launch
from equipoise import config as c
from equipoise.config import override, write
from equipoise.diagnosis.convergence import plateau
from equipoise.errors import ConfigError
from equipoise.judging import OfSamples, Verdict
from equipoise.onlookers import Onlookers
from equipoise.runs import checkpoint
from equipoise.runs.events import read
from equipoise.runs.folder import RunFolder
from equipoise.scoring import Asked, score

CPU = torch.device("cpu")
LOOKS = 8


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def judged_often(tiny, *settings, steps=80):
    """Of 8 images a step, looked at LOOKS times by fd."""
    kimg = steps * 8 / 1000
    return tiny("digits", f"evaluate.every_kimg={kimg / LOOKS}", "evaluate.metrics=[fd]", "evaluate.n=179",
                "guardian.mode=off", *settings, steps=steps)  # fmt: skip


def rows(run: RunFolder, kind: str, **where: Any) -> list[dict[str, Any]]:
    return [row for row in read(run.events) if row["kind"] == kind and all(row[k] == v for k, v in where.items())]


@pytest.fixture(scope="module")
def shelf(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("shelf")


@pytest.fixture
def run(tiny, shelf) -> RunFolder:
    """One judged run, played once for all tests that only read it."""
    if not (shelf / "run").exists():
        launch.start(judged_often(tiny), shelf / "run")
    return RunFolder(shelf / "run")


def test_the_best_checkpoint_is_the_minimum_of_the_recorded_figures_of_the_average(run):
    looks = rows(run, "metrics", net="average", part="validation")
    assert len(looks) == LOOKS
    assert len(rows(run, "metrics", net="generator", part="validation")) == LOOKS
    values = [look["figures"]["fd"]["value"] for look in looks]
    best = looks[int(np.argmin(values))]
    (kept,) = checkpoint.newest_first(run.best)
    assert checkpoint.step_of(kept) == best["step"]
    assert rows(run, "best")[-1]["value"] == min(values)
    assert [row["value"] for row in rows(run, "best")] == [v for i, v in enumerate(values) if v == min(values[: i + 1])]


def test_a_figure_that_should_be_high_is_kept_at_its_highest(tiny, run_path):
    run = launch.start(judged_often(tiny, "evaluate.metrics=[fd,prdc]", "evaluate.best_by=recall"), run_path)
    values = [look["figures"]["recall"]["value"] for look in rows(run, "metrics", net="average", part="validation")]
    assert rows(run, "best")[-1]["value"] == max(values)
    assert rows(run, "best")[0]["value"] == values[0]


def test_sample_takes_the_best(run):
    (kept,) = checkpoint.newest_first(run.best)
    state, _ = checkpoint.load(kept)
    G = generator.opened(run.path, "best")[0].G
    assert all(torch.equal(G.state_dict()[name], value) for name, value in state["game.G_ema"].items())


def test_the_final_figures_are_of_the_best_generator_on_test_data(run):
    config = c.read(run.config)
    (final,) = rows(run, "metrics", net="best", part="test")
    assert final["step"] == checkpoint.step_of(checkpoint.newest_first(run.best)[0])
    data = build.splits(config.data)
    judge = Onlookers(config, data, CPU).judge(patience_kimg=1)
    assert isinstance(judge, OfSamples)
    G = generator.opened(run.path, "best")[0].G
    assert judge.final({"G_ema": G})["best"]["fd"].value == pytest.approx(final["figures"]["fd"]["value"], rel=1e-6)
    against_validation = judge.figures(G, judge.validation)["fd"].value
    assert against_validation != pytest.approx(final["figures"]["fd"]["value"], rel=1e-6), "the control"
    assert score(Asked(str(run.path), features="pixels", metrics=["fd"], n=179)).figures["fd"].n_real == 179


def test_the_protocol_is_told_once_and_for_the_test_part(run):
    told = rows(run, "protocol")
    assert [row["part"] for row in told] == ["validation", "test"]
    assert told[0]["figures"]["fd"]["features"]["name"] == "pixels"
    assert told[0]["figures"]["fd"]["data"]["sha256"] != told[1]["figures"]["fd"]["data"]["sha256"]


@pytest.mark.parametrize("recipe", ["digits", "ring"])
def test_judging_changes_no_bit_of_training(recipe, tiny):
    seldom = tiny(recipe, "evaluate.metrics=[]")
    often = tiny(recipe, "evaluate.metrics=[fd,prdc,vendi]", "evaluate.every_kimg=.04")
    models = [launch.start(config, Path(name)).model.read_bytes() for name, config in (("a", seldom), ("b", often))]
    assert models[0] == models[1]
    signals = [rows(RunFolder(Path(name)), "signals") for name in "ab"]
    assert signals[0] == signals[1]


def test_a_run_that_is_not_judged_has_no_rows_of_it(tiny, run_path):
    run = launch.start(tiny("digits", "evaluate.metrics=[]", "guardian.mode=off"), run_path)
    assert {row["kind"] for row in read(run.events)} == {"signals", "checkpoint"}
    assert checkpoint.newest_first(run.best) == []
    with pytest.raises(ConfigError, match="stop_when_converged needs metrics"):
        tiny("digits", "evaluate.metrics=[]", "evaluate.stop_when_converged=true")


STILL = ["optim.g.lr=1e-12", "optim.d.lr=1e-12", "evaluate.patience_kimg=.4", "evaluate.stop_when_converged=true"]


def test_a_run_that_stands_still_stops_early_and_does_not_go_on_when_resumed(tiny, run_path):
    """Nets that do not learn make the same samples at each look: no gain."""
    run = launch.start(judged_often(tiny, *STILL), run_path)
    (finding,) = rows(run, "finding")
    assert finding["symptom"] == "converged"
    looks = rows(run, "metrics", net="average", part="validation")
    assert len(looks) < LOOKS
    assert looks[-1]["seen"] == finding["seen"] < 640
    assert len(rows(run, "metrics", part="test")) == 1, "an early end is an end"
    assert list(read(run.clock))[-1]["kind"] == "finished"
    before, model = run.events.read_bytes(), run.model.read_bytes()
    launch.resume(run.path)
    assert (run.events.read_bytes(), run.model.read_bytes()) == (before, model)


def test_without_being_asked_a_run_that_stands_still_plays_on_and_says_so_once(tiny, run_path):
    run = launch.start(judged_often(tiny, *STILL, "evaluate.stop_when_converged=false"), run_path)
    assert len(rows(run, "finding")) == 1
    assert rows(run, "metrics", net="average", part="validation")[-1]["seen"] == 640


@dataclass(frozen=True)
class Scripted:
    """A judge whose figures are known beforehand."""

    values: Sequence[float]

    def judge(self, game, history):
        value = self.values[len(history)]
        best = all(value < before for _, before in history)
        seen, figures = [*(seen for seen, _ in history), game.seen], [*(v for _, v in history), value]
        return Verdict(value=value, best=best, finding=plateau(seen, figures, 400, lower_is_better=True))

    def converged(self, history):
        return plateau([s for s, _ in history], [v for _, v in history], 400, lower_is_better=True) is not None

    def final(self, best):
        return {}


@pytest.mark.parametrize(
    ("values", "ends", "best"),
    [
        ([8, 7, 6, 5, 4, 3, 2, 1], 8, 8),
        ([8, 1, 1, 1, 1, 1, 1, 1], 7, 2),
        ([8, 4, 1, 3, 5, 7, 9, 11], 8, 3),
    ],
    ids=["gains to the end", "flat", "past its best"],
)
def test_a_run_ends_when_its_judge_sees_no_gain(values, ends, best, tiny, run_path, monkeypatch):
    monkeypatch.setattr(Onlookers, "judge", lambda *rest, **named: Scripted(values))
    monkeypatch.setattr(forecast, "judging_s", lambda *rest: 0.1)
    run = launch.start(judged_often(tiny, "evaluate.stop_when_converged=true"), run_path)
    state, _ = checkpoint.load(checkpoint.latest(run.checkpoints)[0])
    assert [value for _, value in state["loop.judged"]] == values[:ends]
    assert state["loop.step"] == 10 * ends
    assert checkpoint.step_of(checkpoint.newest_first(run.best)[0]) == 10 * best


@pytest.mark.parametrize("settings", [["evaluate.best_by=fdd"], ["evaluate.best_by=vendi", "evaluate.metrics=[vendi]"],
                                      ["evaluate.best_by=kid"], ["evaluate.features=squeezenet"]])  # fmt: skip
def test_what_cannot_be_judged_is_told_before_anything_is_written(settings, tiny, run_path):
    with pytest.raises(ConfigError) as error:
        launch.start(tiny("digits", *settings), run_path)
    assert len(str(error.value).splitlines()) <= 3
    assert not run_path.exists()


def test_a_budget_of_three_percent_or_two_looks():
    assert forecast.affordable(1, 1000) == 30
    assert forecast.affordable(0.5, 1000) == forecast.MOST_JUDGED
    assert forecast.affordable(100, 1000) == 2, "two, whatever they cost"
    assert forecast.affordable(1e-6, 1) == forecast.MOST_JUDGED


@pytest.mark.parametrize(("look_s", "every", "patience"), [(0.1, 80 / 30, 16), (0.3, 8, 40), (3.0, 40, 200)])
def test_the_length_of_a_look_decides_how_often(look_s, every, patience, tiny, monkeypatch):
    """10,000 steps of 10 ms: 3 s for looks."""
    monkeypatch.setattr(forecast, "fastest", lambda config, *rest: (config.machine, 0.01))
    monkeypatch.setattr(forecast, "judging_s", lambda *rest: look_s)
    config = override(tiny("digits"), ["kimg=80", "evaluate.every_kimg=null", "evaluate.patience_kimg=null"])
    told: list[str] = []
    stopping = override(config, ["evaluate.stop_when_converged=true"])
    resolved, _ = forecast.resolve(Onlookers(stopping, build.splits(config.data), CPU, warn=told.append))
    assert resolved.evaluate.every_kimg == pytest.approx(every)
    assert resolved.evaluate.patience_kimg == pytest.approx(patience)
    assert len(told) == (patience >= 80), "a run that cannot see it does not promise to stop"


def test_a_look_costs_what_was_foretold(tiny):
    """Within a factor: what is made once is not in it."""
    config = tiny("digits")
    onlookers = Onlookers(config, build.splits(config.data), CPU)
    took = [forecast.judging_s(onlookers) for _ in range(2)]
    assert max(took) < 20 * min(took)


def trained_by_two(config, folder: Path) -> RunFolder:
    write(config, folder / "config.yaml")
    command = [sys.executable, "-m", "equipoise.cli.main", "train", "--config", str(folder / "config.yaml")]
    clean = {k: v for k, v in os.environ.items() if k not in ("RANK", "LOCAL_RANK", "NODE_RANK", "WORLD_SIZE")}
    subprocess.run([*command, "--out", str(folder / "run")], env=clean | {"OMP_NUM_THREADS": "1"}, check=True,
                   capture_output=True, timeout=120)  # fmt: skip
    return RunFolder(folder / "run")


def test_of_two_processes_the_leader_judges_and_both_stop(tiny, tmp_path):
    run = trained_by_two(judged_often(tiny, *STILL, "machine.devices=2"), tmp_path)
    looks = rows(run, "metrics", net="average")
    assert len({look["step"] for look in looks}) == len(looks) < LOOKS
    assert len(rows(run, "finding")) == len(rows(run, "metrics", part="test")) == 1
    assert len(checkpoint.newest_first(run.best)) == 1
    assert [json.loads(line)["kind"] for line in run.clock.read_text().splitlines()][-1] == "finished"


def test_a_judge_sees_what_a_file_of_the_samples_would_hold(tiny):
    """The figures of G are those of its samples written to a file and read back."""
    config = judged_often(tiny)
    data = build.splits(config.data)
    onlookers = Onlookers(config, data, CPU)
    judge = onlookers.judge(patience_kimg=1)
    assert isinstance(judge, OfSamples)
    game = build.game(config, onlookers.form, CPU)
    with torch.no_grad():
        pixels = build.as_pixels(game.sampler(judge.validation.z, judge.validation.y))
    np.save("written.npy", pixels)
    found = score(Asked("written.npy", "digits#validation", features="pixels", metrics=["fd"])).figures["fd"]
    assert found.value == pytest.approx(judge.judge(game, []).figures["average"]["fd"].value, rel=1e-9)


def test_the_same_latents_and_reals_at_every_look(tiny):
    config = judged_often(tiny)
    data = build.splits(config.data)
    judges = [Onlookers(config, data, CPU).judge(patience_kimg=1) for _ in range(2)]
    assert all(isinstance(judge, OfSamples) for judge in judges)
    game = build.game(config, build.form(config, data), CPU)
    first, second = (judge.judge(game, []).value for judge in judges)
    assert first == second
    other = Onlookers(config.model_copy(update={"seed": 1}), data, CPU).judge(patience_kimg=1)
    assert other.judge(game, []).value != first, "the control: other latents"
