"""Scans: volumes of slices as a scanner stored them, how large a pixel is, and whose they are.

Numbers stay as they were stored, 16 bits and all. A window says which of them are shown as black and white; in float32
it can be gone through there and back without the loss of one level.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from equipoise.data.formats import is_dicom
from equipoise.data.hooks import Warn
from equipoise.data.layout import PartName
from equipoise.data.places import is_hidden
from equipoise.data.scan_names import patients, to_learn_from
from equipoise.errors import ConfigError, DataError

Floats = NDArray[np.float32]
Spacing = tuple[float, float, float]  # mm between slices, rows and columns
SAME = 0.01  # of a spacing: what differs by less is rounding


class Window(NamedTuple):
    """The values that are shown as black and as white, in the scan's own unit (Hounsfield's for CT)."""

    black: float
    white: float

    @classmethod
    def centred(cls, centre: float, width: float) -> Window:
        """As DICOM has it, PS3.3 C.11.2.1.2.1: a width of w covers w levels, whose first is black and last white."""
        return cls(centre - 0.5 - (width - 1) / 2, centre - 0.5 + (width - 1) / 2)


@dataclass(frozen=True)
class Scan:
    name: str
    patient: str
    stored: NDArray[Any]  # [D, H, W], in the order of the body
    spacing: Spacing
    slope: float = 1.0  # stored * slope + intercept is in the scan's own unit
    intercept: float = 0.0
    window: Window | None = None  # as the file asks to be shown
    headers: Sequence[Any] = ()  # of DICOM, one a slice
    volume: Any = None  # of NIfTI: the image as it was opened, which knows how its axes lie
    part: PartName | None = None  # official, of a set that is learnt from
    negative: bool = False  # stored with the least value white, as some X-rays are (DICOM's MONOCHROME1)

    def values(self) -> Floats:
        """[D, H, W] in the scan's own unit."""
        return (self.stored * self.slope + self.intercept).astype(np.float32)

    def values_of(self, i: int) -> Floats:
        """Those of one slice [H, W]."""
        found: Floats = (self.stored[i] * self.slope + self.intercept).astype(np.float32)
        return found


def shown(values: Floats, window: Window) -> Floats:
    """In [-1, 1]; what lies beyond the window is cut off. Same shape."""
    share = (values.astype(np.float64) - window.black) / (window.white - window.black)
    return (2 * share.clip(0, 1) - 1).astype(np.float32)


def measured(x: Floats, scan: Scan, window: Window) -> NDArray[Any]:
    """Pictures in [-1, 1] as the scan would store them: rounded to its levels, in its own type. Same shape."""
    values = window.black + (x.astype(np.float64) + 1) / 2 * (window.white - window.black)
    levels = (values - scan.intercept) / scan.slope
    if scan.stored.dtype.kind == "f":
        return levels.astype(scan.stored.dtype)
    least, most = np.iinfo(scan.stored.dtype).min, np.iinfo(scan.stored.dtype).max
    return levels.round().clip(least, most).astype(scan.stored.dtype)


def window_of(scan: Scan, window: Window | None, percentiles: tuple[float, float]) -> Window:
    """What was asked for; otherwise from one percentile of the whole scan to another, as units of MRI mean nothing. Of
    a negative the other way round: what is black has the largest values.

    Raises:
        DataError: for a scan of one value only.
    """
    black, white = window or of_percentiles(scan, percentiles)
    return Window(white, black) if scan.negative else Window(black, white)


def of_percentiles(scan: Scan, percentiles: tuple[float, float]) -> Window:
    black, white = np.percentile(scan.values(), percentiles).tolist()
    if not white > black:
        raise DataError(
            f"{scan.name} has the value {black:g} from its percentile {percentiles[0]:g} to {percentiles[1]:g}: there "
            "is nothing to see.\nLeave it out, or say what is black and white with data.window."
        )
    return Window(black, white)


def scans_at(path: Path) -> list[Scan]:
    """All scans of a place: .nii and .nii.gz files, and series of DICOM files, in the order of their names.

    Raises:
        DataError: where there are none, or one cannot be read or does not say how large its pixels are.
        MachineError: when pydicom or nibabel is missing.
    """
    return read(dict.fromkeys(files_at(path)), path)


def scans_to_learn_from(path: Path, warn: Warn) -> list[Scan]:
    """As `scans_at`, with official parts; without label maps and what else lies beside the scans, which is told to
    `warn`."""
    return read(to_learn_from(files_at(path), path, warn), path)


def files_at(path: Path) -> list[Path]:
    """Those that are scans by their names or first bytes, and not hidden. Raises DataError where there are none."""
    from equipoise.data import nifti

    if not path.exists():
        raise DataError(f"{path} does not exist.\nGive a folder of DICOM or NIfTI files, or one of them.")
    files = [path] if path.is_file() else sorted(file for file in path.rglob("*") if file.is_file())
    seen = [file for file in files if file == path or not is_hidden(file.relative_to(path).parts)]
    found = [file for file in seen if nifti.is_nifti(file) or is_dicom(file)]
    if not found:
        raise DataError(f"{path} holds no scans: neither DICOM files nor .nii or .nii.gz.")
    return found


def read(files: Mapping[Path, PartName | None], home: Path) -> list[Scan]:
    """Part by part; in each the volumes first, then the series."""
    from equipoise.data import dicom, nifti

    whose, found = patients([file for file in files if nifti.is_nifti(file)], home), list[Scan]()
    for part in dict.fromkeys(files.values()):
        here = [file for file, its in files.items() if its == part]
        volumes = [nifti.scan(file, home, whose[file]) for file in here if file in whose]
        series = dicom.series([file for file in here if file not in whose], home)
        found += [replace(scan, part=part) for scan in (*volumes, *series)]
    return found


def write(scan: Scan, stored: NDArray[Any], out: Path) -> Path:
    """The scan with other levels [D, H, W], in the form that it came in and with all else that it had, which says that
    it is synthetic: DICOM into a folder, NIfTI into a file. Returns where it is.

    Raises:
        ConfigError: for a scan that came from neither, or where something is already.
        StorageError: when it cannot be written.
    """
    from equipoise.data import dicom, nifti

    if scan.volume is not None:
        out = out if nifti.is_nifti(out) else out.with_name(f"{out.name}{nifti.SUFFIXES[-1]}")
    if out.exists() and any(out.iterdir() if out.is_dir() else [out]):
        raise ConfigError(f"-o {out} is there already: name a new place, so that no slice is overwritten.")
    if scan.volume is not None:
        nifti.write(scan, stored, out)
    else:
        dicom.write(scan, stored, out)
    return out


def require_spacing(name: str, spacing: Sequence[float]) -> Spacing:
    """Raises DataError where it is not known how large a pixel is."""
    if len(spacing) != 3 or not all(np.isfinite(mm) and mm > 0 for mm in spacing):
        raise DataError(
            f"{name} does not say how large its pixels are (spacing: {list(spacing)}).\n"
            "Without it nothing in it has a size: export it again with its spacing, or leave it out."
        )
    slices, rows, columns = (float(mm) for mm in spacing)
    return slices, rows, columns


def require_one_spacing(scans: Sequence[Scan], path: Path) -> None:
    """Raises DataError where the slices of some scans have larger pixels than those of others: a net would take the
    scanner for the anatomy."""
    first = scans[0]
    for scan in scans[1:]:
        if not np.allclose(scan.spacing[1:], first.spacing[1:], rtol=SAME):
            sizes = [f"{s.name} ({s.spacing[1]:g} x {s.spacing[2]:g} mm)" for s in (first, scan)]
            raise DataError(
                f"the scans of {path} have mixed spacings: {' and '.join(sizes)}.\n"
                "Resample them to one first, or set data.mixed_spacings=true if size does not matter."
            )
