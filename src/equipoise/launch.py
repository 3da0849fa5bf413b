"""Starts and resumes runs: from a config to a folder, and the loop."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import shlex
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, nullcontext
from itertools import islice
from pathlib import Path
from typing import Any

import torch

from equipoise import build, finetuning, loggers, pretraining
from equipoise import config as c
from equipoise.advice import warnings
from equipoise.controller import Controller
from equipoise.data.hooks import Track, Warn, unheard, untracked
from equipoise.data.source import Splits
from equipoise.data.survey import LISTED
from equipoise.environment import environment
from equipoise.errors import (
    ConfigError,
    DataError,
    Diverged,
    EquipoiseError,
    GaveUp,
    MachineError,
    Stopped,
    StorageError,
)
from equipoise.forecast import Forecast, resolve
from equipoise.games.cyclegan import CycleGAN
from equipoise.generator import TrainedGenerator, task_of
from equipoise.knobs import Knobs
from equipoise.onlookers import Onlookers
from equipoise.processes import ALONE, Processes, joined
from equipoise.progress import Reporter, silent
from equipoise.reports import report as reporting
from equipoise.requests import Inbox, Request, ask
from equipoise.runs import checkpoint, folder
from equipoise.runs.events import Log, Record, Unwritten
from equipoise.runs.folder import RunFolder
from equipoise.sitting import stoppable
from equipoise.training import Plan, Run, Standing, train
from equipoise.words import number, sentence

Watch = Callable[[str, int, int], Any]  # (label, total, done) -> context manager of a Reporter


@contextmanager
def unwatched(label: str, total: int, done: int) -> Iterator[Reporter]:
    yield silent


def start(
    config: c.TrainConfig,
    out: Path | None = None,
    *,
    time_s: float | None = None,
    watch: Watch = unwatched,
    track: Track = untracked,
    warn: Warn = unheard,
    announce: Callable[[RunFolder, Forecast], None] = lambda run, forecast: None,
    controller: Controller | None = None,
    requests: Sequence[Request] = (),
) -> RunFolder:
    """Trains a new run and returns its folder. `time_s` replaces the config's length by what fits into that time.

    What is allowed but seldom meant is told to `warn`. `requests` are asked of it before it begins: those of a run that
    it repeats, for example (requests.repeated).

    Raises:
        ConfigError, DataError, MachineError: before anything is written.
        StorageError, Diverged, Stopped: with the state of the last checkpoint on disk.
    """
    for text in warnings(config):
        warn(text)
    loggers.require_installed(config.log.to)
    processes, device = together(config)
    data = build.splits(config.data, track, warn)
    onlookers = Onlookers(config, data, device, processes.leads, track, warn)
    finetuning.checked(config, onlookers.form)
    config, forecast = resolve(onlookers, time_s, processes)
    config = c.TrainConfig.model_validate_json(processes.told(config.model_dump_json()))
    run = folder.create(config.recipe, out) if processes.leads else None
    run = RunFolder(Path(processes.told(str(run and run.path))))
    with held(run, warn) if processes.leads else nullcontext():
        if processes.leads:
            describe(run, config)
            for request in requests:
                ask(run.requests, request)
            announce(run, forecast)
        play(config, run, onlookers, controller, watch, processes)
    return run


def together(config: c.TrainConfig) -> tuple[Processes, torch.device]:
    """The processes that the config asks for, and this one's device.

    Raises:
        ConfigError: when they cannot share a batch equally.
        MachineError: when a device is missing.
    """
    processes, device = joined(build.device(config.machine), config.machine.devices, config.machine.nodes)
    processes.require_divides(config.batch)
    return processes, device


def describe(run: RunFolder, config: c.TrainConfig) -> None:
    """Writes what a run is before it begins, each file as a whole or not at all."""
    env, unfinished = json.dumps(environment() | {"seed": config.seed}, indent=2), run.env.with_name(f".{run.env.name}")
    try:
        c.write(config, run.config)
        checkpoint.write_synced(unfinished, f"{env}\n".encode())
        unfinished.replace(run.env)
        run.resume_note.write_text(f"{run.resume_command}\n", encoding="utf-8", errors="surrogateescape")
    except OSError as error:
        raise StorageError(f"cannot write to {run.path}: {error.strerror}.") from error


def resume(
    path: Path,
    *,
    watch: Watch = unwatched,
    track: Track = untracked,
    warn: Warn = unheard,
    controller: Controller | None = None,
) -> RunFolder:
    """Goes on with a run from its newest undamaged checkpoint, to the bits that it would have had without a break.

    Damaged checkpoints are renamed and told to `warn`. A run without any checkpoint starts again.

    Raises: as `start`.
    """
    run = folder.existing(path)
    config = c.read(run.config)
    processes, device = together(config)
    with held(run, warn) if processes.leads else nullcontext():
        if processes.leads:
            for damaged in damaged_checkpoints(run):
                warn(damaged)
        data = build.splits(config.data, track, warn)
        play(config, run, Onlookers(config, data, device, processes.leads, track, warn), controller, watch, processes)
    return run


@contextmanager
def held(run: RunFolder, warn: Warn) -> Iterator[None]:
    """Locks a run while it is played. Once it is let go of, its report is written: also of one that diverged, that the
    guardian gave up on, or that was asked to stop. It ends as it ended, whatever becomes of the report."""
    ended: EquipoiseError | None = None
    with run.locked():
        try:
            yield
        except (Diverged, GaveUp, Stopped) as error:
            ended = error
    try:
        reporting.write(run)
    except Exception as error:  # what matters was saved before
        why = str(error) if isinstance(error, EquipoiseError) else f"no report: {type(error).__name__}: {error}"
        warn(f"{why}\nWrite the report later: equipoise report {shlex.quote(str(run.path))}")
    if ended:
        raise ended


def damaged_checkpoints(run: RunFolder) -> Iterator[str]:
    """Sets damaged ones aside: the newest, until one is good, the best, and every snapshot, which may all be gone back
    to."""
    for place in (run.checkpoints, run.best, run.snapshots):
        yield from checkpoint.damaged(place, every=place == run.snapshots)


def play(
    config: c.TrainConfig, folder: RunFolder, onlookers: Onlookers, controller: Controller | None, watch: Watch,
    processes: Processes,
) -> None:  # fmt: skip
    """Builds the objects, restores the newest state if there is one, trains, and writes the generator to share."""
    if processes.leads:
        for place in (folder.checkpoints, folder.best, folder.snapshots):
            checkpoint.sweep(place)
    processes.told("swept")  # the others must not look for a checkpoint before
    with assembled(config, folder, onlookers, controller, processes) as run:
        if not checkpoint.newest_first(folder.checkpoints):
            finetuning.begin(run.game, config, onlookers.form)
            pretraining.begin(run.game, config, onlookers.data.train, onlookers.track)
        restore(run, onlookers.data.left_out)
        for text in (*told(run), *forgotten(run)):
            onlookers.warn(text)
        try:
            with watch(config.recipe, config.images, run.game.seen) as report, enough_memory():
                train(run, report)
        except GaveUp:
            share(run, config, onlookers.form)
            raise
    share(run, config, onlookers.form)


def share(run: Run[Any], config: c.TrainConfig, form: build.Form) -> None:
    """Writes the generator to share, or both."""
    if not run.processes.leads:
        return
    TrainedGenerator(run.game.ema.net.cpu(), config.nets, form, task_of(config)).save(run.folder.model)
    if isinstance(run.game, CycleGAN):
        TrainedGenerator(run.game.back.ema.net.cpu(), config.nets, form.back).save(run.folder.model_back)


def told(run: Run[Any]) -> Iterator[str]:
    """What there is to say of a run that is at its start: what its guardian sees, and what it found beforehand."""
    if run.standing.step:
        return
    if text := run.controller.told():
        yield text
    for finding in map(run.apt, run.controller.beforehand()):
        facts = ", ".join(f"{name} {number(value)}" for name, value in finding.evidence.items())
        yield f"{finding.symptom} ({facts}): {finding.meaning}. {sentence(finding.advice)}."


def forgotten(run: Run[Any]) -> Iterator[str]:
    """Has the controller forget the snapshots that were set aside or deleted."""
    if not (run.processes.leads and run.standing.step):
        return
    there = {checkpoint.step_of(path) for path in checkpoint.newest_first(run.folder.snapshots)}
    if gone := [step for step in run.controller.snapshots() if step not in there]:
        run.controller.forget(gone)
        steps = ", ".join(map(str, gone))
        yield f"{run.folder.snapshots} has no state of step {steps} any more: the run goes on, and never back to it."


@contextmanager
def enough_memory() -> Iterator[None]:
    try:
        yield
    except torch.OutOfMemoryError as error:
        raise MachineError(
            f"the memory of the device is too small: {str(error).splitlines()[0][:100]}\n"
            "Lower batch or nets.*, or set machine.precision=bf16. The last checkpoint is intact."
        ) from error


@contextmanager
def assembled(
    config: c.TrainConfig, folder: RunFolder, onlookers: Onlookers, controller: Controller | None = None,
    processes: Processes = ALONE,
) -> Iterator[Run[Any]]:  # fmt: skip
    """A run of a resolved config at its beginning, with its logs open, that can be asked to stop from here on. A
    controller takes the guardian's place."""
    torch.set_num_threads(config.machine.threads or 1)
    data, form, device = onlookers.data, onlookers.form, onlookers.device
    assert config.evaluate.patience_kimg is not None, "forecast.resolve gives it a number"
    with (
        stoppable() as stop,
        closing(loggers.sending(log(folder.events, processes), config, folder, onlookers.warn)) as events,
        closing(log(folder.clock, processes)) as clock,
    ):
        batches = build.batches(config, data, device, processes)
        batches.bins = {int(k): v for k, v in json.loads(processes.told(json.dumps(onlookers.bins()))).items()}
        require_bins(config.knobs, batches.bins)
        whoever = controller or onlookers.guardian(config.images)

        def fits(knobs: Knobs) -> None:
            turned = c.TrainConfig.model_validate(config.model_dump() | {"knobs": knobs.model_dump()})
            build.require_turnable(config.knobs, turned, processes)
            require_bins(knobs, batches.bins)

        def mend() -> None:
            onlookers.mending(whoever, config.images, processes.count)
            batches.bins = batches.bins or onlookers.bins_of_data()

        yield Run(
            game=build.game(config, form, device, processes, build.held_out(config, data, device, processes)),
            batches=batches,
            plan=plan(config, facts(folder.config, data, form)),
            folder=folder,
            draw=build.drawing(config, form, data, device),
            reals=build.drawn_reals(config, form, data) if processes.leads else None,
            judge=onlookers.judge(config.evaluate.patience_kimg),
            controller=whoever,
            events=events,
            clock=clock,
            standing=Standing(config.knobs),
            inbox=Inbox(folder.requests, lambda line, why: clock.append("misread", line=line, why=why)),
            settings=lambda knobs: c.settings(config.model_copy(update={"knobs": knobs})),
            fits=fits,
            mend=mend,
            watch=onlookers.require_watched if controller is None else lambda: None,
            processes=processes,
            stop=stop,
        )


def require_bins(knobs: Knobs, bins: Mapping[int, Sequence[int]]) -> None:
    """Raises ConfigError for a focus that would change nothing."""
    if not knobs.focus or any(bins.get(number) for number in knobs.focus_on):
        return
    if not bins:
        raise ConfigError("nobody knows the bins of this data: begin a run with knobs.focus, or with guardian.mode=on")
    raise ConfigError(
        f"knobs.focus_on={list(knobs.focus_on)} names no bin that holds training data: choose from 0 to {max(bins)}"
    )


def log(path: Path, processes: Processes) -> Record:
    return Log(path) if processes.leads else Unwritten()


def restore(run: Run[Any], left_out: Mapping[str, str]) -> None:
    """Puts the newest checkpoint into a run; without one, the run is at its start and its record is empty."""
    if not checkpoint.newest_first(run.folder.checkpoints):
        refuse_to_start_again(run.folder)
        run.inbox.remember([], folder.rows(run.folder.clock))
        run.events.load_state_dict({"offset": 0})
        if left_out:
            some = dict(islice(left_out.items(), LISTED))
            run.events.append("left_out", count=len(left_out), files=some)
        if facts := run.controller.facts():
            run.events.append("calibration", **facts)
        for finding in run.controller.beforehand():
            run.note(finding)
        run.clock.append("started", **machine_facts())
        return
    path, _ = checkpoint.latest(run.folder.checkpoints)
    state, manifest = checkpoint.load(path)
    if manifest["config_sha256"] != run.plan.facts["config_sha256"]:
        raise ConfigError(
            f"{run.folder.config} was changed after {path.name} was written.\n"
            "Put it back, or start a new run from it: equipoise train --config FILE."
        )
    if manifest["data_sha256"] != run.plan.facts["data_sha256"]:
        raise DataError(
            f"the data is not what {path.name} was trained on: files were added, removed or changed.\n"
            "Put it back, or start a new run: going on would show D what was held out."
        )
    recorded = folder.rows(run.folder.events, state["events.offset"])
    run.wishes = run.inbox.remember(recorded, folder.rows(run.folder.clock))
    if run.wishes.mended:
        run.mend()
    run.registry().load(state)
    run.clock.append("resumed", step=run.standing.step, **machine_facts())


def facts(config: Path, data: Splits, form: build.Form) -> dict[str, Any]:
    """What a checkpoint belongs to."""
    return {
        "config_sha256": hashlib.sha256(config.read_bytes()).hexdigest(), "data_sha256": data.sha256(),
        **form.facts(),
    }  # fmt: skip


def refuse_to_start_again(run: RunFolder) -> None:
    """A run without a checkpoint starts at its beginning, unless it had one: then its record is worth keeping.

    The row `checkpoint` is written before the checkpoint itself, which may have been cut short; the clock's rows after.

    Raises:
        StorageError: when there were checkpoints.
    """
    if any(row["kind"] in ("speed", "stopped") for row in folder.rows(run.clock)):
        raise StorageError(f"no checkpoint of {run.path} is left undamaged, so it cannot go on. Train it anew.")


def plan(config: c.TrainConfig, facts: dict[str, Any]) -> Plan:
    """When what happens in a run whose config was resolved."""

    def images(every: c.Every) -> int:
        assert every.every_kimg is not None, "forecast.resolve gives every cadence a number"
        return max(1, round(1000 * every.every_kimg))

    return Plan(
        images=config.images,
        record_every=images(config.record),
        draw_every=images(config.samples),
        save_every=images(config.save),
        watch_every=images(config.guardian),
        evaluate_every=images(config.evaluate),
        keep=config.save.keep,
        stop_when_converged=config.evaluate.stop_when_converged,
        schedules=config.schedules,
        facts=facts,
    )


def machine_facts() -> dict[str, Any]:
    return {"host": platform.node(), "pid": os.getpid(), "unix_time": round(time.time())}
