"""A set of pictures as plain arrays, with what is known of each: what `data check` looks at.

A folder's classes are its subfolders; a first level named train, test or the like gives the split. All pictures come to
one size, as training would show them: as they are when they share one of at most 64 pixels a side, otherwise cropped to
a centred square and resized.
"""

from __future__ import annotations

import zlib
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from equipoise.data.hashes import Pixels, digest
from equipoise.data.images import LIMIT_PIXELS, is_images, loaded, measured, pictures, plain, upright
from equipoise.data.track import Track, untracked
from equipoise.errors import DataError

LARGEST = 64  # pixels a side
SPLITS = {"train", "training", "val", "valid", "validation", "dev", "test", "testing"}
ARRAYS = {"x": "y", "images": "labels", "x_train": "y_train", "x_val": "y_val", "x_test": "y_test"}


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


@dataclass(frozen=True)
class Opened:
    image: Image.Image  # upright, in mode L or RGB, at most 64 pixels on its shorter side
    size: tuple[int, int]
    mode: str
    digest: str


def gather(path: Path, track: Track = untracked) -> Gathered:
    """A folder of pictures, or an .npz or .npy file.

    Raises:
        DataError: when there is nothing that can be read.
    """
    return from_folder(path, track) if path.is_dir() else from_arrays(path)


def from_folder(path: Path, track: Track) -> Gathered:
    files = pictures(path)
    names = [file.relative_to(path).as_posix() for file in files]
    read = list(track((opened(file) for file in files), "reading pictures", len(files)))
    bad = {name: found for name, found in zip(names, read, strict=True) if isinstance(found, str)}
    good = {name: found for name, found in zip(names, read, strict=True) if isinstance(found, Opened)}
    if not good:
        first = next(iter(bad.items()))
        raise DataError(f"none of the {len(bad)} pictures in {path} can be read: {first[0]} ({first[1]}).")
    places = [placed(name) for name in good]
    kinds = sorted({kind for _, kind in places})
    return Gathered(
        images=alike([found.image for found in good.values()]),
        names=list(good),
        digests=[found.digest for found in good.values()],
        sizes=np.array([found.size for found in good.values()]),
        modes=[found.mode for found in good.values()],
        labels=np.array([kinds.index(kind) for _, kind in places]) if len(kinds) > 1 else None,
        classes=kinds if len(kinds) > 1 else [],
        splits=[split for split, _ in places],
        bad=bad,
    )


def opened(file: Path) -> Opened | str:
    """The picture, or why it cannot be read."""
    try:
        with measured(file) as image:
            if image.width * image.height > LIMIT_PIXELS:
                return f"{image.width} x {image.height} pixels, above the limit of {LIMIT_PIXELS // 10**6} million"
            mode, whole = image.mode, plain(upright(image))
        known = digest(np.asarray(whole))
        size, shorter = whole.size, min(whole.size)
        if shorter > LARGEST:
            whole = ImageOps.fit(whole, (LARGEST, LARGEST), Image.Resampling.LANCZOS)
        return Opened(whole, size, mode, known)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        if file.stat().st_size == 0:
            return "the file is empty"
        if isinstance(error, UnidentifiedImageError):
            return "the content is no PNG or JPEG picture"
        return " ".join(str(error).split())[:80] or type(error).__name__


def alike(pictures: list[Image.Image]) -> Pixels:
    """[N, H, W, C]: grey when all are, of one size."""
    mode = "L" if all(picture.mode == "L" for picture in pictures) else "RGB"
    sizes = Counter(picture.size for picture in pictures)
    if len(sizes) > 1 or max(next(iter(sizes))) > LARGEST:
        side = max(8, min(LARGEST, int(np.median([min(picture.size) for picture in pictures]))))
        pictures = [ImageOps.fit(picture, (side, side), Image.Resampling.LANCZOS) for picture in pictures]
    x = np.stack([np.asarray(picture.convert(mode)) for picture in pictures])
    return x[..., None] if mode == "L" else x


def placed(name: str) -> tuple[str, str]:
    """(split, class) by the folders of a name."""
    parts = name.split("/")[:-1]
    split = parts.pop(0) if parts and parts[0].lower() in SPLITS else ""
    return split, "/".join(parts)


def from_arrays(path: Path) -> Gathered:
    held = held_arrays(path)
    parts = {name: held[name] for name in ARRAYS if name in held and is_images(held[name])}
    if not parts:
        shown = ", ".join(f"{name} {array.dtype}{list(array.shape)}" for name, array in held.items())
        raise DataError(f"{path} holds no uint8 images [N, H, W] or [N, H, W, C]: it holds {shown or 'nothing'}.")
    whole = [array[..., None] if array.ndim == 3 else array for array in parts.values()]
    if len({array.shape[1:] for array in whole}) > 1:
        raise DataError(f"the arrays {', '.join(parts)} of {path} hold images of different shapes.")
    images = np.concatenate(whole)
    known = [held.get(ARRAYS[name]) for name in parts]
    given = [y for y, x in zip(known, whole, strict=True) if y is not None and y.shape == (len(x),)]
    labelled = len(given) == len(parts)
    kinds, labels = np.unique(np.concatenate(given) if labelled else np.zeros(len(images)), return_inverse=True)
    h, w = images.shape[1:3]
    return Gathered(
        images=images,
        names=[f"{name}[{i}]" for name, array in parts.items() for i in range(len(array))],
        digests=[digest(image) for image in images],
        sizes=np.tile(np.array([w, h]), (len(images), 1)),
        modes=[{1: "L", 3: "RGB"}.get(images.shape[3], f"{images.shape[3]} channels")] * len(images),
        labels=labels if len(kinds) > 1 else None,
        classes=[str(kind) for kind in kinds] if len(kinds) > 1 else [],
        splits=[name if len(parts) > 1 else "" for name, array in parts.items() for _ in range(len(array))],
        bad={},
    )


def held_arrays(path: Path) -> dict[str, NDArray[Any]]:
    """The arrays of an .npz or .npy file by name.

    Raises:
        DataError: when the file cannot be read.
    """
    if not path.exists():
        raise DataError(f"{path} does not exist.\nGive a folder of PNG or JPEG files, or an .npz or .npy file.")
    try:
        return loaded(path)
    except (OSError, ValueError, EOFError, BadZipFile, zlib.error, RuntimeError) as error:
        raise DataError(f"{path} cannot be read as .npz or .npy: {' '.join(str(error).split())[:120]}") from error
