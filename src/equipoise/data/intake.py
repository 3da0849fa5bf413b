"""Pictures from outside, by name, brought to the shape of what a net was trained on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from equipoise.data import arrays
from equipoise.data.decode import SUFFIXES, Pixels, Unreadable, decoded
from equipoise.data.hooks import Track, untracked
from equipoise.data.places import Folder, Listing, Place, place_at
from equipoise.data.source import Shape, scaled
from equipoise.errors import DataError

ARRAYS = (".npz", ".npy", ".idx", ".gz")


@dataclass(frozen=True)
class Intake:
    names: list[str]
    x: Tensor  # [N, *shape] in [-1, 1]
    bad: dict[str, str] = field(default_factory=dict)  # name -> why it cannot be read


def taken_in(path: Path, shape: Shape, track: Track = untracked) -> Intake:
    """A picture, a folder, .zip or .parquet file of pictures, or an array of images, each as [C, size, size].

    Raises:
        DataError: for what cannot be found, or where nothing can be read.
    """
    named = list(from_array(path, shape) if path.name.lower().endswith(ARRAYS) else from_pictures(path, shape, track))
    bad = {name: found for name, found in named if isinstance(found, str)}
    good = [(name, found) for name, found in named if not isinstance(found, str)]
    if not good:
        why = next((f": {name} ({reason})" for name, reason in bad.items()), "")
        raise DataError(f"{path} holds no picture that can be read{why}.")
    pixels = np.stack([found for _, found in good])
    x = scaled(torch.from_numpy(pixels).permute(0, 3, 1, 2)).contiguous()
    return Intake([name for name, _ in good], x, bad)


def from_pictures(path: Path, shape: Shape, track: Track) -> Iterator[tuple[str, Pixels | str]]:
    place, listing = place_of(path)
    yield from listing.bad.items()
    for name in track(listing.names, "reading pictures", len(listing.names)):
        try:
            yield name, with_channels(decoded(place.read(name), shape[1]), shape[0])
        except Unreadable as error:
            yield name, str(error)


def place_of(path: Path) -> tuple[Place, Listing]:
    """A single picture is the only one of its folder."""
    if path.is_file() and path.suffix.lower() in SUFFIXES:
        return Folder(path.parent), Listing([path.name])
    place = place_at(path)
    return place, place.listing()


def from_array(path: Path, shape: Shape) -> Iterator[tuple[str, Pixels]]:
    held = arrays.opened(path, shape[1])
    names = (f"{block.name}[{i}]" for block in held.images.values() for i in range(block.shape[0]))
    for name, square in zip(names, (row for some in held.squares() for row in some), strict=True):
        yield name, with_channels(square, shape[0])


def with_channels(pixels: Pixels, channels: int) -> Pixels:
    """[H, W, C] -> [H, W, channels]: grey repeated, colour as its brightness (ITU-R 601).

    Raises:
        DataError: for other numbers of channels.
    """
    match pixels.shape[2], channels:
        case before, after if before == after:
            return pixels
        case 1, 3:
            return pixels.repeat(3, 2)
        case 3, 1:
            return np.asarray(Image.fromarray(pixels).convert("L"))[..., None]
        case before, after:
            raise DataError(f"images of {before} channels cannot be shown to a net of {after}.")
