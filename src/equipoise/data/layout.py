"""What the names of pictures say: the class, and the official split. No torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

PartName = Literal["train", "validation", "test"]
PARTS_IN_ORDER: tuple[PartName, ...] = ("train", "validation", "test")
PARTS: dict[str, PartName] = {
    "train": "train", "training": "train", "val": "validation", "valid": "validation", "validation": "validation",
    "test": "test", "testing": "test",
}  # fmt: skip


@dataclass(frozen=True)
class Layout:
    """Of N samples."""

    labels: NDArray[np.int64] | None = None  # [N]
    class_names: Sequence[str] = ()
    parts: dict[PartName, NDArray[np.int64]] = field(default_factory=dict)  # official ones: indices; {} without


def layout(names: Sequence[str]) -> Layout:
    """`train/<class>/..` and `test/<class>/..` are official parts; otherwise the first folder is the class, when
    every picture lies in one. Folders that hold all the others say nothing. Classes are sorted by name.
    """
    folders = [name.split("/")[:-1] for name in names]
    while folders and all(folders) and len({path[0] for path in folders}) == 1:
        folders = [path[1:] for path in folders]
    parts: dict[PartName, NDArray[np.int64]] = {}
    heads = {path[0].lower() if path else "" for path in folders}
    if "train" in {PARTS.get(head) for head in heads} and heads <= PARTS.keys():
        part_of = np.array([PARTS[path[0].lower()] for path in folders])
        parts = {part: np.flatnonzero(part_of == part) for part in PARTS_IN_ORDER}
        folders = [path[1:] for path in folders]
    if not folders or not all(folders):
        return Layout(parts=parts)
    class_names = sorted({path[0] for path in folders})
    number = {name: i for i, name in enumerate(class_names)}
    return Layout(np.array([number[path[0]] for path in folders]), class_names, parts)


def only(
    parts: Mapping[PartName, NDArray[np.int64]], good: NDArray[np.bool_]
) -> dict[PartName, NDArray[np.int64]]:  # fmt: skip
    """The parts without their bad samples."""
    return {name: indices[good[indices]] for name, indices in parts.items()}
