"""Perceptual path length: how much a picture changes with a small step of its latent.

Karras, Laine and Aila 2019 (arXiv:1812.04948), section 4.1.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import normalize

from equipoise.errors import DataError
from equipoise.metrics.estimate import Estimate, jackknife
from equipoise.streams import Stream


def slerp(a: Tensor, b: Tensor, t: Tensor) -> Tensor:
    """Along the great circle between the directions of a and b [N, z], at t [N] in 0..1 (Shoemake 1985, eq. 2)."""
    a, b, t = normalize(a), normalize(b), t[:, None]
    away = normalize(b - (a * b).sum(1, keepdim=True) * a)  # orthogonal to a
    angle = torch.atan2((away * b).sum(1, keepdim=True), (a * b).sum(1, keepdim=True)) * t
    return a * torch.cos(angle) + away * torch.sin(angle)


def path_length(
    generate: Callable[[Tensor], Tensor],
    distance: Callable[[Tensor, Tensor], Tensor],
    z_dim: int,
    n: int = 50_000,
    step: float = 1e-4,
    batch: int = 64,
    groups: int = 10,
    seed: int = 0,
) -> Estimate:
    """Mean of distance(generate(z), generate(z')) / step^2 for z, z' on the circle through two latents, `step` apart.

    `generate` maps latents [B, z_dim] to images, `distance` two batches of images to [B]: LPIPS in the paper, and like
    it quadratic in small differences. The lowest and the highest hundredth are left out. 0 for a generator that ignores
    z. Interval by the jackknife over `groups` (0: none).

    Images must be floats: rounding to bytes is far larger than such a step.
    """
    if n < 100:
        raise DataError(f"path length leaves out the lowest and highest hundredth, and so needs 100 pairs; n is {n}.")
    stream = Stream(seed, "path length")
    a, b = torch.randn(2, n, z_dim, generator=stream.at(0)).unbind()
    t = torch.rand(n, generator=stream.at(1))
    radius = z_dim**0.5  # of a typical latent; the generator may not normalise its z
    values = []
    with torch.no_grad():
        for one, other, at in zip(*(torch.split(x, batch) for x in (a, b, t)), strict=True):
            # in float64, for float32 cannot tell cosines of such near angles apart
            z = [radius * slerp(one.double(), other.double(), at.double() + shift) for shift in (0.0, step)]
            here, there = generate(z[0].float()), generate(z[1].float())
            values.append(distance(here, there).double().cpu() / step**2)
    lengths = torch.cat(values)
    if not torch.isfinite(lengths).all():
        raise DataError(f"path length: {int((~torch.isfinite(lengths)).sum())} of {n} distances are not finite.")
    value = trimmed_mean(lengths)
    protocol = {"metric": "path_length", "space": "z, slerp", "step": step, "seed": seed}
    return Estimate(value, *jackknife(value, trimmed_mean, lengths, groups=groups, seed=seed), n, 0, protocol)


def trimmed_mean(x: Tensor) -> float:
    """Without what lies under the first or over the last hundredth."""
    low, high = (torch.quantile(x, q) for q in (0.01, 0.99))
    return float(x[(x >= low) & (x <= high)].mean())
