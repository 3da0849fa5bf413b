"""Nested settings by dotted paths, and the key that was meant."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from pydantic import BaseModel

from equipoise.errors import ConfigError


def flat(raw: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Each value by its path; a section's, too."""
    for key, value in raw.items():
        yield prefix + key, value
        if isinstance(value, dict):
            yield from flat(value, f"{prefix}{key}.")


def put(raw: dict[str, Any], path: str, value: Any) -> None:
    *sections, last = path.split(".")
    for section in sections:
        raw = raw.setdefault(section, {})
        if not isinstance(raw, dict):
            raise ConfigError(f"{section}: {raw!r} was given where keys such as {path} belong.")
    raw[last] = value


def holds(raw: Any, path: str) -> bool:
    for part in path.split("."):
        if not isinstance(raw, dict) or part not in raw:
            return False
        raw = raw[part]
    return True


def take(raw: dict[str, Any], path: str) -> Any:
    *sections, last = path.split(".")
    for section in sections:
        raw = raw[section]
    return raw.pop(last)


def json_copy(raw: dict[str, Any]) -> dict[str, Any]:
    """A copy whose nested sections may be edited; models become dicts."""
    return {
        k: json_copy(v) if isinstance(v, dict) else json_copy(v.model_dump()) if isinstance(v, BaseModel) else v
        for k, v in raw.items()
    }


def nearest(word: str, known: Iterable[str]) -> str:
    """' (did you mean ...?)', or nothing when no word is near."""
    last = word.rpartition(".")[2]
    known = sorted(known)
    close = difflib.get_close_matches(word, known, 1) or [k for k in known if k.rpartition(".")[2] == last]
    if not close:
        ends = {k.rpartition(".")[2]: k for k in known}
        close = [ends[end] for end in difflib.get_close_matches(last, ends, 1)]
    return f": did you mean '{close[0]}'?" if close else "."
