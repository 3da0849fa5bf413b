"""From what was asked for, by a person or a program, to a config."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

import torch

from equipoise import auto, finetuning
from equipoise import config as c
from equipoise.auto import Facts
from equipoise.data import text as texts
from equipoise.data.arrays import FILES, is_arrays
from equipoise.data.formats import holds_scans
from equipoise.data.hooks import Warn, unheard
from equipoise.encoders.weights import read
from equipoise.errors import ConfigError, DataError
from equipoise.facts import facts_of
from equipoise.recipes import recipe as named_recipe

PICTURE_FILES = (".zip", ".parquet")


def configured(
    recipe: str | None = None,
    *,
    file: Path | None = None,
    data: str | None = None,
    steps: int | None = None,
    kimg: float | None = None,
    seed: int | None = None,
    devices: int | None = None,
    nodes: int | None = None,
    start: Path | None = None,
    settings: Iterable[str] = (),
    facts: Facts | None = None,
    tell: Warn = unheard,
) -> c.TrainConfig:
    """A recipe, or the config in `file`, with changes. `settings` are `key.path=value`, `data` a name or a path,
    `start` a run or a file whose weights it begins with. What `auto` chose, by `facts` or by the data, and why is told.

    Raises:
        ConfigError: for an unknown recipe or key, or a value that does not fit.
        DataError: when `data` is neither a known name nor a file or folder.
    """
    if (recipe is None) == (file is None):
        raise ConfigError("give either a recipe or --config FILE.\n`equipoise recipes` lists the recipes.")
    if recipe == auto.NAME:
        settings = list(settings)
        recipe, *chosen = self_chosen(data, facts, settings, tell)
        settings = [*chosen, *settings]
    config = c.read(file) if file else named_recipe(recipe or "")
    changes = list(settings)
    given = {"seed": seed, "kimg": kimg, "machine.devices": devices, "machine.nodes": nodes}
    changes += [f"{key}={value}" for key, value in given.items() if value is not None]
    if data is not None:
        config = config.model_copy(update={"data": in_place_of(config.data, data)})
    if start is not None:
        config = config.model_copy(update={"start": finetuning.start_at(start)})
    config = c.override(config, changes)
    config = config.model_copy(update={"data": found_from_anywhere(config.data), "given": noted(config.given)})
    return config if steps is None else with_steps(config, steps)


def self_chosen(data: str | None, facts: Facts | None, settings: Iterable[str], tell: Warn) -> list[str]:
    """The recipe for this data, and its settings."""
    if facts is None:
        if data is None:
            raise ConfigError(
                "auto chooses by the data: give some with --data.\n`equipoise recipes` lists the recipes."
            )
        here = named_recipe("dcgan").model_copy(update={"data": data_at(data)})
        facts = facts_of(c.override(here, [each for each in settings if each.startswith("data.")]).data)
    choice = auto.chosen(facts, torch.cuda.is_available())
    tell(f"auto: {choice.command(data)}")
    for reason in choice.reasons:
        tell(reason)
    return [choice.recipe, *choice.settings]


def with_steps(config: c.TrainConfig, steps: int) -> c.TrainConfig:
    if steps < 1:
        raise ConfigError(f"--steps {steps}: a run has at least one step.")
    if {"d_steps", "accumulate"} & config.schedules.keys():
        raise ConfigError("the D steps of this recipe change with time, so --steps has no fixed length: use --kimg.")
    return c.override(config, [f"kimg={steps * config.images_a_round / 1000}"])


def in_place_of(before: c.Data, text: str) -> c.Data:
    """The data behind a name or a path, for a recipe with `before`: two domains where it translates.

    Raises:
        DataError: for what is no such data.
    """
    match before:
        case c.ColouredDigits() | c.PaintedDigits() if text in c.BUILT_IN:
            return c.BUILT_IN[text]
        case c.ColouredDigits():
            return in_place_of(c.Domains(path=text), text)
        case c.PaintedDigits():
            return in_place_of(c.Pairs(path=text), text)
        case c.Pairs() | c.Domains() | c.Lesions():
            if not Path(text).exists():
                what = "an .npz with images, masks and patient"
                if not isinstance(before, c.Lesions):
                    what = "a folder or a file with two domains, A and B"
                raise DataError(f"{text} is not there: this recipe needs {what}.")
            apart = {} if isinstance(before, c.Lesions) else {"to": None}
            return before.model_copy(update={"path": text} | apart)
        case c.Sentences():
            return before.model_copy(update={"path": text})
        case c.Records() | c.MadeUpRecords():
            return c.BUILT_IN[text] if text in c.BUILT_IN else c.Records(path=text)
        case c.Degrade():
            of = of_same_size(data_at(text), before.of)
            if not isinstance(of, c.Pictures | c.Arrays | c.Digits | c.StackedDigits):
                raise DataError(f"{text} cannot be spoilt and restored: give pictures, an array of images, or digits.")
            return before.model_copy(update={"of": of})
        case _:
            return of_same_size(data_at(text), before)


def found_from_anywhere(data: c.Data) -> c.Data:
    """With whole paths: a run must find its data from any folder."""
    match data:
        case c.Scans(path=path) | c.Lesions(path=path) | c.Records(path=path):
            return data.model_copy(update={"path": whole(path)})
        case c.Pictures(path=path) | c.Arrays(path=path) | c.Pairs(path=path, to=None) | c.Domains(path=path, to=None):
            return data.model_copy(update={"path": whole(path)})
        case c.Pairs(path=path, to=str(to)) | c.Domains(path=path, to=str(to)):
            return data.model_copy(update={"path": whole(path), "to": whole(to)})
        case c.Sentences(path=path):
            return data.model_copy(update={"path": whole(path)})
        case c.Degrade(of=of):
            return data.model_copy(update={"of": found_from_anywhere(of)})
        case _:
            return data


def noted(given: c.Given) -> c.Given:
    """With its whole path, and what the file holds: a resumed run must see by the same weights.

    Raises:
        DataError: when it cannot be read.
    """
    if given.path is None or given.sha256:
        return given
    return c.Given(path=whole(given.path), sha256=read(Path(given.path)).sha256)


def whole(path: str) -> str:
    return str(Path(path).resolve())


def data_at(text: str) -> c.Data:
    """The data behind a name (ring, grid, digits, stacked-digits) or a path."""
    if text in c.BUILT_IN:
        return c.BUILT_IN[text]
    path = Path(text)
    if is_arrays(path):
        return c.Arrays(path=str(path))
    if holds_scans(path):
        return c.Scans(path=str(path))
    if path.is_file() and path.suffix.lower() == texts.SUFFIX:
        return c.Sentences(path=str(path))
    if path.is_dir() or (path.is_file() and path.name.lower().endswith(PICTURE_FILES)):
        return c.Pictures(path=str(path))
    raise DataError(
        f"{text} is no folder, no {', '.join(PICTURE_FILES + FILES)} file, and no built-in set.\n"
        f"Built in: {', '.join(c.BUILT_IN)}{c.nearest(text, c.BUILT_IN) if '/' not in text else '.'}"
    )


def of_same_size(data: c.Data, before: c.Data) -> c.Data:
    """The size that a recipe is made for is kept."""
    if isinstance(data, c.Pictures | c.Arrays) and isinstance(before, c.Pictures | c.Arrays):
        return data.model_copy(update={"size": before.size})
    return data


def seconds(text: str) -> float:
    """'90', '90s', '30m' or '2h' in seconds."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([smh]?)", text.strip())
    if not match or float(match[1]) <= 0:
        raise ConfigError(f"'{text}' is not a time: write 90s, 30m or 2h.")
    return float(match[1]) * {"": 1, "s": 1, "m": 60, "h": 3600}[match[2]]
