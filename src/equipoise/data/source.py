"""What a set of samples is to the rest of Equipoise, and how one is kept apart for looking and judging."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from equipoise.errors import DataError
from equipoise.streams import Stream

Shape = tuple[int, ...]


class Source(Protocol):
    """Samples addressed by index."""

    @property
    def shape(self) -> Shape:
        """Of one sample: (C, H, W) for images, (d,) for points."""
        ...

    @property
    def classes(self) -> int:
        """0 where there are no labels."""
        ...

    def __len__(self) -> int: ...

    def take(self, indices: Tensor) -> tuple[Tensor, Tensor]:
        """x [B, *shape] float, images in [-1, 1], and y [B] (zeros without classes)."""
        ...

    def tensors(self) -> tuple[Tensor, ...]:
        """All that the samples are made of: what tells one set from another."""
        ...


class InMemory:
    """x [N, *shape]: uint8 images, or floats taken as they are; y [N] in 0 .. classes - 1, or None."""

    def __init__(self, x: Tensor, y: Tensor | None = None, classes: int = 0):
        self.x = x
        self.y = torch.zeros(len(x), dtype=torch.long) if y is None else y.long()
        self.classes = classes

    @property
    def shape(self) -> Shape:
        return tuple(self.x.shape[1:])

    def __len__(self) -> int:
        return len(self.x)

    def take(self, indices: Tensor) -> tuple[Tensor, Tensor]:
        x = self.x[indices]
        return (scaled(x) if x.dtype == torch.uint8 else x), self.y[indices]

    def tensors(self) -> tuple[Tensor, ...]:
        return self.x, self.y


@dataclass(frozen=True)
class Splits:
    """Training data for D; validation for the guardian and the metrics; test for final figures only."""

    train: Source
    validation: Source
    test: Source

    def sha256(self) -> str:
        """The same for the same samples in the same parts and order, and for no others."""
        digest = hashlib.sha256()
        for part in (self.train, self.validation, self.test):
            for tensor in part.tensors():
                digest.update(f"{tensor.dtype}{list(tensor.shape)}".encode())
                digest.update(tensor.contiguous().numpy().data)
        return digest.hexdigest()


def split(x: Tensor, y: Tensor | None, *, seed: int = 0, held_out: float = 0.1) -> Splits:
    """Splits at random, by a seed of its own so that every run holds out the same samples.

    Validation and test take the share `held_out` each, and at least one sample.

    Raises:
        DataError: for fewer than three samples.
    """
    if len(x) < 3:
        raise DataError(f"only {len(x)} sample(s): training, validation and test need at least one each.")
    order = torch.randperm(len(x), generator=Stream(seed, "split").at(0))
    held = max(1, int(len(x) * held_out))
    parts = order[2 * held :], order[:held], order[held : 2 * held]
    classes = 0 if y is None else int(y.max()) + 1  # of all: a rare class may be missing from a part
    return Splits(*(InMemory(x[part], None if y is None else y[part], classes) for part in parts))


def everything(source: Source) -> tuple[Tensor, Tensor]:
    """All samples of a source, for sets that fit in memory."""
    return source.take(torch.arange(len(source)))


def scaled(x: Tensor) -> Tensor:
    """uint8 0..255 -> float -1..1."""
    return x.float() / 127.5 - 1


def to_uint8(x: Tensor) -> Tensor:
    """float -1..1 -> uint8 0..255, rounded and clamped: what a picture file can hold."""
    return ((x + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)
