"""Figures from nearest neighbours in a feature space: precision, density, recall, coverage, and copies.

Kynkaanniemi et al. 2019 (arXiv:1904.06991) for precision and recall, Naeem et al. 2020 (arXiv:2002.09797) for
density and coverage. Compare only figures with equal counts, k and features.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class PRDC(NamedTuple):
    precision: float  # share of fakes inside the reals' k-NN balls
    recall: float  # share of reals inside the fakes' k-NN balls
    density: float  # how many reals' balls hold a fake, over k; 1 for equal distributions
    coverage: float  # share of reals whose ball holds a fake; 1 - 2^-k for equal distributions of equal count


def prdc(real: Tensor, fake: Tensor, k: int = 5) -> PRDC:
    """Features real [N, d] and fake [M, d], both with more than k rows."""
    real_radius, fake_radius = radii(real, k), radii(fake, k)  # [N], [M]
    distance = distances(real, fake)  # [N, M]
    in_real = distance < real_radius[:, None]
    in_fake = distance < fake_radius[None, :]
    return PRDC(
        precision=float(in_real.any(0).double().mean()),
        recall=float(in_fake.any(1).double().mean()),
        density=float(in_real.double().sum(0).mean() / k),
        coverage=float(in_real.any(1).double().mean()),
    )


def radii(features: Tensor, k: int) -> Tensor:
    """Distance of each row to its k-th nearest other row. [N]."""
    return distances(features, features).kthvalue(k + 1, dim=1).values  # the nearest of all is the row itself


def nearest_distance(samples: Tensor, references: Tensor) -> Tensor:
    """Distance of each sample [M, d] to the nearest reference [N, d]. [M]."""
    return distances(samples, references).min(dim=1).values


def distances(a: Tensor, b: Tensor) -> Tensor:
    """Euclidean, [N, M]. In float64: cdist's matrix product loses small distances far from the origin in float32."""
    return torch.cdist(a.double(), b.double())


def copy_rate(samples: Tensor, train: Tensor, held_out: Tensor, quantile: float = 0.05) -> float:
    """Share of samples nearer to a training image than the `quantile` of held-out real images are.

    `quantile` itself for a generator that copies no more than chance, 1 for one that only copies.
    """
    limit = torch.quantile(nearest_distance(held_out, train), quantile)
    return float((nearest_distance(samples, train) <= limit).double().mean())
