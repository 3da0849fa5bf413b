"""Parquet files of pictures, as Hugging Face writes them. No torch; pyarrow is imported here and nowhere else."""

from __future__ import annotations

from bisect import bisect_right
from functools import cached_property
from pathlib import Path
from typing import Any

from equipoise.data.decode import Unreadable
from equipoise.data.places import LIMIT_BYTES, Listing, first_words
from equipoise.errors import DataError, MachineError

MANY_CLASSES = 1000
LIMIT_GROUP = 4 * LIMIT_BYTES  # of a group of rows, unpacked
PICTURES, LABELS = ("image", "img", "picture"), ("label", "labels", "class", "fine_label")


class Parquet:
    """A column of bytes or of {bytes, path}, and if there is one a column of labels: numbers or words.

    A picture's name is the number of its row.
    """

    def __init__(self, path: Path):
        self.path = path
        self._kept: tuple[int, Any] = (-1, None)  # (number of a group of rows, its pictures)

    @cached_property
    def file(self) -> Any:
        try:
            from pyarrow import ArrowException, parquet
        except ImportError as error:
            raise MachineError(
                f"{self.path} needs pyarrow, which is not installed: pip install equipoise[data]"
            ) from error
        try:
            return parquet.ParquetFile(self.path)
        except (OSError, ValueError, ArrowException) as error:
            raise DataError(f"{self.path} cannot be read as parquet: {first_words(error)}.") from error

    @cached_property
    def starts(self) -> list[int]:
        """The first row of each group, and the number of rows."""
        metadata, starts = self.file.metadata, [0]
        for group in range(metadata.num_row_groups):
            starts.append(starts[-1] + metadata.row_group(group).num_rows)
        return starts

    @cached_property
    def column(self) -> str:
        import pyarrow as pa

        fields = {field.name: field.type for field in self.file.schema_arrow}
        fitting = [name for name, kind in fields.items() if pa.types.is_struct(kind) or is_bytes(kind)]
        for name in (*PICTURES, *fitting):
            if name in fitting and (is_bytes(fields[name]) or fields[name].get_field_index("bytes") >= 0):
                return str(name)
        raise DataError(f"{self.path} has no column of pictures: it has {', '.join(map(str, fields)) or 'none'}.")

    def listing(self) -> Listing:
        width = len(str(self.starts[-1]))
        names = [f"{row:0{width}}" for row in range(self.starts[-1])]
        assert self.column
        fields = {field.name: field.type for field in self.file.schema_arrow}
        label = next((name for name in LABELS if name in fields), None)
        if label is None:
            return Listing(names)
        values = self.file.read(columns=[label]).column(0).to_pylist()
        if all(isinstance(value, str) for value in values):
            words = sorted(set(values))
            places = {word: i for i, word in enumerate(words)}
            return Listing(names, labels=[places[value] for value in values], class_names=words)
        if all(isinstance(value, int) and 0 <= value < max(len(names), MANY_CLASSES) for value in values):
            return Listing(names, labels=values)
        raise DataError(f"the column {label} of {self.path} holds no labels: words, or whole numbers from 0.")

    def read(self, name: str) -> bytes:
        row = int(name)
        group = bisect_right(self.starts, row) - 1
        value = self.group(group)[row - self.starts[group]].as_py()
        content = value.get("bytes") if isinstance(value, dict) else value
        if not isinstance(content, bytes):
            raise Unreadable("a row without a picture")
        return content

    def group(self, number: int) -> Any:
        """The pictures of one group of rows; the last one is kept, because pictures are read in order."""
        from pyarrow import ArrowException

        if self._kept[0] != number:
            size = self.file.metadata.row_group(number).total_byte_size
            if size > LIMIT_GROUP:
                raise Unreadable(f"in a group of rows of {size // 2**20} MiB, above {LIMIT_GROUP // 2**20}")
            try:
                self._kept = number, self.file.read_row_group(number, columns=[self.column]).column(0)
            except (OSError, ValueError, ArrowException) as error:
                raise Unreadable(first_words(error)) from error
        return self._kept[1]


def is_bytes(kind: Any) -> bool:
    import pyarrow as pa

    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind))
