"""A convolutional net that was never trained: features that favour no kind of picture.

Naeem et al. 2020 (arXiv:2002.09797, section 3.2) judge pictures unlike ImageNet's by randomly initialised VGG
features. This net is small enough for a CPU, and looks at any size and number of channels.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d, avg_pool2d, conv2d, relu

from equipoise.encoders.encoder import Look, checked, in_pieces
from equipoise.encoders.weights import digest
from equipoise.streams import Stream

CHANNELS = 4  # at most, of an image
WIDTHS = (16, 32, 64)  # channels at full, half and a quarter of the size
GRIDS = (2, 2, 1)  # each pooled to so many cells a side: 64 + 128 + 64 = 256 features
AT_ONCE = 2**14  # pixels: of 8x8 images 64 at a time are six times as fast as 4
STEPS = 2**15  # of the weights on either side of zero


class RandomNet:
    """Features [B, 256]: means over areas of the maps at three depths."""

    def __init__(self, seed: int = 0):
        stream = Stream(seed, "random net")
        inputs = (CHANNELS, *WIDTHS[:-1])
        self.weights = {
            f"conv{i}": drawn(stream.at(i), o, c) for i, (o, c) in enumerate(zip(WIDTHS, inputs, strict=True))
        }
        self.protocol: Mapping[str, Any] = {
            "name": "random",
            "seed": seed,
            "sha256": digest(self.weights),
            "resizer": "none",
            "range": "-1..1",
            "layer": f"means of three depths over {GRIDS} cells a side",
            "dimension": sum(width * grid**2 for width, grid in zip(WIDTHS, GRIDS, strict=True)),
        }

    @torch.no_grad()
    def look(self, images: Tensor) -> Look:
        """uint8 [B, C, H, W], C from 1 to 4, H and W at least 8. Raises DataError for other images."""
        images = checked(images, "random", range(1, CHANNELS + 1), smallest=8)
        size = max(4, min(64, AT_ONCE // (images.shape[2] * images.shape[3])))
        pieces = in_pieces(images, torch.device("cpu"), size)
        return Look(torch.cat([self.features(piece.float() / 127.5 - 1) for piece in pieces]))

    def features(self, h: Tensor) -> Tensor:
        """[B, C, H, W] in [-1, 1] -> [B, 256]."""
        means = []
        for weight, grid in zip(self.weights.values(), GRIDS, strict=True):
            weight = weight[:, : h.shape[1]]  # images of fewer than four channels are seen through the first of them
            bound = math.sqrt(6 / weight[0].numel())  # He et al. 2015, eq. 10, for uniform weights
            h = relu(conv2d(h, bound * weight, padding=1))
            means.append(adaptive_avg_pool2d(h, grid).flatten(1))
            h = avg_pool2d(h, 2)
        return torch.cat(means, 1)


def drawn(generator: torch.Generator, outputs: int, inputs: int) -> Tensor:
    """Uniform in [-1, 1), [outputs, inputs, 3, 3]. Whole numbers are drawn alike by all processors; floats are not."""
    whole = torch.randint(-STEPS, STEPS, (outputs, inputs, 3, 3), generator=generator)
    return whole.float() / STEPS  # exact
