"""The cells of k-means on features, remembered."""

from __future__ import annotations

from torch import Tensor

from equipoise.encoders.cache import Cache, Tensors
from equipoise.encoders.weights import digest
from equipoise.metrics import Bins


def cells(features: Tensor, count: int, cache: Cache | None) -> Bins:
    """`count` cells of features [N, d], as they were fitted before; without a cache, fitted each time.

    Raises: as `Bins.fit`.
    """
    if cache is None:
        return Bins.fit(features, count)

    def make() -> Tensors:
        return {"centres": Bins.fit(features, count).centres}

    key = {"cells": count, "features": digest({"features": features.contiguous()})}
    return Bins(cache.remembered(key, make)["centres"])
