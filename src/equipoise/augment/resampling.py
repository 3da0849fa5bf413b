"""Images looked up between their pixels, antialiased: on a grid of twice the resolution, and back.

Karras et al. 2020 (arXiv:2006.06676, appendix B) go there and back by an orthogonal wavelet, Sym6. Its filter leans to
one side, so that what is turned by half a circle is also shifted. Here: there by Lanczos' interpolation, which is
symmetric, and back to the image that comes nearest to it in squares (the pseudoinverse), so that there and back is the
image itself, and what is too fine for the pixels is gone. What lies outside is mirrored in. No code was copied.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd import Function

LOBES = 3  # of Lanczos' kernel on each side
BILINEAR, REFLECTION, WHOLE_PIXELS = 0, 2, False  # as torch's operators count them: mode, padding, corners


def resampled(x: Tensor, places: Tensor) -> Tensor:
    """x [B, C, H, W] at `places` [B, 2H, 2W, 2], which says of each pixel of the fine grid where it comes from:
    (column, row), -1 and 1 at the edges of the image. [B, C, H, W]."""
    _, _, h, w = x.shape
    (up, down), (up_w, down_w) = finer(h, x.dtype, x.device), finer(w, x.dtype, x.device)
    return down @ looked_up(up @ (x @ up_w.T), places.to(x.dtype)) @ down_w.T


@lru_cache(maxsize=16)
def finer(n: int, dtype: torch.dtype, device: torch.device) -> tuple[Tensor, Tensor]:
    """n pixels to 2n [2n, n], and 2n to n [n, 2n]."""
    place = (torch.arange(2 * n, dtype=torch.float64) - 0.5) / 2  # of the fine pixels, in coarse ones
    taps = place.floor().long()[:, None] + torch.arange(1 - LOBES, 1 + LOBES)  # [2n, 2 LOBES]
    away = place[:, None] - taps
    weight = torch.sinc(away) * torch.sinc(away / LOBES)
    up = torch.zeros(2 * n, n, dtype=torch.float64)
    up.scatter_add_(1, mirrored(taps, n), weight / weight.sum(1, keepdim=True))
    return up.to(device, dtype), torch.linalg.pinv(up).to(device, dtype)


def mirrored(place: Tensor, n: int) -> Tensor:
    """Places on an endless line of mirrored copies of n pixels -> 0, ..., n - 1."""
    place = place % (2 * n)
    return torch.where(place < n, place, 2 * n - 1 - place)


def looked_up(x: Tensor, places: Tensor) -> Tensor:
    """x [B, C, H, W] at places [B, h, w, 2], as F.grid_sample, and differentiable by x any number of times."""
    y: Tensor = LookUp.apply(x, places)  # type: ignore[no-untyped-call]
    return y


class LookUp(Function):
    """Linear in x: its gradient is its transpose, whose gradient is the look-up again. Older releases of torch cannot
    differentiate the gradient of theirs."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, places: Tensor) -> Tensor:
        ctx.save_for_backward(places)
        ctx.shape = x.shape
        return F.grid_sample(x, places, "bilinear", "reflection", align_corners=WHOLE_PIXELS)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor, None]:
        (places,) = ctx.saved_tensors
        return Spread.apply(g, places, ctx.shape), None  # type: ignore[no-untyped-call]


class Spread(Function):
    """Adds each value g [B, C, h, w] to the pixels that the look-up would take it from."""

    @staticmethod
    def forward(ctx: Any, g: Tensor, places: Tensor, shape: torch.Size) -> Tensor:
        ctx.save_for_backward(places)
        only_image = [True, False]
        x = g.new_empty(shape)  # of which only the shape matters
        gradients = torch.ops.aten.grid_sampler_2d_backward(
            g, x, places, BILINEAR, REFLECTION, WHOLE_PIXELS, only_image
        )
        image: Tensor = gradients[0]
        return image

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor, None, None]:
        (places,) = ctx.saved_tensors
        return looked_up(g, places), None, None
