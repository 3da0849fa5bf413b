"""Resumed equals uninterrupted, bit for bit, and this test is proven: losing any registered entry turns it red."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from equipoise import launch
from equipoise.config import TrainConfig, write
from equipoise.controller import Controller, HandsOff
from equipoise.data.convert import convert_pictures
from equipoise.errors import DataError, Stopped, StorageError
from equipoise.knobs import At, Change, Knobs
from equipoise.onlookers import Onlookers
from equipoise.progress import Reporter
from equipoise.runs import checkpoint, events
from equipoise.runs.folder import RunFolder
from forked import end_of, forked


class Cut(Exception):
    """The power fails."""


def watched_by(reporter: Reporter) -> launch.Watch:
    @contextmanager
    def watch(label: str, total: int, done: int) -> Iterator[Reporter]:
        yield reporter

    return watch


def cut_at(images: int) -> launch.Watch:
    """Ends the run, without any goodbye, once `images` were seen."""

    def reporter(seen: int, signals: Mapping[str, float], news: str = "") -> None:
        if seen >= images:
            raise Cut

    return watched_by(reporter)


def stop_at(images: int, number: int = signal.SIGTERM) -> launch.Watch:
    """Asks the run to stop, once `images` were seen."""

    def reporter(seen: int, signals: Mapping[str, float], news: str = "") -> None:
        if seen == images:
            os.kill(os.getpid(), number)

    return watched_by(reporter)


class Meddler(HandsOff):
    """A controller that turns knobs at its second look, slowly, goes back at its fourth, and counts its looks."""

    def __init__(self) -> None:
        self.looks, self.second = 0, 0
        self.knobs = Knobs(loss="relativistic", r1=0.7, r2=0.2, g_lr=3e-3, d_lr=1e-3, ema_halflife_kimg=0.05)

    def propose(self, at: At, knobs: Knobs) -> Change | None:
        self.looks += 1
        if self.looks == 2:
            self.second = at.step
            return Change(knobs=self.knobs, reason="the second look", over=2 * at.seen)
        late = self.knobs.model_copy(update={"g_lr": 1e-3})
        back = Change(knobs=late, reason="the fourth look", over=at.seen, back_to=self.second)
        return back if self.looks == 4 else None

    def snapshots(self) -> list[int]:
        return [self.second]

    def state_dict(self) -> dict[str, Any]:
        return {"looks": self.looks, "second": self.second}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.looks, self.second = state["looks"], state["second"]


def flipped(path: Path) -> None:
    """A bit of a checkpoint."""
    blob = bytearray((path / "state.pt").read_bytes())
    blob[len(blob) // 2] ^= 1
    (path / "state.pt").write_bytes(bytes(blob))


def final_state(run: Path) -> dict[str, Any]:
    state, _ = checkpoint.load(checkpoint.latest(RunFolder(run).checkpoints)[0])
    return state


def differences(a: Any, b: Any, where: str = "") -> list[str]:
    """The places at which two nested states are not equal to the bit."""
    if isinstance(a, torch.Tensor) and isinstance(b, torch.Tensor):
        same = a.dtype == b.dtype and a.shape == b.shape and torch.equal(a, b)
        return [] if same else [where]
    if isinstance(a, dict) and isinstance(b, dict):
        if a.keys() != b.keys():
            return [where]
        return [d for k in a for d in differences(a[k], b[k], f"{where}/{k}")]
    if isinstance(a, (list, tuple)) and isinstance(b, (list, tuple)) and len(a) == len(b):
        return [d for i, (x, y) in enumerate(zip(a, b, strict=True)) for d in differences(x, y, f"{where}/{i}")]
    return [] if a == b else [where]


def files_that_differ(a: Path, b: Path) -> list[str]:
    """Among the record, the pictures and the shared generator: everything but the checkpoints and the clock's log."""
    names = sorted({p.relative_to(a) for p in a.glob("samples/*")} | {p.relative_to(b) for p in b.glob("samples/*")})
    names = [Path("events.jsonl"), Path("model.safetensors"), Path("config.json"), *names]
    return [str(n) for n in names if not (b / n).exists() or (a / n).read_bytes() != (b / n).read_bytes()]


def assert_equal_runs(a: Path, b: Path) -> None:
    assert differences(final_state(a), final_state(b)) == []
    assert files_that_differ(a, b) == []


def killed_at(images: int) -> launch.Watch:
    """Ends the process, as the power's failing would, once `images` were seen."""

    def reporter(seen: int, signals: Mapping[str, float], news: str = "") -> None:
        if seen >= images:
            os.kill(os.getpid(), signal.SIGKILL)

    return watched_by(reporter)


def test_a_killed_and_resumed_run_equals_one_never_killed(recipe_name, tiny, tmp_path):
    config = tiny(recipe_name, steps=24)
    launch.start(config, tmp_path / "whole")
    # two steps after its fourth checkpoint; it may have played two updates of D at the time
    process = forked(lambda: launch.start(config, tmp_path / "killed", watch=killed_at(8 * 18)))
    assert end_of(process) == -signal.SIGKILL
    launch.resume(tmp_path / "killed")
    assert_equal_runs(tmp_path / "whole", tmp_path / "killed")


def test_a_command_killed_at_any_moment_goes_on_to_the_same_bits(tiny, tmp_path):
    config, run = tiny("digits", steps=360), tmp_path / "killed"
    launch.start(config, tmp_path / "whole")
    write(config, tmp_path / "config.yaml")
    command = [sys.executable, "-m", "equipoise.cli.main", "train", "--config", str(tmp_path / "config.yaml")]
    process = subprocess.Popen([*command, "--out", str(run)], stderr=subprocess.DEVNULL)
    while len(list((run / "checkpoints").glob("step-*"))) < 2:
        assert process.poll() is None, "the run ended before it could be killed"
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert not (run / "model.safetensors").exists(), "the run was over before it was killed"
    launch.resume(run)
    assert_equal_runs(tmp_path / "whole", run)


@pytest.fixture(scope="module")
def whole(tiny, tmp_path_factory) -> Callable[[str], Path]:
    """Runs that nothing happened to, by recipe."""

    @cache
    def played(name: str) -> Path:
        path: Path = tmp_path_factory.mktemp("whole") / name
        launch.start(tiny(name), path)
        return path

    return played


@pytest.mark.parametrize("cut", [8, 80, 240, 472], ids=["step 1", "at a checkpoint", "half way", "near the end"])
@pytest.mark.parametrize("name", ["stacked-digits", "dcgan"])
def test_any_cut_point_gives_the_same_run(name, cut, tiny, tmp_path, whole):
    with pytest.raises(Cut):
        launch.start(tiny(name), tmp_path / "cut", watch=cut_at(cut))
    launch.resume(tmp_path / "cut")
    assert_equal_runs(whole(name), tmp_path / "cut")


@pytest.mark.parametrize("name", ["r3gan-xs", "dcgan"])
def test_a_run_in_bf16_stays_finite_and_resumes_to_the_same_bits(name, tiny, tmp_path):
    config = tiny(name, "machine.precision=bf16", steps=18)
    launch.start(config, tmp_path / "whole")
    with pytest.raises(Cut):
        launch.start(config, tmp_path / "cut", watch=cut_at(80))
    launch.resume(tmp_path / "cut")
    assert_equal_runs(tmp_path / "whole", tmp_path / "cut")
    launch.start(tiny(name, steps=18), tmp_path / "fp32")
    assert differences(final_state(tmp_path / "whole")["game.G"], final_state(tmp_path / "fp32")["game.G"])


def test_a_cut_at_the_edge_of_an_epoch_gives_the_same_run(tiny, tmp_path):
    config = tiny("digits", "batch=479", "kimg=8.622", "save.every_kimg=1.437", "record.every_kimg=0.4")
    launch.start(config, tmp_path / "whole")
    with pytest.raises(Cut):
        launch.start(config, tmp_path / "cut", watch=cut_at(4 * 479))
    launch.resume(tmp_path / "cut")
    assert_equal_runs(tmp_path / "whole", tmp_path / "cut")


def test_a_run_stopped_by_a_signal_is_saved_and_resumes_to_the_same_bits(tiny, tmp_path, whole):
    with pytest.raises(Stopped) as stopped:
        launch.start(tiny("stacked-digits"), tmp_path / "stopped", watch=stop_at(8 * 33))
    assert stopped.value.exit_code == 143
    assert "equipoise resume" in str(stopped.value)
    assert checkpoint.latest(tmp_path / "stopped" / "checkpoints")[0].name == "step-000000034"
    launch.resume(tmp_path / "stopped")
    assert_equal_runs(whole("stacked-digits"), tmp_path / "stopped")


def interrupted(
    config: TrainConfig, run: Path, controller: Callable[[], Controller | None] = Meddler
) -> tuple[Path, dict[str, Any], dict[str, Any]]:
    """(checkpoint, its state, its manifest) of a run with a controller that was cut at two thirds."""
    with pytest.raises(Cut):
        launch.start(config, run, watch=cut_at(2 * config.images // 3), controller=controller())
    path, _ = checkpoint.latest(RunFolder(run).checkpoints)
    return path, *checkpoint.load(path)


def entries_of(config: TrainConfig, run: Path, controller: Callable[[], Controller | None] = Meddler) -> dict[str, Any]:
    """Every registered entry as it is when a run begins."""
    write(config, run / "config.json")
    onlookers = Onlookers(config, launch.build.splits(config.data), torch.device("cpu"))
    with launch.assembled(config, RunFolder(run), onlookers, controller()) as fresh:
        return fresh.registry().state()


def guardian() -> None:
    """None: a run then has the controller that its config asks for."""


# a controller, and the entries to be lost: all of them once, and those that another game or controller has of its own
LOSSES = {
    "stacked-digits": (Meddler, ""),
    "dcgan": (Meddler, "game."),
    "wgan-gp": (Meddler, "game."),
    "cyclegan": (Meddler, "game."),
    "hinge": (guardian, "controller."),
}
SLIM = {"cyclegan": ["evaluate.metrics=[]", "pool=20"]}


@pytest.mark.parametrize("name", LOSSES)
def test_losing_any_registered_entry_is_noticed(name, tiny, tmp_path):
    controller, kind = LOSSES[name]
    # cut between two looks, and after one that found something
    watched = ["guardian.every_kimg=0.1", "guardian.mode=on"] if controller is guardian else []
    config = tiny(name, *watched, *SLIM.get(name, []), steps=60 if controller is guardian else 32)
    launch.start(config, tmp_path / "whole", controller=controller())
    _, state, manifest = interrupted(config, tmp_path / "cut", controller)
    (tmp_path / "fresh").mkdir()
    fresh = entries_of(config, tmp_path / "fresh", controller)
    assert fresh.keys() == state.keys()
    facts = {k: v for k, v in manifest.items() if k not in ("schema", "step", "finite", "files")}

    unnoticed = []
    untold = {"loop.stopped"}  # nobody stops these runs: see test_intervening.test_a_run_that_was_stopped_stays_so
    for entry in [None, *(entry for entry in state if entry.startswith(kind) and entry not in untold)]:
        run = tmp_path / "again"
        shutil.rmtree(run, ignore_errors=True)
        shutil.copytree(tmp_path / "cut", run)
        damaged = state | ({entry: fresh[entry]} if entry else {})
        checkpoint.save(run / "checkpoints", manifest["step"], damaged, **facts)
        launch.resume(run, controller=controller())
        same = not differences(final_state(tmp_path / "whole"), final_state(run))
        same = same and not files_that_differ(tmp_path / "whole", run)
        if entry is None:
            assert same, "the control: nothing lost, nothing changed"
        elif same:
            unnoticed.append(entry)
    assert unnoticed == []


def test_a_run_killed_while_it_wrote_its_first_checkpoint_starts_again(tiny, tmp_path, monkeypatch):
    """Its record tells of that checkpoint already."""

    def cut(*args: Any, **facts: Any) -> Path:
        raise Cut

    config = tiny("digits", "guardian.mode=off", steps=24)
    launch.start(config, tmp_path / "whole")
    with monkeypatch.context() as patch, pytest.raises(Cut):
        patch.setattr(checkpoint, "save", cut)
        launch.start(config, tmp_path / "cut")
    assert list(events.read(tmp_path / "cut" / "events.jsonl"))[-1]["kind"] == "checkpoint"
    launch.resume(tmp_path / "cut")
    assert_equal_runs(tmp_path / "whole", tmp_path / "cut")


@pytest.mark.parametrize("harm", [lambda file: file.write_bytes(b"?"), Path.unlink], ids=["damaged", "gone"])
@pytest.mark.parametrize("place", ["checkpoints", "best"])
def test_a_damaged_checkpoint_that_is_not_resumed_from_does_not_keep_a_run_from_its_end(place, harm, tiny, tmp_path):
    config = tiny("digits", "guardian.mode=off", steps=24)
    launch.start(config, tmp_path / "whole")
    with pytest.raises(Cut):
        launch.start(config, tmp_path / "cut", watch=cut_at(8 * 21))
    path = checkpoint.newest_first(tmp_path / "cut" / place)[1 if place == "checkpoints" else 0]
    harm(path / "manifest.json")
    told: list[str] = []
    run = launch.resume(tmp_path / "cut", warn=told.append)
    assert differences(final_state(tmp_path / "whole")["game.G"], final_state(run.path)["game.G"]) == []
    assert run.model.exists()
    assert any("set aside" in text for text in told) == (place == "best")


@pytest.mark.parametrize("harm", [flipped, shutil.rmtree], ids=["damaged", "gone"])
def test_a_run_whose_snapshot_is_lost_goes_on_without_going_back_to_it(harm, tiny, tmp_path):
    config = tiny("digits")
    launch.start(config, tmp_path / "whole", controller=Meddler())
    with pytest.raises(Cut):
        launch.start(config, tmp_path / "cut", watch=cut_at(200), controller=Meddler())
    (path,) = checkpoint.newest_first(tmp_path / "cut" / "snapshots")
    harm(path)
    told: list[str] = []
    run = launch.resume(tmp_path / "cut", controller=Meddler(), warn=told.append)
    aside = [text for text in told if f"set aside as damaged-{path.name}" in text]
    assert len(aside) == (harm is flipped)
    assert any(f"no state of step {checkpoint.step_of(path)} any more" in text for text in told)
    assert run.model.exists()
    changes = {
        name: [row for row in events.read(tmp_path / name / "events.jsonl") if row["kind"] == "change"][-1]
        for name in ("whole", "cut")
    }
    assert changes["whole"]["back_to"] == checkpoint.step_of(path)
    assert "back_to" not in changes["cut"]
    assert changes["cut"]["reason"].endswith("without going back, because that snapshot is damaged or gone")
    assert changes["cut"]["knobs"] == changes["whole"]["knobs"]


def test_a_missing_or_unknown_entry_is_refused(tiny, tmp_path):
    config = tiny("digits")
    _, state, _ = interrupted(config, tmp_path / "cut")
    (tmp_path / "fresh").mkdir()
    data = launch.build.splits(config.data)
    write(config, tmp_path / "fresh" / "config.json")
    onlookers = Onlookers(config, data, torch.device("cpu"))
    with launch.assembled(config, RunFolder(tmp_path / "fresh"), onlookers, Meddler()) as run:
        for name in state:
            with pytest.raises(StorageError, match=f"lacks {name}"):
                run.registry().load({k: v for k, v in state.items() if k != name})
        with pytest.raises(StorageError, match=r"unknown entries: game\.H"):
            run.registry().load(state | {"game.H": 1})


def test_looking_changes_nothing(tiny, tmp_path):
    rarely = tiny("dcgan", "record.every_kimg=1000", "samples.every_kimg=1000", "save.every_kimg=1000")
    always = tiny("dcgan", "record.every_kimg=0.008", "samples.every_kimg=0.008", "save.every_kimg=0.008")
    launch.start(rarely, tmp_path / "rarely")
    launch.start(always, tmp_path / "always")
    a, b = final_state(tmp_path / "rarely"), final_state(tmp_path / "always")
    watched = ("/events.offset", "/controller.history", "/controller.steps")  # what was recorded is what they hold
    assert [d for d in differences(a, b) if not d.startswith(watched)] == []


def test_the_same_config_gives_the_same_run_and_another_seed_another(tiny, tmp_path):
    launch.start(tiny("digits"), tmp_path / "a")
    launch.start(tiny("digits"), tmp_path / "b")
    launch.start(tiny("digits", "seed=1"), tmp_path / "c")
    assert_equal_runs(tmp_path / "a", tmp_path / "b")
    assert differences(final_state(tmp_path / "a")["game.G"], final_state(tmp_path / "c")["game.G"])


def test_a_signal_that_is_ignored_stays_ignored(tiny, tmp_path):
    """nohup equipoise train ... goes on when its terminal is closed."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        run = launch.start(tiny("digits"), tmp_path / "run", watch=stop_at(8 * 33, signal.SIGHUP))
    finally:
        signal.signal(signal.SIGHUP, before)
    assert run.model.exists()


UNUSUAL = {
    "spectral norm in G": ["nets.g_norm=spectral", "nets.d_norm=spectral"],
    "a norm for each": ["nets.g_norm=batch", "nets.d_norm=layer", "nets.conditioning=projection"],
    "AdamW and momentum": ["optim.g={kind: adamw}", "optim.d={kind: sgd, momentum: .9, nesterov: true}"],
    "clipping and decay": ["knobs.clip_norm=.5", "knobs.clip_value=.1", "knobs.d_l2=1e-3", "knobs.g_l1=1e-4"],
    "augmentation in front of D": [
        "knobs.augment_p=.6",
        "augment=[color, translation, cutout, flip]",
        "schedules.augment_p={kind: linear, start: .2, end: 1}",
    ],
    "instance noise": ["knobs.instance_noise=.2", "schedules.instance_noise={kind: linear, end: 0}"],
    "LeCam, consistency and the best fakes": [
        *("knobs.loss=hinge", "knobs.lecam=.3", "knobs.top_k=.7", "nets.pack=2"),
        *("knobs.consistency_real=1", "knobs.consistency_fake=1", "knobs.z_consistency_d=1"),
    ],
    "classes named by D, and latents": [
        *("nets.conditioning=auxiliary", "nets.evidence=data-to-data", "knobs.auxiliary=.5"),
        *("knobs.mode_seeking=.1", "knobs.z_consistency_g=.1", "knobs.unroll=1"),
    ],
    "augmentation of the data": ["data.augment={flip_x: true, turn_degrees: 10, shift: .2, brightness: .1}"],
    "two phases": [
        "schedules.g_steps={kind: phases, starts: [0, .5], values: [2, 1]}",
        "schedules.d_steps={kind: phases, starts: [0, .5], values: [1, 2]}",
    ],
}


@pytest.mark.parametrize("settings", UNUSUAL.values(), ids=UNUSUAL.keys())
def test_unusual_settings_resume_to_the_same_bits(settings, tiny, tmp_path):
    config = tiny("digits", *settings)
    launch.start(config, tmp_path / "whole")
    with pytest.raises(Cut):
        launch.start(config, tmp_path / "cut", watch=cut_at(330))
    launch.resume(tmp_path / "cut")
    assert_equal_runs(tmp_path / "whole", tmp_path / "cut")


def pictures(folder: Path, count: int) -> None:
    folder.mkdir(exist_ok=True)
    for i in range(count):
        pixels = np.random.default_rng(i).integers(0, 255, (8, 8), np.uint8)
        Image.fromarray(pixels).save(folder / f"{i}.png")


def test_data_that_changed_is_noticed_on_resume(tiny, tmp_path):
    pictures(tmp_path / "photos", 20)
    config = tiny("digits", f"data={{kind: pictures, path: {tmp_path / 'photos'}}}")
    with pytest.raises(Cut):
        launch.start(config, tmp_path / "cut", watch=cut_at(330))
    pictures(tmp_path / "photos", 21)
    with pytest.raises(DataError, match="is not what"):
        launch.resume(tmp_path / "cut")
    (tmp_path / "photos" / "20.png").unlink()
    assert launch.resume(tmp_path / "cut").model.exists()


def kept(place: str, tmp_path: Path) -> str:
    """A set of 100 pictures, one of them broken, that is not in memory: the text of its config."""
    pictures(tmp_path / "photos", 99)
    (tmp_path / "photos" / "torn.png").write_bytes(b"torn")
    match place:
        case "converted":
            convert_pictures(tmp_path / "photos", tmp_path / "set", workers=0)
            return f"data={{kind: arrays, path: {tmp_path / 'set'}}}"
        case _:
            return f"data={{kind: pictures, path: {tmp_path / 'photos'}, memory_mib: 0, workers: 2}}"


@pytest.mark.parametrize("cut", [8, 8 * 14], ids=["before a checkpoint", "half way"])
@pytest.mark.parametrize("place", ["converted", "streamed"])
def test_sets_that_are_not_in_memory_resume_to_the_same_bits(place, cut, tiny, tmp_path):
    config = tiny("digits", kept(place, tmp_path), steps=24)
    launch.start(config, tmp_path / "whole")
    with pytest.raises(Cut):
        launch.start(config, tmp_path / "cut", watch=cut_at(cut))
    launch.resume(tmp_path / "cut")
    assert_equal_runs(tmp_path / "whole", tmp_path / "cut")
    rows = [row for row in events.read(tmp_path / "cut" / "events.jsonl") if row["kind"] == "left_out"]
    known = {"kind": "left_out", "count": 1, "files": {"torn.png": "not a picture of a known format"}}
    assert rows == ([] if place == "converted" else [known])


def test_a_set_gives_the_same_run_wherever_it_lies(tiny, tmp_path):
    whole = f"data={{kind: pictures, path: {tmp_path / 'photos'}}}"
    for name, data in (("a", kept("converted", tmp_path)), ("b", kept("streamed", tmp_path)), ("c", whole)):
        launch.start(tiny("digits", data, steps=24), tmp_path / name)
    first = (tmp_path / "a" / "model.safetensors").read_bytes()
    assert first == (tmp_path / "b" / "model.safetensors").read_bytes()
    assert first == (tmp_path / "c" / "model.safetensors").read_bytes()


def test_a_record_that_lost_rows_is_not_resumed(tiny, tmp_path):
    with pytest.raises(Cut):
        launch.start(tiny("digits"), tmp_path / "cut", watch=cut_at(330))
    (tmp_path / "cut" / "events.jsonl").write_text("")
    with pytest.raises(StorageError, match="rows are missing"):
        launch.resume(tmp_path / "cut")


def test_a_signal_that_comes_before_the_first_step_is_answered_after_it(tiny, tmp_path, monkeypatch):
    config, restore = tiny("digits"), launch.restore

    def interrupted(*args: Any) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        restore(*args)

    launch.start(config, tmp_path / "whole")
    with monkeypatch.context() as patch, pytest.raises(Stopped, match="equipoise resume"):
        patch.setattr(launch, "restore", interrupted)
        launch.start(config, tmp_path / "stopped")
    assert checkpoint.latest(tmp_path / "stopped" / "checkpoints")[0].name == "step-000000001"
    launch.resume(tmp_path / "stopped")
    assert_equal_runs(tmp_path / "whole", tmp_path / "stopped")


def test_a_terminal_that_hangs_up_does_not_cost_the_save(tiny, tmp_path):
    """SIGHUP comes when the terminal is gone: drawing on it fails from then on."""

    def gone(seen: int, signals: Mapping[str, float], news: str = "") -> None:
        if seen == 8 * 33:
            os.kill(os.getpid(), signal.SIGHUP)
        if seen > 8 * 33:
            raise OSError(5, "Input/output error")

    with pytest.raises(Stopped):
        launch.start(tiny("digits"), tmp_path / "run", watch=watched_by(gone))
    assert checkpoint.latest(tmp_path / "run" / "checkpoints")[0].name == "step-000000034"
