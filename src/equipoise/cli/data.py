"""The verbs of `equipoise data`: check, clean and convert."""

from __future__ import annotations

from pathlib import Path

from equipoise import config as c
from equipoise import configuring
from equipoise.cleaning import clean as cleaning
from equipoise.cleaning.check import check as checked
from equipoise.cleaning.page import page
from equipoise.cli import screen
from equipoise.data.convert import convert_arrays, convert_pictures
from equipoise.data.gathered import gather
from equipoise.errors import ConfigError


def check(data: Path, out: Path | None, as_json: bool) -> int:
    """The exit code: 1 when something was found."""
    gathered = gather(data, screen.track)
    result = checked(gathered, screen.track)
    out = out or Path(f"{data.resolve().stem}_check.html")
    found = page(data.resolve().name, gathered, result)
    out.write_text(found, encoding="utf-8", errors="backslashreplace")  # names of files are any bytes
    if as_json:
        screen.show_json(result.as_json() | {"report": str(out)})
    else:
        for finding in result.findings:
            print(f"{finding.title}: {finding.what}.\n    {finding.advice}")
        for note in result.notes:
            screen.say(note)
    verdict = "nothing to mend" if not result.findings else f"{len(result.findings)} kinds of findings"
    screen.say(f"{data}: {len(gathered.names):,} pictures, {verdict}. Look at them: {out}")
    return 1 if result.findings else 0


def clean(data: Path | None, out: Path | None, drop: str, as_list: bool, as_json: bool, undo: Path | None) -> None:
    if undo is not None:
        screen.say(f"{undo}: removed, {cleaning.undo(undo)} files")
        return
    if data is None or out is None:
        raise ConfigError("clean what, and where to? equipoise data clean FOLDER -o NEW_FOLDER")
    kinds = [kind.strip() for kind in drop.split(",") if kind.strip()]
    result = cleaning.chosen(gather(data, screen.track), kinds, screen.track)
    if as_list:
        cleaning.write_list(data, out, result)
    else:
        result = cleaning.write(data, out, result, screen.track)
    for note in result.notes:
        screen.say(note)
    screen.say(f"{out}: {len(result.kept):,} pictures kept, {len(result.left_out):,} left out; {data} was not touched")
    if as_json:
        screen.show_json({"out": str(out), "kept": len(result.kept), "left_out": result.left_out})


def convert(data: str, out: Path, size: int | None) -> None:
    match configuring.data_at(data):
        case c.Pictures(path=path):
            convert_pictures(Path(path), out, size, track=screen.track, warn=screen.fail)
        case c.Arrays(path=path):
            convert_arrays(Path(path), out, size, track=screen.track)
        case c.Scans() | c.Sentences() as given:
            raise ConfigError(f"{data} holds {given.kind}, which are not converted: train on them with --data {data}")
        case built_in:
            raise ConfigError(f"{built_in.kind} is built in: there is nothing to convert.")
    screen.say(f"{out}: train on it with --data {out}")
