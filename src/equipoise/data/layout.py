"""What the names of pictures say: the class, and the official split. No torch."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

PartName = Literal["train", "validation", "test"]
PARTS_IN_ORDER: tuple[PartName, ...] = ("train", "validation", "test")
PARTS: dict[str, PartName] = {
    "train": "train", "training": "train", "val": "validation", "valid": "validation", "validation": "validation",
    "dev": "validation", "test": "test", "testing": "test",
}  # fmt: skip
DECATHLON: dict[str, PartName] = {"imagestr": "train", "imagesval": "validation", "imagests": "test"}  # medical sets
SET = re.compile(r"[-_ ]?set$")  # test_set, TrainingSet
SHOWN = 4  # folders in a message


@dataclass(frozen=True)
class Layout:
    """Of N samples."""

    labels: NDArray[np.int64] | None = None  # [N]
    class_names: Sequence[str] = ()
    parts: dict[PartName, NDArray[np.int64]] = field(default_factory=dict)  # official ones: indices; {} without
    note: str = ""  # on folders that could be classes, and are none


def part_of(folder: str) -> PartName | None:
    """The official part that a folder is by its name."""
    name = folder.lower()
    return DECATHLON.get(name) or PARTS.get(SET.sub("", name))


def layout(names: Sequence[str]) -> Layout:
    """`train/<class>/..` and `test/<class>/..` are official parts; otherwise the first folder is the class, when
    every picture lies in one. Folders that hold all the others say nothing. Classes are sorted by name.
    """
    folders = [name.split("/")[:-1] for name in names]
    while folders and all(folders) and len({path[0] for path in folders}) == 1:
        folders = [path[1:] for path in folders]
    parts: dict[PartName, NDArray[np.int64]] = {}
    known = {head: part_of(head) for head in {path[0] if path else "" for path in folders}}
    if "train" in known.values() and None not in known.values():
        named = np.array([known[path[0]] for path in folders])
        parts = {part: np.flatnonzero(named == part) for part in PARTS_IN_ORDER}
        folders = [path[1:] for path in folders]
    if not folders or not all(folders):
        return Layout(parts=parts, note=unlabelled(names, folders))
    class_names = sorted({path[0] for path in folders})
    number = {name: i for i, name in enumerate(class_names)}
    return Layout(np.array([number[path[0]] for path in folders]), class_names, parts)


def unlabelled(names: Sequence[str], folders: Sequence[Sequence[str]]) -> str:
    """Why folders are no classes, where there are several."""
    classes = {path[0] for path in folders if path}
    lost = [name for name, path in zip(names, folders, strict=True) if not path]
    if len(classes) < 2:
        return ""
    return (
        f"there are no labels: {len(lost)} of {len(names)} pictures lie in no folder of a class, such as {lost[0]}. "
        "Where folders are classes, put each picture into one, in every part."
    )


def heads(names: Sequence[str]) -> tuple[int, dict[str, PartName | None]]:
    """The folders that tell the names apart, each with the part that it is: how deep they lie, for a folder that holds
    all the others says nothing, and which they are.
    """
    paths, depth = [name.split("/") for name in names], 0
    while len(found := {path[depth] for path in paths if len(path) > depth + 1}) == 1:
        depth += 1
    return depth, {folder: part_of(folder) for folder in found}


def official(names: Sequence[str], what: str = "pictures") -> tuple[list[str], str]:
    """Where a folder train stands beside one of test or validation: the names in such parts, and a word about what
    lies beside them, which is in none; otherwise all names.
    """
    paths, (depth, known) = [name.split("/") for name in names], heads(names)
    if "train" not in known.values() or len(set(known.values()) - {None}) < 2:
        return list(names), ""
    within = [len(path) > depth + 1 and known[path[depth]] is not None for path in paths]
    kept = [name for name, is_within in zip(names, within, strict=True) if is_within]
    beside = Counter(
        "/".join(path[: depth + 1]) + ("/" if len(path) > depth + 1 else "")
        for path, is_within in zip(paths, within, strict=True)
        if not is_within
    )
    if not beside:
        return kept, ""
    shown = [f"{place} ({n})" if place.endswith("/") else place for place, n in list(beside.items())[:SHOWN]]
    more = f" and {len(beside) - SHOWN} more" if len(beside) > SHOWN else ""
    return kept, (
        f"{beside.total()} of {len(names)} {what} lie beside the official parts and are left out: "
        f"{', '.join(shown)}{more}."
    )


def only(
    parts: Mapping[PartName, NDArray[np.int64]], good: NDArray[np.bool_]
) -> dict[PartName, NDArray[np.int64]]:  # fmt: skip
    """The parts without their bad samples."""
    return {name: indices[good[indices]] for name, indices in parts.items()}
