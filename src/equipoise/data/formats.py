"""Whether a place holds scans rather than pictures. No torch, and no library of scans."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path

SCANS = (".dcm", ".nii", ".nii.gz")
MAGIC, MAGIC_AT = b"DICM", 128  # of DICOM: files of scanners often have no suffix
LOOKED_AT = 20  # files


def holds_scans(path: Path) -> bool:
    """By the first files of a folder; pictures and arrays are no scans."""
    return any(is_scan(file) for file in islice(files(path), LOOKED_AT))


def files(path: Path) -> Iterator[Path]:
    if path.is_file():
        yield path
    elif path.is_dir():
        yield from (file for file in sorted(path.rglob("*")) if file.is_file())


def is_scan(path: Path) -> bool:
    return path.name.lower().endswith(SCANS) or (not path.suffix and is_dicom(path))


def is_dicom(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(MAGIC_AT + len(MAGIC)).endswith(MAGIC)
