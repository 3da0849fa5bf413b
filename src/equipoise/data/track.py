"""How the steps of a long look are shown: by the caller, who knows what people look at."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol, TypeVar

T = TypeVar("T")


class Track(Protocol):
    def __call__(self, steps: Iterable[T], label: str, count: int, /) -> Iterable[T]:
        """The same steps, `count` of them, shown under `label` as they are taken."""
        ...


def untracked(steps: Iterable[T], label: str, count: int) -> Iterable[T]:
    return steps
