"""The labels of a set without its samples."""

from __future__ import annotations

import torch
from torch import Tensor

from equipoise.data.ondisk import OnDisk
from equipoise.data.source import InMemory, Part, Source, View
from equipoise.data.streamed import Streamed

AT_ONCE = 1024  # samples


def labels_of(source: Source) -> Tensor:
    """[N]"""
    match source:
        case Part(source=whole, indices=indices):
            return labels_of(whole)[indices]
        case View(source=whole):
            return labels_of(whole)
        case InMemory() | OnDisk() | Streamed():
            return source.y
        case _:
            return torch.cat([source.take(some)[1] for some in torch.split(torch.arange(len(source)), AT_ONCE)])


def counted(source: Source) -> list[int]:
    """How many there are of each class; none without classes."""
    return torch.bincount(labels_of(source), minlength=source.classes).tolist() if source.classes else []
