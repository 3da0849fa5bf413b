"""Modes that can be counted: those of a mixture of Gaussians, and those that are spelled by classes."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

NEAR = 3.0  # standard deviations of a mode within which a sample has high quality (PacGAN's MetricLogger)
PERFECT_HIGH_QUALITY = 1 - math.exp(-(NEAR**2) / 2)  # .9889 in the plane: above it, the modes have shrunk


@dataclass(frozen=True)
class Capture:
    """How samples lie on the modes of a mixture."""

    shares: Tensor  # [K]: of all samples, those of high quality that lie on each mode
    high_quality: float  # share of samples within 3 sigma of a mode
    spread: float  # mean squared distance of these to their mode, over that of a perfect sampler

    def covered(self, fair: float = 0.05) -> int:
        """Modes with at least `fair` of their fair share 1 / K."""
        return int((self.shares >= fair / len(self.shares)).sum())


def captured(samples: Tensor, centres: Tensor, sigma: float) -> Capture:
    """Samples [N, 2] against modes N(centre, sigma^2 I), centres [K, 2].

    The protocol of VEEGAN and PacGAN: 2,500 samples, high quality within 3 sigma of the nearest centre.
    """
    distance, nearest = torch.cdist(samples.double(), centres.double()).min(dim=1)
    good = distance < NEAR * sigma  # NaN is never near
    shares = torch.bincount(nearest[good], minlength=len(centres)).double() / len(samples)
    # E[r^2 | r < 3 sigma] of a perfect sampler: r^2 / (2 sigma^2) is exponential, cut at 4.5
    cut = NEAR**2 / 2
    ideal = 2 * sigma**2 * (1 - cut * math.exp(-cut) / (1 - math.exp(-cut)))
    spread = float(distance[good].square().mean() / ideal) if good.any() else 0.0
    return Capture(shares, float(good.double().mean()), spread)


def kl_from_uniform(classes: Tensor, count: int) -> float:
    """KL(samples || uniform) in nats of classes [N] out of `count`: 0 when all are equally frequent.

    'Reverse KL' in the literature on stacked MNIST. N samples of a uniform source give about (count - 1) / (2 N).
    """
    p = torch.bincount(classes, minlength=count).double() / len(classes)
    return float(torch.special.entr(p).sum().neg() + math.log(count))


def present(classes: Tensor) -> int:
    """How many different classes occur."""
    return len(torch.unique(classes))
