"""Augmentation of the data set, which G learns to imitate. Written from the papers; no code was copied."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from equipoise.augment.colour import colours, recombined
from equipoise.augment.draws import centred, named, per_sample, pixels, signed, whole

DATA_LAYOUT = (
    "flip_x", "flip_y", "crop", "crop_x", "crop_y", "turn", "shift_x", "shift_y", "scale", "brightness", "contrast",
    "saturation", "hue",
)  # fmt: skip


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
    return recombined(x, matrix, offset)
