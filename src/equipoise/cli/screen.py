"""What a person sees in a terminal. Results go to stdout, everything else to stderr."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from rich.console import Console
from rich.progress import track as rich_track
from rich.table import Table

from equipoise import progress
from equipoise.words import duration

if TYPE_CHECKING:
    from equipoise.forecast import Forecast
    from equipoise.runs.folder import RunFolder

T = TypeVar("T")
# started beside a leader, by torchrun or by our own launcher
FOLLOWS = any(os.environ.get(name, "0") != "0" for name in ("RANK", "LOCAL_RANK", "NODE_RANK"))
LINE_S = 2.0  # what takes longer is worth a line

console = Console(stderr=True, quiet=FOLLOWS)  # one process speaks for all


def say(text: str) -> None:
    progress.say(console, text)


def fail(text: str) -> None:
    say(f"equipoise: {text}")


def watch(label: str, total: int, done: int) -> Any:
    return progress.bar(console, label, total, done)


def track(items: Iterable[T], label: str, count: int) -> Iterable[T]:
    """A bar with the time left; where there is no terminal to redraw, a line with the time that it took."""
    if console.is_terminal:
        yield from rich_track(items, label, total=count, console=console, transient=True)
        return
    start = time.monotonic()
    yield from items
    if (took := time.monotonic() - start) >= LINE_S:
        say(f"{label}: {count:,} in {duration(took)}")


def announce(run: RunFolder, forecast: Forecast) -> None:
    say(f"{run.path}: {described(forecast)}")


def described(forecast: Forecast) -> str:
    players = ", ".join(f"{name} {count / 1e6:.2f} M" for name, count in forecast.parameters.items())
    shape = "x".join(str(side) for side in forecast.shape)
    return (
        f"{forecast.samples:,} samples of {shape}; {players} parameters on "
        f"{forecast.processes} x {forecast.device} in {forecast.precision} with {forecast.threads} thread(s); "
        f"{forecast.ms_per_step:.1f} ms a step, {forecast.steps} steps in about "
        f"{duration(forecast.seconds)}, {forecast.memory_mib} MiB"
    )


def show_json(value: Any) -> None:
    json.dump(value, sys.stdout, indent=2)
    sys.stdout.write("\n")


def show_table(rows: Sequence[Mapping[str, Any]]) -> None:
    if not rows:
        return
    table = Table(box=None, pad_edge=False)
    for name in rows[0]:
        table.add_column(name)
    for row in rows:
        table.add_row(*(str(value) for value in row.values()))
    Console(soft_wrap=True).print(table, markup=False, highlight=False)
