"""A game that goes both ways: what is wrong with one way is found, and the game is mended as one."""

from __future__ import annotations

import torch
from torch import nn

from equipoise import build, launch
from equipoise.diagnosis.finding import Finding
from equipoise.diagnosis.history import Look
from equipoise.diagnosis.remedies import REMEDIES, Case, Setting
from equipoise.diagnosis.watch import Each, Watch
from equipoise.errors import GaveUp
from equipoise.knobs import Knobs
from equipoise.onlookers import Onlookers
from equipoise.runs import folder
from equipoise.runs.folder import rows
from equipoise.training import train
from equipoise.ways import NAME


def constant(G: nn.Module) -> None:
    """The same grey picture of whatever it is given: its last convolution has forgotten everything."""
    last = [m for m in G.modules() if isinstance(m, nn.Conv2d)]
    with torch.no_grad():
        for p in next(m for m in reversed(last) if m.out_channels in (1, 3)).parameters():
            p.zero_()


def collapsing(run, first: int, last: int):
    """Both generators and their averages are constant after these rounds."""
    step, played = run.game.step, []

    def spoilt(reals):
        signals = step(reals)
        played.append(1)
        if first <= len(played) <= last:
            for game in run.game.games:
                constant(game.G)
                constant(game.ema.net)
        return signals

    run.game.step = spoilt


def played(config, out, prepare):
    run_folder = folder.create(config.recipe, out)
    launch.describe(run_folder, config)
    onlookers = Onlookers(config, build.splits(config.data), torch.device("cpu"))
    with launch.assembled(config, run_folder, onlookers) as run:
        prepare(run)
        try:
            train(run)
        except GaveUp:
            return rows(run_folder.events), True
        return rows(run_folder.events), False


def test_a_collapse_of_both_ways_is_named_and_mended_or_stopped(tiny, tmp_path):
    settings = ["guardian.mode=on", "guardian.every_kimg=.04", "evaluate.metrics=[]", "optim.g.lr=1e-3"]
    config = tiny("cyclegan", *settings, steps=80)
    events, stopped = played(config, tmp_path / "run", lambda run: collapsing(run, 50, 55))
    found = [row for row in events if row["kind"] == "finding" and row["seen"] > 50 * 8]
    collapses = [row for row in found if row["symptom"] == "total collapse"]
    assert any(not row["meaning"].startswith(NAME) for row in collapses)
    assert any(row["meaning"].startswith(NAME) for row in collapses)
    assert [row for row in events if row["kind"] == "change" and row["seen"] > 50 * 8]
    last = [row for row in events if row["kind"] == "look"][-1]
    assert stopped or "total collapse" not in last["ill"]


def test_the_control_is_not_called_collapsed(tiny, tmp_path):
    settings = ["guardian.mode=watch", "guardian.every_kimg=.04", "evaluate.metrics=[]", "optim.g.lr=1e-3"]
    config = tiny("cyclegan", *settings, steps=80)
    events, _ = played(config, tmp_path / "run", lambda run: None)
    later = [row for row in events if row["kind"] == "finding" and row["seen"] > 50 * 8]  # untrained nets draw alike
    assert not [row for row in later if row["symptom"] == "total collapse"]


def watch(*found: Finding, seen=(10, 20)) -> Watch:
    """One that has seen so much, and finds what it is told to find."""
    made = Watch(None, 0)
    made.history = [Look(at, {}) for at in seen]
    made.findings = lambda back=0: list(found)  # type: ignore[method-assign]
    return made


def finding(symptom: str, severity: str, meaning: str = "") -> Finding:
    return Finding(symptom, severity, {}, meaning, "")  # type: ignore[arg-type]


def test_of_each_symptom_the_worst_is_told_and_the_worst_comes_first():
    there = watch(finding("cycling", "note", "there"), finding("imbalance", "warning"))
    back = watch(finding("cycling", "severe", "back"), finding("total collapse", "severe"))
    found = [(f.symptom, f.severity, f.meaning) for f in Each([there, back]).findings()]
    assert found == [("cycling", "severe", "back"), ("total collapse", "severe", ""), ("imbalance", "warning", "")]


def test_bins_of_both_ways_lie_behind_each_other_and_hold_what_their_numbers_say(tiny):
    config = tiny("cyclegan", "guardian.mode=on")
    onlookers = Onlookers(config, build.splits(config.data), torch.device("cpu"))
    bins, ways = onlookers.bins(), (onlookers.there, onlookers.back)
    counts = [len(way.eyes.ground.bins.centres) for way in ways]
    assert sorted(bins) == list(range(sum(counts))) and len(onlookers.setting().shares) == sum(counts)
    back, first = onlookers.back, counts[0]
    some = max(range(first, sum(counts)), key=lambda i: len(bins[i]))
    x, _ = onlookers.data.train.take(torch.tensor(bins[some][:20]))
    a = x[:, : onlookers.form.given]  # what the way back makes
    assert set(back.eyes.place(a).bin.tolist()) == {some - first}


def test_what_the_way_back_does_not_draw_is_drawn_more_often():
    there, back = watch(), watch()
    there.history[-1], back.history[-1] = Look(20, {}, [0.5, 0.5]), Look(20, {}, [0.9, 0.1, 0.0])
    both = Each([there, back])
    assert both.drawn == [0.5, 0.5, 0.9, 0.1, 0.0]
    setting = Setting(Knobs(), True, False, 1.0, 1.0, shares=[0.5, 0.5, 0.6, 0.2, 0.2])
    assert REMEDIES["balanced"].turn(Case(Knobs(), setting, both.drawn)).focus_on == (4,)
    assert REMEDIES["balanced"].turn(Case(Knobs(), setting, there.drawn)) is None


def test_to_turn_the_game_is_told_to_both():
    there, back = watch(), watch()
    Each([there, back]).turn()
    assert there.history[-1].turned and back.history[-1].turned and not there.history[0].turned
