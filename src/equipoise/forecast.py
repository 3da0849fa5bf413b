"""What a run will take on this machine, measured once on steps that are thrown away.

Whatever depends on the machine or the clock becomes a number here and is written into config.json, so that nothing
later has to look at a clock.
"""

from __future__ import annotations

import resource
import sys
import time
from dataclasses import asdict, dataclass
from typing import Any

import torch

from equipoise import build
from equipoise import config as c
from equipoise.data.batches import Batches
from equipoise.data.source import Splits
from equipoise.environment import cores
from equipoise.games.gan import GAN

REHEARSAL_S = 0.5  # for each number of threads
SHARE_OF_TIME = 0.94  # of --time goes to steps; the rest to pictures, checkpoints and a slower moment of the machine
SAVE_S = (5.0, 300.0)  # bounds of the time between checkpoints
PARTS = {"record": 500, "samples": 20, "save": 10}  # how often in a run, unless the config says so


@dataclass(frozen=True)
class Forecast:
    """What a run will take on this machine, measured on a few throw-away steps."""

    samples: int  # to train on
    shape: tuple[int, ...]  # of one, as the nets see it
    device: str
    threads: int
    parameters: dict[str, int]
    memory_mib: int  # the most that the process held during the rehearsal
    ms_per_step: float
    steps: int
    images_per_s: float

    @property
    def seconds(self) -> float:
        return self.steps * self.ms_per_step / 1000


def resolve(config: c.TrainConfig, data: Splits, time_s: float | None) -> tuple[c.TrainConfig, Forecast]:
    """The config with every choice that depends on the machine or the clock made, as numbers, once.

    Threads, the length that fits into `time_s`, and the cadences of record, samples and checkpoints.
    """
    device = build.device(config.machine)
    form = build.form(config, data)
    threads, seconds = fastest_threads(config, form, data, device)
    per_step = config.batch * config.knobs.d_steps
    speed = per_step / seconds  # images a second
    kimg = config.kimg if time_s is None else max(per_step, SHARE_OF_TIME * time_s * speed) / 1000
    every = {name: max(kimg / parts, per_step / 1000) for name, parts in PARTS.items()}
    every["save"] = min(max(every["save"], SAVE_S[0] * speed / 1000), SAVE_S[1] * speed / 1000)
    sections = {
        name: getattr(config, name).model_copy(update={"every_kimg": getattr(config, name).every_kimg or every[name]})
        for name in PARTS
    }
    machine = config.machine.model_copy(update={"device": device.type, "threads": threads})
    config = config.model_copy(update={"kimg": kimg, "machine": machine, **sections})
    G, D = build.networks(config.nets, form, config.seed)
    forecast = Forecast(
        samples=len(data.train),
        shape=form.shape,
        device=device.type,
        threads=threads,
        parameters={name: sum(p.numel() for p in net.parameters()) for name, net in (("G", G), ("D", D))},
        memory_mib=peak_memory_mib(device),
        ms_per_step=1000 * seconds,
        steps=-(-config.images // per_step),
        images_per_s=speed,
    )
    return config, forecast


def fastest_threads(config: c.TrainConfig, form: build.Form, data: Splits, device: torch.device) -> tuple[int, float]:
    """(threads, seconds of a step): on a busy machine two threads can be many times slower than one."""
    candidates = [config.machine.threads] if config.machine.threads else sorted({1, cores()})
    timed = []
    for threads in candidates:
        torch.set_num_threads(threads)
        timed.append((rehearsed(config, form, data, device), threads))
    seconds, threads = timed[0]
    for other_seconds, other in timed[1:]:
        if other_seconds < 0.9 * seconds:  # a second thread must earn its place
            seconds, threads = other_seconds, other
    return threads, seconds


def rehearsed(config: c.TrainConfig, form: build.Form, data: Splits, device: torch.device) -> float:
    """Seconds of a step, on a game that is thrown away."""
    game, batches = build.game(config, form, device), build.batches(config, data, device)
    for _ in range(3):
        step_and_wait(game, batches, device)
    begin, steps = time.perf_counter(), 0
    while (spent := time.perf_counter() - begin) < REHEARSAL_S or steps < 3:
        step_and_wait(game, batches, device)
        steps += 1
    return spent / steps


def step_and_wait(game: GAN, batches: Batches, device: torch.device) -> None:
    game.step(batches)
    if device.type == "cuda":
        torch.cuda.synchronize()


def peak_memory_mib(device: torch.device) -> int:
    if device.type == "cuda":
        return round(torch.cuda.max_memory_allocated() / 2**20)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # KiB on Linux, bytes on macOS
    return round(peak / (2**20 if sys.platform == "darwin" else 2**10))


def facts(config: c.TrainConfig, forecast: Forecast) -> dict[str, Any]:
    """For --dry-run: the resolved config and what it will take."""
    return {"config": config.model_dump(mode="json"), "forecast": asdict(forecast) | {"seconds": forecast.seconds}}
