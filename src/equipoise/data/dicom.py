"""Series of DICOM files: read as scans, and written back with the word synthetic. pydicom is imported here alone."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from equipoise.data.formats import is_dicom
from equipoise.data.scans import SAME, Scan, Window, require_spacing
from equipoise.errors import ConfigError, DataError, MachineError, StorageError

NOT_FOR_DIAGNOSIS = "SYNTHETIC: made by a generative network. Not for diagnosis."
STALE = (  # of what was stored, and no longer true
    "SmallestImagePixelValue", "LargestImagePixelValue", "LossyImageCompression", "LossyImageCompressionRatio",
    "LossyImageCompressionMethod",
)  # fmt: skip


def series(files: Iterable[Path], home: Path) -> list[Scan]:
    """The series that some files belong to; what is no DICOM is passed over.

    Raises:
        DataError: for a file that cannot be read, a series whose slices do not fit together, one without a patient, or
            one that does not say how large its pixels are.
        MachineError: when pydicom is missing.
    """
    found = [file for file in files if is_dicom(file)]
    if not found:
        return []
    together: dict[str, list[tuple[Path, Any]]] = {}
    for file in found:
        header = opened(file)
        together.setdefault(str(held(header, "SeriesInstanceUID", file.parent)), []).append((file, header))
    return [scan(slices, home) for slices in together.values()]


def opened(path: Path) -> Any:
    try:
        from pydicom import dcmread
        from pydicom.errors import InvalidDicomError
    except ImportError as error:
        raise MachineError(f"{path} needs pydicom, which is not installed: pip install equipoise[medical]") from error
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what a scanner spells oddly is no matter, if the slice is there
            header = dcmread(path)
    except (OSError, EOFError, ValueError, KeyError, InvalidDicomError) as error:
        raise DataError(f"{path} cannot be read as DICOM: {' '.join(str(error).split())[:80]}.") from error
    if "PixelData" not in header or "Rows" not in header:
        raise DataError(f"{path} is DICOM and holds no picture: it is damaged, or no slice. Leave it out.")
    return header


def held(header: Any, key: str, usual: Any) -> Any:
    """An element of a header, or the usual value where it is missing or empty, as in many that were made anonymous."""
    found = header.get(key)
    return usual if found is None or found == "" or (not isinstance(found, str) and np.size(found) == 0) else found


def scan(slices: Sequence[tuple[Path, Any]], home: Path) -> Scan:
    """One series, from whatever order its files have."""
    slices = sorted(slices, key=lambda each: (place(each[1]), str(each[0])))
    path, first = slices[0]
    name = path.name if path == home or len(slices) == 1 else str(path.parent)
    headers = [header for _, header in slices]
    spacing = spacing_of(name, headers)
    patient = str(held(first, "PatientID", "")).strip()
    if not patient:
        raise DataError(
            f"{name} does not say whose it is (PatientID is empty).\n"
            "The scans of a patient must stay in one part: give each patient a name of its own, made up or not."
        )
    require_alike(name, headers)
    return Scan(
        name, patient, np.stack([pixels(file, header) for file, header in slices]), spacing,
        float(held(first, "RescaleSlope", 1)), float(held(first, "RescaleIntercept", 0)), window(first), headers,
        negative=held(first, "PhotometricInterpretation", "") == "MONOCHROME1",
    )  # fmt: skip


def pixels(path: Path, header: Any) -> NDArray[Any]:
    """[H, W] as stored."""
    try:
        found: NDArray[Any] = header.pixel_array
    except (AttributeError, ValueError, KeyError, RuntimeError, NotImplementedError) as error:
        raise DataError(f"the pixels of {path} cannot be read: {' '.join(str(error).split())[:80]}.") from error
    if found.ndim != 2:
        raise DataError(f"{path} holds {list(found.shape)}, and a slice is grey [H, W]: export a file for each slice.")
    return found


def place(header: Any) -> float:
    """mm along the normal of the slices, or the number of the slice where no place is given."""
    position, orientation = (held(header, f"Image{what}Patient", None) for what in ("Position", "Orientation"))
    if position is None or orientation is None:
        return float(held(header, "InstanceNumber", 0))
    row, column = np.array(orientation, float).reshape(2, 3)
    return float(np.cross(row, column) @ np.array(position, float))


def spacing_of(name: str, headers: Sequence[Any]) -> tuple[float, float, float]:
    """mm. Raises DataError where a slice has none, or another one than the rest."""
    rows, columns = require_spacing(name, [1, *held(headers[0], "PixelSpacing", [])])[1:]
    for header in headers[1:]:
        other = require_spacing(name, [1, *held(header, "PixelSpacing", [])])[1:]
        if not np.allclose(other, (rows, columns), rtol=SAME):
            raise DataError(
                f"the slices of {name} have mixed spacings: {rows:g} x {columns:g} mm and {other[0]:g} x {other[1]:g} "
                "mm.\nThey are no single scan: put each series into a folder, with a SeriesInstanceUID of its own."
            )
    gaps = np.diff([place(header) for header in headers])
    placed = held(headers[0], "ImagePositionPatient", None) is not None
    between = float(np.median(gaps)) if len(gaps) and placed else 0.0
    return between or float(held(headers[0], "SliceThickness", 0)) or 1.0, rows, columns


def require_alike(name: str, headers: Sequence[Any]) -> None:
    """Raises DataError where slices differ in what one scan has in common."""
    for key, what in (("Rows", "heights"), ("Columns", "widths"), ("PatientID", "patients"),
                      ("RescaleSlope", "rescale slopes"), ("RescaleIntercept", "rescale intercepts"),
                      ("PhotometricInterpretation", "photometric interpretations")):  # fmt: skip
        if len(kinds := {str(held(header, key, "")) for header in headers}) > 1:
            raise DataError(f"the slices of {name} differ in their {what}: {', '.join(sorted(kinds)[:3])}.")


def window(header: Any) -> Window | None:
    """The first one that the file offers, which is the usual one."""
    centre, width = (np.atleast_1d(held(header, key, [])) for key in ("WindowCenter", "WindowWidth"))
    if not len(centre) or not len(width) or float(width[0]) <= 1:
        return None
    return Window.centred(float(centre[0]), float(width[0]))


def write(scan: Scan, stored: NDArray[Any], out: Path) -> list[Path]:
    """The slices of a DICOM scan with other pixels [D, H, W], as a new series that says that it is synthetic. All else,
    spacing, window, bits and patient, stays as it was.

    Raises:
        ConfigError: for a scan that did not come from DICOM.
        StorageError: when it cannot be written.
    """
    if not scan.headers:
        raise ConfigError(f"{scan.name} has no DICOM headers to be written back: give a DICOM series.")
    from pydicom.uid import generate_uid

    uid, written = generate_uid(), []
    try:
        out.mkdir(parents=True, exist_ok=True)
        for i, (header, levels) in enumerate(zip(scan.headers, stored, strict=True)):
            written.append(out / f"{i + 1:04d}.dcm")
            synthetic(header, levels, uid).save_as(written[-1], enforce_file_format=True)
    except OSError as error:
        raise StorageError(f"cannot write {out}: {error.strerror or error}.") from error
    return written


def synthetic(header: Any, levels: NDArray[Any], uid: str) -> Any:
    """A header with other pixels, which tells how they came about (PS3.3 C.12.1.1: Synthetic Data)."""
    from pydicom.uid import ExplicitVRLittleEndian, generate_uid

    made = deepcopy(header)
    bits = int(header.BitsStored)
    signed = int(header.PixelRepresentation)
    least, most = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)
    kind = np.dtype(f"<{'i' if signed else 'u'}{int(header.BitsAllocated) // 8}")
    made.PixelData = levels.clip(least, most).astype(kind).tobytes()
    made["PixelData"].VR = "OW"
    made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    made.SeriesInstanceUID, made.SOPInstanceUID = uid, generate_uid()
    made.file_meta.MediaStorageSOPInstanceUID = made.SOPInstanceUID
    made.SyntheticData = "YES"
    made.ImageType = ["DERIVED", "SECONDARY", *[str(word) for word in header.get("ImageType", [])][2:]]
    made.DerivationDescription = NOT_FOR_DIAGNOSIS
    made.ImageComments = NOT_FOR_DIAGNOSIS
    made.SeriesDescription = f"SYNTHETIC {header.get('SeriesDescription', '')}".strip()[:64]
    for key in STALE:
        if key in made:
            delattr(made, key)
    return made
