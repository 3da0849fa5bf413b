"""Every picture judged by a small classifier that did not learn from it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from equipoise.data.hashes import Pixels, reduced
from equipoise.data.hooks import Track, untracked
from equipoise.data.source import InMemory, scaled
from equipoise.encoders.classifier import Classifier, trained_classifier
from equipoise.streams import Stream

FOLDS = 3
REPEATS = 1  # rounds of folds; twice the width does more for the same time
WIDTH = 16  # with 32 pixels a side at most: about a millisecond for a step's image on one core
SHOWN = 30_000  # images shown to each net, so that 60,000 pictures take minutes
MOST_EPOCHS = 20
CHUNK = 1000
NEAREST = 10  # the neighbour whose distance says how far from the others an image lies
REFERENCES = 10_000  # training images that distances are taken to


@dataclass(frozen=True)
class Judged:
    """Probabilities [N, classes] of nets that were not trained on the image; and how far from its neighbours among
    training images each lies in their features [N], as a multiple of the median.
    """

    probabilities: NDArray[np.float64]
    distances: NDArray[np.float64]


def judged(images: Pixels, labels: NDArray[np.int64], classes: int, track: Track = untracked) -> Judged:
    """Images [N, H, W, C] with labels 0 .. classes - 1 in `REPEATS` times `FOLDS` folds."""
    x = small(images)
    y = torch.from_numpy(labels)
    probabilities, distances = np.zeros((len(x), classes)), np.ones(len(x))
    for seed, rest, fold in track(folds(len(x)), "training judges", FOLDS * REPEATS):
        epochs = min(MOST_EPOCHS, SHOWN / len(rest))
        net = trained_classifier(InMemory(x[rest], y[rest], classes), seed=seed, epochs=epochs, width=WIDTH)
        logits, features = looked(net, x[fold])
        probabilities[fold] += logits.double().softmax(1).numpy() / REPEATS
        away = far(features, looked(net, x[rest[:REFERENCES]])[1])
        distances[fold] *= (away / away.median().clamp_min(1e-6)).numpy() ** (1 / REPEATS)
    return Judged(probabilities, distances)


def small(images: Pixels) -> Tensor:
    """uint8 [N, C, H, W] of 8 to about 32 pixels a side: what the small nets look at."""
    x = torch.from_numpy(reduced(images)).permute(0, 3, 1, 2)
    while min(x.shape[2:]) < 8:
        x = x.repeat_interleave(2, 2).repeat_interleave(2, 3)
    return x.contiguous()


def folds(count: int) -> Iterator[tuple[int, Tensor, Tensor]]:
    """(seed of the net, places to learn from, places to judge)."""
    for repeat in range(REPEATS):
        parts = torch.randperm(count, generator=Stream(0, "folds").at(repeat)).chunk(FOLDS)
        for i, fold in enumerate(parts):
            yield repeat * FOLDS + i, torch.cat([part for j, part in enumerate(parts) if j != i]), fold


@torch.no_grad()
def looked(net: Classifier, x: Tensor) -> tuple[Tensor, Tensor]:
    """Logits [N, classes] and features [N, 64] of uint8 images [N, C, H, W]."""
    features = torch.cat([net.features(scaled(part)) for part in torch.split(x, CHUNK)])
    return net.classes(features), features


def far(points: Tensor, among: Tensor, itself: bool = False) -> Tensor:
    """The distance [N] of each point to its 10th neighbour among others; `itself` when it is one of them."""
    k = min(NEAREST + itself, len(among))
    return torch.cat([torch.cdist(part, among).kthvalue(k, dim=1).values for part in torch.split(points, CHUNK)])
