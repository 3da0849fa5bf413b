"""The new lines of a file that grows, a piece at a time."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

PIECE = 4_000_000  # bytes that are read at once
MEMORY = 64  # bytes before the place that was reached, by which a file is known again


@dataclass
class Tail:
    path: Path
    offset: int = 0
    size: int = 0  # of the file, when it was looked at last
    _before: bytes = field(default=b"", repr=False)

    def lines(self) -> tuple[list[bytes], bool]:
        """Whole lines since the last time, of at most PIECE bytes; and whether the file was begun again, as a resumed
        run does: then they are its first."""
        try:
            self.size = self.path.stat().st_size
            with self.path.open("rb") as file:
                again = not self.is_the_same(file.seek(max(0, self.offset - MEMORY)), file.read(MEMORY))
                if again:
                    self.offset = 0
                file.seek(self.offset)
                blob = file.read(PIECE)
        except OSError:
            again = self.offset > 0
            self.offset, self.size, self._before = 0, 0, b""
            return [], again
        whole = blob[: blob.rfind(b"\n") + 1]
        self.offset += len(whole)
        self._before = ((b"" if again else self._before) + whole)[-MEMORY:]
        return whole.splitlines(), again

    def is_the_same(self, place: int, bytes_there: bytes) -> bool:
        return bytes_there[: self.offset - place] == self._before

    @property
    def behind(self) -> bool:
        """Whether more is there than a last line that is not whole yet."""
        return self.size - self.offset > PIECE // 2
