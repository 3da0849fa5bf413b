"""A copy of a set without what a check found: `equipoise data clean`. The original is only read."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from equipoise.cleaning.check import findings
from equipoise.cleaning.findings import Finding
from equipoise.data.arrays import images_in, labels_beside, labels_in
from equipoise.data.gathered import Gathered, blocks_of
from equipoise.data.groups import GROUPS
from equipoise.data.hooks import Track, untracked
from equipoise.data.places import place_at
from equipoise.errors import ConfigError, DataError, StorageError

DROPPED = ("unreadable", "duplicates", "near-duplicates")  # unless asked otherwise
DROPPABLE = (*DROPPED, "outliers", "labels", "constant")
NOTE = "cleaned.json"
MAKER = "equipoise data clean"


@dataclass(frozen=True)
class Cleaned:
    kept: list[str]
    left_out: dict[str, str]  # name -> why
    notes: list[str]


def chosen(data: Gathered, drop: Collection[str] = DROPPED, track: Track = untracked) -> Cleaned:
    """What stays and what goes. Of each group of copies the first by name stays.

    Raises:
        ConfigError: for a kind that cannot be dropped.
        DataError: when nothing would stay.
    """
    if unknown := sorted(set(drop) - set(DROPPABLE)):
        raise ConfigError(f"--drop knows no {', '.join(unknown)}: choose from {', '.join(DROPPABLE)}.")
    notes: list[str] = []
    found = [finding for finding in findings(data, drop, track, notes) if finding.kind in drop]
    left_out: dict[str, str] = {}
    for finding in found:
        for name, why in reasons(finding, left_out):
            left_out.setdefault(name, why)
    left_out |= {name: f"unreadable: {why}" for name, why in data.bad.items()}  # there is nothing to keep of them
    kept = [name for name in data.names if name not in left_out]
    if not kept:
        raise DataError(f"all {len(data.names)} pictures would be left out: nothing was written. Drop less.")
    differing = [f"{item.names[0]}: {item.note}" for f in found for item in f.items if "labels differ" in item.note]
    return Cleaned(kept, left_out, notes + differing)


def reasons(finding: Finding, gone: Collection[str]) -> Iterator[tuple[str, str]]:
    """(name, why) of what a finding leaves out."""
    for item in finding.items:
        if finding.kind in ("duplicates", "near-duplicates"):
            stays = next((name for name in item.names if name not in gone), item.names[0])
            note = f" ({item.note})" if item.note else ""
            yield from ((name, f"{finding.kind} of {stays}{note}") for name in item.names if name != stays)
        else:
            yield item.names[0], f"{finding.kind}: {item.note or item.score}"


def write(source: Path, out: Path, cleaned: Cleaned, track: Track = untracked) -> Cleaned:
    """A copy of what is kept in the new folder `out`, with `cleaned.json`: a tree of the same names, or one .npz.
    Returns `cleaned`, with notes of arrays that the copy lacks.

    Raises:
        ConfigError: when `out` exists, or lies in the set itself.
        StorageError: when the disk refuses; nothing half stays behind.
    """
    if source.suffix.lower() == ".parquet":
        raise ConfigError(f"{source}: the pictures of a parquet file are not copied. Use --list for the names to keep.")
    with prepared(source, out) as work:
        work.mkdir()
        if holds_pictures(source):
            place = place_at(source)
            for name in track(cleaned.kept, "copying", len(cleaned.kept)):
                (work / name).parent.mkdir(parents=True, exist_ok=True)
                (work / name).write_bytes(place.read(name))
        else:
            written, notes = kept_arrays(source, cleaned.kept)
            cleaned = replace(cleaned, notes=[*cleaned.notes, *notes])
            np.savez_compressed(work / f"{source.stem}.npz", **written)  # type: ignore[arg-type]
        files = {name: sha256(work / name) for name in sorted(tree(work))}
        (work / NOTE).write_text(
            json.dumps(noted(source, cleaned, f"{MAKER} --undo {out}") | {"files": files}, indent=1)
        )
    return cleaned


def write_list(source: Path, out: Path, cleaned: Cleaned) -> None:
    """The names of what is kept and left out, as JSON."""
    with prepared(source, out) as work:
        content = noted(source, cleaned, f"delete {out.name}") | {"kept": cleaned.kept}
        work.write_text(json.dumps(content, indent=1))


def noted(source: Path, cleaned: Cleaned, undo: str) -> dict[str, Any]:
    others = list(place_at(source).listing().others) if holds_pictures(source) else []
    return {
        "made_by": MAKER, "source": str(source), "undo": f"use {source} again: it was not touched. {undo}",
        "kept_count": len(cleaned.kept), "left_out": cleaned.left_out, "notes": cleaned.notes,
        "kinds_of_files_not_copied": others,
    }  # fmt: skip


def holds_pictures(source: Path) -> bool:
    return source.is_dir() or source.suffix.lower() == ".zip"


@contextmanager
def prepared(source: Path, out: Path) -> Iterator[Path]:
    """A temporary name beside `out`, renamed to it when all has gone well, and removed when not."""
    if out.exists() or out.is_symlink():
        raise ConfigError(f"{out} exists already: nothing is overwritten. Give another name.")
    if out.resolve().is_relative_to(source.resolve()):
        raise ConfigError(f"{out} lies in {source}, which is not to be changed. Give a name outside.")
    out.parent.mkdir(parents=True, exist_ok=True)
    work = out.with_name(f".{out.name}.part-{os.getpid()}")
    try:
        yield work
        work.rename(out)
    except OSError as error:
        raise StorageError(f"{out} could not be written: {error.strerror or error}. Nothing half was left.") from error
    finally:
        if work.is_dir():
            shutil.rmtree(work)
        work.unlink(missing_ok=True)


def kept_arrays(source: Path, kept: Sequence[str]) -> tuple[dict[str, NDArray[Any]], list[str]]:
    """The arrays of an .npz: those of images, and those that say something of each, cut to what is kept; and what there
    is to say of arrays that are not written."""
    found = blocks_of(source)
    images = images_in(source, found)
    rows: dict[str, list[int]] = {block.name: [] for block in images.values()}
    for name in kept:
        which, _, place = name.removesuffix("]").rpartition("[")
        rows[which].append(int(place))
    given, beside = labels_in(source, found, images), labels_beside(source)
    owners = {y.name: images[part].name for part, y in given.items() if y is not None and beside is None}
    held = {name: block.whole() for name, block in found.items()} | ({} if beside is None else {"y": beside.whole()})
    written, notes = {}, []
    for name, array in held.items():
        of = [name] if name in rows else of_each(array, {each: held[each] for each in rows}, owners.get(name))
        if len(of) > 1 or (not of and name in GROUPS):
            notes.append(f"{name} is not in the copy: nothing says which of {', '.join(rows)} it belongs to.")
        elif not of:
            written[name] = array
        elif rows[of[0]]:
            written[name] = array[rows[of[0]]]
        elif name in rows:
            notes.append(f"{name} is not in the copy: none of its images was kept.")
    return written, notes


def of_each(array: NDArray[Any], images: Mapping[str, NDArray[Any]], owner: str | None) -> list[str]:
    """The images that an array may say something of, one by one: its owner, or all that are as many."""
    alike = [name for name, x in images.items() if array.ndim and len(array) == len(x)]
    return [owner] if owner in alike else alike


def undo(out: Path) -> int:
    """Removes a folder that `write` made, if it still holds what was written and nothing else; the number of files.

    Raises:
        DataError: when it was not made by `write`, or was changed since: then nothing is removed.
    """
    note = read_note(out)
    written: dict[str, str] = note["files"]
    here = tree(out) - {NOTE}
    changed = sorted(here ^ set(written)) or sorted(n for n in here if sha256(out / n) != written[n])
    if changed:
        more = f" and {len(changed) - 3} more" if len(changed) > 3 else ""
        raise DataError(
            f"{out} was changed since it was written: {', '.join(changed[:3])}{more}.\n"
            "Nothing was removed. Save what is yours, then delete the folder by hand."
        )
    shutil.rmtree(out)
    return len(written)


def read_note(out: Path) -> dict[str, Any]:
    try:
        note = json.loads((out / NOTE).read_text())
    except (OSError, ValueError):
        note = None
    if out.is_symlink() or not isinstance(note, dict) or note.get("made_by") != MAKER or "files" not in note:
        raise DataError(f"{out} holds no {NOTE} of `{MAKER}`: it was not made by it, and is not removed.")
    return note


def tree(folder: Path) -> set[str]:
    """All that is no folder, and empty folders, by relative name."""
    return {
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if path.is_symlink() or not path.is_dir() or not any(path.iterdir())
    }


def sha256(path: Path) -> str:
    if path.is_symlink() or not path.is_file():
        return "not a file"
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
