"""Sets that stay on the disk: pixels as they are, read by position, whatever the order.

Not a memory map: pages of a map count as this process's memory until they are given back, and a file that is cut
short while it is mapped kills the process, where a read only fails.
"""

from __future__ import annotations

import hashlib
import json
import os
import weakref
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from equipoise.data.blocks import blocks
from equipoise.data.groups import numbered
from equipoise.data.layout import PARTS_IN_ORDER
from equipoise.data.source import Shape, Splits, parted, parted_by_group, scaled
from equipoise.errors import DataError, StorageError

FORMAT = 1
SET, PIXELS, LABELS, GROUPS = "set.json", "images.npy", "labels.npy", "groups.npy"


class OnDisk:
    """uint8 [count, H, W, C] from byte `offset` of a file. `name` stands for its content."""

    def __init__(
        self, path: Path, offset: int, count: int, shape: Shape, name: str, y: Tensor | None = None, classes: int = 0
    ):
        self.path, self.shape, self.classes = path, shape, classes
        self._offset, self._name = offset, name
        self.y = torch.zeros(count, dtype=torch.long) if y is None else y
        try:
            self._file = os.open(path, os.O_RDONLY)
        except OSError as error:
            raise DataError(f"{path} cannot be opened: {error.strerror}.") from error
        weakref.finalize(self, os.close, self._file)
        status = os.fstat(self._file)
        self.stamp = f"{status.st_size} bytes of {status.st_mtime_ns}"  # what `name` may not tell of a large file
        self._row = int(np.prod(shape))  # bytes

    def __len__(self) -> int:
        return len(self.y)

    def expect(self, indices: Tensor) -> None:
        """Asks the system to read ahead, where it can be asked."""
        if hasattr(os, "posix_fadvise"):
            for i in indices.tolist():
                os.posix_fadvise(self._file, self._offset + i * self._row, self._row, os.POSIX_FADV_WILLNEED)

    def take(self, indices: Tensor) -> tuple[Tensor, Tensor]:
        return scaled(self.rows(indices)), self.y[indices]

    def rows(self, indices: Tensor) -> Tensor:
        """uint8 [B, C, H, W]. Raises StorageError when the file cannot be read."""
        channels, height, width = self.shape
        x = np.empty((len(indices), height, width, channels), np.uint8)
        try:
            places = (self._offset + i * self._row for i in indices.tolist())
            read = [os.preadv(self._file, [row.data], place) for row, place in zip(x, places, strict=True)]
        except OSError as error:
            raise StorageError(f"{self.path} cannot be read: {error.strerror}.") from error
        if any(n != self._row for n in read):
            raise StorageError(f"{self.path} was cut short while it was trained on. Put it back, then resume.")
        return torch.from_numpy(x).permute(0, 3, 1, 2)

    def identity(self, indices: Tensor) -> Iterator[bytes]:
        yield f"{self._name}{self.shape}".encode()
        yield indices.numpy().tobytes()


def is_set(path: Path) -> bool:
    return (path / SET).is_file()


def opened_set(path: Path, size: int | None) -> Splits:
    """A folder that `data convert` wrote. Where its samples come in groups, whole groups are held out, as from the file
    that it was made of.

    Raises:
        DataError: when it is not one, is not as its set.json says, or has another size than was asked for.
    """
    try:
        content = (path / SET).read_bytes()
        facts = json.loads(content)
        shape, count, parts = tuple(facts["shape"]), int(facts["count"]), facts["parts"]
        grouped = GROUPS in facts.get("sha256", {})  # sets of earlier versions have none
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path} is no set written by `equipoise data convert`: its {SET} cannot be read.") from error
    if size not in (None, shape[1]):
        raise DataError(f"{path} has images of {shape[1]} pixels, not {size}: convert again with --size {size}.")
    (pixels,) = blocks(path / PIXELS)
    if (pixels.shape, pixels.dtype) != ((count, *shape[1:], shape[0]), np.dtype(np.uint8)) or pixels.offset is None:
        raise DataError(f"{path} is not as its {SET} says: convert it again.")
    y = integers(path, LABELS, count)
    name = hashlib.sha256(content).hexdigest()
    source = OnDisk(path / PIXELS, pixels.offset, count, shape, name, y, facts["classes"])
    official = {name: torch.arange(*parts[name]) for name in PARTS_IN_ORDER if name in parts}
    if grouped:
        splits = parted_by_group(source, numbered(integers(path, GROUPS, count).tolist()), official)
    else:
        splits = parted(source, official)
    return replace(splits, class_names=tuple(facts["class_names"]))


def integers(path: Path, name: str, count: int) -> Tensor:
    """int64 [count], of a file of the set."""
    (found,) = blocks(path / name)
    if (found.shape, found.dtype) != ((count,), np.dtype(np.int64)):
        raise DataError(f"{path} is not as its {SET} says: convert it again.")
    return torch.from_numpy(found.whole())
