"""Where the time of a step goes: by its parts, and by the operations of torch."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from PIL import Image
from torch.profiler import ProfilerActivity, profile

from equipoise import build, pictures
from equipoise import config as c
from equipoise.data.source import Splits
from equipoise.forecast import step_and_wait

PARTS = (
    "real samples", "G draws fakes", "D judges, penalties", "D descends", "D judges for G", "G descends",
    "average of G",
)  # fmt: skip
WARM_UP, STEPS = 2, 5
TOP = 10  # operations in the table


@dataclass(frozen=True)
class Profile:
    """Milliseconds of one step. The parts overlap nothing; what is left over is the loop's own."""

    ms_per_step: float
    parts: dict[str, float]
    operations: dict[str, float]  # the costliest, by the time spent in themselves


def profiled(config: c.TrainConfig, data: Splits, device: torch.device) -> Profile:
    """A few steps of a game that is thrown away, under torch's profiler. Its own cost is part of the figures."""
    torch.set_num_threads(config.machine.threads or 1)
    batches, held_out = build.batches(config, data, device), build.held_out(config, data, device)
    game = build.game(config, build.form(config, data), device, held_out=held_out)
    for _ in range(WARM_UP):
        step_and_wait(game, batches, device)
    on_cuda = device.type == "cuda"
    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if on_cuda else [])]
    with profile(activities=activities, acc_events=True) as watched:
        for _ in range(STEPS):
            with torch.profiler.record_function("step"):
                step_and_wait(game, batches, device)
    rows = {row.key: row for row in watched.key_averages()}

    def ms(name: str, inside: bool) -> float:
        row = rows[name]
        total = row.cpu_time_total if inside or not on_cuda else row.device_time_total
        alone = row.self_device_time_total if on_cuda else row.self_cpu_time_total
        return float(total if inside else alone) / STEPS / 1000

    named = {*PARTS, "step"}
    operations = sorted((name for name in rows if name not in named), key=lambda name: -ms(name, inside=False))
    return Profile(
        ms_per_step=ms("step", inside=True),
        parts={name: ms(name, inside=True) for name in PARTS if name in rows},
        operations={name: ms(name, inside=False) for name in operations[:TOP]},
    )


def drawn(found: Profile) -> Image.Image:
    """Both lists as bars, each with its milliseconds and its share of a step."""
    left = max(0.0, found.ms_per_step - sum(found.parts.values()))
    panels = {
        f"A step: {found.ms_per_step:.1f} ms": found.parts | {"the rest": left},
        "Operations, each without what it calls": found.operations,
    }
    return pictures.bars(
        {
            title: {
                name: (ms / found.ms_per_step, f"{ms:.1f} ms, {ms / found.ms_per_step:.0%}")
                for name, ms in rows.items()
            }
            for title, rows in panels.items()
        }
    )
