"""One picture: from the bytes of a file to square pixels. No torch, so that reading processes start at once."""

from __future__ import annotations

import io
import logging
import math
import struct
import warnings
from collections.abc import Iterable
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms, ImageOps, UnidentifiedImageError
from PIL.Image import Transpose

Pixels = NDArray[np.uint8]
Cut = Literal["whole", "left", "right"]  # what is taken of a picture: all, or one of two side by side

FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "PPM")  # by content; other decoders start programs (EPS)
SUFFIXES = {
    ".png", ".apng", ".jpg", ".jpeg", ".jpe", ".jfif", ".webp", ".gif", ".bmp", ".dib", ".tif", ".tiff",
    ".ppm", ".pgm", ".pbm", ".pnm",
}  # fmt: skip
LIMIT_PIXELS = 50_000_000  # larger pictures are refused before they are decoded
SMALLEST, LARGEST = 8, 64  # sizes that are chosen by default
# Markers of JPEG (ITU T.81, table B.1): frames of Huffman coding; the JFIF header, tables, comments.
FRAMES, TABLES, START_OF_SCAN = {0xC0, 0xC1, 0xC2}, {0xE0, 0xDB, 0xC4, 0xDD, 0xFE}, 0xDA
CHANNELS = {1: "L", 3: "RGB"}
ORIENTATION = 0x0112  # EXIF tag
ORIENTED = {"exif", "xmp", "Raw profile type exif", "XML:com.adobe.xmp"}  # where Pillow looks for it
TURNS = {  # EXIF orientation -> what sets the picture upright
    2: Transpose.FLIP_LEFT_RIGHT, 3: Transpose.ROTATE_180, 4: Transpose.FLIP_TOP_BOTTOM, 5: Transpose.TRANSPOSE,
    6: Transpose.ROTATE_270, 7: Transpose.TRANSVERSE, 8: Transpose.ROTATE_90,
}  # fmt: skip

logging.getLogger("PIL").addHandler(logging.NullHandler())  # what is wrong with a picture is told by its reason


class Unreadable(Exception):
    """What is wrong with a file, in a few words."""


def decoded(content: bytes, size: int) -> Pixels:
    """uint8 [size, size, 1] of a grey picture, [size, size, 3] of any other: cropped to a centred square, then
    resized with Pillow's Lanczos filter, which is antialiased.

    The first frame of an animation; turned by its EXIF orientation; what is transparent lies on white.

    Raises:
        Unreadable: with the reason.
    """
    return measured(content, size)[0]


def measured(content: bytes, size: int, cut: Cut = "whole") -> tuple[Pixels, tuple[int, int]]:
    """As `decoded`, of what is cut out of the picture; with the width and height that this had as stored, upright."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of faulty EXIF entries and of bombs: our limit is lower
            image = cut_out(plain_jpeg(content) or plain(upright(loaded(content))), cut)
            square = fitted(image, size)
    except Unreadable:
        raise
    except UnidentifiedImageError as error:
        raise Unreadable("not a picture of a known format" if content else "an empty file") from error
    except Exception as error:  # whatever hostile bytes draw out of a decoder is a reason, not a crash
        raise Unreadable(" ".join(str(error).split())[:80] or type(error).__name__) from error
    pixels = np.asarray(square)
    return (pixels[..., None] if pixels.ndim == 2 else pixels), image.size


def plain_jpeg(content: bytes) -> Image.Image | None:
    """A JPEG of one or three channels and no metadata, decoded without Pillow's look at its header, which takes as
    long as the decoding of a small picture. None for all others, and for broken ones.
    """
    mode, size, at = None, (0, 0), 2
    try:
        while content[at : at + 1] == b"\xff" and (marker := content[at + 1]) != START_OF_SCAN:
            if marker in FRAMES:
                bits, height, width, channels = struct.unpack_from(">BHHB", content, at + 4)
                mode, size = (CHANNELS.get(channels) if bits == 8 else None), (width, height)
            elif marker not in TABLES:
                return None
            at += 2 + int.from_bytes(content[at + 2 : at + 4])
        if mode is None or not content.startswith(b"\xff\xd8") or not 0 < size[0] * size[1] <= LIMIT_PIXELS:
            return None
        return Image.frombytes(mode, size, content, "jpeg", mode, "")
    except (ValueError, IndexError, struct.error):
        return None


def loaded(content: bytes) -> Image.Image:
    image = opened(content)
    image.load()
    return image


def opened(content: bytes) -> Image.Image:
    """The picture, not yet decoded, if it is not too large."""
    image = Image.open(io.BytesIO(content), formats=FORMATS)
    pixels = image.width * image.height
    if pixels == 0:
        raise Unreadable("no pixels")
    if pixels > LIMIT_PIXELS:
        raise Unreadable(f"{image.width} x {image.height} pixels, above the limit of {LIMIT_PIXELS // 10**6} million")
    return image


def upright(image: Image.Image) -> Image.Image:
    """Turned by its EXIF orientation. Other EXIF entries, which may be faulty, are not touched."""
    if not ORIENTED & image.info.keys():
        return image
    turn = TURNS.get(image.getexif().get(ORIENTATION, 1))
    return image if turn is None else image.transpose(turn)


def plain(image: Image.Image) -> Image.Image:
    """In mode L or RGB. 16 bits become 8 by their upper byte."""
    if image.mode.startswith("I"):
        return upper_byte(image)
    if image.mode == "F":
        raise Unreadable("pixels of floating point, whose range is unknown")
    if image.mode in ("LA", "PA", "RGBA", "RGBa") or "transparency" in image.info:
        return over_white(image)
    if image.mode == "LAB":
        lab, srgb = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
        converted = ImageCms.profileToProfile(image, lab, srgb, outputMode="RGB")
        assert converted is not None, "only None when the image is changed in place"
        return converted
    mode = "L" if image.mode in ("1", "L") else "RGB"
    return image if image.mode == mode else image.convert(mode)


def upper_byte(image: Image.Image) -> Image.Image:
    levels = np.asarray(image).astype(np.int64)
    if levels.min() < 0 or levels.max() > 0xFFFF:
        raise Unreadable("pixels of 32 bits, whose range is unknown")
    return Image.fromarray((levels >> 8).astype(np.uint8))


def over_white(image: Image.Image) -> Image.Image:
    grey = image.mode in ("1", "L", "LA")
    with_alpha = image.convert("RGBA")
    white = Image.new("RGBA", image.size, "white")
    return Image.alpha_composite(white, with_alpha).convert("L" if grey else "RGB")


def cut_out(image: Image.Image, cut: Cut) -> Image.Image:
    """The picture, or one of the two that it shows side by side."""
    if cut == "whole":
        return image
    width, height = image.size
    if width != 2 * height:
        raise Unreadable(f"{width} x {height} pixels, where two pictures side by side are twice as wide as high")
    return image.crop((0, 0, height, height) if cut == "left" else (height, 0, width, height))


def fitted(image: Image.Image, size: int) -> Image.Image:
    if image.size == (size, size):
        return image
    if image.width == image.height:
        return image.resize((size, size), Image.Resampling.LANCZOS)
    return ImageOps.fit(image, (size, size), Image.Resampling.LANCZOS)


def smaller_side(content: bytes) -> int | None:
    """Of a picture that is not decoded; None when it cannot be opened."""
    size = stored_size(content)
    return None if size is None else min(size)


def stored_size(content: bytes) -> tuple[int, int] | None:
    """Width and height as stored, of a picture that is not decoded; None when it cannot be opened."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            size: tuple[int, int] = opened(content).size
            return size
    except Exception:  # the survey will name it
        return None


def default_size(sides: Iterable[int]) -> int:
    """The power of two nearest by ratio to the median of smaller sides, between 8 and 64: 28 -> 32."""
    median = float(np.median(list(sides) or [LARGEST]))
    return max(SMALLEST, min(LARGEST, 1 << round(math.log2(median))))
