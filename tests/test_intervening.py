"""The one place in which a run is changed: what it does to the run, to its record, and to what can be gone back to."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from equipoise import launch
from equipoise.config import TrainConfig
from equipoise.controller import HandsOff
from equipoise.diagnosis.remedies import LADDER
from equipoise.errors import Diverged, GaveUp
from equipoise.games.gan import GAN
from equipoise.judging import Nobody
from equipoise.knobs import At, Change, Knobs
from equipoise.onlookers import Onlookers
from equipoise.runs import checkpoint, folder
from equipoise.runs.checkpoint import finite
from equipoise.training import COUNTERS, Run, go_back, loop, train
from test_guardian import Recorded
from test_resume import Cut, assert_equal_runs, cut_at, differences


@dataclass
class Doctor(HandsOff):
    """Proposes what it is told to, by the number of its look; every state may be gone back to."""

    changes: dict[int, Callable[[At, Knobs], Change]]
    looks: int = 0
    steps: list[int] = field(default_factory=list)
    rescues: Callable[[At, Knobs], Change | None] = lambda at, knobs: None

    def propose(self, at: At, knobs: Knobs) -> Change | None:
        if at.broken:
            return self.rescues(at, knobs)
        self.looks += 1
        self.steps.append(at.step)
        return self.changes[self.looks](at, knobs) if self.looks in self.changes else None

    def snapshots(self) -> list[int]:
        return self.steps


def made(config: TrainConfig, out: Path, controller: HandsOff | None, prepare: Callable[[Run[GAN]], None]) -> Run[GAN]:
    """Plays a run that is prepared before its first step."""
    run_folder = folder.create(config.recipe, out)
    launch.describe(run_folder, config)
    onlookers = Onlookers(config, launch.build.splits(config.data), torch.device("cpu"))
    with launch.assembled(config, run_folder, onlookers, controller) as run:
        prepare(run)
        train(run)
        return run


def nothing(run: Run[GAN]) -> None: ...


def spoiled(*at: int) -> Callable[[Run[GAN]], None]:
    """A number of a gradient of G is NaN, once, at each of these counts of reals."""

    def prepare(run: Run[GAN]) -> None:
        left = list(at)

        def spoil(gradient: Tensor) -> Tensor:
            if left and run.game.seen >= left[0]:
                left.pop(0)
                gradient = gradient.clone()
                gradient.view(-1)[0] = torch.nan
            return gradient

        next(run.game.G.parameters()).register_hook(spoil)

    return prepare


def turned(knobs: Knobs, **changes: object) -> Knobs:
    return Knobs(**{**knobs.model_dump(), **changes})


def players(game: GAN) -> dict[str, Any]:
    """All of its state but the counters, as it is now."""
    return copy.deepcopy({name: value for name, value in game.state_dict().items() if name not in COUNTERS})


def rows(run: Path, kind: str) -> list[dict]:
    return [row for row in folder.rows(folder.RunFolder(run).events) if row["kind"] == kind]


def test_a_change_is_recorded_and_then_holds(tiny, tmp_path):
    doctor = Doctor({3: lambda at, knobs: Change(knobs=turned(knobs, d_lr=0.0), reason="D shall rest")})
    run = made(tiny("digits"), tmp_path / "run", doctor, nothing)
    (row,) = rows(tmp_path / "run", "change")
    assert (row["reason"], row["knobs"]) == ("D shall rest", {"d_lr": 0.0})
    assert row["seen"] == doctor.steps[2] * 8
    after = [s["d_update_ratio"] for s in rows(tmp_path / "run", "signals") if s["seen"] > row["seen"]]
    before = [s["d_update_ratio"] for s in rows(tmp_path / "run", "signals") if 8 < s["seen"] <= row["seen"]]
    assert set(after) == {0.0}
    assert min(before) > 0
    assert run.standing.knobs.d_lr == 0


def test_what_is_ramped_moves_from_where_it_stood(tiny, tmp_path):
    seen = []

    def noting(run):
        step = run.game.step

        def noted(reals):
            seen.append((run.game.seen, run.game.knobs.r1, run.game.knobs.loss))
            return step(reals)

        run.game.step = noted

    doctor = Doctor({
        2: lambda at, knobs: Change(knobs=turned(knobs, loss="relativistic", r1=1.0, r2=1.0), reason="up", over=120)
    })  # fmt: skip
    made(tiny("digits", "knobs.loss=nonsaturating", "knobs.r1=0", "knobs.r2=0", "schedules={}"), tmp_path / "run",
         doctor, noting)  # fmt: skip
    at = doctor.steps[1] * 8
    for when, r1, loss in seen:
        assert r1 == pytest.approx(min(max((when - at) / 120, 0), 1))
        assert (loss == "relativistic") == (when >= at)


class Remembering(Doctor):
    def state_dict(self) -> dict[str, Any]:
        return {"looks": self.looks, "steps": list(self.steps)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.looks, self.steps = state["looks"], list(state["steps"])


def test_a_knob_that_somebody_sets_leaves_others_on_their_way_also_over_a_break(tiny, tmp_path, monkeypatch):
    """Slowly up at the second look; D faster at the third, when half of the way is gone; cut before the rest is."""
    noted, timed_step = [], loop.timed_step

    def noting(run, clock):
        noted.append((run.game.seen, run.game.knobs.r1, run.game.knobs.d_lr))
        return timed_step(run, clock)

    def doctor() -> Remembering:
        return Remembering({
            2: lambda at, knobs: Change(knobs=turned(knobs, r1=1.0), reason="up", over=120),
            3: lambda at, knobs: Change(knobs=turned(knobs, d_lr=1e-3), reason="faster"),
        })  # fmt: skip

    monkeypatch.setattr(loop, "timed_step", noting)
    config = tiny("digits", "knobs.r1=0", "schedules={}")
    launch.start(config, tmp_path / "whole", controller=doctor())
    second, third = (row["seen"] for row in rows(tmp_path / "whole", "change"))
    assert second < third < second + 120
    for when, r1, d_lr in noted:
        assert r1 == pytest.approx(min(max((when - second) / 120, 0), 1))
        assert (d_lr == 1e-3) == (when >= third)
    with pytest.raises(Cut):
        launch.start(config, tmp_path / "cut", controller=doctor(), watch=cut_at(third + 16))
    assert checkpoint_at(tmp_path / "cut") < second + 120, "the ramp is part of the state that is gone on from"
    launch.resume(tmp_path / "cut", controller=doctor())
    assert_equal_runs(tmp_path / "whole", tmp_path / "cut")


def test_going_back_sets_back_the_players_and_no_counter(tiny, tmp_path):
    kept: dict[str, object] = {}

    def note(at: At, knobs: Knobs) -> Change:
        return Change(knobs=knobs, reason="back", back_to=doctor.steps[1])

    def noting(run):
        restore = run.game.load_state_dict

        def noted(state):
            kept.update(before=run.game.state_dict()["seen"], progress=run.standing.progress(run.game.seen, 480))
            restore(state)
            kept.update(after=players(run.game), seen=run.game.seen)

        run.game.load_state_dict = noted

    doctor = Doctor({5: note})
    run = made(tiny("digits"), tmp_path / "run", doctor, noting)
    path = run.folder.snapshots / checkpoint.name_of(doctor.steps[1])
    state, manifest = checkpoint.load(path)
    assert differences(kept["after"], {k: v for k, v in state.items() if k in kept["after"]}) == []
    assert kept["before"] == kept["seen"] == doctor.steps[4] * 8
    assert run.standing.went_back == (kept["seen"], manifest["progress"])
    assert manifest["progress"] < kept["progress"]
    assert run.standing.progress(run.plan.images, run.plan.images) == 1, "the rest plays the rest of the schedules"
    steps = [row["step"] for row in rows(tmp_path / "run", "signals")]
    assert steps == sorted(set(steps)), "curves go on"


@pytest.mark.parametrize("broken", [False, True])
def test_a_snapshot_that_is_lost_while_the_run_plays_is_not_gone_back_to(broken, tiny, tmp_path):
    """A change is made without; from numbers that are not finite there is no other way."""

    def back(at: At, knobs: Knobs) -> Change:
        (tmp_path / "run" / "snapshots" / checkpoint.name_of(doctor.steps[1]) / "state.pt").write_bytes(b"?")
        return Change(knobs=turned(knobs, d_lr=0.0), reason="back", back_to=doctor.steps[1])

    doctor = Doctor({5: back}, rescues=back)
    if broken:
        with pytest.raises(Diverged):
            made(tiny("digits"), tmp_path / "run", doctor, spoiled(200))
        assert rows(tmp_path / "run", "change") == []
        return
    run = made(tiny("digits"), tmp_path / "run", doctor, nothing)
    (row,) = rows(tmp_path / "run", "change")
    assert row["knobs"] == {"d_lr": 0.0} and "back_to" not in row
    assert row["reason"] == "back; without going back, because that snapshot is damaged or gone"
    assert run.standing.went_back == (0, 0.0)


def test_going_back_twice_to_the_same_snapshot_gives_the_same_bits(tiny, tmp_path):
    doctor = Doctor({})
    run = made(tiny("dcgan"), tmp_path / "run", doctor, nothing)
    found = []
    for _ in range(2):
        go_back(run, doctor.steps[2])
        found.append(players(run.game))
        run.game.step(run.batches)
    assert differences(found[0], found[1]) == []
    assert differences(players(run.game), found[1]), "the control: a step moves them"


# -- by the guardian itself


def guarded(tiny, *settings):
    return tiny("digits", "guardian.mode=on", "guardian.every_kimg=0.024", *settings)


def test_nan_is_answered_by_going_back_and_no_checkpoint_holds_it(tiny, tmp_path):
    run = made(guarded(tiny), tmp_path / "run", None, spoiled(300))
    (change,) = [row for row in rows(tmp_path / "run", "change") if row["reason"].startswith("divergence")]
    assert change["back_to"] * 8 < 300 <= change["seen"]
    assert change["knobs"].keys() >= {"g_lr", "d_lr"}
    (finding,) = [row for row in rows(tmp_path / "run", "finding") if row["symptom"] == "divergence"]
    assert finding["seen"] == change["seen"]
    assert not rows(tmp_path / "run", "diverged")
    assert run.game.seen == 480
    for path in [*run.folder.checkpoints.glob("step-*"), *run.folder.snapshots.glob("step-*")]:
        assert finite(list(checkpoint.load(path)[0].values()))


def test_without_the_guardians_hand_nan_ends_the_run(tiny, tmp_path):
    with pytest.raises(Diverged):
        made(guarded(tiny, "guardian.mode=watch"), tmp_path / "run", None, spoiled(300))
    assert rows(tmp_path / "run", "diverged")
    assert not rows(tmp_path / "run", "change")


def test_nan_that_comes_again_and_again_ends_the_run_with_exit_code_4(tiny, tmp_path):
    with pytest.raises(Diverged, match="went back before") as diverged:
        made(guarded(tiny), tmp_path / "run", None, spoiled(*range(300, 480, 8)))
    assert diverged.value.exit_code == 4
    back = [row["back_to"] for row in rows(tmp_path / "run", "change") if "back_to" in row]
    assert 1 <= len(back) <= 2 * len(LADDER["divergence"])
    for path in (tmp_path / "run" / "checkpoints").glob("step-*"):
        assert finite(list(checkpoint.load(path)[0].values()))


def test_a_run_that_is_stopped_is_saved_as_it_was_when_it_was_healthy(tiny, tmp_path):
    def give_up(at: At, knobs: Knobs) -> Change:
        return Change(knobs=knobs, reason="nothing is left", back_to=doctor.steps[1], stop=True)

    doctor = Doctor({4: give_up})
    config = tiny("digits")
    with pytest.raises(GaveUp, match="Nothing is left") as given_up:
        launch.start(config, tmp_path / "run", controller=doctor)
    assert given_up.value.exit_code == 4
    state, _ = checkpoint.load(checkpoint.latest(tmp_path / "run" / "checkpoints")[0])
    snapshot, _ = checkpoint.load(tmp_path / "run" / "snapshots" / checkpoint.name_of(doctor.steps[1]))
    assert differences(state["game.G_ema"], snapshot["G_ema"]) == []
    assert (tmp_path / "run" / "model.safetensors").exists()
    assert state["game.seen"] < config.images


@pytest.mark.parametrize("at", ["the last look", "the last step"])
def test_going_back_at_the_very_end_ends_the_run_as_it_was_then(at, tiny, tmp_path):
    def back(at: At, knobs: Knobs) -> Change:
        return Change(knobs=knobs, reason="back", back_to=doctor.steps[1])

    last = at == "the last look"
    doctor = Doctor({8: back} if last else {}, rescues=back)
    run = made(tiny("digits"), tmp_path / "run", doctor, nothing if last else spoiled(480))
    (change,) = rows(tmp_path / "run", "change")
    assert change["seen"] == run.game.seen == 480
    state, _ = checkpoint.load(checkpoint.latest(run.folder.checkpoints)[0])
    snapshot, _ = checkpoint.load(run.folder.snapshots / checkpoint.name_of(doctor.steps[1]))
    assert differences(state["game.G"], snapshot["G"]) == []
    assert folder.state(run.folder) == "finished"


def test_a_run_that_was_stopped_stays_so(tiny, tmp_path):
    def give_up(at: At, knobs: Knobs) -> Change:
        return Change(knobs=knobs, reason="nothing is left", stop=True)

    with pytest.raises(GaveUp):
        launch.start(tiny("digits"), tmp_path / "run", controller=Doctor({4: give_up}))
    before = (tmp_path / "run" / "events.jsonl").read_bytes()
    with pytest.raises(GaveUp, match="Nothing is left"):
        launch.resume(tmp_path / "run", controller=Doctor({}))
    assert (tmp_path / "run" / "events.jsonl").read_bytes() == before

    path, _ = checkpoint.latest(tmp_path / "run" / "checkpoints")
    state, manifest = checkpoint.load(path)
    facts = {k: v for k, v in manifest.items() if k not in ("schema", "step", "finite", "files")}
    checkpoint.save(path.parent, manifest["step"], state | {"loop.stopped": ""}, **facts)
    launch.resume(tmp_path / "run", controller=Doctor({}))
    assert (tmp_path / "run" / "events.jsonl").read_bytes() != before, "the control: without that entry it plays on"


def test_snapshots_stay_as_long_as_a_checkpoint_may_need_them(tiny, tmp_path):
    """The newest may be found damaged: a run that goes on from an older one must find what that one may go back to."""

    class Forgetful(Doctor):
        def snapshots(self) -> list[int]:
            return self.steps[:1] if len(self.steps) < 6 else []

    run = made(tiny("digits"), tmp_path / "run", Forgetful({}), nothing)
    kept = {checkpoint.step_of(path) for path in run.folder.snapshots.glob("step-*")}
    needed = [checkpoint.manifest(path)["snapshots"] for path in checkpoint.newest_first(run.folder.checkpoints)[:3]]
    assert needed[0] == [], "the newest needs none"
    assert kept == {step for steps in needed for step in steps} != set()


def test_a_run_that_was_mended_resumes_to_the_same_bits(tiny, tmp_path, monkeypatch):
    """Cut after it went back, before the next checkpoint, and some snapshots were written that no checkpoint knows."""
    build_game = launch.build.game

    def fragile(*args, **more):
        game = build_game(*args, **more)
        spoiled(300)(SimpleRun(game))
        return game

    config = guarded(tiny)
    monkeypatch.setattr(launch.build, "game", fragile)
    launch.start(config, tmp_path / "whole")
    assert any(row["reason"].startswith("divergence") for row in rows(tmp_path / "whole", "change"))
    for cut in (296, 312, 440):
        run = tmp_path / str(cut)
        with pytest.raises(Cut):
            launch.start(config, run, watch=cut_at(cut))
        monkeypatch.setattr(launch.build, "game", fragile if cut < 300 or checkpoint_at(run) < 300 else build_game)
        launch.resume(run)
        monkeypatch.setattr(launch.build, "game", fragile)
        assert_equal_runs(tmp_path / "whole", run)


@dataclass
class SimpleRun:
    game: GAN


def checkpoint_at(run: Path) -> int:
    path, _ = checkpoint.latest(run / "checkpoints")
    return checkpoint.load(path)[1]["seen"]


def test_what_the_leader_decides_is_told_to_the_others_who_do_the_same(tiny, tmp_path):
    said: list[str] = []
    leader = Doctor({
        2: lambda at, knobs: Change(knobs=turned(knobs, d_lr=1e-3), reason="faster"),
        4: lambda at, knobs: Change(knobs=knobs, reason="back", back_to=leader.steps[0]),
    })  # fmt: skip
    states = []
    for rank, controller in enumerate((leader, HandsOff())):
        config = tiny("digits")
        run_folder = folder.create("digits", tmp_path / str(rank))
        launch.describe(run_folder, config)
        onlookers = Onlookers(config, launch.build.splits(config.data), torch.device("cpu"))
        with launch.assembled(config, run_folder, onlookers, controller) as run:
            shared = replace(run.folder, path=tmp_path / "0")
            train(replace(run, processes=Recorded(rank, 1, said=said), folder=shared, judge=Nobody()))
            states.append(run.game.state_dict() | {"knobs": run.standing.knobs.model_dump()})
    assert differences(states[0], states[1]) == []
    assert states[1]["knobs"]["d_lr"] == 1e-3
    assert said == []
