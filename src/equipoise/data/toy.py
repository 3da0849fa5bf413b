"""Mixtures of Gaussians in the plane, whose modes can be counted: Srivastava et al. 2017 (VEEGAN, arXiv:1705.07761)
as fixed by the code of PacGAN (Lin et al. 2018, arXiv:1712.04086).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from equipoise.data.source import InMemory, Splits
from equipoise.streams import Stream

TRAIN, HELD_OUT = 100_000, 5_000  # points


@dataclass(frozen=True)
class Mixture:
    """Equal shares of N(centre, sigma^2 I)."""

    centres: Tensor  # [K, 2]
    sigma: float

    def sample(self, n: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Points [n, 2] and the mode of each [n]."""
        mode = torch.randint(len(self.centres), (n,), generator=generator)
        return self.centres[mode] + self.sigma * torch.randn(n, 2, generator=generator), mode


def ring() -> Mixture:
    """8 modes at angles 2 pi i / 8 on a circle of radius 1, sigma .01.

    A notebook that is often copied takes linspace(0, 2 pi, 8) with both ends, and so has 7 modes.
    """
    angle = torch.arange(8, dtype=torch.float64) * (2 * math.pi / 8)
    return Mixture(torch.stack([angle.cos(), angle.sin()], dim=1).float(), sigma=0.01)


def grid() -> Mixture:
    """25 modes on {-4, -2, 0, 2, 4}^2, sigma .05."""
    side = torch.tensor([-4.0, -2.0, 0.0, 2.0, 4.0])
    return Mixture(torch.cartesian_prod(side, side), sigma=0.05)


MIXTURES = {"ring": ring, "grid": grid}


def splits(mixture: Mixture, seed: int = 0) -> Splits:
    """100,000 fixed points to train on; the mode of a point is its class."""
    draws = Stream(seed, "mixture")
    sizes = (TRAIN, HELD_OUT, HELD_OUT)
    return Splits(*(InMemory(*mixture.sample(n, draws.at(i)), len(mixture.centres)) for i, n in enumerate(sizes)))
