"""Starts and resumes runs: resolves what depends on the machine, makes the folder, and hands over to the loop."""

from __future__ import annotations

import json
import os
import platform
import re
import resource
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric

from equipoise import build
from equipoise import config as c
from equipoise.data.images import Track, untracked
from equipoise.data.source import Splits
from equipoise.errors import ConfigError, DataError, StorageError
from equipoise.games.gan import GAN
from equipoise.generator import TrainedGenerator
from equipoise.progress import Reporter, silent
from equipoise.recipes import recipe as named_recipe
from equipoise.runs import checkpoint, folder
from equipoise.runs.events import Log
from equipoise.runs.folder import RunFolder
from equipoise.training import Controller, HandsOff, Plan, Run, Standing, train

REHEARSAL_S = 0.3  # for each number of threads
SHARE_OF_TIME = 0.94  # of --time goes to steps; the rest to pictures, checkpoints and a slower moment of the machine
SAVE_S = (5.0, 300.0)  # bounds of the time between checkpoints
PARTS = {"record": 500, "samples": 20, "save": 10}  # how often in a run, unless the config says so

Watch = Callable[[str, int, int], Any]  # (label, total, done) -> context manager of a Reporter


@dataclass(frozen=True)
class Forecast:
    """What a run will take on this machine, measured on a few throw-away steps."""

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


@contextmanager
def unwatched(label: str, total: int, done: int) -> Iterator[Reporter]:
    yield silent


def configured(
    recipe: str | None = None,
    *,
    file: Path | None = None,
    data: str | None = None,
    steps: int | None = None,
    kimg: float | None = None,
    seed: int | None = None,
    settings: Iterable[str] = (),
) -> c.TrainConfig:
    """A recipe, or the config in `file`, with changes. `settings` are `key.path=value`, `data` a name or a path.

    Raises:
        ConfigError: for an unknown recipe or key, or a value that does not fit.
        DataError: when `data` is neither a known name nor a file or folder.
    """
    if (recipe is None) == (file is None):
        raise ConfigError("give either a recipe or --config FILE.\n`equipoise recipes` lists the recipes.")
    config = c.read(file) if file else named_recipe(recipe or "")
    changes = list(settings)
    if seed is not None:
        changes.append(f"seed={seed}")
    if kimg is not None:
        changes.append(f"kimg={kimg}")
    if data is not None:
        config = config.model_copy(update={"data": data_at(data)})
    config = c.override(config, changes)
    return config if steps is None else with_steps(config, steps)


def with_steps(config: c.TrainConfig, steps: int) -> c.TrainConfig:
    if steps < 1:
        raise ConfigError(f"--steps {steps}: a run has at least one step.")
    if "d_steps" in config.schedules:
        raise ConfigError("the D steps of this recipe change with time, so --steps has no fixed length: use --kimg.")
    return c.override(config, [f"kimg={steps * config.batch * config.knobs.d_steps / 1000}"])


def data_at(text: str) -> c.Data:
    """The data behind a name (ring, grid, digits, stacked-digits) or a path (a folder, .npz, .npy)."""
    if text in c.BUILT_IN:
        return c.BUILT_IN[text]
    path = Path(text)
    if path.is_dir():
        return c.Folder(path=str(path.resolve()))
    if path.suffix in (".npz", ".npy") and path.is_file():
        return c.Npz(path=str(path.resolve()))
    raise DataError(
        f"--data {text} is neither a folder of pictures, an .npz or .npy file, nor a built-in set.\n"
        f"Built in: {', '.join(c.BUILT_IN)}{c.nearest(text, c.BUILT_IN) if '/' not in text else '.'}"
    )


def seconds(text: str) -> float:
    """'90', '90s', '30m' or '2h' in seconds."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([smh]?)", text.strip())
    if not match or float(match[1]) <= 0:
        raise ConfigError(f"'{text}' is not a time: write 90s, 30m or 2h.")
    return float(match[1]) * {"": 1, "s": 1, "m": 60, "h": 3600}[match[2]]


def start(
    config: c.TrainConfig,
    out: Path | None = None,
    *,
    time_s: float | None = None,
    watch: Watch = unwatched,
    track: Track = untracked,
    announce: Callable[[RunFolder, Forecast], None] = lambda run, forecast: None,
    controller: Controller | None = None,
) -> RunFolder:
    """Trains a new run and returns its folder. `time_s` replaces the config's length by what fits into that time.

    Raises:
        ConfigError, DataError, MachineError: before anything is written.
        StorageError, Diverged, Stopped: with the state of the last checkpoint on disk.
    """
    data = build.splits(config.data, track)
    config, forecast = resolve(config, data, time_s)
    run = folder.create(config.recipe, out)
    with run.locked():
        try:
            c.write(config, run.config)
            run.env.write_text(json.dumps(environment() | {"seed": config.seed}, indent=2) + "\n", encoding="utf-8")
            run.resume_note.write_text(f"{run.resume_command}\n", encoding="utf-8")
        except OSError as error:
            raise StorageError(f"cannot write to {run.path}: {error.strerror}.") from error
        announce(run, forecast)
        play(config, data, run, controller or HandsOff(), watch)
    return run


def resume(
    path: Path,
    *,
    watch: Watch = unwatched,
    track: Track = untracked,
    warn: Callable[[str], None] = lambda text: None,
    controller: Controller | None = None,
) -> RunFolder:
    """Goes on with a run from its newest undamaged checkpoint, to the bits that it would have had without a break.

    Damaged checkpoints are renamed and told to `warn`. A run without any checkpoint starts again.

    Raises: as `start`.
    """
    run = folder.existing(path)
    config = c.read(run.config)
    with run.locked():
        for damaged in damaged_checkpoints(run):
            warn(damaged)
        data = build.splits(config.data, track)
        play(config, data, run, controller or HandsOff(), watch)
    return run


def damaged_checkpoints(run: RunFolder) -> Iterator[str]:
    """Sets the damaged ones aside, from the newest on, until one is good.

    Raises:
        StorageError: when none is good.
    """
    found = checkpoint.newest_first(run.checkpoints)
    for path in found:
        try:
            checkpoint.verify(path)
        except StorageError as error:
            yield f"{error}\nIt was set aside as {checkpoint.set_aside(path).name}; going on from the one before."
        else:
            return
    if found:
        raise StorageError(f"no checkpoint of {run.path} is undamaged: all were set aside. Train it anew.")


def play(config: c.TrainConfig, data: Splits, folder: RunFolder, controller: Controller, watch: Watch) -> None:
    """Builds the objects, restores the newest state if there is one, trains, and writes the generator to share."""
    checkpoint.sweep(folder.checkpoints)
    with assembled(config, data, folder, controller) as run:
        restore(run)
        with watch(config.recipe, config.images, run.game.seen) as report:
            train(run, report)
    TrainedGenerator(run.game.ema.net.cpu(), config.nets, build.form(config, data)).save(folder.model)


@contextmanager
def assembled(config: c.TrainConfig, data: Splits, folder: RunFolder, controller: Controller) -> Iterator[Run[GAN]]:
    """A run at its beginning, with its logs open."""
    fabric = Fabric(accelerator=build.device(config.machine).type, devices=1)
    fabric.launch()
    torch.set_num_threads(config.machine.threads or 1)
    form = build.form(config, data)
    with closing(Log(folder.events)) as events, closing(Log(folder.clock)) as clock:
        yield Run(
            game=build.game(config, form, fabric.device),
            batches=build.batches(config, data, fabric.device),
            plan=plan(config, form),
            folder=folder,
            draw=build.drawing(form, data, config.seed, config.nets.z_dim, fabric.device),
            controller=controller,
            events=events,
            clock=clock,
            standing=Standing(config.knobs),
        )


def restore(run: Run[GAN]) -> None:
    """Puts the newest checkpoint into a run; without one, the run is at its start and its record is empty."""
    if not checkpoint.newest_first(run.folder.checkpoints):
        run.events.load_state_dict({"offset": 0})
        run.clock.append("started", **machine_facts())
        return
    path, _ = checkpoint.latest(run.folder.checkpoints)
    state, manifest = checkpoint.load(path)
    if manifest["config_sha256"] != run.plan.facts["config_sha256"]:
        raise ConfigError(
            f"{run.folder.config} was changed after {path.name} was written.\n"
            "Put it back, or start a new run from it: equipoise train --config FILE."
        )
    run.registry().load(state)
    run.clock.append("resumed", step=run.standing.step, **machine_facts())


def plan(config: c.TrainConfig, form: build.Form) -> Plan:
    def images(every: c.Every, name: str) -> int:
        return round(1000 * every.every_kimg) if every.every_kimg else max(1, config.images // PARTS[name])

    return Plan(
        images=config.images,
        record_every=images(config.record, "record"),
        draw_every=images(config.samples, "samples"),
        save_every=images(config.save, "save"),
        keep=config.save.keep,
        schedules=config.schedules,
        facts={"config_sha256": c.fingerprint(config), "shape": list(form.shape), "classes": form.classes},
    )


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
    cores = len(os.sched_getaffinity(0))
    candidates = [config.machine.threads] if config.machine.threads else sorted({1, cores})
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


def step_and_wait(game: GAN, batches: Any, device: torch.device) -> None:
    game.step(batches)
    if device.type == "cuda":
        torch.cuda.synchronize()


def peak_memory_mib(device: torch.device) -> int:
    if device.type == "cuda":
        return round(torch.cuda.max_memory_allocated() / 2**20)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # KiB on Linux, bytes on macOS
    return round(peak / (2**20 if sys.platform == "darwin" else 2**10))


def forecast_facts(config: c.TrainConfig, forecast: Forecast) -> dict[str, Any]:
    """For --dry-run: the resolved config and what it will take."""
    return {"config": config.model_dump(mode="json"), "forecast": asdict(forecast) | {"seconds": forecast.seconds}}


def machine_facts() -> dict[str, Any]:
    return {"host": platform.node(), "pid": os.getpid(), "unix_time": round(time.time())}


def environment() -> dict[str, Any]:
    """Versions and hardware: what a result depends on."""
    packages = ("equipoise", "torch", "lightning-fabric", "numpy", "scipy", "scikit-learn", "pillow", "pydantic")
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "processor": processor(),
        "cores": len(os.sched_getaffinity(0)),
        "cuda": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "packages": {name: version(name) for name in packages},
    }


def processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        return next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor()
