"""What a run will take on this machine, measured once on steps that are thrown away.

Whatever depends on the machine or the clock becomes a number here and is written into config.json, so that nothing
later has to look at a clock.
"""

from __future__ import annotations

import math
import resource
import sys
import time
from dataclasses import asdict, dataclass, replace
from typing import Any, NamedTuple

import torch

from equipoise import build, reckoning
from equipoise import config as c
from equipoise.data.batches import Batches
from equipoise.data.hooks import Warn
from equipoise.data.source import Splits
from equipoise.diagnosis.convergence import LEAST
from equipoise.environment import cores, memory
from equipoise.games.base import Game
from equipoise.onlookers import Onlookers
from equipoise.processes import ALONE, Processes
from equipoise.words import duration

REHEARSAL_S = 0.5  # for each choice
LONG_S = 5.0  # a first step that takes longer is measure enough: what it allocates costs little beside it
WORTH_IT = 0.9  # a choice must take at most this share of the time of a plainer one
JUDGING, LEAST_JUDGED, MOST_JUDGED = 0.03, 2, 50  # share of a run's time for judging its samples; and how often
WATCHING, SHORT_WATCHING, SHORT_S = 0.03, 0.08, 60.0  # share for the guardian; of a run of at most so many seconds
LEAST_WATCHED, MOST_WATCHED = 4, 100
SHARE_OF_TIME = 0.94 - JUDGING  # of --time goes to steps; the rest to pictures, checkpoints and a slower moment
DEAR = 0.25  # of --time: looks that take more are told
SAVE_S = (5.0, 300.0)  # bounds of the time between checkpoints
PATIENCE = 0.2  # of a run without a gain, and it has converged; or LEAST looks, if they take longer
PARTS = {"record": 500, "samples": 20, "save": 10}  # how often in a run, unless the config says so


@dataclass(frozen=True)
class Forecast:
    """What a run will take on this machine, measured on a few throw-away steps."""

    samples: int  # to train on
    shape: tuple[int, ...]  # of one, as the nets see it
    device: str
    threads: int
    precision: str
    processes: int
    parameters: dict[str, int]
    memory_mib: int  # the most that the process held during the rehearsal
    ms_per_step: float
    steps: int
    images_per_s: float

    @property
    def seconds(self) -> float:
        return self.steps * self.ms_per_step / 1000


@dataclass(frozen=True)
class Beforehand:
    """What a step of a process will hold and take, as it was counted."""

    pictures: int
    at_once: int
    side: int  # pixels
    held: int  # bytes
    free: int  # bytes
    seconds: float | None  # on one thread of a CPU, as busy as it is
    looks: int = 0  # bytes that a look at samples holds, in main memory, beside the nets
    room: int = 0  # bytes of main memory that are free

    def told(self) -> str:
        parts = f", {self.at_once} at a time," if self.at_once < self.pictures else ""
        takes = "" if self.seconds is None else f" and take about {duration(self.seconds)} on one thread"
        text = (
            f"a step on {self.pictures} pictures of {self.side} pixels{parts} will hold about "
            f"{self.held / 2**30:.1f} GiB{takes}."
        )
        if self.looks:
            text += f" A look at samples will hold about {self.looks / 2**30:.1f} GiB."
        if self.held > self.free:
            text += (
                f" Here are {self.free / 2**30:.1f} GiB.\n"
                "Halve batch and double knobs.accumulate, which is the same step in smaller parts."
            )
        if self.looks > self.room:
            text += f"\nFor looks there are {self.room / 2**30:.1f} GiB: lower evaluate.n and guardian.n."
        return text


def resolve(
    onlookers: Onlookers, time_s: float | None = None, processes: Processes = ALONE
) -> tuple[c.TrainConfig, Forecast]:
    """The config with every choice that depends on the machine or the clock made, as numbers, once.

    Threads, precision, compilation, the length that fits into `time_s`, and the cadences of record, samples,
    checkpoints, judging and watching.

    Raises:
        ConfigError, DataError: for what cannot be played, or not judged or watched as the config asks.
    """
    config, data, device, form = onlookers.config, onlookers.data, onlookers.device, onlookers.form
    onlookers.require_known_features()
    if processes.leads and (expected := beforehand(config, form, device, processes)):
        onlookers.warn(replace(expected, looks=held_by_looks(onlookers)).told())
    machine, seconds = fastest(config, form, data, device, processes)
    torch.set_num_threads(machine.threads or 1)  # what was tried last may have been more
    per_step = config.images_a_round
    speed = per_step / seconds  # images a second
    looks = looks_of(onlookers, processes)
    kimg = config.kimg if time_s is None else max(per_step, for_steps(looks, time_s, onlookers.warn) * speed) / 1000
    config = config.model_copy(update={"kimg": kimg, "machine": machine})
    config = patient(with_cadences(config, looks, speed), onlookers.warn)
    G, D = build.networks(config.nets, form, config.seed)
    return config, Forecast(
        samples=len(data.train),
        shape=form.shape,
        device=device.type,
        threads=machine.threads or 1,
        precision=machine.precision,
        processes=processes.count,
        parameters={name: sum(p.numel() for p in net.parameters()) for name, net in (("G", G), ("D", D))},
        memory_mib=peak_memory_mib(device),
        ms_per_step=1000 * seconds,
        steps=-(-config.images // per_step),
        images_per_s=speed,
    )


def beforehand(
    config: c.TrainConfig, form: build.Form, device: torch.device, processes: Processes = ALONE
) -> Beforehand | None:  # fmt: skip
    """What a step on large pictures will hold and take, before it is tried: it may be more than there is. None for
    small ones, which are tried within seconds, and where it cannot be told."""
    if not form.is_images or form.shape[1] < reckoning.LARGE:
        return None
    on_cpu = device.type == "cpu"
    here = 2**20 * peak_memory_mib(device) if on_cpu else 0  # before the nets are made
    share = config.model_copy(update={"batch": config.batch // processes.count})
    if (found := reckoning.reckoned(share, form)) is None:
        return None
    return Beforehand(
        pictures=share.images_a_round,
        at_once=share.batch,
        side=form.shape[1],
        held=here + found.held,
        free=here + memory() if on_cpu else torch.cuda.mem_get_info(device)[0],
        seconds=found.seconds(reckoning.paced()) if on_cpu else None,
        room=memory(),
    )


def held_by_looks(onlookers: Onlookers) -> int:
    """Bytes of the pictures of a look of the judge or of the guardian: fakes of 8 bits, twice while they are put
    together, and in floats what the players are asked about: two kinds of reals, and fakes before and after a step."""
    config, there = onlookers.config, onlookers.there
    watches, one = config.guardian.mode != "off", math.prod(onlookers.form.shape)
    judged, seen = config.evaluate.n if onlookers.judges else 0, config.guardian.n if watches else 0
    return one * (2 * min(max(judged, seen), there.most) + (4 * 4 * there.asked if watches else 0))


class Looks(NamedTuple):
    """Seconds that one look takes; 0 where nobody looks."""

    judging: float
    watching: float


def looks_of(onlookers: Onlookers, processes: Processes) -> Looks:
    """Samples are judged and watched once in any case, by the leader: what cannot be had is told now."""
    watches = processes.leads and onlookers.config.guardian.mode != "off"
    return Looks(judging_s(onlookers) if onlookers.judges else 0.0, watching_s(onlookers) if watches else 0.0)


def for_steps(looks: Looks, time_s: float, warn: Warn) -> float:
    """Seconds of a run that go to steps. The looks that are taken in any case are told where they are much of it, and
    then taken off, up to a half."""
    least = (LEAST_JUDGED + 1) * looks.judging + LEAST_WATCHED * looks.watching  # with the one at the end
    if least <= DEAR * time_s:
        return SHARE_OF_TIME * time_s
    warn(
        f"its samples will be looked at for about {duration(least)}, whatever the length of the run.\n"
        "For more steps, lower evaluate.n and guardian.n, or set evaluate.metrics=[] and guardian.mode=off."
    )
    return max(SHARE_OF_TIME * time_s - least, time_s / 2)


def with_cadences(config: c.TrainConfig, looks: Looks, speed: float) -> c.TrainConfig:
    """With a number for each cadence that was left open, in a run that plays `speed` images a second."""
    kimg, run_s, per_step = config.kimg, 1000 * config.kimg / speed, config.images_a_round
    every = {name: max(kimg / parts, per_step / 1000) for name, parts in PARTS.items()}
    every["save"] = min(max(every["save"], SAVE_S[0] * speed / 1000), SAVE_S[1] * speed / 1000)
    every["evaluate"] = kimg / (affordable(looks.judging, run_s) if looks.judging else 1)
    every["guardian"] = kimg / (watched(looks.watching, run_s) if looks.watching else 1)
    sections = {name: getattr(config, name) for name in every}
    return config.model_copy(update={
        name: section.model_copy(update={"every_kimg": section.every_kimg or every[name]})
        for name, section in sections.items()
    })  # fmt: skip


def patient(config: c.TrainConfig, warn: Warn) -> c.TrainConfig:
    """With a number for the time without a gain after which a run has converged; told where the run is shorter."""
    least = LEAST * (config.evaluate.every_kimg or config.kimg)  # fewer looks do not tell gain from noise
    patience = config.evaluate.patience_kimg or max(config.kimg * PATIENCE, least)
    if config.evaluate.stop_when_converged and max(patience, least) >= config.kimg:
        warn(
            "its samples are looked at too seldom to see that they no longer gain: it will play all "
            f"{config.kimg:.4g} kimg."
        )
    return config.model_copy(update={"evaluate": config.evaluate.model_copy(update={"patience_kimg": patience})})


def fastest(
    config: c.TrainConfig, form: build.Form, data: Splits, device: torch.device, processes: Processes = ALONE
) -> tuple[c.Machine, float]:
    """The settings of the machine that were not given, each the fastest of its choices, and the seconds of a step.

    The plainest choice comes first: on a busy machine two threads can be many times slower than one, and small nets
    gain nothing from bf16. Each process measures its own share of the batch, all of them at the same time. Of a step in
    several parts one is measured, and counts for each.
    """
    machine = config.machine.model_copy(update={"device": device.type})
    choices = {
        "threads": sorted({1, max(1, cores() // machine.devices)}) if machine.threads is None else [machine.threads],
        "precision": ["fp32", "bf16"][: 1 + has_bf16_units(device)]
        if machine.precision == "auto"
        else [machine.precision],
        "compile": [False, True][: 1 + (device.type == "cuda")] if machine.compile is None else [machine.compile],
    }
    machine = machine.model_copy(update={name: values[0] for name, values in choices.items()})
    parts, alone = config.knobs.accumulate, config.knobs.model_copy(update={"accumulate": 1})
    share = config.model_copy(update={
        "batch": config.batch // processes.count, "knobs": alone, "shared_fakes": config.shared_fakes and parts == 1,
    })  # fmt: skip
    seconds = rehearsed(share.model_copy(update={"machine": machine}), form, data, device)
    for name, values in choices.items():
        for value in values[1:]:
            other = machine.model_copy(update={name: value})
            other_seconds = rehearsed(share.model_copy(update={"machine": other}), form, data, device)
            if other_seconds < WORTH_IT * seconds:
                machine, seconds = other, other_seconds
    return machine, parts * seconds


def has_bf16_units(device: torch.device) -> bool:
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())


def rehearsed(config: c.TrainConfig, form: build.Form, data: Splits, device: torch.device) -> float:
    """Seconds of a step, on a game that is thrown away. One that takes long is played once."""
    torch.set_num_threads(config.machine.threads or 1)
    batches, held_out = build.batches(config, data, device), build.held_out(config, data, device)
    game = build.game(against_D(config), form, device, held_out=held_out)
    warm_up, began = 0, time.perf_counter()
    while warm_up < 1 or (warm_up < 3 and time.perf_counter() - began < REHEARSAL_S):
        step_and_wait(game, batches, device)
        warm_up += 1
    if warm_up == 1 and (spent := time.perf_counter() - began) > LONG_S:
        return spent
    begin, steps = time.perf_counter(), 0
    while (spent := time.perf_counter() - begin) < REHEARSAL_S or steps < 1:
        step_and_wait(game, batches, device)
        steps += 1
    return spent / steps


def against_D(config: c.TrainConfig) -> c.TrainConfig:
    """Of sentences, the part in which G plays against D, if there is one: its rounds take longest."""
    if config.speech.imitates == 1:
        return config
    return config.model_copy(update={"speech": config.speech.model_copy(update={"imitates": 0.0, "alone": 0.0})})


def judging_s(onlookers: Onlookers) -> float:
    """Seconds that one look at the samples takes; what is made once, such as a classifier, is not counted.

    Raises:
        ConfigError, DataError: for features that cannot be had, or a figure to choose the best by that is none.
    """
    game, judge = untrained(onlookers), onlookers.judge(patience_kimg=1)
    began = time.perf_counter()
    judge.judge(game, [])
    return time.perf_counter() - began


def watching_s(onlookers: Onlookers) -> float:
    """Seconds that one look of the guardian takes; its calibration, which is made once, is not counted."""
    game, guardian = untrained(onlookers), onlookers.guardian(images=1)
    for _ in range(2):  # what is done for the first time takes longer, which tells where a look is short
        began = time.perf_counter()
        guardian.look(game)
        if (spent := time.perf_counter() - began) > REHEARSAL_S:
            break
    return spent


def untrained(onlookers: Onlookers) -> Game:
    return build.game(onlookers.config, onlookers.form, onlookers.device)


def watched(seconds: float, run_s: float) -> int:
    """How many looks of so many seconds the guardian may take: WATCHING of a run, and more of a short one."""
    budget = min(SHORT_WATCHING * run_s, max(SHORT_WATCHING * SHORT_S, WATCHING * run_s))
    return min(MOST_WATCHED, max(LEAST_WATCHED, int(budget / seconds)))


def affordable(seconds: float, run_s: float) -> int:
    """How many looks of so many seconds fit into JUDGING of a run."""
    return min(MOST_JUDGED, max(LEAST_JUDGED, int(JUDGING * run_s / seconds)))


def step_and_wait(game: Game, batches: Batches, device: torch.device) -> None:
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
