"""Arrays in files (.npz, .npy, idx), described before they are read, and read in pieces: a header that lies, or a
small file that unpacks to a huge one, is refused before memory is asked for. No torch.
"""

from __future__ import annotations

import gzip
import math
import struct
import tokenize
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, cast

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from equipoise.errors import DataError

PIECE_BYTES = 2**24  # read at once
DEFLATE, PLAUSIBLE_RATIO, SMALL = 1032, 200, 2**26  # the most that deflate can shrink; larger arrays that shrank more
IDX_TYPES = {8: "u1", 9: "i1", 11: ">i2", 12: ">i4", 13: ">f4", 14: ">f8"}  # LeCun's format of MNIST
BROKEN = (
    OSError, ValueError, EOFError, RuntimeError, KeyError, OverflowError, MemoryError, struct.error, zlib.error,
    zipfile.BadZipFile, SyntaxError, tokenize.TokenError,  # the last two come from numpy's reading of a header
)  # fmt: skip


@dataclass(frozen=True)
class Block:
    """An array that was not read yet."""

    path: Path
    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    fortran: bool
    open: Callable[[], AbstractContextManager[IO[bytes]]]  # at the array's first byte
    offset: int | None = None  # of that byte in the file, where it lies there as it is

    @property
    def nbytes(self) -> int:
        return math.prod(self.shape) * self.dtype.itemsize

    def pieces(self) -> Iterator[NDArray[Any]]:
        """The rows in order, a few at a time. Raises DataError when the file is not as its header says."""
        rows = max(1, PIECE_BYTES // max(1, self.nbytes // max(1, self.shape[0])))
        rows = self.shape[0] if self.fortran else rows
        with told(self.path), self.open() as file:
            for start in range(0, self.shape[0], rows or 1):
                yield self.piece(file, min(rows, self.shape[0] - start))
            if file.read(1):  # for a member of a zip this is also where its CRC is checked
                raise ValueError("it holds more than its header says")

    def piece(self, file: IO[bytes], rows: int) -> NDArray[Any]:
        shape = (rows, *self.shape[1:])
        content = file.read(math.prod(shape) * self.dtype.itemsize)
        flat = np.frombuffer(content, self.dtype)
        if len(flat) != math.prod(shape):
            raise ValueError("it holds less than its header says")
        return flat.reshape(shape, order="F" if self.fortran else "C")

    def whole(self) -> NDArray[Any]:
        return np.concatenate([np.empty((0, *self.shape[1:]), self.dtype), *self.pieces()])


@contextmanager
def told(path: Path) -> Iterator[None]:
    """Whatever a broken file raises is a DataError."""
    try:
        yield
    except BROKEN as error:
        kind = ".npz or .npy" if path.suffix.lower() in (".npz", ".npy") else "idx"
        raise DataError(f"{path} cannot be read as {kind}: {' '.join(str(error).split())[:120]}") from error


def blocks(path: Path) -> list[Block]:
    """The arrays of a file; the only one of .npy and idx files is `x`.

    Raises:
        DataError: when the file cannot be read, or its headers promise what it cannot hold.
    """
    with told(path):
        if path.suffix.lower() == ".npz":
            return members(path)
        if path.suffix.lower() == ".npy":
            return [in_npy(path, "x", path.stat().st_size, lambda: path.open("rb"))]
        return [in_idx(path)]


def members(path: Path) -> list[Block]:
    found = []
    with zipfile.ZipFile(path) as archive:
        for info in archive.infolist():
            if not info.filename.endswith(".npy"):
                continue
            if info.file_size > max(SMALL, PLAUSIBLE_RATIO * info.compress_size):
                raise ValueError(f"{info.filename} is {info.file_size} bytes out of {info.compress_size}: a bomb")
            name = info.filename.removesuffix(".npy")
            found.append(in_npy(path, name, info.file_size, member(path, info.filename)))
    return found


def member(path: Path, name: str) -> Callable[[], AbstractContextManager[IO[bytes]]]:
    @contextmanager
    def opened() -> Iterator[IO[bytes]]:
        with zipfile.ZipFile(path) as archive, archive.open(name) as file:
            yield file

    return opened


def in_npy(path: Path, name: str, size: int, opened: Callable[[], AbstractContextManager[IO[bytes]]]) -> Block:
    with opened() as file:
        major = npy.read_magic(file)[0]
        if major not in (1, 2):
            raise ValueError(f"{name} has the version {major} of the format, which is not read")
        read_header = npy.read_array_header_1_0 if major == 1 else npy.read_array_header_2_0
        shape, fortran, dtype = read_header(file)
        offset = file.tell()
    if dtype.hasobject:
        raise ValueError(f"{name} holds Python objects, which could run code")
    if any(side < 0 for side in shape) or math.prod(shape) * dtype.itemsize != size - offset:
        raise ValueError(f"{name} claims {dtype}{list(shape)}, and holds {size - offset} bytes")

    @contextmanager
    def at_data() -> Iterator[IO[bytes]]:
        with opened() as file:
            file.read(offset)
            yield file

    plain_file = path.suffix.lower() == ".npy"
    return Block(path, name, shape or (0,), dtype, fortran and len(shape) > 1, at_data, offset if plain_file else None)


def in_idx(path: Path) -> Block:
    """Magic 0 0 type dimensions, then the sizes as big-endian 32 bits."""

    @contextmanager
    def opened() -> Iterator[IO[bytes]]:
        zipped = path.suffix.lower() == ".gz"
        with gzip.open(path) if zipped else path.open("rb") as file:
            yield cast("IO[bytes]", file)

    with opened() as file:
        zero, kind, dimensions = struct.unpack(">HBB", file.read(4))
        if zero or kind not in IDX_TYPES or not 1 <= dimensions <= 4:
            raise ValueError("it does not begin like an idx file")
        shape = struct.unpack(f">{dimensions}I", file.read(4 * dimensions))
    dtype, offset = np.dtype(IDX_TYPES[kind]), 4 + 4 * dimensions
    claimed, held = math.prod(shape) * dtype.itemsize + offset, path.stat().st_size
    if claimed > DEFLATE * held if path.suffix.lower() == ".gz" else claimed != held:
        raise ValueError(f"it claims {dtype}{list(shape)}, which does not fit into its {held} bytes")

    @contextmanager
    def at_data() -> Iterator[IO[bytes]]:
        with opened() as file:
            file.read(offset)
            yield file

    return Block(path, "x", shape, dtype, False, at_data)
