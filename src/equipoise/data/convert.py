"""`data convert`: any set of images, once, to pixels that lie on the disk as they are trained on."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from numpy.lib import format as npy
from numpy.typing import NDArray

from equipoise.data.arrays import opened
from equipoise.data.decode import Pixels
from equipoise.data.hooks import Track, Warn, unheard, untracked
from equipoise.data.images import gathered
from equipoise.data.layout import PARTS_IN_ORDER, PartName
from equipoise.data.ondisk import FORMAT, GROUPS, LABELS, PIXELS, SET, is_set
from equipoise.data.source import InMemory, Shape
from equipoise.data.streamed import Streamed
from equipoise.errors import ConfigError, StorageError

RESIZE = "crop-lanczos"  # as data.resize names it
AT_ONCE = 256  # images
SPARE = 2**26  # bytes of the disk that stay free


@dataclass(frozen=True)
class Content:
    """What is written: images part after part."""

    pieces: Iterable[Pixels]  # uint8 [n, H, W, C], until there are no more
    shape: Shape  # (C, H, W)
    ranges: Mapping[str, tuple[int, int]]  # of each part
    labels: NDArray[np.int64] | None
    class_names: Sequence[str]
    origin: Path
    left_out: Mapping[str, str]
    groups: NDArray[np.int64] | None = None  # [N], such as patients: none of them may be in two parts

    @property
    def count(self) -> int:
        return max(stop for _, stop in self.ranges.values())

    @property
    def classes(self) -> int:
        return 0 if self.labels is None else max(len(self.class_names), int(self.labels.max()) + 1)


def convert_pictures(
    path: Path, out: Path, size: int | None = None, memory_mib: int = 1024, workers: int | None = None,
    track: Track = untracked, warn: Warn = unheard,
) -> None:  # fmt: skip
    """Writes the pictures below `path` to the folder `out`: see `written`. Bad ones are left out as in training."""
    refuse_existing(out)
    found = gathered(path, size, memory_mib, workers, track, warn)
    order, ranges = in_parts(found.parts)
    labels = None if found.labels is None else found.labels[order]
    content = Content(
        in_order(found.source, order), found.source.shape, ranges, labels, found.class_names, path, found.left_out
    )
    try:
        written(content, out, track)
    finally:
        found.close()


def convert_arrays(path: Path, out: Path, size: int | None = None, track: Track = untracked) -> None:
    """Writes the images of an .npz, .npy or idx file to the folder `out`: see `written`."""
    refuse_existing(out)
    if is_set(path):
        raise ConfigError(f"{path} was converted already: train on it with --data {path}")
    held = opened(path, size)
    _, ranges = in_parts(held.layout.parts)
    layout, groups = held.layout, None if held.groups is None else held.groups.numpy()
    written(
        Content(held.squares(), held.shape, ranges, layout.labels, layout.class_names, path, {}, groups), out, track
    )


def refuse_existing(out: Path) -> None:
    if out.exists():
        raise ConfigError(f"{out} exists already, and nothing is overwritten: choose another folder with -o.")


def in_parts(
    parts: Mapping[PartName, NDArray[np.int64]],
) -> tuple[NDArray[np.int64], dict[str, tuple[int, int]]]:
    """(the samples, part after part; the range of each part)."""
    named = [name for name in PARTS_IN_ORDER if name in parts and len(parts[name])]
    stops = np.cumsum([0, *(len(parts[name]) for name in named)]).tolist()
    return np.concatenate([parts[name] for name in named]), dict(zip(named, pairwise(stops), strict=True))


def in_order(source: InMemory | Streamed, order: NDArray[np.int64]) -> Iterator[Pixels]:
    groups = [torch.from_numpy(order[start : start + AT_ONCE]) for start in range(0, len(order), AT_ONCE)]
    for i, group in enumerate(groups):
        for following in groups[i : i + 3]:
            source.expect(following)
        yield source.rows(group).permute(0, 2, 3, 1).numpy()


def written(content: Content, out: Path, track: Track) -> None:
    """images.npy uint8 [N, H, W, C], labels.npy int64 [N], groups.npy int64 [N] where samples come in groups, and
    set.json, under another name until all is written.

    Raises:
        StorageError: when the disk is too small or fails; then nothing is left behind.
    """
    shape, count, y = content.shape, content.count, content.labels
    refuse_small_disk(out, count * int(np.prod(shape)))
    with made(out) as folder:
        with (folder / PIXELS).open("wb", buffering=2**20) as file:
            full = (count, *shape[1:], shape[0])
            npy.write_array_header_1_0(file, {"descr": "|u1", "fortran_order": False, "shape": full})
            for row in track((row for piece in content.pieces for row in piece), "converting", count):
                file.write(np.ascontiguousarray(row).data)
        np.save(folder / LABELS, np.zeros(count, np.int64) if y is None else y, allow_pickle=False)
        if content.groups is not None:
            np.save(folder / GROUPS, content.groups, allow_pickle=False)
        files = [name for name in (PIXELS, LABELS, GROUPS) if (folder / name).exists()]
        facts = {
            "format": FORMAT, "shape": shape, "count": count, "classes": content.classes,
            "class_names": list(content.class_names), "parts": content.ranges, "resize": RESIZE,
            "sha256": {name: sha256(folder / name) for name in files},
            "origin": str(content.origin.resolve()), "left_out": content.left_out,
        }  # fmt: skip
        (folder / SET).write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")


@contextmanager
def made(out: Path) -> Iterator[Path]:
    """A folder that has its name only once it is complete; when anything goes wrong it is removed."""
    folder = out.with_name(f".{out.name}.{os.getpid()}.partial")
    try:
        folder.mkdir(parents=True)
        yield folder
        for path in (*folder.iterdir(), folder):
            synced(path)
        folder.rename(out)
        synced(out.parent)
    except OSError as error:
        raise StorageError(f"cannot write {out}: {error.strerror or error}. Nothing was left behind.") from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)  # not there after the renaming


def synced(path: Path) -> None:
    file = os.open(path, os.O_RDONLY)
    try:
        os.fsync(file)
    finally:
        os.close(file)


def refuse_small_disk(out: Path, needed: int) -> None:
    """Raises StorageError before anything is written."""
    there = next(folder for folder in out.absolute().parents if folder.exists())
    if (free := shutil.disk_usage(there).free) < needed + SPARE:
        raise StorageError(f"{out} needs {needed // 2**20} MiB, and its disk has {free // 2**20} MiB free.")


def sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
