"""Augmentation: of the data set, which G learns to imitate, and in front of D, which G should not see.

Each sample has one row of uniform numbers, drawn at once and in a fixed layout: a function of the sample's place alone,
so that it does not matter how the samples are cut into batches or over processes.

Written from the papers; no code was copied.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from equipoise.streams import Stream

COLUMNS = 16  # some are spare, so that one more transform leaves the draws of the others alone
BLOCK = 256  # rows that share a generator

DATA_LAYOUT = (
    "flip_x", "flip_y", "crop", "crop_x", "crop_y", "turn", "shift_x", "shift_y", "scale", "brightness", "contrast",
    "saturation", "hue",
)  # fmt: skip
D_LAYOUT = (
    "use_color", "use_translation", "use_cutout", "use_flip", "brightness", "saturation", "contrast", "shift_x",
    "shift_y", "cutout_x", "cutout_y", "flip",
)  # fmt: skip


def draws(n: int, generator: torch.Generator) -> Tensor:
    """All that is random about n samples: U[0, 1) [n, COLUMNS], a row for each."""
    return torch.rand(n, COLUMNS, generator=generator, device=generator.device)


def rows(stream: Stream, start: int, count: int) -> Tensor:
    """Rows start .. start + count of an endless table of draws. [count, COLUMNS]."""
    first, last = start // BLOCK, (start + count - 1) // BLOCK
    table = torch.cat([draws(BLOCK, stream.at(block)) for block in range(first, last + 1)])
    return table[start - first * BLOCK :][:count]


def named(table: Tensor, layout: tuple[str, ...]) -> dict[str, Tensor]:
    """The columns [n] by name; the spare ones are left out."""
    return dict(zip(layout, table.unbind(1), strict=False))


@dataclass(frozen=True)
class Ranges:
    """How far samples of the data set are varied, each by its own draw; 0 is off. What a side is: see `varied`."""

    crop: float = 0.0  # at most this share of the side is cut away
    turn_degrees: float = 0.0  # either way
    shift: float = 0.0  # share of the side, either way, in whole pixels
    scale: float = 0.0  # sizes 1 - scale .. 1 + scale
    brightness: float = 0.0  # share of the way from black to white, either way
    contrast: float = 0.0  # factors 1 - contrast .. 1 + contrast, about mid-grey
    saturation: float = 0.0  # factors 1 - saturation .. 1 + saturation
    hue: float = 0.0  # share of the circle of colours, either way
    flip_x: bool = False  # left and right change places in every other sample
    flip_y: bool = False

    @property
    def moves(self) -> bool:
        return bool(self.crop or self.turn_degrees or self.shift or self.scale)

    @property
    def tints(self) -> bool:
        return bool(self.brightness or self.contrast or self.saturation or self.hue)


def varied(x: Tensor, table: Tensor, ranges: Ranges) -> Tensor:
    """Samples of the data set, varied: flipped, then moved, then tinted. [B, C, H, W] in [-1, 1].

    `table` [B, COLUMNS] from `rows`. Without what moves or tints no pixel is resampled.
    """
    u = named(table, DATA_LAYOUT)
    for name, dim, on in (("flip_x", 3, ranges.flip_x), ("flip_y", 2, ranges.flip_y)):
        if on:
            x = torch.where(per_sample(u[name] < 0.5), x.flip(dim), x)
    if ranges.moves:
        x = moved(x, u, ranges)
    if ranges.tints:
        x = tinted(x, u, ranges)
    return x.clamp(-1, 1)


def moved(x: Tensor, u: dict[str, Tensor], ranges: Ranges) -> Tensor:
    """Cropped, scaled, turned anticlockwise and shifted in one resampling; what lies outside is mirrored in.

    Bicubic, which blurs less than bilinear; at whole pixels both are exact.
    """
    _, _, h, w = x.shape
    kept = 1 - ranges.crop * u["crop"]
    zoom = kept / (1 + ranges.scale * signed(u["scale"]))
    angle = torch.deg2rad(ranges.turn_degrees * signed(u["turn"]))
    cos, sin = per_sample(zoom * angle.cos(), 3), per_sample(zoom * angle.sin(), 3)
    right = signed(u["crop_x"]) * (1 - kept) * w / 2 - whole(u["shift_x"], pixels(ranges.shift, w))
    down = signed(u["crop_y"]) * (1 - kept) * h / 2 - whole(u["shift_y"], pixels(ranges.shift, h))
    column, row = centred(w, x.device), centred(h, x.device)[:, None]
    from_column = cos * column - sin * row + per_sample(right, 3)  # [B, H, W], where each pixel comes from
    from_row = sin * column + cos * row + per_sample(down, 3)
    places = torch.stack((from_column * 2 / w, from_row * 2 / h), 3).to(x.dtype)
    return F.grid_sample(x, places, mode="bicubic", padding_mode="reflection", align_corners=False)


def tinted(x: Tensor, u: dict[str, Tensor], ranges: Ranges) -> Tensor:
    """One matrix and one offset per sample; only brightness and contrast where there are not three channels."""
    offset = per_sample(2 * ranges.brightness * signed(u["brightness"])).to(x.dtype)  # black to white is 2
    gain = 1 + ranges.contrast * signed(u["contrast"])
    if x.shape[1] != 3:
        return per_sample(gain).to(x.dtype) * x + offset
    strength = per_sample(1 + ranges.saturation * signed(u["saturation"]), 3)
    angle = per_sample(2 * torch.pi * ranges.hue * signed(u["hue"]), 3)
    matrix = (per_sample(gain, 3) * colours(strength, angle)).to(x.dtype)
    red, green, blue = (matrix[:, :, i, None, None] * x[:, i : i + 1] for i in range(3))  # columns times channels
    return red + green + blue + offset


def colours(saturation: Tensor, hue: Tensor) -> Tensor:
    """[B, 3, 3]: what is along the grey axis (1, 1, 1) stays; what is across it is scaled, and turned by `hue` radians
    about the axis (Rodrigues), a third of the circle from red to green. Both [B, 1, 1]."""
    along = torch.full((3, 3), 1 / 3, device=hue.device)
    across = torch.eye(3, device=hue.device) - along
    about = torch.tensor([[0.0, -1, 1], [1, 0, -1], [-1, 1, 0]], device=hue.device) / 3**0.5
    return along + saturation * (hue.cos() * across + hue.sin() * about)


def diff_augment(x: Tensor, table: Tensor, p: float, kinds: Collection[str]) -> Tensor:
    """DiffAugment in front of D (Zhao et al. 2020, arXiv:2006.10738): colour, translation by up to 1/8 of the side,
    cutout of a square of 1/2 of it; and flips, which the paper leaves to the data set. [B, C, H, W] in [-1, 1].

    Each kind is applied to a sample with probability `p`, as in ADA (Karras et al. 2020, arXiv:2006.06676); otherwise
    it leaves the sample's bits alone. The paper has p = 1. What is uncovered or cut out is 0, mid-grey. Can be
    differentiated twice. `table` [B, COLUMNS] from `draws`.

    Raises:
        ValueError: for samples that are not images.
    """
    if x.ndim != 4:
        raise ValueError(f"augmentation in front of D is for images [B, C, H, W], not {list(x.shape)}")
    u = named(table, D_LAYOUT)
    if "color" in kinds:
        x = torch.where(per_sample(u["use_color"] < p), recolored(x, u), x)
    if "translation" in kinds or "flip" in kinds:
        x = carried(x, u, p if "translation" in kinds else 0, p if "flip" in kinds else 0)
    if "cutout" in kinds:
        x = x.masked_fill(per_sample(u["use_cutout"] < p) & square(u, *x.shape[2:]), 0)
    return x


def seen_again(x: Tensor, table: Tensor, p_flip: float) -> Tensor:
    """Each sample shifted by up to 1/8 of the side, and every other one mirrored with probability `p_flip`: what D
    should not mind (Zhang et al. 2020, arXiv:1910.12027). [B, C, H, W]; `table` [B, COLUMNS] from `draws`."""
    return carried(x, named(table, D_LAYOUT), 1, p_flip)


def recolored(x: Tensor, u: dict[str, Tensor]) -> Tensor:
    """Brightness plus U(-.5, .5), saturation times U(0, 2), contrast times U(.5, 1.5), as in the paper's code.
    Saturation is about the mean of a pixel's channels, contrast about the mean of the image."""
    x = x + per_sample(u["brightness"] - 0.5).to(x.dtype)
    grey = x.mean(1, keepdim=True)
    x = grey + (x - grey) * per_sample(2 * u["saturation"]).to(x.dtype)
    mean = x.mean((1, 2, 3), keepdim=True)
    return mean + (x - mean) * per_sample(0.5 + u["contrast"]).to(x.dtype)


def carried(x: Tensor, u: dict[str, Tensor], p_shift: float, p_flip: float) -> Tensor:
    """Mirrored (every other one of those that are chosen), then shifted by whole pixels. Zeros come in."""
    _, c, h, w = x.shape
    shifted, mirrored = u["use_translation"] < p_shift, (u["use_flip"] < p_flip) & (u["flip"] < 0.5)
    row = torch.arange(h, device=x.device) - (whole(u["shift_y"], pixels(1 / 8, h)) * shifted).long()[:, None]  # [B, H]
    column = torch.arange(w, device=x.device) - (whole(u["shift_x"], pixels(1 / 8, w)) * shifted).long()[:, None]
    outside = ((row < 0) | (row >= h))[:, :, None] | ((column < 0) | (column >= w))[:, None]  # [B, H, W]
    column = torch.where(mirrored[:, None], w - 1 - column, column)
    source = (row % h * w)[:, :, None] + (column % w)[:, None]  # a permutation: no gradient is added to another
    taken = x.flatten(2).gather(2, source.flatten(1)[:, None].expand(-1, c, -1))
    return taken.view(x.shape).masked_fill(outside[:, None], 0)


def square(u: dict[str, Tensor], h: int, w: int) -> Tensor:
    """A mask [B, 1, H, W] of half the side, centred anywhere in the image: it may reach over the border."""
    rows, columns = (within(u[name], n) for name, n in (("cutout_y", h), ("cutout_x", w)))
    return (rows[:, :, None] & columns[:, None])[:, None]


def within(u: Tensor, n: int) -> Tensor:
    """Which of n places lie in an interval of half the length, rounded up. [B, n]."""
    size = (n + 1) // 2
    first = (u * (n + 1 - size % 2)).floor()[:, None] - size // 2
    place = torch.arange(n, device=u.device)
    return (place >= first) & (place < first + size)


def signed(u: Tensor) -> Tensor:
    """U[0, 1) -> U[-1, 1)."""
    return 2 * u - 1


def whole(u: Tensor, most: int) -> Tensor:
    """U[0, 1) -> one of -most, ..., most."""
    return (u * (2 * most + 1)).floor() - most


def pixels(share: float, side: int) -> int:
    """The nearest number of pixels, but one at least, where the share is not 0."""
    return max(1, round(share * side)) if share else 0


def centred(n: int, device: torch.device) -> Tensor:
    """Places of n pixels from the middle, in pixels. [n]."""
    return torch.arange(n, device=device) - (n - 1) / 2


def per_sample(values: Tensor, ndim: int = 4) -> Tensor:
    """[B] -> [B, 1, 1, 1], or as many dimensions as `ndim`."""
    return values.view(-1, *[1] * (ndim - 1))
