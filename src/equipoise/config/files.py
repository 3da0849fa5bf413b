"""Configs read from a file, changed by `key.path=value`, written resolved; and what is wrong with one, in words."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from equipoise.config.dotted import flat, holds, nearest, put, take
from equipoise.config.model import ALIASES, TrainConfig
from equipoise.errors import ConfigError


def read(path: Path) -> TrainConfig:
    """A config from a YAML or JSON file: `config.json` of a run repeats that run.

    Raises:
        ConfigError: for a file that cannot be read, or keys and values that do not fit.
    """
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"{path} cannot be read as a config: {first_line(error)}") from error
    if not isinstance(raw, dict):
        raise ConfigError(f"{path} holds no config: expected keys such as recipe, data, nets.")
    return validated(raw)


def write(config: TrainConfig, path: Path) -> None:
    """All or nothing: a crash leaves no half of a config."""
    temporary = path.with_name(f".{path.name}")
    with temporary.open("w", encoding="utf-8") as file:
        file.write(config.model_dump_json(indent=2) + "\n")
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def override(config: TrainConfig, assignments: Iterable[str]) -> TrainConfig:
    """The config with `key.path=value` changes. Values are YAML: numbers, true, [0, .99], {kind: cosine, ...}.

    Raises:
        ConfigError: for a key that does not exist (with the nearest that does) or a value that does not fit.
    """
    raw = config.model_dump(mode="json")
    changes = [parsed(text) for text in assignments]
    for key, value in sorted(changes, key=lambda change: not change[0].endswith("kind")):
        known = {*dict(flat(raw)), *known_keys()}
        if key not in known and not key.startswith("schedules."):
            raise ConfigError(f"unknown key '{key}'{nearest(key, known)}")
        section, _, last = key.rpartition(".")
        if last == "kind":  # another kind has other fields: start from its defaults
            if not holds(raw, key) or take(raw, key) != value:
                put(raw, section, {})
            put(raw, key, value)
        else:
            put(raw, ALIASES.get(key, key), value)
    return validated(raw)


def validated(raw: dict[str, Any]) -> TrainConfig:
    try:
        return TrainConfig.model_validate(raw)
    except ValidationError as error:
        raise ConfigError("\n".join(explained(error, raw))) from error


def explained(error: ValidationError, raw: dict[str, Any]) -> Iterator[str]:
    """At most three lines: which key, what is wrong, what was meant."""
    for e in error.errors()[:3]:
        kinds = {str(value["kind"]) for value in sections(raw) if "kind" in value}
        path = ".".join(str(part) for part in e["loc"] if str(part) not in kinds)
        message = e["msg"].removeprefix("Value error, ")
        known = set(known_keys())
        if e["type"] == "extra_forbidden" and path in known:
            yield f"'{path}' belongs to another kind of {path.rpartition('.')[0]}: see {path.rpartition('.')[0]}.kind"
        elif e["type"] == "extra_forbidden":
            yield f"unknown key '{path}'{nearest(path, known)}"
        else:
            yield f"{path}: {message}" if path else message


def settings(config: TrainConfig) -> dict[str, Any]:
    """All that is set, by the names of --set."""
    found = dict(flat(config.model_dump(mode="json")))
    return found | {alias: found[path] for alias, path in ALIASES.items()}


def known_keys() -> Iterator[str]:
    """Every key that some config can have."""
    yield from ALIASES
    for name, field in TrainConfig.model_fields.items():
        yield name
        for model in models(field.annotation, *field.metadata):
            for inner, value in model.model_fields.items():
                yield f"{name}.{inner}"
                for deeper in models(value.annotation, *value.metadata):
                    yield from (f"{name}.{inner}.{last}" for last in deeper.model_fields)


def models(*annotations: Any) -> Iterator[type[BaseModel]]:
    for annotation in annotations:
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            yield annotation
        yield from models(*getattr(annotation, "__args__", ()))


def sections(raw: Any) -> Iterator[dict[str, Any]]:
    if isinstance(raw, dict):
        yield raw
        for value in raw.values():
            yield from sections(value)


def parsed(assignment: str) -> tuple[str, Any]:
    key, equals, text = assignment.partition("=")
    if not equals or not key:
        raise ConfigError(f"'{assignment}' is not an assignment: write key.path=value, for example knobs.r1=0.3")
    try:
        return key.strip(), yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"the value of '{key}' cannot be read: {first_line(error)}") from error


def first_line(error: Exception) -> str:
    return json.dumps(str(error).splitlines()[0])[1:-1] if str(error) else type(error).__name__
