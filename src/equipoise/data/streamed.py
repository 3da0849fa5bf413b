"""Pictures that do not fit into memory: decoded when they are due, by processes that were told in time."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from concurrent.futures import Future

import numpy as np
import torch
from torch import Tensor

from equipoise.data.decode import Pixels
from equipoise.data.readers import Answer, Readers
from equipoise.data.source import Shape, scaled
from equipoise.errors import DataError

AHEAD = 8  # announced groups that are kept; the oldest was announced in vain


class Streamed:
    """The pictures behind `readers`: labels [N], digests [N, 32], all of `shape` (C, H, W)."""

    def __init__(
        self, readers: Readers, count: int, shape: Shape, digests: Pixels, labels: Tensor, names: Sequence[str],
        classes: int = 0,
    ):  # fmt: skip
        self.shape, self.classes = shape, classes
        self._readers, self._shares = readers, max(1, count)
        self._digests, self.y, self._names = digests, labels, names
        self._ahead: OrderedDict[bytes, list[Future[Answer]]] = OrderedDict()

    def __len__(self) -> int:
        return len(self.y)

    def expect(self, indices: Tensor) -> None:
        if (key := indices.numpy().tobytes()) in self._ahead:
            return
        if len(self._ahead) >= AHEAD:
            for future in self._ahead.popitem(last=False)[1]:
                future.cancel()
        self._ahead[key] = self.begun(indices)

    def take(self, indices: Tensor) -> tuple[Tensor, Tensor]:
        return scaled(self.rows(indices)), self.y[indices]

    def rows(self, indices: Tensor) -> Tensor:
        """uint8 [B, C, H, W]. Raises DataError when a picture is no longer what the survey saw."""
        futures = self._ahead.pop(indices.numpy().tobytes(), None) or self.begun(indices)
        answers = [future.result() for future in futures]
        seen = np.concatenate([answer.digests for answer in answers])
        if changed := np.flatnonzero((seen != self._digests[indices.numpy()]).any(1)).tolist():
            name = self._names[int(indices[changed[0]])]
            raise DataError(f"{name} was changed or removed while it was trained on. Put it back, then resume.")
        channels, height, width = self.shape
        x = np.empty((len(indices), height, width, channels), np.uint8)
        start = 0
        for answer in answers:
            x[start : start + len(answer.pixels)] = answer.pixels  # grey ones among coloured ones get three channels
            start += len(answer.pixels)
        return torch.from_numpy(x).permute(0, 3, 1, 2)

    def begun(self, indices: Tensor) -> list[Future[Answer]]:
        shares = np.array_split(indices.numpy(), min(self._shares, max(1, len(indices))))
        return [self._readers.submit(share, True) for share in shares]

    def identity(self, indices: Tensor) -> Iterator[bytes]:
        yield f"{self.shape}".encode()
        yield self._digests[indices.numpy()].tobytes()
        yield self.y[indices].numpy().tobytes()

    def close(self) -> None:
        self._readers.close()
