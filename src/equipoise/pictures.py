"""Samples as pictures. Numpy in, a PIL image out."""

from __future__ import annotations

import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from PIL.PngImagePlugin import PngInfo

Pixels = NDArray[np.uint8]
Shares = NDArray[np.float64]


class Picture(Protocol):
    """What shows samples."""

    def save(self, path: Path, /) -> None: ...


@dataclass(frozen=True)
class Lines:
    """Samples that are sentences: a text file in a picture's place."""

    lines: Sequence[str]

    def save(self, path: Path) -> None:
        path.with_suffix(".txt").write_text("".join(f"{line}\n" for line in self.lines), encoding="utf-8")


GUTTER = 2  # pixels between samples, after enlarging
BACKGROUND = 96
CELL = 48  # samples smaller than this are enlarged by a whole factor, without smoothing
BARS_WIDE, LINE = 900, 26  # pixels of a bar chart and of one of its lines
PLANE = 480  # pixels of a side of a scatter plot
MODES_HIGH = 240  # pixels of the highest bar of a mode
FRAME_MS, LAST_MS = 150, 1500  # how long a picture of a film is shown
FEWEST = 12  # pictures of a film that is made smaller
MISSING = 0.1  # of its share of the reals: a mode that is drawn less often is missing
REALS, FAKES, ALARM = (
    (150, 150, 150),
    (0, 114, 178),
    (213, 94, 0),
)  # told apart by the colour-blind (Okabe and Ito 2008)


SYNTHETIC = ("Synthetic", "made by a generative network (Equipoise); not a photograph, not for diagnosis")


def save(image: Image.Image, out: Path) -> None:
    """A picture that says in its metadata, where it is a PNG, that nobody took it. Raises as Pillow does."""
    about = PngInfo()
    about.add_text(*SYNTHETIC)
    if out.suffix.lower() == ".png":
        image.save(out, pnginfo=about)
    else:
        image.save(out)


def grid(images: Pixels, columns: int | None = None) -> Image.Image:
    """[N, H, W, C] uint8 -> one picture, row by row. C of 1 is grey, 3 is RGB; others stand side by side in grey."""
    if images.shape[3] not in (1, 3):
        images = np.concatenate(np.split(images, images.shape[3], axis=3), axis=2)
    n, h, w, c = images.shape
    scale = max(1, math.ceil(CELL / h))
    images = images.repeat(scale, axis=1).repeat(scale, axis=2)
    h, w = h * scale, w * scale
    columns = columns or math.ceil(math.sqrt(n))
    rows = math.ceil(n / columns)
    canvas = np.full((rows * (h + GUTTER) + GUTTER, columns * (w + GUTTER) + GUTTER, c), BACKGROUND, np.uint8)
    for i, image in enumerate(images):
        top, left = (i // columns) * (h + GUTTER) + GUTTER, (i % columns) * (w + GUTTER) + GUTTER
        canvas[top : top + h, left : left + w] = image
    return Image.fromarray(canvas.squeeze(2) if c == 1 else canvas)


def film(frames: Sequence[tuple[Image.Image, str]], most: int) -> bytes:
    """Pictures with their words as a GIF that repeats, of so many bytes at most where that can be: otherwise half of
    the pictures are left out, then all become smaller. The last one stays longest."""
    while True:
        made = animated(frames)
        if len(made) <= most or (len(frames) <= FEWEST and min(frames[0][0].size) <= CELL):
            return made
        if len(frames) > FEWEST:
            frames = [*frames[:-1:2], frames[-1]]
        else:
            frames = [(picture.reduce(2), told) for picture, told in frames]


def animated(frames: Sequence[tuple[Image.Image, str]]) -> bytes:
    first, *others = [captioned(picture, told) for picture, told in frames]
    durations = [FRAME_MS] * len(others) + [LAST_MS]
    file = io.BytesIO()
    first.save(file, "GIF", save_all=True, append_images=others, duration=durations, loop=0)
    return file.getvalue()


def captioned(picture: Image.Image, told: str) -> Image.Image:
    """On white, with its words below: in grey where it is."""
    mode = "L" if picture.mode in ("1", "L") else "RGB"
    canvas = Image.new(mode, (picture.width, picture.height + LINE), "white")
    canvas.paste(picture.convert(mode), (0, 0))
    words(ImageDraw.Draw(canvas), picture.height, told)
    return canvas


def strip(images: Pixels) -> Image.Image:
    """[N, H, W, C] uint8 -> a row of squares of CELL pixels; what is no colour shows its first channel."""
    shown = images if images.shape[3] == 3 else images[..., 0]
    canvas = Image.new("RGB", (CELL * len(images), CELL))
    for i, image in enumerate(shown):
        canvas.paste(Image.fromarray(image).convert("RGB").resize((CELL, CELL)), (CELL * i, 0))
    return canvas


def bars(panels: Mapping[str, Mapping[str, tuple[float, str]]]) -> Image.Image:
    """Panels of horizontal bars, one below the other: title -> name -> (share of the widest possible bar, words)."""
    font, bold = ImageFont.load_default(15), ImageFont.load_default(18)
    lines = sum(2 + len(rows) for rows in panels.values())
    canvas = Image.new("RGB", (BARS_WIDE, lines * LINE + 2 * GUTTER), "white")
    draw, top = ImageDraw.Draw(canvas), GUTTER
    for title, rows in panels.items():
        draw.text((12, top + 6), title, "black", bold)
        top += LINE + 4
        for name, (share, words) in rows.items():
            draw.text((12, top), name, "black", font)
            left, room = BARS_WIDE // 3, BARS_WIDE // 2
            draw.rectangle((left, top + 1, left + max(1, room * share), top + LINE - 8), fill=(27, 94, 144))
            draw.text((left + room * share + 8, top), words, (70, 70, 70), font)
            top += LINE
        top += LINE - 4
    return canvas


def scatter(points: NDArray[np.float32], reals: NDArray[np.float32]) -> Image.Image:
    """Points [N, 2] in orange over real points [M, 2] in grey, in a frame that holds the real ones."""
    canvas = np.full((PLANE, PLANE, 3), 255, np.uint8)
    half = 1.25 * float(np.abs(reals).max())
    for cloud, colour in ((reals, (190, 190, 190)), (points, (217, 95, 2))):
        at = ((cloud / half + 1) / 2 * (PLANE - 1)).round()
        at = at[np.isfinite(at).all(1) & (at >= 1).all(1) & (at < PLANE - 1).all(1)].astype(int)
        for dx, dy in ((0, 0), (1, 0), (0, 1), (1, 1)):
            canvas[PLANE - 1 - at[:, 1] - dy, at[:, 0] + dx] = colour
    return Image.fromarray(canvas)


def modes(real: Shares, fake: Shares, examples: Pixels) -> Image.Image:
    """Shares [K] of reals and of fakes by mode, side by side, and below them examples [K, H, W, C] of missing modes."""
    missing = np.flatnonzero(fake < MISSING * real)
    slot, highest = BARS_WIDE / len(real), max(real.max(), fake.max())
    chart = Image.new("RGB", (BARS_WIDE, MODES_HIGH + 3 * LINE), "white")
    draw, floor = ImageDraw.Draw(chart), MODES_HIGH + LINE + 8
    words(draw, 0, f"Reals (grey) and samples (blue) by mode; the highest bar is {highest:.3g} of all")
    for i in range(len(real)):
        for share, colour, at in ((real[i], REALS, 0.1), (fake[i], FAKES, 0.5)):
            left = slot * (i + at)
            draw.rectangle(
                (left, floor - MODES_HIGH * share / highest, max(left, left + 0.4 * slot - 1), floor), fill=colour
            )
        if i in missing:
            middle = slot * (i + 0.5)
            draw.polygon([(middle, floor + 3), (middle - 5, floor + 12), (middle + 5, floor + 12)], fill=ALARM)
    words(draw, floor + 14, f"{len(missing)} of {len(real)} modes are missing: less than {MISSING:.0%} of their share")
    return stacked([chart, grid(examples[missing], min(len(missing), 12))] if len(missing) else [chart])


def nearest(samples: Pixels, neighbours: Pixels, distances: Shares) -> Image.Image:
    """A line for each sample [N, H, W, C]: itself, then its nearest [N, k, H, W, C] with their distances [N, k]."""
    lines = []
    for sample, near, apart in zip(samples, neighbours, distances, strict=True):
        cells = [grid(image[None]) for image in (sample, *near)]
        wide, high = max(cells[0].width, 64), cells[0].height
        line = Image.new("RGB", (wide * len(cells) + LINE, high + LINE), "white")
        draw = ImageDraw.Draw(line)
        for i, (cell, told) in enumerate(zip(cells, ["sample", *(f"{value:.3g}" for value in apart)], strict=True)):
            left = i * wide + (LINE if i else 0)  # a gap between the sample and the others
            line.paste(cell, (left, 0))
            words(draw, high, told, left + 2)
        lines.append(line)
    return stacked(lines)


def words(draw: ImageDraw.ImageDraw, top: int, text: str, left: int = 8) -> None:
    draw.text((left, top + 2), text, "black", ImageFont.load_default(15))


def stacked(parts: Sequence[Image.Image]) -> Image.Image:
    """One below the other, on white."""
    canvas = Image.new("RGB", (max(part.width for part in parts), sum(part.height for part in parts)), "white")
    top = 0
    for part in parts:
        canvas.paste(part, (0, top))
        top += part.height
    return canvas
