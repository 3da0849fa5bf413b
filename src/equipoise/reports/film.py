"""The samples of a run over time, as one picture that moves. No torch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from PIL import Image

from equipoise.errors import ConfigError, StorageError
from equipoise.pictures import film
from equipoise.runs.folder import RunFolder

FRAMES, SIDE = 48, 480  # pictures at most, and pixels of a side
MOST = 4_000_000  # bytes of a file


def of(run: RunFolder, most: int = MOST) -> bytes:
    """A GIF of what was drawn, evenly over the run; empty where fewer than two pictures can be read."""
    frames = list(shown(run, spaced(run.drawn())))
    return film(frames, most) if len(frames) > 1 else b""


def shown(run: RunFolder, steps: Sequence[int]) -> Iterator[tuple[Image.Image, str]]:
    for step in steps:
        try:
            with Image.open(run.grid(step)) as picture:
                picture.thumbnail((SIDE, SIDE))
                yield picture.copy(), f"step {step:,}"
        except (OSError, SyntaxError):  # what Pillow raises for a PNG that is cut short or broken
            continue


def spaced(steps: Sequence[int], most: int = FRAMES) -> list[int]:
    """At most so many of them, with the first and the last."""
    if len(steps) <= most:
        return list(steps)
    return [steps[round(i * (len(steps) - 1) / (most - 1))] for i in range(most)]


def write(run: RunFolder, out: Path) -> None:
    """Raises ConfigError for a run that drew fewer than two pictures, StorageError when the file cannot be written."""
    made = of(run)
    if not made:
        raise ConfigError(f"{run.path} has drawn fewer than two pictures: a GIF needs a run of pictures or points.")
    try:
        out.write_bytes(made)
    except OSError as error:
        raise StorageError(f"cannot write {out}: {error.strerror or error}.") from error
