"""Style mixing: the coarse styles of one sample with the fine ones of another (Karras et al. 2019, arXiv:1812.04948,
section 3.1 and figure 3)."""

from __future__ import annotations

import math

import numpy as np
from PIL import Image

from equipoise import pictures
from equipoise.errors import ConfigError
from equipoise.generator import TrainedGenerator
from equipoise.latents import Codes, Styles


def table(trained: TrainedGenerator, n: int, seed: int, label: int | None, coarse: int) -> Image.Image:
    """Rows give the first `coarse` styles and columns the others: about `n` pictures. The first row and the first
    column show the samples themselves; the rows' are those of `seed`, the columns' those of the seed after it.

    Raises:
        ConfigError: for a generator without styles, without so many, or without that class.
    """
    styles = required_styles(trained)
    layers = styles.G.layers
    if not 0 < coarse < layers:
        raise ConfigError(f"--mix {coarse}: this generator has {layers} styles, so give 1 to {layers - 1} of them.")
    side = max(1, math.isqrt(n))
    rows, columns = trained.codes(side, seed, label), trained.codes(side, seed + 1, label)
    mixed = styles.mixed(rows.at.repeat_interleave(side, 0), columns.at.repeat(side, 1, 1), coarse)
    cells = drawn(trained, Codes(mixed, rows.y.repeat_interleave(side)))
    above, beside = drawn(trained, columns), drawn(trained, rows)
    lines = [np.concatenate([np.full_like(above[:1], pictures.BACKGROUND), above])]
    lines += [np.concatenate([beside[i : i + 1], cells[i * side : (i + 1) * side]]) for i in range(side)]
    return pictures.grid(np.concatenate(lines), side + 1)


def required_styles(trained: TrainedGenerator) -> Styles:
    if not isinstance(trained.space, Styles):
        raise ConfigError(f"styles can be mixed where there are any, and nets.kind={trained.nets.kind} has none.")
    return trained.space


def drawn(trained: TrainedGenerator, codes: Codes) -> pictures.Pixels:
    return trained.drawn(codes).astype(np.uint8, copy=False)
