"""Classifier two-sample test: can a small net tell fakes from reals that it was not trained on?

Lopez-Paz and Oquab 2017 (arXiv:1610.06545), section 3.
"""

from __future__ import annotations

import math
import warnings
from typing import NamedTuple

import torch
from scipy.special import ndtr
from torch import Tensor

from equipoise.metrics.estimate import Estimate, by_splits, dealt
from equipoise.metrics.inputs import check_features
from equipoise.streams import Stream

HIDDEN = 20  # units, as in the paper, section 4
DECAY, EPOCHS = 1.0, 50  # of the weights, and passes: found to tell most, at 100 to 2,000 samples in 4 to 64 dimensions


class TwoSample(NamedTuple):
    accuracy: Estimate  # .5 where no difference is found, 1 where every sample is told
    p_value: float  # chance of so high an accuracy for equal distributions


def two_sample_test(real: Tensor, fake: Tensor, folds: int = 5, seed: int = 0) -> TwoSample:
    """Of features real [N, d] and fake [M, d], of which min(N, M) of both, at least 20, are told apart.

    Each fold is judged by a net trained on the others, so that every sample counts once and none is seen. For equal
    distributions the accuracy is about N(1/2, 1 / (8 min(N, M))). Interval from the folds.
    """
    check_features("two-sample test", 20, real=real, fake=fake)
    n = min(len(real), len(fake))
    order = [torch.randperm(len(x), generator=Stream(seed, "two samples").at(0))[:n] for x in (real, fake)]
    x = torch.stack([real[order[0]], fake[order[1]]]).float()  # [2, n, d]
    fold = dealt(n, folds, seed)
    correct = [told_apart(x[:, fold != f], x[:, fold == f], seed + f) for f in range(folds)]
    accuracy = sum(c * float((fold == f).sum()) for f, c in enumerate(correct)) / n
    net = f"MLP, {HIDDEN} hidden, decay {DECAY:g}, {EPOCHS} epochs"
    protocol = {"metric": "two_sample", "net": net, "folds": folds, "samples": n, "seed": seed}
    estimate = Estimate(accuracy, *by_splits(accuracy, correct), len(fake), len(real), protocol)
    return TwoSample(estimate, float(ndtr(-(accuracy - 0.5) * math.sqrt(8 * n))))


def told_apart(train: Tensor, test: Tensor, seed: int) -> float:
    """Share of test [2, b, d] that a net trained on [2, a, d] puts on its side: reals first, fakes second."""
    from sklearn.exceptions import ConvergenceWarning  # both take a second to import
    from sklearn.neural_network import MLPClassifier

    deviation, mean = torch.std_mean(train, (0, 1))
    (x, x_labels), (y, y_labels) = (
        (((part - mean) / deviation.clamp(min=1e-8)).flatten(0, 1).numpy(), [0] * part.shape[1] + [1] * part.shape[1])
        for part in (train, test)
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # a net that has not settled is judged as it is
        net = MLPClassifier((HIDDEN,), alpha=DECAY, learning_rate_init=1e-2, max_iter=EPOCHS, random_state=seed)
        net.fit(x, x_labels)
    return float(net.score(y, y_labels))
