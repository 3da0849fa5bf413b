"""A set of pictures as plain arrays, with what is known of each: what `data check` looks at.

All pictures come to one size, as training would show them: as they are when they share one of at most 64 pixels a side,
otherwise cropped to a centred square and resized.
"""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from equipoise.data import decode
from equipoise.data.arrays import images_in, is_arrays, labels_in
from equipoise.data.blocks import Block, blocks
from equipoise.data.decode import Pixels, Unreadable, fitted
from equipoise.data.formats import holds_scans, is_scan
from equipoise.data.hashes import digest
from equipoise.data.hooks import Track, untracked
from equipoise.data.layout import layout, official
from equipoise.data.ondisk import is_set
from equipoise.data.places import place_at
from equipoise.data.survey import shown
from equipoise.errors import DataError

LARGEST = 64  # pixels a side
LOOKED_AT = "a folder of pictures, a .zip, .parquet, .npz, .npy or idx file"


@dataclass(frozen=True)
class Gathered:
    """N pictures that can be read, and the names of those that cannot."""

    images: Pixels  # [N, H, W, C]
    names: list[str]
    digests: list[str]  # SHA-256 of the pixels as stored, upright
    sizes: NDArray[np.int64]  # [N, 2] width and height as stored
    modes: list[str]  # of Pillow, as stored
    labels: NDArray[np.int64] | None  # [N], places in `classes`
    classes: list[str]
    splits: list[str]  # "" where there is only one
    bad: dict[str, str]  # name -> why it cannot be read
    notes: Sequence[str] = ()  # on what folders say


@dataclass(frozen=True)
class Opened:
    image: Image.Image  # upright, in mode L or RGB, at most 64 pixels on its shorter side
    size: tuple[int, int]
    mode: str
    digest: str


def gather(path: Path, track: Track = untracked) -> Gathered:
    """A folder, .zip or .parquet file of pictures, or an .npz, .npy or idx file.

    Raises:
        DataError: when there is nothing that can be read.
    """
    if path.is_dir() or path.suffix.lower() in (".zip", ".parquet"):
        return from_pictures(path, track)
    if path.exists() and (is_scan(path) or not is_arrays(path)):
        raise DataError(f"{path} holds no pictures{instead(path)}.\nGive {LOOKED_AT}.")
    return from_arrays(path)


def instead(path: Path) -> str:
    """What there is where no pictures are."""
    if is_set(path):
        return ", but a set that was converted: look at what it was made of"
    return ", but scans, which are looked at by training alone" if holds_scans(path) else ""


def from_pictures(path: Path, track: Track) -> Gathered:
    place = place_at(path)
    listing = place.listing()
    within, beside = official(listing.names)
    listing = replace(listing, names=within)
    read: dict[str, Opened | str] = {}
    for name in track(listing.names, "reading pictures", len(listing.names)):
        read[name] = opened(place.read, name)
    bad = listing.bad | {name: found for name, found in read.items() if isinstance(found, str)}
    good = {name: found for name, found in read.items() if isinstance(found, Opened)}
    if not good and not bad:
        raise DataError(f"{path} holds no pictures{instead(path)}.\nGive {LOOKED_AT}.")
    if not good:
        first = next((f": {name} ({why})" for name, why in bad.items()), "")
        raise DataError(f"none of the {len(bad)} pictures in {path} can be read{first}.")
    names, said = list(good), layout(list(good))
    labels, classes = said.labels, list(said.class_names)
    if listing.labels is not None:
        known = dict(zip(listing.names, listing.labels, strict=True))
        labels, classes = np.array([known[name] for name in names]), list(listing.class_names)
    splits = np.full(len(names), "", object)
    for part, indices in said.parts.items():
        splits[indices] = part
    return Gathered(
        images=alike([found.image for found in good.values()]),
        names=names,
        digests=[found.digest for found in good.values()],
        sizes=np.array([found.size for found in good.values()]),
        modes=[found.mode for found in good.values()],
        labels=labels if len(classes) > 1 else None,
        classes=classes if len(classes) > 1 else [],
        splits=splits.tolist(),
        bad=bad,
        notes=[shown(note) for note in (beside, said.note) if note],
    )


def opened(read: Callable[[str], bytes], name: str) -> Opened | str:
    """The picture, or why it cannot be read."""
    try:
        content: bytes = read(name)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # as in decode.decoded
            image = decode.opened(content)
            mode = image.mode
            image.load()
            whole = decode.plain(decode.upright(image))
    except Unreadable as error:
        return str(error)
    except UnidentifiedImageError:
        return "not a picture of a known format" if content else "an empty file"
    except Exception as error:  # as in decode.decoded
        return " ".join(str(error).split())[:80] or type(error).__name__
    small = fitted(whole, LARGEST) if min(whole.size) > LARGEST else whole
    return Opened(small, whole.size, mode, digest(np.asarray(whole)))


def alike(pictures: list[Image.Image]) -> Pixels:
    """[N, H, W, C]: grey when all are, of one size."""
    mode = "L" if all(picture.mode == "L" for picture in pictures) else "RGB"
    sizes = Counter(picture.size for picture in pictures)
    if len(sizes) > 1 or max(next(iter(sizes))) > LARGEST:
        side = max(8, min(LARGEST, int(np.median([min(picture.size) for picture in pictures]))))
        pictures = [fitted(picture, side) for picture in pictures]
    x = np.stack([np.asarray(picture.convert(mode)) for picture in pictures])
    return x[..., None] if mode == "L" else x


def from_arrays(path: Path) -> Gathered:
    """The images that training takes, in its order."""
    found = blocks_of(path)
    images = images_in(path, found)
    parts = {block.name: block.whole() for block in images.values()}
    whole = [array[..., None] if array.ndim == 3 else array for array in parts.values()]
    if len({array.shape[1:] for array in whole}) > 1:
        raise DataError(f"the arrays {', '.join(parts)} of {path} hold images of different shapes.")
    pixels = np.concatenate(whole)
    kinds, labels = classes_of(labels_in(path, found, images).values(), [len(array) for array in whole])
    h, w = pixels.shape[1:3]
    return Gathered(
        images=pixels,
        names=[f"{name}[{i}]" for name, array in parts.items() for i in range(len(array))],
        digests=[digest(image) for image in pixels],
        sizes=np.tile(np.array([w, h]), (len(pixels), 1)),
        modes=[{1: "L", 3: "RGB"}.get(pixels.shape[3], f"{pixels.shape[3]} channels")] * len(pixels),
        labels=labels if len(kinds) > 1 else None,
        classes=kinds if len(kinds) > 1 else [],
        splits=[name if len(parts) > 1 else "" for name, array in parts.items() for _ in range(len(array))],
        bad={},
    )


def classes_of(given: Iterable[Block | None], counts: Sequence[int]) -> tuple[list[str], NDArray[np.int64]]:
    """The names of the classes, and the place of each label among them; [] when some part has no labels."""
    read = [block.whole().reshape(-1) for block in given if block is not None]
    if [len(y) for y in read] != list(counts):
        return [], np.zeros(sum(counts), np.int64)
    kinds, labels = np.unique(np.concatenate(read), return_inverse=True)
    return [str(kind) for kind in kinds], labels


def blocks_of(path: Path) -> dict[str, Block]:
    """The arrays of an .npz, .npy or idx file by name, not yet read; the only one of the last two is `x`.

    Raises:
        DataError: when the file cannot be read.
    """
    if not path.exists():
        raise DataError(f"{path} does not exist.\nGive {LOOKED_AT}.")
    return {block.name: block for block in blocks(path)}
