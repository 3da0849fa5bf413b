"""What can be known of a set before it is read: how many samples, of which size, with which labels."""

from __future__ import annotations

from pathlib import Path
from typing import assert_never

import numpy as np
from numpy.typing import NDArray

from equipoise import config as c
from equipoise.auto import Facts
from equipoise.data import arrays, images
from equipoise.data.decode import default_size
from equipoise.data.layout import Layout
from equipoise.data.ondisk import opened_set
from equipoise.data.places import place_at
from equipoise.errors import ConfigError, DataError


def facts_of(data: c.Data) -> Facts:
    """From names, headers and a few pictures.

    Raises:
        DataError: when there is nothing that can be read.
        ConfigError: for the data of a translation.
    """
    match data:
        case c.Toy(kind=kind):
            return Facts(None, None, recipe=kind)
        case c.Digits() | c.StackedDigits():
            return Facts(None, None, recipe=data.kind)
        case c.Pictures():
            path = Path(data.path)
            found = images.listed(place_at(path), path)
            side = data.size or default_size(images.sides_at(path))
            return Facts(len(found.names), side, classes_of(images.told(found)))
        case c.Arrays():
            return of_arrays(Path(data.path), data.size)
        case c.Records() | c.MadeUpRecords():
            raise ConfigError("auto chooses for pictures, and these are records: take the recipe medical-records.")
        case c.Scans():
            raise ConfigError("auto chooses for pictures, and these are scans: take the recipe medical-image.")
        case c.Sentences():
            return Facts(
                None, None, recipe="text-mle", why="imitation, which games of sentences must beat; not measured yet"
            )
        case c.Pairs() | c.Domains() | c.Lesions() | c.Degrade() | c.ColouredDigits() | c.PaintedDigits():
            raise ConfigError(f"auto chooses for one domain, and data.kind={data.kind} has two: name a recipe.")
        case other:
            assert_never(other)


def of_arrays(path: Path, size: int | None) -> Facts:
    if path.is_dir():
        splits = opened_set(path, size)
        parts = (splits.train, splits.validation, splits.test)
        return Facts(sum(len(part) for part in parts), splits.train.shape[1], splits.train.classes)
    held = arrays.opened(path, size)
    return Facts(held.count, held.shape[1], classes_of(held.layout))


def of_images(images: NDArray[np.uint8]) -> Facts:
    """[N, H, W] or [N, H, W, C]. Raises DataError for anything else."""
    if images.ndim not in (3, 4) or not images.size:
        raise DataError(f"an array of images has the shape [N, H, W] or [N, H, W, C], not {list(images.shape)}.")
    return Facts(len(images), default_size([min(images.shape[1:3])]))


def classes_of(found: Layout) -> int:
    return 0 if found.labels is None else int(found.labels.max()) + 1
