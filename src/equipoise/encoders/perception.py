"""What a given trained net sees in pictures, with its slope: what perceptual terms of a loss are made of."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from equipoise.encoders.resize import coloured
from equipoise.encoders.squeezenet import MEAN_BGR, SqueezeNet
from equipoise.encoders.weights import Weights, loaded
from equipoise.errors import ConfigError

SEEN = (0, 2, 4, 7)  # maps: conv1, fire3, fire5, fire8
SMALLEST = 32  # pixels: smaller pictures leave the deeper maps a single place

Perceive = Callable[[Tensor], list[Tensor]]  # [B, C, H, W] in [-1, 1] -> maps [B, c, h, w]


def perception(weights: Weights, channels: int, side: int, device: torch.device) -> Perceive:
    """SqueezeNet, frozen, on pictures at their own size.

    Raises:
        ConfigError: for pictures that it cannot see.
        DataError: for weights of another net.
    """
    if channels not in (1, 3) or side < SMALLEST:
        raise ConfigError(
            f"knobs.content and given_style see pictures in grey or colour, from {SMALLEST} pixels on, and these have "
            f"{channels} channels of {side}: set both to 0."
        )
    with torch.device("meta"):  # draws no weights
        net = SqueezeNet()
    loaded(net.layers, weights, "SqueezeNet v1.0")
    net.to(device)
    mean = torch.tensor(MEAN_BGR, device=device).view(3, 1, 1)

    def perceive(x: Tensor) -> list[Tensor]:
        with torch.autocast(device.type, enabled=False):
            maps = list(net.maps((coloured(x.float()) + 1).mul(127.5).flip(1) - mean))
        return [maps[i] for i in SEEN]

    return perceive
