"""What a judge of samples is: a frozen network, never seen by D, that turns images into features."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from torch import Tensor


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
