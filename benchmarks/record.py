"""Rows of results: appended as they come, never repeated, with the date, the hardware and the commit. And what their
tables are made with: each benchmark has a `report` of its own, and `tables.py` prints all."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterable, Mapping
from datetime import datetime
from pathlib import Path
from statistics import median
from typing import Any

from scipy.stats import binomtest

from equipoise.environment import environment

RESULTS = Path(__file__).parent / "results"

Row = dict[str, Any]


class Record:
    """The JSONL file of one benchmark. A row is found again by its key, so that a killed benchmark goes on."""

    def __init__(self, name: str):
        self.path = RESULTS / f"{name}.jsonl"

    def rows(self) -> list[Row]:
        return [json.loads(line) for line in self.path.read_text().splitlines()] if self.path.exists() else []

    def has(self, key: Mapping[str, Any]) -> bool:
        return any(row["key"] == dict(key) for row in self.rows())

    def append(self, key: Mapping[str, Any], **figures: Any) -> Row:
        row = {
            "key": dict(key), **figures,
            "date": datetime.now().isoformat(timespec="minutes"), "commit": commit(), "hardware": hardware(),
            "torch": environment()["packages"]["torch"],
        }  # fmt: skip
        RESULTS.mkdir(exist_ok=True)
        with self.path.open("a") as file:
            file.write(json.dumps(row) + "\n")
        return row


def hardware() -> str:
    env = environment()
    return f"{env['processor']}, {env['cores']} cores, {env['cpu_capability']}"


def commit() -> str:
    found = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True)
    return found.stdout.strip()


def table(title: str, header: str, lines: Iterable[str]) -> None:
    """In Markdown; nothing where there are no lines."""
    columns, shown = header.count("|") + 1, [f"| {line} |" for line in lines]
    if shown:
        print(f"\n**{title}**\n\n| {header} |\n|{'---|' * columns}", *shown, sep="\n")


def within(count: int, of: int) -> str:
    """The exact 95% interval of a rate (Clopper and Pearson 1934)."""
    interval = binomtest(count, of).proportion_ci(0.95) if of else None
    return f"95%: {interval.low:.3f} to {interval.high:.3f}" if interval else "none"


def verdict(row: Row) -> str:
    return "yes" if row["passed"] else "no"


def middle(values: Iterable[float], form: str = ".3f") -> str:
    """The median of several runs, with the least and the most."""
    found = sorted(values)
    if len(found) == 1:
        return f"{found[0]:{form}}"
    return f"{median(found):{form}} ({found[0]:{form}} to {found[-1]:{form}})"


def grouped(rows: Iterable[Row], *names: str) -> dict[tuple[Any, ...], list[Row]]:
    """Rows by these parts of their keys, in the order in which they come."""
    found: dict[tuple[Any, ...], list[Row]] = {}
    for row in rows:
        found.setdefault(tuple(row["key"][name] for name in names), []).append(row)
    return found


def with_interval(figure: list[float | None], digits: int = 3) -> str:
    value, *ends = (f"{x:.{digits}f}" for x in figure if x is not None)
    return f"{value} ({' to '.join(ends)})" if ends else value
