"""Pictures at their own size, with what is transparent in them: what a trained translator is given."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from equipoise.data.decode import Pixels, Unreadable, loaded, plain, upright
from equipoise.data.intake import place_of
from equipoise.data.source import scaled

OPAQUE = 255  # what has less is taken for a hole: it is not seen as it was


@dataclass(frozen=True)
class Whole:
    name: str
    x: Tensor  # [C, H, W] in [-1, 1], on white as those that were learnt; 1 channel where all is grey, otherwise 3
    hole: Tensor  # [1, H, W], 1 where it is transparent, be it in part, 0 elsewhere


def pictures(path: Path) -> Iterator[Whole | tuple[str, str]]:
    """A picture, or those of a folder, .zip or .parquet file; (name, reason) for one that cannot be read.

    Raises:
        DataError: for what cannot be found.
    """
    place, listing = place_of(path)
    yield from listing.bad.items()
    for name in listing.names:
        try:
            yield whole(name, place.read(name))
        except Unreadable as error:
            yield name, str(error)


def whole(name: str, content: bytes) -> Whole:
    """Raises Unreadable with the reason."""
    try:
        image = upright(loaded(content))
        alpha = np.asarray(image.convert("RGBA").getchannel("A")) if transparent(image) else None
        pixels = np.asarray(plain(image))
    except Unreadable:
        raise
    except Exception as error:  # whatever hostile bytes draw out of a decoder is a reason, not a crash
        raise Unreadable(" ".join(str(error).split())[:80] or type(error).__name__) from error
    x = scaled(torch.from_numpy(in_channels(pixels).copy()).permute(2, 0, 1))
    hole = torch.zeros(1, *x.shape[1:]) if alpha is None else torch.from_numpy(alpha < OPAQUE).float()[None]
    return Whole(name, x, hole)


def transparent(image: Image.Image) -> bool:
    return image.mode in ("LA", "PA", "RGBA", "RGBa") or "transparency" in image.info


def in_channels(pixels: Pixels) -> Pixels:
    """[H, W] or [H, W, 3] -> [H, W, C], with one channel where the three are equal."""
    if pixels.ndim == 2:
        return pixels[..., None]
    grey = bool((pixels == pixels[..., :1]).all())
    return pixels[..., :1] if grey else pixels
