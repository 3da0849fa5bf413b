"""Pictures from a folder, a .zip or a parquet file: in memory where they fit, decoded on the fly where not."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from equipoise.data.decode import Cut, Unreadable, default_size, smaller_side
from equipoise.data.hooks import Track, Warn, unheard, untracked
from equipoise.data.layout import Layout, PartName, layout, official, only
from equipoise.data.places import Folder, Listing, Place, Zip, place_at
from equipoise.data.readers import Crew, Here, Readers
from equipoise.data.source import InMemory, Splits, parted
from equipoise.data.streamed import Streamed
from equipoise.data.survey import Surveyor, left_out, refuse_many, shown
from equipoise.environment import cores
from equipoise.errors import DataError

MANY = 500  # from here on starting a process pays
SAMPLED = 100  # pictures whose sides give the default size
MIB = 2**20


@dataclass(frozen=True)
class Gathered:
    """The readable pictures of a place. Numbers are those of the list of names, so that bad ones have theirs too."""

    source: InMemory | Streamed
    parts: Mapping[PartName, NDArray[np.int64]]  # "train" alone when nothing is official
    labels: NDArray[np.int64] | None  # of all names
    class_names: Sequence[str]
    left_out: Mapping[str, str]

    def close(self) -> None:
        if isinstance(self.source, Streamed):
            self.source.close()


def pictures(
    path: Path, size: int | None, memory_mib: int = 4096, workers: int | None = None,
    track: Track = untracked, warn: Warn = unheard,
) -> Splits:  # fmt: skip
    """Pictures below `path` as uint8 [C, size, size]: C = 1 when all are grey, otherwise 3. Folders give classes and
    official parts. Up to one bad picture in a hundred is left out, and told to `warn`.

    `workers` processes decode (0: this one; None: as many as there are cores, for large sets).

    Raises:
        DataError: when there is no picture, or too many cannot be read: the message names them.
    """
    found = gathered(path, size, memory_mib, workers, track, warn)
    splits = parted(found.source, {name: torch.from_numpy(indices) for name, indices in found.parts.items()})
    return replace(splits, class_names=tuple(found.class_names), left_out=found.left_out)


def gathered(
    path: Path, size: int | None, memory_mib: int, workers: int | None, track: Track, warn: Warn
) -> Gathered:  # fmt: skip
    """As `pictures`, before anything is held out."""
    place = place_at(path)
    found = in_parts(listed(place, path), path, warn)
    size = size or default_size(sides(place, found))
    with opened(place, path, found.names, size, workers) as (readers, count):
        surveyor = Surveyor(found.names, size, memory_mib * MIB)
        surveyor.go(readers, 2 * count + 1, track)
        bad, total = found.bad | surveyor.bad, len(found.names) + len(found.bad)
        refuse_many(bad, total, path)
        if bad:
            warn(left_out(bad, total, path))
        described = told(found)
        if described.note:
            warn(shown(f"{path}: {described.note}"))
        source = kept(surveyor, described.labels, readers, count, place)
    parts = only(described.parts or {"train": np.arange(len(found.names))}, surveyor.good)
    return Gathered(source, parts, described.labels, described.class_names, bad)


@contextmanager
def opened(
    place: Place, path: Path, names: Sequence[str], size: int, workers: int | None, cut: Cut = "whole"
) -> Iterator[tuple[Readers, int]]:
    """Readers of these pictures, and how many processes they are. They stay open, unless an error is raised."""
    count = (cores() if len(names) >= MANY else 0) if workers is None else workers
    readers: Readers = Crew(path, names, size, count, cut) if count else Here(place, names, size, cut)
    try:
        yield readers, count
    except BaseException:
        readers.close()
        raise


def shared(workers: int | None, count: int) -> int:
    """Reading processes of each of two domains of `count` pictures, where `workers` were asked for."""
    if workers is not None:
        return workers
    return max(1, cores() // 2) if count >= MANY else 0


def listed(place: Place, path: Path) -> Listing:
    found = place.listing()
    if not found.names and not found.bad:
        held = f"it holds {', '.join(found.others[:4])} files" if found.others else "it is empty"
        raise DataError(f"no picture in {path}: {held}.\nGive pictures: PNG, JPEG, WebP, GIF, BMP, TIFF or PPM.")
    return found


def in_parts(found: Listing, path: Path, warn: Warn) -> Listing:
    """Without what lies beside official parts, which is told to `warn`."""
    names, said = official(found.names)
    if said:
        warn(shown(f"{path}: {said}"))
    return replace(found, names=names)


def sides(place: Place, found: Listing) -> list[int]:
    """Of a sample of the pictures, spread over all."""
    some = []
    for name in found.names[:: -(-len(found.names) // SAMPLED) or 1]:
        try:
            side = smaller_side(place.read(name))
        except Unreadable:
            continue  # the survey will name it
        some += [side] if side else []
    return some


def sides_at(path: Path) -> list[int]:
    """The smaller sides, in pixels, of some of the pictures at a place, sorted. Raises DataError when there is none."""
    place = place_at(path)
    some = sides(place, listed(place, path))
    return sorted(some) or [default_size(some)]


def told(found: Listing) -> Layout:
    """By the place itself where it holds labels, otherwise by the folders."""
    if found.labels is not None:
        return Layout(np.array(found.labels, np.int64), found.class_names)
    return layout(found.names)


def kept(
    surveyor: Surveyor, labels: NDArray[np.int64] | None, readers: Readers, count: int, place: Place
) -> InMemory | Streamed:  # fmt: skip
    """In memory if the surveyor could keep the pixels there; otherwise the readers go on."""
    y = torch.zeros(len(surveyor.names), dtype=torch.long) if labels is None else torch.from_numpy(labels)
    classes = 0 if labels is None else int(labels.max()) + 1
    if surveyor.pixels is not None:
        readers.close()
        return InMemory(torch.from_numpy(surveyor.pixels).permute(0, 3, 1, 2), y, classes)
    if not isinstance(place, Folder | Zip):
        raise DataError(
            "this set is larger than data.memory_mib, and a parquet file cannot be read in any order.\n"
            "Raise data.memory_mib, or unpack its pictures into a folder."
        )
    shape = (surveyor.channels, surveyor.size, surveyor.size)
    return Streamed(readers, count, shape, surveyor.digests, y, surveyor.names, classes)
