"""Where pictures lie: a folder, a .zip that is read in place, parquet files. No torch."""

from __future__ import annotations

import os
import stat
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Protocol

from equipoise.data.decode import SUFFIXES, Unreadable
from equipoise.errors import DataError

LIMIT_BYTES = 256 * 2**20  # of one file; a BMP of 50 megapixels has 150 MB
PLAUSIBLE_RATIO, SMALL = 200, 2**20  # a larger entry of a zip that shrank more than this is a bomb
BROKEN_ZIP = (
    OSError, EOFError, ValueError, RuntimeError, NotImplementedError, zlib.error, zipfile.BadZipFile,
)  # fmt: skip


@dataclass(frozen=True)
class Listing:
    """What a place holds, before any picture is opened."""

    names: Sequence[str]  # sorted, with / between folders
    bad: dict[str, str] = field(default_factory=dict)  # name -> why it will not be opened
    others: Sequence[str] = ()  # kinds of files that are no pictures
    labels: Sequence[int] | None = None  # of places that hold them; otherwise folders are classes
    class_names: Sequence[str] = ()


class Place(Protocol):
    def listing(self) -> Listing:
        """Raises DataError when the place itself cannot be read."""
        ...

    def read(self, name: str) -> bytes:
        """The picture's bytes, at most LIMIT_BYTES. Raises Unreadable with the reason."""
        ...


def place_at(path: Path) -> Place:
    """Raises DataError for what is no such place."""
    if path.suffix.lower() == ".zip":
        return Zip(path)
    if path.suffix.lower() == ".parquet":
        from equipoise.data.parquet import Parquet

        return Parquet(path)
    if not path.is_dir():
        raise DataError(f"{path} is not a folder.\nGive a folder of pictures, a .zip, .parquet or .npz file.")
    return Folder(path)


def is_picture(name: str) -> bool:
    """By its suffix, and not hidden or left by an archiver."""
    parts = name.split("/")
    if is_hidden(parts):
        return False
    return os.path.splitext(parts[-1])[1].lower() in SUFFIXES  # noqa: PTH122 (60,000 names)


def is_hidden(parts: Sequence[str]) -> bool:
    """By the folders and the file of a name; also what an archiver left."""
    return any(part.startswith(".") or part == "__MACOSX" for part in parts)


def kinds(names: Sequence[str]) -> Sequence[str]:
    return sorted({PurePosixPath(name).suffix or PurePosixPath(name).name for name in names})


@dataclass(frozen=True)
class Folder:
    path: Path

    def listing(self) -> Listing:
        names, bad, others = [], {}, []
        for name, is_file in entries(self.path):
            if not is_picture(name):
                others.append(name)
            elif is_file:
                names.append(name)
            else:
                bad[name] = "not a file, or a link to nothing"
        return Listing(sorted(names), bad, kinds(others))

    def read(self, name: str) -> bytes:
        try:
            with open(f"{self.path}/{name}", "rb") as file:  # noqa: PTH123 (a Path for each of 60,000 files)
                if (size := os.fstat(file.fileno()).st_size) > LIMIT_BYTES:
                    raise Unreadable(f"{size // 2**20} MiB, above the limit of {LIMIT_BYTES // 2**20}")
                return file.read()
        except OSError as error:
            raise Unreadable(error.strerror or type(error).__name__) from error


def entries(root: Path) -> Iterator[tuple[str, bool]]:
    """(name, whether it is a regular file) of all but folders. Links are followed, each folder is read once."""
    waiting, seen = [""], set[tuple[int, int]]()
    while waiting:
        prefix = waiting.pop()
        try:
            status = (root / prefix).stat()
            if (identity := (status.st_dev, status.st_ino)) in seen:
                continue  # a link back to a folder above
            seen.add(identity)
            with os.scandir(root / prefix) as found:
                here = sorted(found, key=lambda entry: entry.name)
        except OSError as error:
            raise DataError(f"{root / prefix} cannot be read: {error.strerror}.") from error
        for entry in here:
            name = prefix + entry.name
            if is_kind(entry.is_dir):
                if not (entry.name.startswith(".") or entry.name == "__MACOSX"):
                    waiting.append(f"{name}/")
            else:
                yield name, is_kind(entry.is_file)


def is_kind(asked: Callable[[], bool]) -> bool:
    """The answer of an entry about itself; a link that goes round in circles raises."""
    try:
        return asked()
    except OSError:
        return False


@dataclass(frozen=True)
class Zip:
    """Read in place: nothing is ever written to a disk."""

    path: Path

    @cached_property
    def archive(self) -> zipfile.ZipFile:
        try:
            return zipfile.ZipFile(self.path)
        except (*BROKEN_ZIP, zipfile.LargeZipFile) as error:
            raise DataError(f"{self.path} cannot be read as .zip: {first_words(error)}.") from error

    def listing(self) -> Listing:
        names, bad, others = [], {}, []
        times = Counter(info.filename for info in self.archive.infolist())
        for info in self.archive.infolist():
            name = info.filename
            if info.is_dir():
                continue
            if reason := unsafe(info):
                bad[name] = reason
            elif not is_picture(name):
                others.append(name)
            elif reason := "the archive holds two of this name" if times[name] > 1 else flaw(info):
                bad[name] = reason
            else:
                names.append(name)
        return Listing(sorted(names), bad, kinds(others))

    def read(self, name: str) -> bytes:
        try:
            info = self.archive.getinfo(name)
            if reason := flaw(info):
                raise Unreadable(reason)
            return self.archive.read(info)  # at most the size that `flaw` has judged; its CRC is checked
        except (*BROKEN_ZIP, KeyError) as error:
            raise Unreadable(first_words(error)) from error


def unsafe(info: zipfile.ZipInfo) -> str | None:
    """Why an entry is refused whatever it holds. Nothing is extracted, but such archives are made to do harm."""
    parts = info.orig_filename.replace("\\", "/").split("/")
    if ".." in parts:
        return "its name leads out of the archive"
    if parts[0] == "" or parts[0].endswith(":") or "\0" in info.orig_filename:
        return "its name is an absolute path" if "\0" not in info.orig_filename else "its name holds a zero byte"
    if stat.S_ISLNK(info.external_attr >> 16):
        return "a link"
    return None


def flaw(info: zipfile.ZipInfo) -> str | None:
    """Why a picture of an archive is not read."""
    if info.flag_bits & 0x1:
        return "encrypted"
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        return "compressed by a method that is not read: only stored and deflated are"
    if info.file_size > LIMIT_BYTES:
        return f"{info.file_size // 2**20} MiB, above the limit of {LIMIT_BYTES // 2**20}"
    if info.file_size > SMALL and info.file_size > PLAUSIBLE_RATIO * info.compress_size:
        return f"{info.file_size} bytes out of {info.compress_size}: a bomb"
    return None


def first_words(error: BaseException) -> str:
    return " ".join(str(error).split())[:80] or type(error).__name__
