"""What tells two pictures apart, and what tells that they are one: digests of pixels, perceptual hashes, neighbours.

The hash has two halves, each blind to something:
* the low frequencies of the cosine transform (pHash: Zauner 2010, "Implementation and benchmarking of perceptual image
  hash functions", section 3.2.1) keep when a picture is compressed, resized, brightened or sprinkled with noise;
* the magnitudes of the low Fourier frequencies keep when it is shifted, too (the shift theorem).
Zauner cuts the coefficients of a picture at their own median. Here each coefficient is cut at its median over the set:
half of the pictures then have each bit, whatever they show, so that even digits on black fill the space of hashes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.fft import dctn, fft2
from torch import Tensor
from torch.nn.functional import interpolate

Pixels = NDArray[np.uint8]
Floats = NDArray[np.float32]
Ints = NDArray[np.int64]

LOW = 8  # frequencies of the cosine transform on each axis, as Zauner
PERIOD = 32  # pixels: the grid of the Fourier transform; smaller pictures are padded with their mean
BLOCK = 1024  # rows of the matrix of all pairs held at once: 250 MB at 60,000 pictures


def digest(picture: Pixels) -> str:
    """SHA-256 of the pixels [H, W] or [H, W, C] and their shape. Grey stored as RGB equals grey."""
    grey = picture if picture.ndim == 2 else picture[..., 0]
    if picture.ndim == 3 and not (picture == grey[..., None]).all():
        grey = picture
    return hashlib.sha256(f"{grey.shape}".encode() + np.ascontiguousarray(grey).tobytes()).hexdigest()


def reduced(images: Pixels, side: int = PERIOD) -> Pixels:
    """[N, H, W, C] with the longer side at most `side`, by averaging (antialiased)."""
    h, w = images.shape[1:3]
    if max(h, w) <= side:
        return images
    size = [max(1, round(h * side / max(h, w))), max(1, round(w * side / max(h, w)))]
    parts = [
        interpolate(torch.from_numpy(part).permute(0, 3, 1, 2).float(), size, mode="bilinear", antialias=True)
        .round().clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1).numpy()
        for part in blocks(images)
    ]  # fmt: skip
    return np.concatenate(parts)


def blocks(images: Pixels, size: int = BLOCK) -> Iterator[Pixels]:
    return (images[start : start + size] for start in range(0, len(images), size))


def hashes(images: Pixels) -> NDArray[np.int8]:
    """Images [N, H, W, C] of at most 32 pixels a side -> bits [N, 190] as -1 and 1."""
    coefficients = np.concatenate([frequencies(part.mean(3, dtype=np.float32)) for part in blocks(images)])
    return np.where(coefficients > np.median(coefficients, axis=0), 1, -1).astype(np.int8)


def frequencies(grey: Floats) -> Floats:
    """[N, H, W] -> [N, <= 190]: low cosine coefficients, and logarithms of low Fourier magnitudes; without the mean."""
    grey = grey - grey.mean((1, 2), keepdims=True)
    cosine = dctn(grey, axes=(1, 2))[:, :LOW, :LOW].reshape(len(grey), -1)[:, 1:]
    spectrum = np.abs(fft2(grey, s=(PERIOD, PERIOD), axes=(1, 2)))[:, :LOW]
    spectrum = np.concatenate([spectrum[:, :, :LOW], spectrum[:, :, -LOW:]], axis=2).reshape(len(grey), -1)[:, 1:]
    return np.concatenate([cosine, np.log1p(spectrum)], axis=1).astype(np.float32)


def neighbours(points: Tensor, k: int, among: Tensor | None = None) -> Iterator[tuple[Tensor, Tensor]]:
    """Blocks of rows (products [B, k], places [B, k]) of the k largest inner products of `points` [N, d] with
    `among` [M, d], best first; with themselves when `among` is None, and then never a point with itself.
    """
    others = points if among is None else among
    k = min(k, len(others) - (among is None))
    for start in range(0, len(points), BLOCK):
        products = points[start : start + BLOCK] @ others.T  # [B, M]
        if among is None:
            rows = torch.arange(len(products))
            products[rows, start + rows] = -torch.inf
        yield tuple(products.topk(k, dim=1))  # type: ignore[misc]
