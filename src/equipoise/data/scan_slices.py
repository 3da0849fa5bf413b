"""Scans as a set of slices to be learnt from, the patients apart."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import interpolate

from equipoise.data.decode import default_size
from equipoise.data.groups import numbered
from equipoise.data.hooks import Track, untracked
from equipoise.data.scans import Floats, Scan, Window, require_one_spacing, scans_at, shown, window_of
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


def slices(asked: Asked, track: Track = untracked) -> Splits:
    """Samples [1, size, size], float in [-1, 1] with all levels of the scanner: axial slices, cropped to a centred
    square. Slices that show nothing are left out. Whole patients are held out.

    Raises:
        DataError: for scans that cannot be read, have no spacing or several, are of fewer than three patients, or need
            more memory than is allowed.
    """
    scans = scans_at(asked.path)
    if not asked.mixed_spacings:
        require_one_spacing(scans, asked.path)
    require_patients({scan.patient for scan in scans}, asked.path)
    size = asked.size or default_size([min(scan.stored.shape[1:]) for scan in scans])
    count = sum(len(scan.stored) for scan in scans)
    if (needed := count * size * size * 4) > asked.memory_mib * MIB:
        raise DataError(
            f"{asked.path} needs {needed // MIB} MiB, above data.memory_mib={asked.memory_mib}: raise it, or set a "
            "smaller data.size."
        )
    found, whose = list[Tensor](), list[str]()
    for scan in track(scans, "reading scans", len(scans)):
        window = window_of(scan, asked.window, asked.percentiles)
        for picture in pictures(shown(scan.values(), window), size):
            found.append(picture)
            whose.append(scan.patient)
    require_patients(set(whose), asked.path)
    return parted_by_group(InMemory(torch.stack(found)), numbered(whose))


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
        one = f"only one patient ({next(iter(patients))})" if len(patients) == 1 else f"only {len(patients)} patients"
        raise DataError(
            f"{path} holds scans of {one}: training, validation and test need one each, for slices of a patient are "
            "alike, and a patient in two parts would be learnt by heart unseen.\nAdd scans of others."
        )


def scan_of(scans: list[Scan], path: Path) -> Scan:
    """The only one. Raises DataError where there are several."""
    if len(scans) > 1:
        raise DataError(f"{path} holds {len(scans)} scans ({scans[0].name}, {scans[1].name}, ...): name one of them.")
    return scans[0]
