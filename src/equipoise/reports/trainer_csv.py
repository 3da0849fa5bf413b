"""Reads the log of any trainer: a CSV file with a column `step`, and any of those that the diagnosis knows."""

from __future__ import annotations

import csv
import difflib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from equipoise.diagnosis.levels import COLUMNS, QUALITY, Log, Series, Values
from equipoise.errors import DataError
from equipoise.words import counted

BLANK = frozenset({"", "-", "none", "null", "na", "n/a"})  # losses are logged more often than figures of quality
SEPARATORS = ",;\t"
LARGEST = 2**53  # whole numbers above it are not exact as floats
WANTED = f"Give a CSV file with a column step and any of {', '.join(COLUMNS)}."

Row = tuple[int, Mapping[str, float]]  # a step, and the cells that are not blank


class Read(NamedTuple):
    log: Log
    notes: tuple[str, ...]  # what was not read, or not as it stands


def read(path: Path) -> Read:
    """Raises DataError for what is no such log."""
    lines = text(path)
    names, notes = header(path, lines), []
    if len(lines) > 2 and len(split(path, len(lines), lines)) < len(names):  # by a trainer that writes, or was killed
        notes.append(f"line {len(lines)} is cut short and was left out")
        lines = lines[:-1]
    rows = [row(path, number, lines, names) for number in range(2, len(lines) + 1) if lines[number - 1].strip()]
    if not rows:
        raise DataError(f"{path} has a header and no rows.\nGive the log of a trainer that has begun.")
    steps = [step for step, _ in rows]
    if steps != sorted(set(steps)):
        notes.append("steps repeat or go back, as after a resume: the last row of a step counts")
    log = {name: series(name, rows) for name in names if name in COLUMNS}
    return Read({name: each for name, each in log.items() if len(each[0])}, (*unread(names), *notes))


def text(path: Path) -> list[str]:
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is no text: byte {error.start} is not UTF-8.\n{WANTED}") from error
    except OSError as error:
        raise DataError(f"{path}: {error.strerror}.\nGive the CSV log of a trainer, or a run folder.") from error
    if not lines or not lines[0].strip():
        raise DataError(f"{path} is empty, or begins with an empty line.\n{WANTED}")
    return lines


def header(path: Path, lines: Sequence[str]) -> list[str]:
    """The names of the columns, in lower case."""
    names = [name.strip().lower() for name in split(path, 1, lines)]
    if "step" not in names:
        raise DataError(f"{path} has no column step: its first line is {shown(lines[0])}.\n{WANTED}")
    for name in ("step", *COLUMNS):
        if names.count(name) > 1:
            raise DataError(f"{path} has {names.count(name)} columns {name}.\nKeep the one that counts.")
    if not set(names) & set(COLUMNS):
        raise DataError(f"{path} has nothing to judge: its first line is {shown(lines[0])}.\n{WANTED}")
    return names


def split(path: Path, number: int, lines: Sequence[str]) -> list[str]:
    """The cells of line `number`, counted from 1, at what separates those of the first."""
    try:
        return next(csv.reader([lines[number - 1]], delimiter=max(SEPARATORS, key=lines[0].count)), [])
    except csv.Error as error:
        raise DataError(f"{path}, line {number}, is no CSV: {error}.\n{WANTED}") from error


def row(path: Path, number: int, lines: Sequence[str], names: Sequence[str]) -> Row:
    cells = split(path, number, lines)
    if len(cells) != len(names):
        raise DataError(
            f"{path}, line {number}, has {counted(len(cells), 'cell')} where the header has {len(names)}: "
            f"{shown(lines[number - 1])}.\nThe file is damaged: mend or remove the line."
        )
    where = f"{path}, line {number}"
    values = {
        name: value(where, name, cell)
        for name, cell in zip(names, cells, strict=True)
        if name in COLUMNS and cell.strip().lower() not in BLANK
    }
    return step(where, cells[names.index("step")]), values


def step(where: str, cell: str) -> int:
    try:
        found = float(cell)
    except ValueError:
        found = -1.0
    if not (found.is_integer() and 0 <= found < LARGEST):
        raise DataError(f"{where}: the step is {shown(cell)}.\nEach row needs a whole number of steps.")
    return int(found)


def value(where: str, name: str, cell: str) -> float:
    try:
        found = float(cell)
    except ValueError:
        raise DataError(f"{where}: {name} is {shown(cell)}, which is no number.\nMend the cell, or blank it.") from None
    if name in QUALITY and found < 0:
        raise DataError(f"{where}: {name} is {cell.strip()}, and cannot be negative.\nMend the cell, or blank it.")
    return found


def shown(text: str) -> str:
    return repr(text if len(text) <= 80 else f"{text[:77]}...")


def unread(names: Sequence[str]) -> Iterator[str]:
    others = [name for name in names if name and name != "step" and name not in COLUMNS]
    near = {name: difflib.get_close_matches(name, COLUMNS, 1, 0.7) for name in others}
    if others:
        listed = (f"{name} (rename it to {near[name][0]}?)" if near[name] else name for name in others)
        yield f"not read: {', '.join(listed)}"


def series(name: str, rows: Sequence[Row]) -> Series:
    """Steps ascending; of a step that is there twice, the last row."""
    latest = {step: cells[name] for step, cells in rows if name in cells}
    steps = np.array(sorted(latest), np.int64)
    values = np.array([latest[step] for step in sorted(latest)], np.float64)
    kept = ~padding(values) if name in QUALITY else np.ones(len(values), bool)
    return steps[kept], values[kept]


def padding(values: Values) -> NDArray[np.bool_]:
    """NaN in rows between evaluations: some trainers write it for a blank. More in a row at the end is no padding."""
    nan = np.isnan(values)
    measured = np.flatnonzero(~nan)
    if len(measured) < 2 or len(values) - 1 - measured[-1] > np.diff(measured).max() - 1:
        return np.zeros(len(values), bool)
    return nan
