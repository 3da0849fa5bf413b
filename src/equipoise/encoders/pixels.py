"""Images as their own features: what a toy set or a sanity check needs, and nothing to be trusted on photographs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from equipoise.encoders.encoder import Look, checked
from equipoise.encoders.resize import shrunk

SIDE = 32  # pixels: 3,072 features at most, or a covariance would not be estimated by any usual number of samples


class Pixels:
    """Features [B, C * H * W]: the pixels in [-1, 1], of images shrunk to at most 32 x 32."""

    protocol: Mapping[str, Any] = {
        "name": "pixels",
        "resizer": f"mean of areas, to at most {SIDE} pixels a side",
        "range": "-1..1",
        "layer": "input",
        "dimension": "C H W",
    }

    def look(self, images: Tensor) -> Look:
        """uint8 [B, C, H, W], C from 1 to 4. Raises DataError for other images."""
        return Look((shrunk(checked(images, "pixels", range(1, 5)), SIDE) / 127.5 - 1).flatten(1))
