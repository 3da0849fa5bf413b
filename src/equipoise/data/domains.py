"""What names say of the two domains of a translation: which picture is of A, which of B, in which part, and which two
are a pair. No torch.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from equipoise.data.layout import PARTS, PARTS_IN_ORDER, PartName
from equipoise.data.places import Listing
from equipoise.errors import DataError

Domain = Literal["A", "B"]
FOLDER = re.compile(rf"({'|'.join(PARTS)})?[-_ ]?(a|b)?")  # train, A, trainA, test_b, ...
SHOWN = 3  # names in a message


@dataclass(frozen=True)
class Asked:
    """Where two domains are, and how they are read."""

    path: Path
    to: Path | None = None  # where B is, when it lies apart
    swap: bool = False  # A and B change places
    size: int | None = None
    memory_mib: int = 4096  # of both
    workers: int | None = None


@dataclass(frozen=True)
class Named:
    """A picture by its name, and what that says."""

    name: str
    domain: Domain | None
    part: PartName | None
    key: tuple[PartName | None, str]  # that of its partner is the same


def named(name: str) -> Named:
    """`A/train/x.png`, `train/A/x.png` and `trainA/x.png` say the same. Partners may differ in their suffixes."""
    domain: Domain | None = None
    part: PartName | None = None
    path = PurePosixPath(name)
    folders = list(path.parts[:-1])
    while folders and (said := FOLDER.fullmatch(folders[0].lower())) and any(said.groups()):
        if (said[1] and part) or (said[2] and domain):
            break  # a folder below that is called the same
        part = PARTS[said[1]] if said[1] else part
        domain = ("A" if said[2] == "a" else "B") if said[2] else domain
        folders = folders[1:]
    return Named(name, domain, part, (part, "/".join([*folders, path.stem])))


def everyone(listing: Listing) -> list[str]:
    """Also those that will not be opened: they are of a domain, and may have partners."""
    return sorted([*listing.names, *listing.bad])


def all_named(names: Sequence[str]) -> list[Named]:
    """Folders that hold all the others say nothing, unless they are named like a part or a domain."""
    heads, folders = 0, [PurePosixPath(name).parts[:-1] for name in names]
    while all(len(path) > heads for path in folders) and len({path[heads].lower() for path in folders}) == 1:
        if any(FOLDER.fullmatch(path[heads].lower()) for path in folders):
            break
        heads += 1
    return [replace(named("/".join(PurePosixPath(name).parts[heads:])), name=name) for name in names]


def of_domain(found: Sequence[Named], domain: Domain, path: Path) -> list[Named]:
    """Raises DataError when there is none."""
    some = [each for each in found if each.domain == domain]
    if not some:
        raise DataError(f"{path} has no picture in {domain}: a translation needs pictures of both domains, A and B.")
    return some


def matched(a: Sequence[Named], b: Sequence[Named], path: Path) -> list[tuple[Named, Named]]:
    """Pairs of equal names, sorted. Raises DataError when a picture has no partner, or two have one name."""
    for side in (a, b):
        if double := [key for key, times in Counter(each.key for each in side).items() if times > 1]:
            some = [each.name for each in side if each.key == double[0]]
            raise DataError(f"{path}: {' and '.join(some[:SHOWN])} have one name, so that their partner is not known.")
    in_a, in_b = {each.key: each for each in a}, {each.key: each for each in b}
    lines = [*lonely(in_a, in_b, "A", "B"), *lonely(in_b, in_a, "B", "A")]
    if lines:
        what = f"Pictures of a pair have one name, but for the suffix: complete {path}, or remove these."
        raise DataError("\n".join([*lines, what]))
    return [(in_a[key], in_b[key]) for key in sorted(in_a, key=str)]


def lonely(
    side: Mapping[tuple[PartName | None, str], Named], other: Mapping[tuple[PartName | None, str], Named],
    here: Domain, there: Domain,
) -> list[str]:  # fmt: skip
    """A line about those without a partner, if there are any."""
    missing = [each.name for key, each in side.items() if key not in other]
    if not missing:
        return []
    more = f" and {len(missing) - SHOWN} more" if len(missing) > SHOWN else ""
    return [
        f"{len(missing)} of {len(side)} pictures of {here} have no partner in {there}: "
        f"{', '.join(missing[:SHOWN])}{more}."
    ]


def parts_of(found: Sequence[Named]) -> dict[PartName, NDArray[np.int64]]:
    """Indices of the official parts; "train" alone where not every picture is in one, or none is in train."""
    parts = np.array([each.part or "" for each in found])
    if "train" not in parts or "" in parts:
        return {"train": np.arange(len(found))}
    return {part: np.flatnonzero(parts == part) for part in PARTS_IN_ORDER if part in parts}
