"""Scans as a set of slices to be learnt from, the patients apart."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import interpolate

from equipoise.data.decode import default_size
from equipoise.data.groups import numbered
from equipoise.data.hooks import Track, Warn, unheard, untracked
from equipoise.data.layout import PARTS_IN_ORDER, PartName
from equipoise.data.scans import Floats, Scan, Window, require_one_spacing, scans_to_learn_from, shown, window_of
from equipoise.data.source import InMemory, Splits, parted_by_group
from equipoise.errors import DataError

MIB = 2**20
LEAST = 3  # patients: one for each part
EMPTY = 0.01  # of the way from black to white: slices that vary less show nothing


@dataclass(frozen=True)
class Asked:
    path: Path
    size: int | None
    window: Window | None  # None: by percentiles
    percentiles: tuple[float, float]
    mixed_spacings: bool
    memory_mib: int


def slices(asked: Asked, track: Track = untracked, warn: Warn = unheard) -> Splits:
    """Samples [1, size, size], float in [-1, 1] with all levels of the scanner: axial slices, cropped to a centred
    square. Slices that show nothing are left out. Official parts are kept; otherwise whole patients are held out.

    Raises:
        DataError: for scans that cannot be read, have no spacing or several, are of fewer than three patients, or of
            one in two official parts, or need more memory than is allowed.
    """
    scans = scans_to_learn_from(asked.path, warn)
    if not asked.mixed_spacings:
        require_one_spacing(scans, asked.path)
    require_patients({scan.patient for scan in scans}, asked.path)
    require_one_part_each(scans, asked.path)
    size = asked.size or default_size([min(scan.stored.shape[1:]) for scan in scans])
    count = sum(len(scan.stored) for scan in scans)
    if (needed := count * size * size * 4) > asked.memory_mib * MIB:
        raise DataError(
            f"{asked.path} needs {needed // MIB} MiB, above data.memory_mib={asked.memory_mib}: raise it, or set a "
            "smaller data.size."
        )
    found, whose, part_of = list[Tensor](), list[str](), list[PartName | None]()
    for scan in track(scans, "reading scans", len(scans)):
        window = window_of(scan, asked.window, asked.percentiles)
        for picture in pictures(shown(scan.values(), window), size):
            found.append(picture)
            whose.append(scan.patient)
            part_of.append(scan.part)
    require_patients(set(whose), asked.path)
    named = np.array(part_of, object)
    parts = {part: torch.from_numpy(np.flatnonzero(named == part)) for part in PARTS_IN_ORDER}
    official = None if scans[0].part is None else parts
    return parted_by_group(InMemory(torch.stack(found)), numbered(whose), official)


def pictures(x: Floats, size: int) -> Iterator[Tensor]:
    """[D, H, W] -> those of its slices that show something, [1, size, size] each."""
    for picture in x:
        if float(np.ptp(picture)) > 2 * EMPTY:
            yield squared(torch.from_numpy(picture)[None], size)


def squared(x: Tensor, size: int) -> Tensor:
    """[C, H, W] -> [C, size, size]: a centred square, by a cubic filter that does not alias."""
    side = min(x.shape[1:])
    top, left = ((n - side) // 2 for n in x.shape[1:])
    square = x[:, top : top + side, left : left + side]
    if side == size:
        return square.contiguous()
    return interpolate(square[None], (size, size), mode="bicubic", antialias=True)[0].clamp(-1, 1)


def require_patients(patients: set[str], path: Path) -> None:
    """Raises DataError where no patient would be left to be held out."""
    if len(patients) < LEAST:
        few = "one patient" if len(patients) == 1 else f"{len(patients)} patients"
        raise DataError(
            f"{path} holds scans of only {few} ({', '.join(sorted(patients))}): training, validation and test need one "
            "each, for slices of a patient are alike, and a patient in two parts would be learnt by heart unseen.\n"
            "Add scans of others."
        )


def require_one_part_each(scans: Sequence[Scan], path: Path) -> None:
    """Raises DataError where a patient lies in two official parts."""
    parts: dict[str, set[str]] = {}
    for scan in scans:
        parts.setdefault(scan.patient, set()).add(scan.part or "")
    for patient, some in parts.items():
        if len(some) > 1:
            raise DataError(
                f"patient {patient} of {path} lies in two parts: {' and '.join(sorted(some))}. What is held out would "
                "be learnt by heart.\nMove these scans into one part, or give patients who are others other names."
            )


def scan_of(scans: list[Scan], path: Path) -> Scan:
    """The only one. Raises DataError where there are several."""
    if len(scans) > 1:
        raise DataError(f"{path} holds {len(scans)} scans ({scans[0].name}, {scans[1].name}, ...): name one of them.")
    return scans[0]
