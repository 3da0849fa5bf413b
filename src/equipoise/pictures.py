"""Samples as pictures. Numpy in, a PIL image out."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

Pixels = NDArray[np.uint8]

GUTTER = 2  # pixels between samples, after enlarging
BACKGROUND = 96
CELL = 48  # samples smaller than this are enlarged by a whole factor, without smoothing
BARS_WIDE, LINE = 900, 26  # pixels of a bar chart and of one of its lines
PLANE = 480  # pixels of a side of a scatter plot


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
