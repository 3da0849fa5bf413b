"""NIfTI volumes. nibabel is imported here and nowhere else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from equipoise.data.scans import Scan, Window, require_spacing
from equipoise.errors import DataError, MachineError, StorageError

SUFFIXES = (".nii", ".nii.gz")
NOT_FOR_DIAGNOSIS = "SYNTHETIC: made by a generative network. Not for diagnosis."  # of 80 characters at most
AXES = {3: "xyz", 4: "xyzt"}


def is_nifti(path: Path) -> bool:
    return path.name.lower().endswith(SUFFIXES)


def scan(path: Path, home: Path, patient: str) -> Scan:
    """Axial slices from the feet up, the patient's front above, right side on the left, as radiologists see them.

    Raises:
        DataError: for a file that cannot be read, is no volume, holds NaN, or does not say how large its pixels are.
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
    if holes := int(values.size - np.isfinite(values).sum()):
        raise DataError(
            f"{name(path, home)} holds {holes:,} of {values.size:,} values that are no numbers (NaN, infinite).\n"
            "Often that is what lies outside the body: set it to the value of air, or of black, first."
        )
    slices = np.ascontiguousarray(values.transpose(2, 1, 0)[:, ::-1, ::-1])
    return Scan(name(path, home), patient, slices, (up, front, right), volume=image)


def write(scan: Scan, stored: NDArray[Any], out: Path) -> None:
    """A volume with other values [D, H, W], on the axes and with the levels of the file that it came from, and the word
    synthetic in its description. Raises StorageError when it cannot be written."""
    import nibabel
    from nibabel import orientations

    library: Any = nibabel
    axes: Any = orientations
    image: Any = scan.volume
    to_canonical = axes.io_orientation(image.affine)
    back = axes.ornt_transform(axes.axcodes2ornt("RAS"), to_canonical)
    values = axes.apply_orientation(stored[:, ::-1, ::-1].transpose(2, 1, 0), back).reshape(image.shape)
    slope, intercept = float(image.dataobj.slope), float(image.dataobj.inter)
    stored_as = levels(values, slope, intercept, image.get_data_dtype())
    made = library.Nifti1Image(stored_as, image.affine, image.header)
    made.header.set_slope_inter(slope, intercept)  # of the image: it forgets those of a header that it is given
    made.header["descrip"] = NOT_FOR_DIAGNOSIS
    save(made, out)


def levels(values: NDArray[Any], slope: float, intercept: float, kind: np.dtype[Any]) -> NDArray[Any]:
    """As a file holds them whose levels are worth slope * level + intercept."""
    found = (values.astype(np.float64) - intercept) / slope
    if kind.kind == "f":
        return found.astype(kind)
    return found.round().clip(np.iinfo(kind).min, np.iinfo(kind).max).astype(kind)


def volume(slices: NDArray[np.uint16], window: Window, out: Path) -> None:
    """Samples [N, H, W] of all levels from black to white, as a volume in the window's unit, whose spacing nobody
    knows: it is 1, without a unit. Raises StorageError when it cannot be written."""
    import nibabel

    library: Any = nibabel
    image = library.Nifti1Image(slices[:, ::-1, ::-1].transpose(2, 1, 0), np.eye(4))
    image.header.set_data_dtype(np.uint16)
    image.header.set_slope_inter((window.white - window.black) / np.iinfo(np.uint16).max, window.black)
    image.header["cal_min"], image.header["cal_max"] = window
    image.header["descrip"] = NOT_FOR_DIAGNOSIS
    save(image, out)


def save(image: Any, out: Path) -> None:
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        image.to_filename(out)
    except OSError as error:
        raise StorageError(f"cannot write {out}: {error.strerror or error}.") from error


def require_volume(path: Path, sides: tuple[int, ...]) -> None:
    if len(sides) not in AXES or any(n != 1 for n in sides[3:]) or 0 in sides:
        raise DataError(
            f"{path} holds {' x '.join(map(str, sides))} numbers, and a scan is one volume: export a file for each."
        )


def name(path: Path, home: Path) -> str:
    return path.name if path == home else str(path.relative_to(home))
