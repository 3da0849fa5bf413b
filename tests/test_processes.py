"""Several processes play the game that one would have played, and end together."""

from __future__ import annotations

import copy
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist

from equipoise import build
from equipoise.config import TrainConfig, override, read, write
from equipoise.errors import ConfigError, MachineError
from equipoise.processes import ALONE, Processes, together
from equipoise.recipes import recipe
from equipoise.requests import Guard, Pause, Resume, Set, Step, ask
from equipoise.runs import checkpoint
from equipoise.runs.folder import RunFolder, rows
from forked import end_of, forked
from made_up import OF_TEXT, two_styles

CPU = torch.device("cpu")
NORM_FREE = {
    "mlp": ("digits", []),
    "dcgan": ("hinge", ["nets.g_norm=none", "nets.d_norm=none", "nets.init=he"]),
    "r3gan": ("digits", ["nets.kind=r3gan", "nets.width=16", "nets.blocks=1"]),
    "stylegan2": (
        "digits",
        [
            "nets.kind=stylegan2",
            "nets.capacity=64",
            "nets.w_dim=8",
            "nets.group=1",
            "nets.style_mixing=0.5",
            "knobs.path_length=1",
            *("knobs.augment_target=.3", "knobs.augment_speed_kimg=1", "augment_hears=held-out"),
        ],
    ),
    "pairs": ("pix2pix", ["knobs.features=1", "knobs.augment_p=.3", "nets.d_norm=none"]),
    "cascade": ("medical-translate", ["nets.blocks=2", "nets.g_max_width=4", "nets.d_norm=none"]),
    "lesions": ("lesion", ["data.size=16", "nets.d_norm=none", "nets.d_layers=2", "knobs.augment_p=.3"]),
    "domains": ("cut", ["nets.contrast=8", "knobs.loss=hinge", "pool=8", "nets.d_norm=none"]),
    "cycle": ("cyclegan", ["knobs.loss=least-squares", "pool=40", "nets.d_norm=none"]),
    "styles": ("stylize", ["nets.contrast=8", "nets.d_norm=none"]),
    "reacgan": ("reacgan", []),
    "imitation": ("text-mle", []),
    "gumbel": ("text-relgan", ["nets.d_views=4", "speech.imitates=0", "knobs.imitation=0.5"]),
    "policy": ("text-seqgan", ["speech.imitates=0", "speech.alone=0"]),
    "restyle": ("text-restyle", []),
    "aligned": ("text-aligned", ["knobs.loss=nonsaturating"]),
    "everything drawn": (
        "digits",
        [
            *("knobs.gp=1", "knobs.augment_p=0.5", "data.augment.shift=0.2", "nets.pack=2"),
            *("knobs.augment_target=.45", "knobs.augment_speed_kimg=5"),
            "augment=[color, translation, cutout, ada-blit, ada-geometric, ada-color]",
            *("knobs.loss=hinge", "knobs.lecam=1", "knobs.top_k=.4", "knobs.mode_seeking=.1"),
            *(
                f"knobs.{name}=.5"
                for name in ("consistency_real", "consistency_fake", "z_consistency_d", "z_consistency_g")
            ),
        ],
    ),
}
ONE_BACKWARD = ["knobs.loss=relativistic", "knobs.r1=1", "knobs.r2=1", "batch=32"]


def config_of(case: str, folder: Path) -> TrainConfig:
    """Lesions lie in the folder."""
    name, settings = NORM_FREE[case]
    if name.startswith("text"):
        slim = [f"data.path={two_styles()}", *OF_TEXT[recipe(name).nets.kind]]
        slim += ["nets.z_dim=4"] if recipe(name).play == "noise" else []
        return override(recipe(name), ["batch=32", *slim, *settings])
    other = settings[:1] in (["nets.kind=r3gan"], ["nets.kind=stylegan2"])
    slim = [] if other else ["nets.g_widths=[16]", "nets.d_widths=[16]"]
    slim = ["nets.g_width=8", "nets.d_width=8"] if case == "dcgan" else slim
    slim = ["nets.g_width=4", "nets.d_width=4", "nets.blocks=1"] if recipe(name).play != "noise" else slim
    slim += [f"data.path={folder / 'lesions.npz'}"] if name == "lesion" else []
    return override(recipe(name), [*ONE_BACKWARD, *slim, *settings])


def played(case: str, steps: int, processes: Processes, folder: Path = Path()) -> dict[str, list[torch.Tensor]]:
    """The gradients of the first step, and the weights after the last."""
    torch.set_num_threads(1)
    config = config_of(case, folder)
    data = build.splits(config.data)
    held_out = build.held_out(config, data, CPU, processes)
    game = build.game(config, build.form(config, data), CPU, processes, held_out)
    batches, gradients = build.batches(config, data, CPU, processes), []
    for step in range(steps):
        game.step(batches)
        if step == 0:
            gradients = [p.grad.clone() for net in game.networks().values() for p in net.parameters()]
    weights = [p.detach().clone() for net in (*game.networks().values(), game.ema.net) for p in net.parameters()]
    return {"gradients": gradients, "weights": weights}


def play_beside(case: str, steps: int, rank: int, meeting: Path) -> None:
    dist.init_process_group("gloo", init_method=f"file://{meeting}/met", rank=rank, world_size=2)
    torch.save(played(case, steps, Processes(rank, 2, dist.group.WORLD), meeting), meeting / f"{rank}.pt")
    dist.destroy_process_group()


def two(case: str, steps: int, meeting: Path) -> list[dict[str, list[torch.Tensor]]]:
    both = [forked(partial(play_beside, case, steps, rank, meeting)) for rank in range(2)]
    assert [end_of(process) for process in both] == [0, 0]
    return [torch.load(meeting / f"{rank}.pt", weights_only=True) for rank in range(2)]


@pytest.mark.parametrize("case", NORM_FREE)
def test_two_processes_stay_equal_to_the_bit_and_take_the_first_step_of_one(case, lesions_file, tmp_path):
    shutil.copy(lesions_file, tmp_path / "lesions.npz")
    first, second = two(case, 20, tmp_path)
    assert all(torch.equal(a, b) for a, b in zip(first["weights"], second["weights"], strict=True))
    alone = played(case, 1, ALONE, tmp_path)
    apart = [(a - b).abs().max().item() for a, b in zip(first["gradients"], alone["gradients"], strict=True)]
    most = max(g.abs().max().item() for g in alone["gradients"])
    limit = 1e-5 * most if recipe(NORM_FREE[case][0]).play != "noise" else 1e-6  # sums over many more places
    assert max(apart) < limit
    assert most > 1e-3, "there was nothing to compare"


def test_processes_that_draw_their_own_latents_are_noticed(tmp_path, monkeypatch):
    """The control: with latents of another seed the gradients are far more than 1e-6 apart."""
    alone = played("mlp", 1, ALONE)
    monkeypatch.setattr(Processes, "part", lambda self, whole: whole.roll(1, 0))
    other = played("mlp", 1, ALONE)
    apart = [(a - b).abs().max().item() for a, b in zip(alone["gradients"], other["gradients"], strict=True)]
    assert max(apart) < 1e-6, "a permutation of all rows, in all draws alike, is the same batch"
    monkeypatch.setattr(Processes, "part", lambda self, whole: whole[:16].repeat(*[2] + [1] * (whole.ndim - 1)))
    halved = played("mlp", 1, ALONE)
    apart = [(a - b).abs().max().item() for a, b in zip(alone["gradients"], halved["gradients"], strict=True)]
    assert max(apart) > 1e-4


def keep_norms_beside(rank: int, meeting: Path) -> None:
    """Two rounds, a checkpoint, a round, and two in which D keeps its statistics; and again from the checkpoint on."""
    dist.init_process_group("gloo", init_method=f"file://{meeting}/met", rank=rank, world_size=2)
    torch.set_num_threads(1)
    processes, slim = Processes(rank, 2, dist.group.WORLD), ["nets.g_widths=[8]", "nets.d_widths=[8]", "batch=32"]
    config = override(
        recipe("ring"), [*slim, "knobs.loss=nonsaturating", "nets.d_norm=batch", "knobs.r1=0", "knobs.r2=0"]
    )
    data, found = build.splits(config.data), []
    saved: list[Any] = []
    for _ in range(2):
        game = build.game(config, build.form(config, data), CPU, processes)
        batches = build.batches(config, data, CPU, processes)
        if saved:
            game.load_state_dict(saved[0])
            batches.load_state_dict(saved[1])
        else:
            game.step(batches)
            game.step(batches)
            saved = [copy.deepcopy(game.state_dict()), batches.state_dict()]
            dist.broadcast_object_list(saved, 0)  # the leader's
        game.step(batches)
        found.append(copy.deepcopy(game.D.state_dict()))
        game.knobs = game.knobs.model_copy(update={"frozen_norm": True})
        game.step(batches)
        game.step(batches)
        found.append({**game.D.state_dict(), **{f"G.{name}": value for name, value in game.G.state_dict().items()}})
    torch.save(found, meeting / f"{rank}.pt")
    dist.destroy_process_group()


def test_statistics_that_D_keeps_are_the_same_in_all_processes_and_after_a_resume(tmp_path):
    both = [forked(partial(keep_norms_beside, rank, tmp_path)) for rank in range(2)]
    assert [end_of(process) for process in both] == [0, 0]
    first, second = (torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in range(2))

    def differ(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> set[str]:
        return {name.rpartition(".")[2] for name in a if not torch.equal(a[name], b[name])}

    assert differ(first[0], second[0]) == {"running_mean", "running_var"}, "the control: each has gathered its own"
    assert differ(second[0], second[2]) == {"running_mean", "running_var"}, "and others after a resume"
    assert differ(first[1], second[1]) == differ(first[1], first[3]) == differ(first[1], second[3]) == set()


def test_parts_make_up_the_whole():
    whole = torch.arange(12).view(6, 2)
    assert torch.equal(torch.cat([Processes(rank, 3).part(whole) for rank in range(3)]), whole)


@dataclass(frozen=True)
class Beside(Processes):
    """One of two processes; the other has another number."""

    other: float = 0.0

    def average(self, tensors: Sequence[torch.Tensor]) -> None:
        for tensor in tensors:
            tensor.add_(self.other).div_(2)


def test_the_mean_of_numbers_without_a_slope_is_the_same_to_the_bit_in_all():
    """G keeps the mean length of its paths: ranks that differ in it would resume to other bits."""
    for a, b in torch.rand(2000, 2, generator=torch.Generator().manual_seed(0)):
        first, second = (Beside(i, 2, other=x.item()).mean(y.clone()) for i, (x, y) in enumerate([(b, a), (a, b)]))
        assert torch.equal(first, second)
    mean = Beside(0, 2, other=3.0).mean(torch.tensor(1.0, requires_grad=True))
    assert mean.item() == 2
    assert torch.autograd.grad(mean, mean)[0] == 1


def test_a_batch_that_cannot_be_shared_equally_is_refused():
    with pytest.raises(ConfigError, match="batch=10 cannot be shared equally by 4"):
        Processes(0, 4).require_divides(10)


def test_a_lost_process_is_told_in_words():
    with pytest.raises(MachineError, match=r"another process of this run has ended.*\n.*resume"), together():
        raise RuntimeError("[/pytorch/gloo/pair.cc:547] Connection closed by peer [127.0.0.1]:1")


def command(*words: str) -> list[str]:
    return [sys.executable, "-m", "equipoise.cli.main", *words]


def training(tiny, tmp_path: Path, steps: int, **machine: int) -> tuple[subprocess.Popen[bytes], Path]:
    often = ["save.every_kimg=0.5", "record.every_kimg=0.4", "samples.every_kimg=1000"]
    config = override(tiny("digits", steps=steps), [*often, *(f"machine.{k}={v}" for k, v in machine.items())])
    write(config, tmp_path / "config.yaml")
    run = tmp_path / "run"
    words = command("train", "--config", str(tmp_path / "config.yaml"), "--out", str(run))
    clean = {k: v for k, v in os.environ.items() if k not in ("RANK", "LOCAL_RANK", "NODE_RANK", "WORLD_SIZE")}
    with (tmp_path / "told").open("w") as told:
        return subprocess.Popen(words, env=clean | {"OMP_NUM_THREADS": "1"}, stderr=told), run


def child_of(process: subprocess.Popen[bytes]) -> int:
    """The follower that the leader has started."""
    return int(Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()[0])


def wait_for_checkpoints(process: subprocess.Popen[bytes], run: Path, count: int) -> None:
    deadline = time.monotonic() + 100
    while len(list((run / "checkpoints").glob("step-*"))) < count:
        assert process.poll() is None, (run.parent / "told").read_text()
        assert time.monotonic() < deadline
        time.sleep(0.005)


@pytest.mark.parametrize("victim", ["follower", "leader"])
def test_a_killed_process_ends_all_and_leaves_a_checkpoint_to_go_on_from(victim, tiny, tmp_path):
    process, run = training(tiny, tmp_path, 100_000, devices=2)
    wait_for_checkpoints(process, run, 2)
    follower = child_of(process)
    os.kill(follower if victim == "follower" else process.pid, signal.SIGKILL)
    assert process.wait(30) != 0
    deadline = time.monotonic() + 30
    while Path(f"/proc/{follower}").exists() and "Z" not in Path(f"/proc/{follower}/stat").read_text().split()[2]:
        assert time.monotonic() < deadline, "the follower lives on"
        time.sleep(0.1)
    state, manifest = checkpoint.load(checkpoint.latest(run / "checkpoints")[0])
    assert manifest["seen"] == state["game.seen"] > 0


def test_a_run_of_two_stops_politely_and_resumes_to_the_bits_of_one_not_stopped(tiny, tmp_path):
    whole, whole_run = training(tiny, tmp_path, 300, devices=2)
    assert whole.wait(120) == 0
    (tmp_path / "again").mkdir()
    process, run = training(tiny, tmp_path / "again", 300, devices=2)
    wait_for_checkpoints(process, run, 1)
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 143
    resumed = subprocess.run(command("resume", str(run)), capture_output=True, text=True, timeout=120)
    assert resumed.returncode == 0, resumed.stderr
    assert (run / "events.jsonl").read_bytes() == (whole_run / "events.jsonl").read_bytes()
    assert (run / "model.safetensors").read_bytes() == (whole_run / "model.safetensors").read_bytes()
    assert rows(run / "clock.jsonl")[-1]["kind"] == "finished"


def test_one_process_speaks_for_all(tiny, tmp_path):
    process, run = training(tiny, tmp_path, 60, devices=2)
    assert process.wait(120) == 0, (tmp_path / "told").read_text()
    told = (tmp_path / "told").read_text()
    assert told.count("2 x cpu") == told.count("finished") == 1
    assert read(run / "config.json").machine.devices == 2
    assert json.loads((run / "lock").read_text())["pid"] == process.pid


def test_what_is_asked_of_two_processes_is_done_by_both(tiny, tmp_path):
    process, run = training(tiny, tmp_path, 400, devices=2)
    wait_for_checkpoints(process, run, 1)
    wishes = [
        Pause(id="a", who="page"), Guard(id="b", who="page", mode="on"), Set(id="c", who="page", knobs={"d_lr": 0.0}),
        Step(id="d", who="page", rounds=3), Resume(id="e", who="page"),
    ]  # fmt: skip
    for wish in wishes:
        ask(RunFolder(run).requests, wish)
    assert process.wait(120) == 0, (tmp_path / "told").read_text()
    asked = [row for row in rows(run / "events.jsonl") if row["kind"] == "request"]
    assert [row["do"] for row in asked] == [wish.do for wish in wishes]
    refused = {row["do"]: row["refused"] for row in asked if "refused" in row}
    assert refused.keys() == {"guardian"} and "train with --guardian on" in refused["guardian"]
    moved = [row for row in rows(run / "events.jsonl") if row["kind"] == "signals" and row["seen"] > asked[-1]["seen"]]
    assert len(moved) > 2
    assert {row["d_update_ratio"] for row in moved[1:]} == {0.0}, "a mean over both, neither of which moves D"
