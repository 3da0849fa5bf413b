"""The digits' judge: a classifier that no D has met, and what it says about samples."""

from __future__ import annotations

import copy
from functools import cached_property
from statistics import fmean

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from equipoise import generator
from equipoise.data.digits import digits
from equipoise.data.source import everything, scaled
from equipoise.encoders.classifier import Classifier, accuracy, trained_classifier
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
    def fast(self) -> Classifier:
        return folded(self.net)

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
        digits = x.flatten(0, 1)[:, None].contiguous(memory_format=torch.channels_last)  # [3 N, 1, 8, 8]
        spelled = self.fast.classify(digits, chunk=500).view(-1, 3) @ torch.tensor([100, 10, 1])
        return {"modes": present(spelled), "kl": kl_from_uniform(spelled, 1000)}


def folded(net: Classifier) -> Classifier:
    """The same function with its batch norms inside the convolutions, channels last: three times as fast on a CPU."""
    fast, layers = copy.deepcopy(net), list[nn.Module]()
    for layer in fast.convolutions:
        if isinstance(layer, nn.BatchNorm2d):
            convolution = layers.pop()
            assert isinstance(convolution, nn.Conv2d)
            layers.append(fuse_conv_bn_eval(convolution, layer))
        else:
            layers.append(layer)
    fast.convolutions = nn.Sequential(*layers)
    return fast.to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def samples_of(run: RunFolder, n: int) -> Tensor:
    """[n, C, H, W] in -1..1, as a file would hold them."""
    return scaled(torch.from_numpy(generator.from_file(run.model).sample(n)).permute(0, 3, 1, 2).contiguous())
