"""Tensors of pictures as the pixels of files."""

from __future__ import annotations

import numpy as np
from torch import Tensor

from equipoise import pictures
from equipoise.data.source import to_uint8


def as_pixels(x: Tensor) -> pictures.Pixels:
    """[N, C, H, W] in [-1, 1] -> uint8 [N, H, W, C]."""
    return in_rows(to_uint8(x))


def in_rows(x: Tensor) -> pictures.Pixels:
    """uint8 [..., C, H, W] -> [..., H, W, C]."""
    pixels: pictures.Pixels = np.ascontiguousarray(x.movedim(-3, -1).cpu().numpy())
    return pixels
