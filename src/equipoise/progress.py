"""How far a run is: on a terminal, in a log file, or nowhere."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn

SHOWN = ("d_loss", "g_loss", "paired_sign")
REFRESH_S = 0.5  # drawing more often would cost time that belongs to the step
LINE_S = 30.0  # between lines, where there is no terminal to redraw


class Reporter(Protocol):
    def __call__(self, seen: int, signals: Mapping[str, float], news: str = "") -> None:
        """`seen` real samples so far; `signals` of the last recorded step, or nothing new; what was just found."""
        ...


def silent(seen: int, signals: Mapping[str, float], news: str = "") -> None:
    """The reporter of those who do not watch."""


@contextmanager
def bar(console: Console, label: str, total: int, done: int = 0) -> Iterator[Reporter]:
    """A bar with the time left and the last signals; on a file, a line every half minute."""
    if not console.is_terminal:
        yield lines(console, label, total, done)
        return
    columns = (
        TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn(), TextColumn("left"),
        TimeRemainingColumn(), TextColumn("{task.fields[signals]}"),
    )  # fmt: skip
    progress = Progress(*columns, console=console, auto_refresh=False)
    task = progress.add_task(label, total=total, completed=done, signals="")
    drawn = 0.0

    def report(seen: int, signals: Mapping[str, float], news: str = "") -> None:
        nonlocal drawn
        if news:
            tell(console, seen / total, news)
        if signals:
            progress.update(task, signals=summary(signals))
        if (now := time.monotonic()) - drawn >= REFRESH_S or seen >= total:
            drawn = now
            with suppress(OSError):  # the terminal may be gone; the run is not
                progress.update(task, completed=min(seen, total), refresh=True)

    progress.start()
    try:
        yield report
    finally:
        with suppress(OSError):
            progress.stop()


def lines(console: Console, label: str, total: int, done: int) -> Reporter:
    start = last = time.monotonic()

    def report(seen: int, signals: Mapping[str, float], news: str = "") -> None:
        nonlocal last
        now = time.monotonic()
        if news:
            tell(console, seen / total, news)
        if signals and (now - last >= LINE_S or seen >= total):
            last = now
            left = (now - start) * (total - seen) / max(seen - done, 1)
            with suppress(OSError):
                console.print(
                    f"{label} {min(seen / total, 1):.0%}, {max(left, 0):.0f} s left, {summary(signals)}",
                    highlight=False,
                )

    return report


def tell(console: Console, progress: float, news: str) -> None:
    say(console, f"at {progress:.0%}: {news}")


def say(console: Console, text: str) -> None:
    """Nothing ends because nobody can be told: the terminal may be gone, or the disk behind it full."""
    with suppress(OSError):
        console.print(text, markup=False, highlight=False, soft_wrap=True)


def summary(signals: Mapping[str, float]) -> str:
    return "  ".join(f"{name} {signals[name]:.3f}" for name in SHOWN if name in signals)
