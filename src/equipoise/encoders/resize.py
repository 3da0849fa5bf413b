"""How images get to the size at which an encoder looks at them. The name of the way is part of its protocol."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import interpolate

PIECE = 8  # large images at a time, so that they are not all held as floats
LEAST = 8  # pixels
CLEAN = "clean bicubic"  # as Parmar et al. 2022 (arXiv:2104.11222) define it


def clean_bicubic(images: Tensor, side: int) -> Tensor:
    """uint8 [B, C, H, W] -> float32 [B, C, side, side] in 0..255, not rounded again.

    Pillow's bicubic filter on each channel in floats, wider when it shrinks (antialiased), then clamped:
    `Image.resize` in mode F gives the same values (tests/encoders/test_resize.py).
    """
    return interpolate(images.float(), (side, side), mode="bicubic", antialias=True).clamp(0, 255)


def shrunk(images: Tensor, side: int) -> Tensor:
    """uint8 [B, C, H, W] -> float32 in 0..255, the longer side at most `side`: each pixel the mean of its area.

    No side is shrunk below 8 pixels, which is what the nets trained here need.
    """
    h, w = images.shape[2:]
    if max(h, w) <= side:
        return images.float()
    scale = side / max(h, w)
    size = max(min(h, LEAST), round(h * scale)), max(min(w, LEAST), round(w * scale))
    return torch.cat([interpolate(part.float(), size, mode="area") for part in torch.split(images, PIECE)])


def coloured(images: Tensor) -> Tensor:
    """Grey [B, 1, H, W] -> [B, 3, H, W] with equal channels; colour as it is."""
    return images.expand(-1, 3, -1, -1)
