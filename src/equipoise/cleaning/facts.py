"""What a set of pictures is like: counts, sizes, colours."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np

from equipoise.data.gathered import Gathered
from equipoise.data.hashes import blocks

COLOURED = 8  # grey levels between channels, on average, from which a picture counts as coloured
FLAT = 1.0  # standard deviation in grey levels up to which a picture shows nothing


def facts(data: Gathered) -> dict[str, Any]:
    """Numbers for people and for --json."""
    spread = spreads(data)
    widths, heights = data.sizes[:, 0], data.sizes[:, 1]
    aspect = widths / heights
    return {
        "pictures": len(data.names),
        "analysed_at": list(data.images.shape[1:]),
        "classes": dict(zip(data.classes, counts(data), strict=True)),
        "splits": dict(Counter(split for split in data.splits if split)),
        "modes": dict(Counter(data.modes)),
        "width": [int(widths.min()), int(np.median(widths)), int(widths.max())],  # least, median, largest
        "height": [int(heights.min()), int(np.median(heights)), int(heights.max())],
        "aspect": [round(float(v), 3) for v in (aspect.min(), np.median(aspect), aspect.max())],
        "coloured_share": round(coloured(data), 4),
        "mean_grey": round(float(np.mean([part.mean() for part in blocks(data.images)])), 2),
        "spread_of_a_picture": round(float(np.median(spread)), 2),
    }


def counts(data: Gathered) -> list[int]:
    """Pictures of each class."""
    return [] if data.labels is None else np.bincount(data.labels, minlength=len(data.classes)).tolist()


def spreads(data: Gathered) -> np.ndarray[Any, np.dtype[np.float64]]:
    """The standard deviation of each picture's pixels [N], in grey levels; the largest of its channels."""
    return np.concatenate([part.std((1, 2), dtype=np.float64).max(1) for part in blocks(data.images)])


def coloured(data: Gathered) -> float:
    if data.images.shape[3] != 3:
        return 0.0
    apart = [np.ptp(part.astype(np.int16), axis=3).mean((1, 2)) > COLOURED for part in blocks(data.images)]
    return float(np.concatenate(apart).mean())
