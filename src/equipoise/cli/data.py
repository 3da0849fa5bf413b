"""The verbs about data: convert."""

from __future__ import annotations

from pathlib import Path

from equipoise import config as c
from equipoise import launch
from equipoise.cli import screen
from equipoise.data.convert import convert_arrays, convert_pictures
from equipoise.errors import ConfigError


def convert(data: str, out: Path, size: int | None) -> None:
    match launch.data_at(data):
        case c.Pictures(path=path):
            convert_pictures(Path(path), out, size, track=screen.track, warn=screen.fail)
        case c.Arrays(path=path):
            convert_arrays(Path(path), out, size, track=screen.track)
        case built_in:
            raise ConfigError(f"{built_in.kind} is built in: there is nothing to convert.")
    screen.say(f"{out}: train on it with --data {out}")
