"""How reading data is shown: a bar and warnings belong to the caller."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Protocol, TypeVar

T = TypeVar("T")
Warn = Callable[[str], None]


class Track(Protocol):
    def __call__(self, items: Iterable[T], label: str, count: int, /) -> Iterable[T]:
        """The same items, `count` of them, with their progress shown under `label`."""
        ...


def untracked(items: Iterable[T], label: str, count: int) -> Iterable[T]:
    return items


def unheard(text: str) -> None:
    """The warning of those who do not listen."""
