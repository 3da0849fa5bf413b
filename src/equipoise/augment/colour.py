"""Colours as points about the grey axis (1, 1, 1): along it lies brightness, across it hue and saturation."""

from __future__ import annotations

import torch
from torch import Tensor


def colours(saturation: Tensor, hue: Tensor, luma: Tensor | float = 1.0) -> Tensor:
    """[B, 3, 3]: what is along the grey axis is scaled by `luma`; what is across it is scaled by `saturation`, and
    turned by `hue` radians about the axis (Rodrigues), a third of the circle from red to green. All [B, 1, 1]."""
    along = torch.full((3, 3), 1 / 3, device=hue.device)
    across = torch.eye(3, device=hue.device) - along
    about = torch.tensor([[0.0, -1, 1], [1, 0, -1], [-1, 1, 0]], device=hue.device) / 3**0.5
    return luma * along + saturation * (hue.cos() * across + hue.sin() * about)


def recombined(x: Tensor, matrix: Tensor, offset: Tensor) -> Tensor:
    """Each pixel's colour times the sample's matrix [B, 3, 3], plus its offset [B, 1, 1, 1]. [B, 3, H, W]."""
    red, green, blue = (matrix[:, :, i, None, None] * x[:, i : i + 1] for i in range(3))  # columns times channels
    return red + green + blue + offset
