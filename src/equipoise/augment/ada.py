"""The pipeline of adaptive augmentation in front of D (Karras et al. 2020, arXiv:2006.06676, appendix B), without the
filters and corruptions, which its main experiments leave out. Written from the paper; no code was copied.

Blits move pixels without touching their values; what is geometric resamples them once, by one composed transform;
colours are one matrix. Each transform has a coin of its own, which falls with probability p for each sample.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

from equipoise.augment.colour import colours, recombined
from equipoise.augment.draws import named, per_sample, require_images, signed
from equipoise.augment.resampling import mirrored, resampled

ADA_COLUMNS = 32  # some are spare
ADA_LAYOUT = (
    "use_flip", "flip", "use_quarter", "quarter", "use_shift", "shift_x", "shift_y",
    "use_scale", "scale", "use_before", "before", "use_stretch", "stretch", "use_after", "after",
    "use_move", "move_x", "move_y",
    "use_brightness", "brightness", "use_contrast", "contrast", "use_luma", "luma", "use_hue", "hue",
    "use_saturation", "saturation",
)  # fmt: skip
SHIFT = 1 / 8  # of the side, at most, in whole pixels
MOVE = 1 / 8  # of the side: deviation of the shift by parts of a pixel
SIZE = 0.2  # octaves: deviation of the scale, and of the stretch
BRIGHTNESS = 0.2  # deviation, where white is 1 and black -1
CONTRAST, SATURATION = 0.5, 1.0  # octaves: deviations


def ada_augment(x: Tensor, table: Tensor, p: float, kinds: Collection[str]) -> Tensor:
    """[B, C, H, W] in [-1, 1], by the kinds that are asked for of ada-blit, ada-geometric and ada-color.

    A sample of which no coin falls keeps its bits. Can be differentiated twice. `table` [B, ADA_COLUMNS] from `draws`.

    Raises:
        ValueError: for samples that are not images.
    """
    require_images(x)
    u = named(table, ADA_LAYOUT)
    with torch.autocast(x.device.type, enabled=False):  # places would be rounded to pixels
        if "ada-blit" in kinds:
            x = blitted(x, u, p)
        if "ada-geometric" in kinds:
            x = warped(x, u, p)
        if "ada-color" in kinds:
            x = regraded(x, u, p)
    return x


def blitted(x: Tensor, u: dict[str, Tensor], p: float) -> Tensor:
    """Mirrored (every other one), turned anticlockwise by quarters of a circle, shifted by whole pixels; what is
    uncovered is mirrored in. Images that are not square are turned by halves."""
    _, c, h, w = x.shape
    flipped = (u["use_flip"] < p) & (u["flip"] < 0.5)
    quarters = (4 * u["quarter"]).floor() if h == w else 2 * (2 * u["quarter"]).floor()
    quarters = per_sample(fallen(u, "quarter", p, quarters, 0), 3)
    down, right = (
        fallen(u, "shift", p, (signed(u[f"shift_{k}"]) * SHIFT * n).round(), 0) for k, n in (("y", h), ("x", w))
    )
    row = mirrored(torch.arange(h, device=x.device) - down.long()[:, None], h)[:, :, None]  # [B, H, 1]
    column = mirrored(torch.arange(w, device=x.device) - right.long()[:, None], w)[:, None]  # [B, 1, W]
    lying = quarters % 2 == 1
    row, column = torch.where(lying, column, row), torch.where(lying, row, column)
    row = torch.where(quarters >= 2, h - 1 - row, row)
    column = torch.where(per_sample(flipped, 3) ^ ((quarters == 1) | (quarters == 2)), w - 1 - column, column)
    source = (row * w + column).flatten(1)[:, None].expand(-1, c, -1)
    return x.flatten(2).gather(2, source).view(x.shape)


def warped(x: Tensor, u: dict[str, Tensor], p: float) -> Tensor:
    """Scaled, turned anticlockwise, stretched along one axis as much as shrunk along the other, turned again, and
    moved, in one resampling; what is uncovered is mirrored in."""
    b, _, h, w = x.shape
    p_turn = 1 - (1 - p) ** 0.5  # so that at least one of the two turns happens with probability p
    halves = torch.tensor((w / 2, h / 2), device=x.device)  # torch counts places in halves of the sides
    moves = [fallen(u, "move", p, 2 * MOVE * normal(u[f"move_{axis}"]), 0) for axis in "xy"]
    back = way_back(u, p, p_turn) * halves / halves[:, None]
    theta = torch.cat((back, -back @ torch.stack(moves, 1)[:, :, None]), 2)  # [B, 2, 3]
    places = F.affine_grid(theta, [b, 1, 2 * h, 2 * w], align_corners=False)
    moved = touched(u, {"scale": p, "before": p_turn, "stretch": p, "after": p_turn, "move": p})
    return torch.where(moved, resampled(x, places), x)


def way_back(u: dict[str, Tensor], p: float, p_turn: float) -> Tensor:
    """[B, 2, 2]: where (column, row) comes from, before it was scaled, turned, stretched and turned."""
    scale, stretch = (fallen(u, name, p, octaves(u[name], SIZE), 1) for name in ("scale", "stretch"))
    before, after = (turn(fallen(u, name, p_turn, torch.pi * signed(u[name]), 0)) for name in ("before", "after"))
    return before / torch.stack((scale * stretch, scale / stretch), 1)[:, None] @ after


def regraded(x: Tensor, u: dict[str, Tensor], p: float) -> Tensor:
    """Brighter, with more contrast, with light for dark, turned in hue, and more saturated; the last two for three
    channels only. All but the first act along the grey axis or across it, so one matrix and one number hold them."""
    names = ["brightness", "contrast", "luma"] + (["hue", "saturation"] if x.shape[1] == 3 else [])
    changed = touched(u, dict.fromkeys(names, p))
    brightness = fallen(u, "brightness", p, BRIGHTNESS * normal(u["brightness"]), 0)
    contrast = fallen(u, "contrast", p, octaves(u["contrast"], CONTRAST), 1)
    luma = fallen(u, "luma", p, 1 - 2 * (2 * u["luma"]).floor(), 1)
    offset = per_sample(brightness * contrast * luma).to(x.dtype)
    if x.shape[1] != 3:
        return torch.where(changed, per_sample(contrast * luma).to(x.dtype) * x + offset, x)
    hue = fallen(u, "hue", p, torch.pi * signed(u["hue"]), 0)
    saturation = fallen(u, "saturation", p, octaves(u["saturation"], SATURATION), 1)
    matrix = colours(*(per_sample(of, 3) for of in (contrast * saturation, hue, contrast * luma))).to(x.dtype)
    return torch.where(changed, recombined(x, matrix, offset), x)


def fallen(u: dict[str, Tensor], coin: str, p: float, values: Tensor, neutral: float) -> Tensor:
    """`values` [B] where the coin fell, elsewhere what changes nothing."""
    return torch.where(u[f"use_{coin}"] < p, values, neutral)


def touched(u: dict[str, Tensor], chances: Mapping[str, float]) -> Tensor:
    """Of which samples at least one coin falls. [B, 1, 1, 1]."""
    return per_sample(torch.stack([u[f"use_{coin}"] < p for coin, p in chances.items()]).any(0))


def turn(angle: Tensor) -> Tensor:
    """[B, 2, 2]: where (column, row) of an image comes from that is turned anticlockwise by `angle` [B]."""
    cos, sin = angle.cos(), angle.sin()
    return torch.stack((torch.stack((cos, -sin), 1), torch.stack((sin, cos), 1)), 1)


def octaves(u: Tensor, deviation: float) -> Tensor:
    """U[0, 1) -> 2^N(0, deviation^2)."""
    return torch.exp2(deviation * normal(u))


def normal(u: Tensor) -> Tensor:
    """U[0, 1) -> N(0, 1), number by number. torch's own normal numbers would depend on how many are drawn at once."""
    inside = u.double() + 2**-25  # draws are multiples of 2^-24: never 0 or 1
    deviates: Tensor = torch.special.ndtri(inside).to(u.dtype)
    return deviates
