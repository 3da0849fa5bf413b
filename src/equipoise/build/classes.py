"""Which classes G is asked for where nobody names one."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from equipoise.build.players import Form
from equipoise.data.labels import counted
from equipoise.data.source import Source

GOLDEN = (5**0.5 - 1) / 2


def class_counts(train: Source) -> tuple[int, ...]:
    """Training samples of each class; () where all have as many."""
    counts = counted(train)
    return tuple(counts) if len(set(counts)) > 1 else ()


def in_turns(n: int, form: Form) -> Tensor:
    """0, 1, 2, ... and again, of the classes that occur [n]; zeros without classes."""
    known = [k for k, count in enumerate(form.class_counts) if count] or range(max(form.classes, 1))
    return torch.tensor(known)[torch.arange(n) % len(known)]


def as_in_training(n: int, form: Form) -> Tensor:
    """Classes [n] as often as the training part has them, in each beginning of it, too; in turns where all are as many,
    or nobody knows."""
    return in_proportion(n, form.class_counts) if form.class_counts else in_turns(n, form)


def in_proportion(n: int, counts: Sequence[int]) -> Tensor:
    """[n], by numbers that fill [0, 1) evenly from the first on: multiples of the golden ratio (Weyl 1916)."""
    ends = torch.tensor(counts, dtype=torch.float64).cumsum(0)
    at = (torch.arange(n, dtype=torch.float64) * GOLDEN + 0.5) % 1 * ends[-1]
    return torch.searchsorted(ends, at, right=True)
