"""Samples as files: one picture of them all, an array, or a folder; scans with all of their levels."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from equipoise import pictures
from equipoise.data import nifti
from equipoise.data.scans import Window
from equipoise.errors import ConfigError, StorageError
from equipoise.generator import Levels, Samples

ONE_PICTURE = (".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp", ".tif", ".tiff")
ARRAYS = (".npz", ".npy")
NUMBERED = re.compile(r"\d{6,}\.png")


def write_samples(samples: Samples, out: Path) -> None:
    """One picture (.png, .jpg, ...), an array under the name `x` (.npz, .npy), or a folder with a picture for each
    sample.

    Raises:
        ConfigError: for single pictures of points, and as `require_place`.
        StorageError: when it cannot be written.
    """
    require_place(out, len(samples))
    try:
        match out.suffix.lower():
            case ".npz":
                with out.open("wb") as file:  # numpy would add its own suffix to one in capitals
                    np.savez_compressed(file, x=samples)
            case ".npy":
                with out.open("wb") as file:
                    np.save(file, samples)
            case suffix if suffix in ONE_PICTURE:
                write_one(picture(samples), out)
            case _:
                write_pictures(samples, out)
    except OSError as error:
        raise StorageError(f"cannot write {out}: {error.strerror or error}.") from error


def require_place(out: Path, n: int, files: Sequence[str] = (*ONE_PICTURE, *ARRAYS)) -> None:
    """Before anything is drawn: `n` samples go into a file of a known kind, or a folder that will hold no others.

    Raises:
        ConfigError: for other names, and folders of more samples.
        StorageError: for a folder that cannot be read.
    """
    if (suffix := out.suffix.lower()) in files:
        return
    if suffix and not out.is_dir():
        raise ConfigError(
            f"{out} names no kind of file for such samples: give one that ends with {', '.join(files)}, or a folder: "
            "one that exists, or a name without an ending."
        )
    if others := left_over(out, n):
        raise ConfigError(
            f"{out} holds {len(others)} numbered samples that {n} new ones would not replace, such as {others[0]}: who "
            "counts or scores the folder would take both for one set.\nName another folder with -o, or remove them."
        )


def left_over(folder: Path, n: int) -> list[str]:
    """Pictures of an earlier call that those of this one leave there. Raises StorageError when it cannot be read."""
    try:
        names = [path.name for path in folder.iterdir()] if folder.is_dir() else []
    except OSError as error:
        raise StorageError(f"{folder} cannot be read: {error.strerror or error}.") from error
    return sorted(set(filter(NUMBERED.fullmatch, names)) - {numbered(i) for i in range(n)})


def numbered(i: int) -> str:
    return f"{i:06d}.png"


def write_one(image: Image.Image, out: Path) -> None:
    try:
        pictures.save(image, out)
    except ValueError as error:  # Pillow's, for a kind that it was built without, or cannot hold so much
        raise ConfigError(
            f"{out} cannot hold a picture of {image.width} x {image.height} pixels: {error}. Use .png, or ask for "
            "fewer samples."
        ) from error


def write_levels(levels: Levels, window: Window, out: Path) -> None:
    """Grey samples [n, H, W] of 16 bits: a NIfTI volume in the unit of the window, an array under the name `x` with
    its `window` (.npz), or alone (.npy), or a folder of PNG files.

    Raises:
        ConfigError: as `require_place_of_levels`.
        StorageError: when it cannot be written.
    """
    require_place_of_levels(out, len(levels))
    if nifti.is_nifti(out):
        nifti.volume(levels, window, out)
        return
    try:
        match out.suffix.lower():
            case ".npz":
                with out.open("wb") as file:
                    np.savez_compressed(file, x=levels, window=np.array(window))
            case ".npy":
                with out.open("wb") as file:
                    np.save(file, levels)
            case _:
                out.mkdir(parents=True, exist_ok=True)
                for i, one in enumerate(levels):
                    pictures.save(Image.fromarray(one), out / numbered(i))
    except OSError as error:
        raise StorageError(f"cannot write {out}: {error.strerror or error}.") from error


def require_place_of_levels(out: Path, n: int) -> None:
    """Raises ConfigError as `require_place`."""
    if not nifti.is_nifti(out):
        require_place(out, n, (*ARRAYS, ".nii", ".nii.gz"))


def picture(samples: Samples) -> Image.Image:
    if samples.dtype == np.uint8:
        return pictures.grid(samples.astype(np.uint8, copy=False))
    points = samples.astype(np.float32, copy=False)
    if points.shape[1] != 2:
        raise ConfigError(f"rows of {points.shape[1]} numbers are no picture: give a name that ends with .npz or .npy.")
    return pictures.scatter(points, points)


def write_pictures(samples: Samples, folder: Path) -> None:
    if samples.dtype != np.uint8:
        raise ConfigError(f"{folder} would be a folder of pictures, and these samples are points: use .png or .npz.")
    if samples.shape[3] not in (1, 3):
        raise ConfigError(f"samples of {samples.shape[3]} channels do not fit into PNG files: use .npz.")
    folder.mkdir(parents=True, exist_ok=True)
    for i, sample in enumerate(samples):
        one = Image.fromarray(sample.squeeze(2) if sample.shape[2] == 1 else sample)
        pictures.save(one, folder / numbered(i))
