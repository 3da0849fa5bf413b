"""The draws of augmentations: uniform numbers, a row for each sample, in a layout that stays.

A row is a function of the sample's place alone, so that it does not matter how the samples are cut into batches or over
processes.
"""

from __future__ import annotations

import torch
from torch import Tensor

from equipoise.streams import Stream

COLUMNS = 16  # some are spare, so that one more transform leaves the draws of the others alone
BLOCK = 256  # rows that share a generator


def draws(n: int, generator: torch.Generator, columns: int = COLUMNS) -> Tensor:
    """All that is random about n samples: U[0, 1) [n, columns], a row for each."""
    return torch.rand(n, columns, generator=generator, device=generator.device)


def rows(stream: Stream, start: int, count: int) -> Tensor:
    """Rows start .. start + count of an endless table of draws. [count, COLUMNS]."""
    first, last = start // BLOCK, (start + count - 1) // BLOCK
    table = torch.cat([draws(BLOCK, stream.at(block)) for block in range(first, last + 1)])
    return table[start - first * BLOCK :][:count]


def named(table: Tensor, layout: tuple[str, ...]) -> dict[str, Tensor]:
    """The columns [n] by name; the spare ones are left out."""
    return dict(zip(layout, table.unbind(1), strict=False))


def signed(u: Tensor) -> Tensor:
    """U[0, 1) -> U[-1, 1)."""
    return 2 * u - 1


def whole(u: Tensor, most: int) -> Tensor:
    """U[0, 1) -> one of -most, ..., most."""
    return (u * (2 * most + 1)).floor() - most


def pixels(share: float, side: int) -> int:
    """The nearest number of pixels, but one at least, where the share is not 0."""
    return max(1, round(share * side)) if share else 0


def centred(n: int, device: torch.device) -> Tensor:
    """Places of n pixels from the middle, in pixels. [n]."""
    return torch.arange(n, device=device) - (n - 1) / 2


def per_sample(values: Tensor, ndim: int = 4) -> Tensor:
    """[B] -> [B, 1, 1, 1], or as many dimensions as `ndim`."""
    return values.view(-1, *[1] * (ndim - 1))


def require_images(x: Tensor) -> None:
    """Raises ValueError for anything else."""
    if x.ndim != 4:
        raise ValueError(f"augmentation in front of D is for images [B, C, H, W], not {list(x.shape)}")
