"""The settings of a run: by their keys, those that matter, and those that are not as in its recipe. No torch."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from equipoise.config import TrainConfig
from equipoise.figures import flat
from equipoise.recipes import RECIPES, recipe

# Of the machine and the clock: they change when something is written down, or how fast, and not what is learned.
INCIDENTAL = ("seed", "machine", "record.every_kimg", "samples.every_kimg", "save", "evaluate.every_kimg")
PLAIN = re.compile(r"(?!(None|True|False)$)[A-Za-z/][\w./-]*")  # a word or a path, which YAML reads as it is
NAMED, LONG = 4, 40  # settings that a name spells out, and characters of each


def settings(config: TrainConfig) -> dict[str, Any]:
    """All that two runs must share to differ by chance only, by their keys. The schedules are one value."""
    raw = config.model_dump(mode="json")
    found = flat({key: value for key, value in raw.items() if key != "schedules"}) | {"schedules": raw["schedules"]}
    if not config.evaluate.stop_when_converged:
        del found["evaluate.patience_kimg"]  # follows from the length, and ends nothing
    return {key: value for key, value in found.items() if not key.startswith(INCIDENTAL)}


def usual(config: TrainConfig) -> dict[str, Any]:
    """The settings of its recipe; none where the recipe is not one of ours."""
    return settings(recipe(config.recipe)) if config.recipe in RECIPES else {}


def departures(config: TrainConfig) -> dict[str, Any]:
    """The settings that are not as in the recipe; all of them where the recipe is not one of ours.

    A section of another kind has the defaults of that kind: there, what is not as by default departs.
    """
    as_usual, here = usual(config), settings(config)
    if not as_usual:
        return here
    kinds = [key for key in here if key.endswith(".kind") and as_usual[key] != here[key]]
    others = tuple(key.removesuffix("kind") for key in kinds)
    chosen = {*kinds, *flat(config.model_dump(mode="json", exclude_defaults=True))}
    return {
        key: value
        for key, value in here.items()
        if (key in chosen if key.startswith(others) else as_usual.get(key) != value)
    }


def assignments(changed: Mapping[str, Any]) -> list[str]:
    """As --set takes them."""
    return [f"{key}={value if PLAIN.fullmatch(str(value)) else json.dumps(value)}" for key, value in changed.items()]


def spelled(changed: Mapping[str, Any]) -> str:
    """`knobs.r1=0.3 kimg=20`: the first few, in short."""
    words = [text if len(text) <= LONG else f"{text[: LONG - 1]}…" for text in assignments(changed)[:NAMED]]
    left = len(changed) - NAMED
    return " ".join([*words, *([f"and {left} more"] if left > 0 else [])])
