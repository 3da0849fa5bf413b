"""DiffAugment in front of D (Zhao et al. 2020, arXiv:2006.10738). Written from the paper; no code was copied."""

from __future__ import annotations

from collections.abc import Collection

import torch
from torch import Tensor

from equipoise.augment.draws import named, per_sample, pixels, require_images, whole

D_LAYOUT = (
    "use_color", "use_translation", "use_cutout", "use_flip", "brightness", "saturation", "contrast", "shift_x",
    "shift_y", "cutout_x", "cutout_y", "flip",
)  # fmt: skip


def diff_augment(x: Tensor, table: Tensor, p: float, kinds: Collection[str]) -> Tensor:
    """DiffAugment in front of D (Zhao et al. 2020, arXiv:2006.10738): colour, translation by up to 1/8 of the side,
    cutout of a square of 1/2 of it; and flips, which the paper leaves to the data set. [B, C, H, W] in [-1, 1].

    Each kind is applied to a sample with probability `p`, as in ADA (Karras et al. 2020, arXiv:2006.06676); otherwise
    it leaves the sample's bits alone. The paper has p = 1. What is uncovered or cut out is 0, mid-grey. Can be
    differentiated twice. `table` [B, COLUMNS] from `draws`.

    Raises:
        ValueError: for samples that are not images.
    """
    require_images(x)
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
