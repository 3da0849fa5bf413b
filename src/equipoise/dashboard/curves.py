"""Curves of bounded size, however many points they are given: each bucket keeps the least, the mean and the largest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

MOST = 400  # buckets of a curve; half as many after a merge
NAMES = 150  # curves of a run
PLACES = ("kind", "step", "seen")  # of a row: they are no curves
DIGITS = 4  # that are told of a number

Floats = NDArray[np.float64]


class Curves:
    """Curves over one axis. When there are too many buckets, each two become one: `stride` rows are in each."""

    def __init__(self) -> None:
        self.stride = 1
        self.x: Floats = np.empty(0)
        self.buckets: dict[str, Floats] = {}  # by name: [3, buckets], NaN where there is nothing
        self._x: list[float] = []  # of rows that do not fill a bucket yet
        self._rows: list[Mapping[str, Any]] = []

    def add(self, x: Sequence[float], rows: Sequence[Mapping[str, Any]]) -> None:
        self._x += x
        self._rows += rows
        while len(self._rows) >= self.stride:
            full = min(len(self._rows) // self.stride, MOST - len(self.x))
            n = full * self.stride
            self.x = np.append(self.x, self._x[self.stride - 1 : n : self.stride])
            found = self.reduced(self._rows[:n], self.stride)
            empty = np.full((3, full), np.nan)
            for name in [*self.buckets, *(new for new in found if new not in self.buckets)][:NAMES]:
                before = self.buckets.get(name)
                before = np.full((3, len(self.x) - full), np.nan) if before is None else before
                self.buckets[name] = np.concatenate([before, found.get(name, empty)], axis=1)
            self._x, self._rows = self._x[n:], self._rows[n:]
            if len(self.x) >= MOST:
                self.merge()

    def merge(self) -> None:
        self.stride *= 2
        self.x = self.x[1::2]
        for name, (low, mean, high) in self.buckets.items():
            pairs = [part.reshape(-1, 2).T for part in (low, mean, high)]
            self.buckets[name] = np.stack([np.fmin(*pairs[0]), mean_of(pairs[1]), np.fmax(*pairs[2])])

    def reduced(self, rows: Sequence[Mapping[str, Any]], stride: int) -> dict[str, Floats]:
        found = {}
        for name in dict.fromkeys(chain.from_iterable(rows)):
            values = None if name in PLACES else column(rows, name)
            if values is not None:
                parts = values.reshape(-1, stride).T
                found[name] = np.stack([np.fmin.reduce(parts), mean_of(parts), np.fmax.reduce(parts)])
        return found

    def __len__(self) -> int:
        """Buckets, with the one that is not full yet."""
        return len(self.x) + bool(self._rows)

    def last(self, name: str) -> float | None:
        """The newest value."""
        for row in reversed(self._rows):
            if name in row:
                return float(row[name])
        known = self.buckets.get(name)
        found = known[1][~np.isnan(known[1])] if known is not None else []
        return float(found[-1]) if len(found) else None

    def told(self, names: Sequence[str], since: int = 0) -> dict[str, Any]:
        """As JSON, from bucket `since` on: x, and for each name its means, or [least, means, largest] where they
        differ."""
        rest = self.reduced(self._rows, len(self._rows)) if self._rows else {}
        x = np.append(self.x, self._x[-1:])[since:]
        curves: dict[str, Any] = {}
        for name in names:
            if name not in self.buckets and name not in rest:
                continue
            known = self.buckets.get(name, np.full((3, len(self.x)), np.nan))
            whole = np.concatenate([known, rest.get(name, np.full((3, int(bool(self._rows))), np.nan))], axis=1)[
                :, since:
            ]
            low, mean, high = map(numbers, whole)
            curves[name] = [mean] if low == high else [mean, low, high]
        return {"since": since, "x": numbers(x), "curves": curves}


def column(rows: Sequence[Mapping[str, Any]], name: str) -> Floats | None:
    """The values of one name, NaN where there is none; None for what is no number."""
    raw = [row.get(name) for row in rows]
    try:
        values = np.array(raw, float)  # "nan" and "inf" are words in a record
    except (TypeError, ValueError):
        return None
    if values.ndim != 1:
        return None
    values[~np.isfinite(values)] = np.nan
    return values


def mean_of(parts: Floats) -> Floats:
    """Over the first axis, without NaN."""
    there = ~np.isnan(parts)
    count = there.sum(0)
    total = np.where(there, parts, 0.0).sum(0)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def numbers(values: Floats) -> list[float | None]:
    """Of a few digits each, None for NaN."""
    return [None if value != value else float(f"{value:.{DIGITS}g}") for value in values.tolist()]
