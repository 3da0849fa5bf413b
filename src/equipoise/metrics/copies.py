"""Does the generator repeat its training data? Distances of samples to it, against those of held-out real data."""

from __future__ import annotations

import torch
from torch import Tensor

from equipoise.metrics.estimate import Estimate, jackknife
from equipoise.metrics.inputs import check_features
from equipoise.metrics.neighbours import nearest


def copy_rate(
    train: Tensor, fake: Tensor, held_out: Tensor, quantile: float = 0.05, groups: int = 20, seed: int = 0
) -> Estimate:
    """Share of fakes [M, d] nearer to the training data [N, d] than the `quantile` of held-out reals [H, d] are.

    `quantile` itself for a generator that copies no more than chance, 1 for one that only copies. H of at least
    1 / quantile. Interval by the jackknife over `groups` of fakes and of held-out reals (0: none).
    """
    check_features("copy rate", 2, train=train, fake=fake)
    check_features("copy rate", round(1 / quantile), train=train, held_out=held_out)
    of_fake, of_held_out = nearest(fake, train)[0], nearest(held_out, train)[0]

    def rate(fakes: Tensor, others: Tensor) -> float:
        return float((fakes <= torch.quantile(others, quantile)).double().mean())

    value = rate(of_fake, of_held_out)
    interval = jackknife(value, rate, of_fake, of_held_out, groups=groups, seed=seed)
    protocol = {"metric": "copy_rate", "quantile": quantile, "held_out": len(held_out)}
    return Estimate(value, *interval, len(fake), len(train), protocol)
