"""The digits' judge: a classifier that no D has met, and what it says about samples."""

from __future__ import annotations

from functools import cached_property
from statistics import fmean

import torch
from torch import Tensor

from equipoise import generator
from equipoise.data.digits import digits
from equipoise.data.source import everything, scaled
from equipoise.encoders.classifier import accuracy, trained_classifier
from equipoise.metrics.copies import copy_rate
from equipoise.metrics.modes import kl_from_uniform, present
from equipoise.metrics.neighbours import prdc
from equipoise.runs.folder import RunFolder

K, QUANTILE = 5, 0.05


class Judge:
    """Trained on the 1,439 training digits; `held_out` are the 358 that neither it nor any D was trained on."""

    def __init__(self) -> None:
        data = digits()
        self.net = trained_classifier(data.train, seed=1234)
        self.accuracy = (accuracy(self.net, data.validation) + accuracy(self.net, data.test)) / 2
        assert self.accuracy >= 0.97, self.accuracy
        self.train = everything(data.train)[0]
        self.held_out = torch.cat([everything(data.validation)[0], everything(data.test)[0]])

    @cached_property
    def ceiling(self) -> dict[str, float]:
        """Precision and coverage of training images, taken for samples: what a perfect generator gets."""
        return self.neighbours(self.train)

    def neighbours(self, x: Tensor) -> dict[str, float]:
        """Against the held-out images, in disjoint groups of as many samples; the mean of the groups."""
        n, real = len(self.held_out), self.net.features(self.held_out)
        groups = [prdc(real, self.net.features(part), K, subsamples=0) for part in x[: len(x) // n * n].split(n)]
        return {
            name: fmean(getattr(g, name).value for g in groups)
            for name in ("precision", "recall", "density", "coverage")
        }

    def digits(self, x: Tensor) -> dict[str, float]:
        """The figures of the recipe `digits`."""
        shares = torch.bincount(self.net.classify(x), minlength=10).double() / len(x)
        f = self.net.features
        return {
            "smallest_class": float(shares.min()),
            **self.neighbours(x),
            "copies_in_features": copy_rate(f(self.train), f(x), f(self.held_out), QUANTILE).value,
            "copies_in_pixels": copy_rate(
                self.train.flatten(1), x.flatten(1), self.held_out.flatten(1), QUANTILE
            ).value,
        }

    def copy_limit(self, n: int) -> float:
        """The held-out images' own rate, plus two standard errors of the difference of two rates."""
        return QUANTILE + 2 * (QUANTILE * (1 - QUANTILE) * (1 / n + 1 / len(self.held_out))) ** 0.5

    def stacks(self, x: Tensor) -> dict[str, float]:
        """Modes and KL of stacked digits [N, 3, 8, 8]."""
        spelled = sum(self.net.classify(x[:, i : i + 1]) * 10 ** (2 - i) for i in range(3))
        assert isinstance(spelled, Tensor)
        return {"modes": present(spelled), "kl": kl_from_uniform(spelled, 1000)}


def samples_of(run: RunFolder, n: int) -> Tensor:
    """[n, C, H, W] in -1..1, as a file would hold them."""
    return scaled(torch.from_numpy(generator.from_file(run.model).sample(n)).permute(0, 3, 1, 2).contiguous())
