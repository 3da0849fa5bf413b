"""Handwritten digits that need no download: 1,797 real ones of 8x8 pixels (Alpaydin & Kaynak 1998, UCI, as shipped
by scikit-learn), and three of them stacked as the channels of one image, which has 1,000 modes.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from equipoise.data.source import Shape, Splits, everything, scaled, split, to_uint8
from equipoise.streams import Stream

SIDE = 8  # pixels
STACKS, HELD_OUT_STACKS = 128_000, 26_000  # as in PacGAN's protocol


def digits(seed: int = 0) -> Splits:
    """[1, 8, 8] images with classes 0..9: 1,439 for training, 179 for validation, 179 for test."""
    from sklearn.datasets import load_digits  # half a second to import

    pixels, labels = load_digits(return_X_y=True)  # 0..16
    x = torch.from_numpy(pixels).mul(255 / 16).round().to(torch.uint8).view(-1, 1, SIDE, SIDE)
    return split(x, torch.from_numpy(labels), seed=seed)


class Stacked:
    """Images whose three channels are digits drawn at random; the class is the number that they spell."""

    def __init__(self, images: Tensor, labels: Tensor, triples: Tensor):
        self.images, self.labels, self.triples = images, labels, triples  # [N, H, W] u8, [N], [M, 3]
        self.classes = 1000

    @property
    def shape(self) -> Shape:
        return (3, *self.images.shape[1:])

    def __len__(self) -> int:
        return len(self.triples)

    def take(self, indices: Tensor) -> tuple[Tensor, Tensor]:
        triple = self.triples[indices]  # [B, 3]
        hundreds_tens_ones = self.labels[triple] * torch.tensor([100, 10, 1])
        return scaled(self.images[triple]), hundreds_tens_ones.sum(1)

    def expect(self, indices: Tensor) -> None: ...

    def identity(self, indices: Tensor) -> Iterator[bytes]:
        for tensor in (self.images, self.labels, self.triples[indices]):
            yield f"{tensor.dtype}{list(tensor.shape)}".encode()
            yield tensor.contiguous().numpy().tobytes()


def stacked_digits(seed: int = 0) -> Splits:
    """[3, 8, 8] stacks. Training, validation and test stacks are made of different digits."""
    base = digits(seed)
    sizes = (STACKS, HELD_OUT_STACKS, HELD_OUT_STACKS)
    parts = []
    for i, (part, n) in enumerate(zip((base.train, base.validation, base.test), sizes, strict=True)):
        x, y = everything(part)
        triples = torch.randint(len(x), (n, 3), generator=Stream(seed, "stacks").at(i))
        parts.append(Stacked(to_uint8(x).squeeze(1), y, triples))
    return Splits(*parts)
