"""What a judge of samples is: a frozen network, never seen by D, that turns images into features."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from equipoise.errors import DataError


@dataclass(frozen=True)
class Look:
    """What an encoder saw."""

    features: Tensor  # [N, d] float32, on the CPU
    logits: Tensor | None = None  # [N, classes], of an encoder that classifies


class Encoder(Protocol):
    """Frozen and deterministic: the same image has the same features in any batch."""

    @property
    def protocol(self) -> Mapping[str, Any]:
        """Everything that its features depend on: name, sha256 of the weights, resizer, range, layer, dimension."""
        ...

    def look(self, images: Tensor) -> Look:
        """Images uint8 [B, C, H, W] as they would be in a file."""
        ...


def checked(images: Tensor, name: str, channels: Collection[int], smallest: int = 1) -> Tensor:
    """The same images.

    Raises:
        DataError: unless they are uint8 [B, C, H, W] with B > 0, C among `channels`, H and W at least `smallest`.
    """
    if images.dtype != torch.uint8 or images.ndim != 4:
        raise DataError(
            f"{name} looks at uint8 images [N, C, H, W], not at {images.dtype} {list(images.shape)}.\n"
            "Round and clamp floats to 0..255 first (equipoise.data.source.to_uint8), as a picture file would."
        )
    if not len(images):
        raise DataError(f"{name} was given no image to look at.")
    if images.shape[1] not in channels:
        raise DataError(f"{name} looks at images of {listed(channels)} channel(s), not {images.shape[1]}.")
    if min(images.shape[2:]) < smallest:
        raise DataError(f"{name} needs images of at least {smallest} pixels a side, not {list(images.shape[2:])}.")
    return images


def listed(numbers: Collection[int]) -> str:
    *most, last = map(str, numbers)
    return f"{', '.join(most)} or {last}" if most else last


def in_pieces(images: Tensor, device: torch.device, size: int = 0) -> Iterator[Tensor]:
    """A few images at a time, on the device, in full float32 and by the same algorithms each time."""
    size = size or (4 if device.type == "cpu" else 64)  # SqueezeNet: 25 images/s on one core, 12 in pieces of 64
    with torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False):
        for piece in torch.split(images, size):
            yield piece.to(device)
