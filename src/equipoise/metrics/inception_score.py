"""Inception Score: are samples sure of their class, and are all classes there? Says nothing of variety within a class.

Salimans et al. 2016 (arXiv:1606.03498), section 4; what it cannot tell: Barratt and Sharma 2018 (arXiv:1801.01973).
"""

from __future__ import annotations

import torch
from torch import Tensor

from equipoise.errors import DataError
from equipoise.metrics.estimate import Estimate, by_splits, dealt
from equipoise.metrics.inputs import check_count


def score(p: Tensor) -> float:
    """exp E KL(p(y|x) || p(y)) of class probabilities [N, classes]: from 1 to the number of classes.

    The divergence is an information: H(y) - H(y|x).
    """
    return float((torch.special.entr(p.mean(0)).sum() - torch.special.entr(p).sum(1).mean()).exp())


def inception_score(logits: Tensor, splits: int = 10, seed: int = 0) -> Estimate:
    """Of a classifier's logits [N, classes] on the fakes; of probabilities, give their logarithms.

    Mean over `splits` equal parts, dealt at random: an order by class would make every part look poor. It grows with
    the samples in a part. The field reports 50,000 samples in 10 parts, on the classes of ImageNet.
    """
    if logits.ndim != 2 or logits.shape[1] < 2:
        raise DataError(
            f"Inception Score takes logits [samples, classes] of at least 2 classes; these are {list(logits.shape)}.\n"
            "Use an encoder that classifies."
        )
    check_count("Inception Score", 2 * splits, "logits", logits)
    p = logits.double().softmax(1)
    if p.isnan().any():
        raise DataError(
            f"Inception Score: {int(p.isnan().any(1).sum())} of {len(p)} rows of logits hold NaN or infinity."
        )
    part = dealt(len(p), splits, seed)
    scores = [score(p[part == s]) for s in range(splits)]
    value = sum(scores) / splits
    protocol = {"metric": "inception_score", "classes": p.shape[1], "splits": splits, "seed": seed}
    return Estimate(value, *by_splits(value, scores), len(logits), 0, protocol)
