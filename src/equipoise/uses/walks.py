"""Walks between samples: what lies on the way from one to the next, as an animation."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import chain, pairwise
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO

import numpy as np
from PIL import Image

from equipoise import pictures
from equipoise.errors import ConfigError, MachineError, StorageError
from equipoise.generator import TrainedGenerator
from equipoise.latents import Codes, Space

LEG_S = 2.0  # seconds from one sample to the next
ANIMATED = (".gif", ".webp")
FASTEST_GIF = 50  # pictures a second: a GIF counts hundredths of a second, and programs show those of 1 as 10


def count(seconds: float, fps: int) -> int:
    """Pictures of a walk: two at least."""
    return max(2, round(seconds * fps))


def stops(trained: TrainedGenerator, n: int, seconds: float, seed: int, label: int | None) -> list[Codes]:
    """Where a walk of `n` samples side by side passes: the samples of `seed`, of the seeds after it, and back."""
    legs = max(2, round(seconds / LEG_S))
    drawn = [trained.codes(n, seed + i, label) for i in range(legs)]
    return [*drawn, drawn[0]]


def require_alike(passed: Sequence[Codes]) -> None:
    """Raises ConfigError for stops of different numbers of samples, or of other classes."""
    first, *others = passed
    if any(stop.at.shape[0] != first.at.shape[0] or stop.y.tolist() != first.y.tolist() for stop in others):
        raise ConfigError("a walk goes between as many samples of the same classes: project with the same --class.")


def along(space: Space, passed: Sequence[Codes], count: int) -> Iterator[Codes]:
    """`count` codes, evenly spaced in time, from the first to the last of those `passed` (two or more)."""
    legs = list(pairwise(passed))
    for i in range(count):
        way = i / max(count - 1, 1) * len(legs)
        leg = min(int(way), len(legs) - 1)
        start, end = legs[leg]
        yield Codes(space.between(start.at, end.at, way - leg), end.y)


def walk(trained: TrainedGenerator, passed: Sequence[Codes], count: int) -> Iterator[Image.Image]:
    """`count` pictures of the samples on the way through the codes `passed`, side by side.

    Raises:
        ConfigError: for a generator of points.
    """
    if not trained.form.is_images:
        raise ConfigError("walk draws pictures on the way from one to another, and this generator makes points.")
    for codes in along(trained.space, passed, count):
        yield pictures.grid(trained.drawn(codes).astype(np.uint8, copy=False))


def write(frames: Iterable[Image.Image], out: Path, fps: int) -> None:
    """An animation that repeats (.gif, .webp), or a video (.mp4) where ffmpeg is installed.

    Raises:
        ConfigError: for another kind of file.
        MachineError: for a video without ffmpeg, or one that it cannot write.
        StorageError: when it cannot be written.
    """
    require_writable(out, fps)
    kind = out.suffix.lower()
    if kind == ".mp4":
        encode(frames, out, fps)
        return
    first, *others = frames
    with replacing(out) as partial:
        first.save(partial, kind[1:], save_all=True, append_images=others, duration=round(1000 / fps), loop=0)


@contextmanager
def replacing(out: Path) -> Iterator[Path]:
    """Where to write what takes the place of `out` once it is whole: whoever stops it keeps what was there. Raises
    StorageError when it cannot be written."""
    partial = out.with_name(f".{out.name}.part")
    try:
        yield partial
        partial.replace(out)
    except OSError as error:
        raise StorageError(f"cannot write {out}: {error.strerror or error}.") from error
    finally:
        partial.unlink(missing_ok=True)


def require_writable(out: Path, fps: int) -> None:
    """Before anything is drawn. Raises ConfigError and MachineError as `write`."""
    kind = out.suffix.lower()
    if kind not in (*ANIMATED, ".mp4"):
        raise ConfigError(f"{out} is no animation: give a name that ends with .gif, .webp or .mp4.")
    if kind == ".gif" and fps > FASTEST_GIF:
        raise ConfigError(f"a GIF shows at most {FASTEST_GIF} pictures a second, not {fps}: use .webp.")
    if kind == ".mp4" and shutil.which("ffmpeg") is None:
        raise MachineError("an .mp4 needs the program ffmpeg, which is not installed here: install it, or use .webp.")


def encode(frames: Iterable[Image.Image], out: Path, fps: int) -> None:
    """H.264 by ffmpeg, which takes pictures of even sides only: an odd one gets a black line more."""
    frames = (frame.convert("RGB") for frame in frames)
    first = next(frames)
    command = ["ffmpeg", "-y", "-loglevel", "error", "-f", "rawvideo", "-pix_fmt", "rgb24",
               "-s", f"{first.width}x{first.height}", "-r", str(fps), "-i", "-",
               "-vf", "pad=ceil(iw/2)*2:ceil(ih/2)*2", "-pix_fmt", "yuv420p", "-crf", "16", "-f", "mp4"]  # fmt: skip
    with replacing(out) as partial, TemporaryFile() as said:
        if fed([*command, str(partial)], (frame.tobytes() for frame in chain([first], frames)), said):
            said.seek(0)
            told = said.read().decode(errors="replace").strip().splitlines()
            raise MachineError(f"ffmpeg could not write {out}: {told[-1] if told else 'it did not say why'}.")


def fed(command: Sequence[str], parts: Iterable[bytes], said: IO[bytes]) -> int:
    """The exit code of a program that was given the parts one by one; it is not left behind when we are interrupted.
    What it says goes to a file: nobody reads beside it, and a full pipe would stop it."""
    with subprocess.Popen(command, stdin=subprocess.PIPE, stderr=said) as program:
        assert program.stdin is not None
        broken = suppress(BrokenPipeError)  # it gave up before the end: its exit code tells
        try:
            with broken:
                program.stdin.writelines(parts)
            with broken:
                program.stdin.close()
            return program.wait()
        except BaseException:
            program.kill()
            with broken:
                program.stdin.close()  # what waits there has no reader any more
            raise
