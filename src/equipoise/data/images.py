"""Pictures from a folder, and arrays from .npz and .npy files."""

from __future__ import annotations

import warnings
import zlib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageOps
from PIL.Image import Transpose
from torch import Tensor

from equipoise.data.source import Splits, split
from equipoise.errors import DataError

ORIENTATION = 0x0112  # EXIF tag
SUFFIXES = {".png", ".jpg", ".jpeg"}
FORMATS = ("PNG", "JPEG")  # by content
TURNS = {  # EXIF orientation -> what sets the picture upright
    2: Transpose.FLIP_LEFT_RIGHT, 3: Transpose.ROTATE_180, 4: Transpose.FLIP_TOP_BOTTOM, 5: Transpose.TRANSPOSE,
    6: Transpose.ROTATE_270, 7: Transpose.TRANSVERSE, 8: Transpose.ROTATE_90,
}  # fmt: skip
LIMIT_PIXELS = 50_000_000  # larger pictures are refused before they are decoded
LARGEST_DEFAULT = 64
MANY_CLASSES = 1000
GREY_MODES = {"1", "L", "LA", "I", "F"}
Track = Callable[[Iterable[Path], int], Iterable[Path]]


def untracked(paths: Iterable[Path], count: int) -> Iterable[Path]:
    return paths


def folder(path: Path, size: int | None, track: Track = untracked) -> Splits:
    """PNG and JPEG files below `path` as uint8 [C, size, size]: cropped to a centred square, then resized with
    Pillow's Lanczos filter, which is antialiased. All grey files give C = 1, otherwise 3.

    Raises:
        DataError: when there is no picture, or some cannot be read: the message names them.
    """
    files = pictures(path)
    size = size or default_size(files)
    images = [opened(file, size) for file in track(files, len(files))]
    if broken := [
        f"{file.relative_to(path)} ({image})"
        for file, image in zip(files, images, strict=True)
        if isinstance(image, str)
    ]:
        more = f" and {len(broken) - 3} more" if len(broken) > 3 else ""
        raise DataError(
            f"{len(broken)} of {len(files)} pictures in {path} cannot be read: {', '.join(broken[:3])}{more}.\n"
            "Remove or repair them, then try again: nothing has been trained yet."
        )
    kept = [image for image in images if isinstance(image, Image.Image)]
    mode = "L" if all(image.mode == "L" for image in kept) else "RGB"
    x = torch.from_numpy(np.stack([np.asarray(image.convert(mode)) for image in kept]))
    return split(x.unsqueeze(1) if mode == "L" else x.permute(0, 3, 1, 2).contiguous(), None)


def pictures(path: Path) -> list[Path]:
    if not path.is_dir():
        raise DataError(f"{path} is not a folder.\nGive --data a folder of PNG or JPEG files, or an .npz file.")
    files = sorted(file for file in path.rglob("*") if file.suffix.lower() in SUFFIXES and file.is_file())
    if not files:
        others = sorted({file.suffix or file.name for file in path.rglob("*") if file.is_file()})[:4]
        found = f"it holds {', '.join(others)} files" if others else "it is empty"
        raise DataError(f"no PNG or JPEG file below {path}: {found}.\nGive --data a folder with pictures.")
    return files


def opened(file: Path, size: int) -> Image.Image | str:
    """The picture, square and of `size` pixels, in mode L or RGB; or what is wrong with it."""
    try:
        with measured(file) as image:
            if image.width * image.height > LIMIT_PIXELS:
                return f"{image.width} x {image.height} pixels, above the limit of {LIMIT_PIXELS // 10**6} million"
            return ImageOps.fit(plain(upright(image)), (size, size), Image.Resampling.LANCZOS)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        return " ".join(str(error).split())[:80] or type(error).__name__


def measured(file: Path) -> Image.Image:
    """The picture, not yet decoded. Pillow's own warning of a bomb is not needed: our limit is lower.

    Only the decoders named here are asked, whatever the file's name says: others start programs (EPS).
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        return Image.open(file, formats=FORMATS)


def upright(image: Image.Image) -> Image.Image:
    """Turned by its EXIF orientation. Other EXIF entries, which may be faulty, are not touched."""
    turn = TURNS.get(image.getexif().get(ORIENTATION, 1))
    return image if turn is None else image.transpose(turn)


def plain(image: Image.Image) -> Image.Image:
    """In mode L or RGB. 16 bits become 8 by their upper byte; what is transparent keeps its colour."""
    if image.mode.startswith("I;16"):
        return Image.fromarray((np.asarray(image).astype(np.uint16) >> 8).astype(np.uint8))
    if image.mode == "P":
        image = image.convert("RGBA" if "transparency" in image.info else "RGB")
    return image.convert("L" if image.mode in GREY_MODES else "RGB")


def default_size(files: list[Path]) -> int:
    """The largest power of two up to the smallest side of the first pictures, between 8 and 64."""
    sides = []
    for file in files[:100]:
        try:
            with measured(file) as image:
                sides.append(min(image.size))
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
            continue  # it will be named when all are opened
    return power_of_two(min(sides, default=LARGEST_DEFAULT))


def power_of_two(side: int) -> int:
    return max(8, min(LARGEST_DEFAULT, 1 << (side.bit_length() - 1)))


def arrays(path: Path, size: int | None) -> Splits:
    """uint8 images [N, H, W] or [N, H, W, C] from .npy, or from .npz under `x`, `images`, `x_train` or the first
    array that fits; labels under `y`, `labels` or `y_train`. Resized like pictures of a folder where needed.

    Raises:
        DataError: when the file cannot be read, or holds no such array.
    """
    try:
        found = loaded(path)
    except (OSError, ValueError, EOFError, BadZipFile, zlib.error, RuntimeError) as error:
        raise DataError(f"{path} cannot be read as .npz or .npy: {' '.join(str(error).split())[:120]}") from error
    x = next((found[n] for n in ("x", "images", "x_train", *found) if n in found and is_images(found[n])), None)
    if x is None:
        held = ", ".join(f"{name} {array.dtype}{list(array.shape)}" for name, array in found.items())
        raise DataError(f"{path} holds no uint8 images [N, H, W] or [N, H, W, C]: it holds {held or 'nothing'}.")
    y = next((found[name] for name in ("y", "labels", "y_train") if name in found), None)
    if y is not None and not is_labels(y, len(x)):
        raise DataError(
            f"the labels of {path} are {y.dtype}{list(y.shape)}: {len(x)} images need whole numbers from 0, one each."
        )
    x = x[..., None] if x.ndim == 3 else x
    target = size or power_of_two(min(x.shape[1:3]))
    if x.shape[1:3] != (target, target):
        x = np.stack([resized(image, target) for image in x])
    images: Tensor = torch.from_numpy(np.ascontiguousarray(x.transpose(0, 3, 1, 2)))
    return split(images, None if y is None else torch.from_numpy(y.astype(np.int64)))


def loaded(path: Path) -> dict[str, NDArray[Any]]:
    """The arrays of a file by name; that of an .npy file is `x`."""
    with path.open("rb") as file:
        content = np.load(file, allow_pickle=False)
        return {name: content[name] for name in content.files} if hasattr(content, "files") else {"x": content}


def is_images(array: NDArray[Any]) -> bool:
    fits = array.ndim == 3 or (array.ndim == 4 and array.shape[3] <= 16)
    return array.dtype == np.uint8 and fits and array.size > 0


def is_labels(array: NDArray[Any], count: int) -> bool:
    """Whole numbers from 0, one for each image; a stray label of a billion is not a class."""
    whole = array.shape == (count,) and np.issubdtype(array.dtype, np.integer)
    return whole and int(array.min()) >= 0 and int(array.max()) < max(count, MANY_CLASSES)


def resized(image: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    channels = [
        np.asarray(ImageOps.fit(Image.fromarray(channel), (size, size), Image.Resampling.LANCZOS))
        for channel in image.transpose(2, 0, 1)
    ]
    return np.stack(channels, axis=-1)
