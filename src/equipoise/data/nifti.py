"""NIfTI volumes. nibabel is imported here and nowhere else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from equipoise.data.scans import Scan, require_spacing
from equipoise.errors import DataError, MachineError

SUFFIXES = (".nii", ".nii.gz")
AXES = {3: "xyz", 4: "xyzt"}


def is_nifti(path: Path) -> bool:
    return path.name.lower().endswith(SUFFIXES)


def scan(path: Path, home: Path) -> Scan:
    """Axial slices from the feet up, the patient's front above, right side on the left, as radiologists see them.

    Raises:
        DataError: for a file that cannot be read, is no volume, or does not say how large its pixels are.
        MachineError: when nibabel is missing.
    """
    try:
        import nibabel
        from nibabel.filebasedimages import ImageFileError
    except ImportError as error:
        raise MachineError(f"{path} needs nibabel, which is not installed: pip install equipoise[medical]") from error
    library: Any = nibabel  # whose types are incomplete
    try:
        image: Any = library.load(path)
        sides = tuple(image.shape)
        require_volume(path, sides)
        require_spacing(path.name, [float(mm) for mm in image.header["pixdim"][1:4]])
        upright = library.as_closest_canonical(image)
        values = np.asarray(upright.dataobj).reshape(upright.shape[:3])  # [right, front, up]
        right, front, up = (float(mm) for mm in upright.header.get_zooms()[:3])
    except (OSError, EOFError, ValueError, ImageFileError) as error:
        raise DataError(f"{path} cannot be read as NIfTI: {' '.join(str(error).split())[:80]}.") from error
    slices = np.ascontiguousarray(values.transpose(2, 1, 0)[:, ::-1, ::-1])
    return Scan(name(path, home), patient(path, home), slices, (up, front, right))


def require_volume(path: Path, sides: tuple[int, ...]) -> None:
    if len(sides) not in AXES or any(n != 1 for n in sides[3:]) or 0 in sides:
        raise DataError(
            f"{path} holds {' x '.join(map(str, sides))} numbers, and a scan is one volume: export a file for each."
        )


def name(path: Path, home: Path) -> str:
    return path.name if path == home else str(path.relative_to(home))


def patient(path: Path, home: Path) -> str:
    """The folder that it lies in, otherwise its name up to the first _ (sub-01_T1w.nii.gz), which is BIDS's."""
    inside = path.relative_to(home).parts if path != home else (path.name,)
    if len(inside) > 1:
        return inside[0]
    stem = path.name
    for suffix in SUFFIXES[::-1]:
        stem = stem.removesuffix(suffix)
    return stem.split("_")[0]
