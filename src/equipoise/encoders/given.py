"""Points, and features that somebody else computed: taken as they are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from equipoise.encoders.encoder import Look


@dataclass(frozen=True)
class Given:
    """For samples [N, dimension]."""

    dimension: int

    @property
    def protocol(self) -> Mapping[str, Any]:
        return {"name": "given", "dimension": self.dimension}

    def look(self, images: Tensor) -> Look:
        return Look(images.float())
