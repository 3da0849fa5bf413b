"""The verb that trains, and what it says instead when it is asked to."""

from __future__ import annotations

import shlex
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Any

import yaml

from equipoise import advice, build, configuring, finetuning, forecast, launch, profiling, requests
from equipoise.cli import screen
from equipoise.cli.watch import page_of
from equipoise.config import TrainConfig
from equipoise.errors import ConfigError, StorageError
from equipoise.forecast import Forecast
from equipoise.onlookers import Onlookers
from equipoise.reports.story import use_of
from equipoise.runs.folder import RunFolder, existing, rows


def train(
    recipe: str | None, changes: dict[str, Any], out: Path | None, time: str | None, *, dry_run: bool, as_json: bool,
    replay: Path | None = None, page: bool = False,
) -> None:  # fmt: skip
    if sum(changes[length] is not None for length in ("steps", "kimg")) + (time is not None) > 1:
        raise ConfigError("--steps, --kimg and --time each give the length of a run: choose one.")
    config = configuring.configured(recipe, **changes, tell=screen.say)
    time_s = configuring.seconds(time) if time else None
    if dry_run:
        foretell(config, time_s, as_json=as_json)
        return
    asked = requests.repeated(rows(existing(replay).events)) if replay else []
    with ExitStack() as beside:

        def announce(run: RunFolder, forecast: Forecast) -> None:
            screen.announce(run, forecast)
            if page:
                beside.enter_context(page_of(run.path))

        run = launch.start(
            config, out, time_s=time_s, watch=screen.watch, track=screen.track, announce=announce, warn=screen.fail,
            requests=asked,
        )  # fmt: skip
    screen.say(f"{run.path}: finished. {' '.join(use_of(config, shlex.quote(str(run.path))))}")
    if as_json:
        screen.show_json({"run": str(run.path)})


def foretell(config: TrainConfig, time_s: float | None, *, as_json: bool) -> None:
    """What --dry-run prints."""
    for text in advice.warnings(config):
        screen.fail(text)
    data, device = build.splits(config.data, screen.track, screen.fail), build.device(config.machine)
    onlookers = Onlookers(config, data, device, track=screen.track, warn=screen.fail)
    finetuning.checked(config, build.form(config, data))
    resolved, expected = forecast.resolve(onlookers, time_s)
    if as_json:
        screen.show_json(forecast.facts(resolved, expected))
        return
    print(yaml.safe_dump(resolved.model_dump(mode="json"), sort_keys=False), end="")
    screen.say(screen.described(expected))


def profile(recipe: str | None, changes: dict[str, Any], out: Path | None, *, as_json: bool) -> None:
    """Where the time of a step goes: a table, and a picture in `out` or profile_<recipe>.png."""
    config = configuring.configured(recipe, **changes, tell=screen.say)
    data, device = build.splits(config.data, screen.track, screen.fail), build.device(config.machine)
    machine, _ = forecast.fastest(config, build.form(config, data), data, device)
    config = config.model_copy(update={"machine": machine})
    found = profiling.profiled(config, data, device)
    picture = (out or Path(f"profile_{config.recipe}")).with_suffix(".png")
    try:
        profiling.drawn(found).save(picture)
    except OSError as error:
        raise StorageError(f"cannot write {picture}: {error.strerror}. Choose another place with --out.") from error
    if as_json:
        screen.show_json(asdict(found) | {"picture": str(picture)})
        return
    for table in (found.parts, found.operations):
        shares = {name: f"{ms / found.ms_per_step:.0%}" for name, ms in table.items()}
        screen.show_table([{"": name, "ms": f"{ms:.2f}", "of a step": shares[name]} for name, ms in table.items()])
    screen.say(f"{found.ms_per_step:.1f} ms a step under the profiler, in {config.machine.precision}: {picture}")
