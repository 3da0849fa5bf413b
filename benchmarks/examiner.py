"""The pictures' judge: a classifier of the training images that no D has met, and what it says about samples."""

from __future__ import annotations

import torch
from torch import Tensor

from equipoise.data.hooks import untracked
from equipoise.data.source import Splits, everything
from equipoise.encoders.classifier import accuracy, trained_classifier
from equipoise.metrics import copy_rate, frechet_distance, kernel_distance, prdc
from equipoise.metrics.estimate import Estimate

PRACTICE = 60_000  # pictures that it is shown in training, however few there are
SAMPLES = 2000

Figure = tuple[float, float | None, float | None]  # with its 95% interval


class Examiner:
    """Judges by the first n test images. Its own training data may be other than a game's: see `copies`."""

    def __init__(self, data: Splits, n: int = SAMPLES, seed: int = 4321):
        epochs = max(1.0, PRACTICE / len(data.train))
        self.net = trained_classifier(data.train, seed=seed, epochs=epochs, width=16, track=untracked)
        self.accuracy, self.classes = accuracy(self.net, data.test), data.train.classes
        self.n = min(n, len(data.test))
        self.real = self.net.features(data.test.take(torch.arange(self.n))[0])

    def figures(self, fake: Tensor) -> dict[str, Figure]:
        """Of as many samples as there are reals, [n, C, H, W] in -1..1."""
        seen = self.net.features(fake)
        neighbours = prdc(self.real, seen)
        shares = torch.bincount(self.net.classify(fake), minlength=self.classes).double() / len(fake)
        found = {"fd": frechet_distance(self.real, seen), "kid": kernel_distance(self.real, seen)}
        found |= {name: getattr(neighbours, name) for name in ("precision", "recall", "density", "coverage")}
        return {name: figure(value) for name, value in found.items()} | {
            "smallest_class": (float(shares.min()), None, None)
        }

    def copies(self, fake: Tensor, data: Splits) -> Figure:
        """Share of samples nearer to a training image of `data` than 5% of the test images are."""
        train, held_out = (self.net.features(everything(part)[0]) for part in (data.train, data.test))
        return figure(copy_rate(train, self.net.features(fake), held_out))

    def taken_for(self, fake: Tensor, label: int) -> float:
        """Share of samples that are taken for this class."""
        return float((self.net.classify(fake) == label).double().mean())


def figure(found: Estimate) -> Figure:
    return found.value, found.low, found.high
