"""How varied sentences are, and how many are taken from the training data word for word."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from equipoise.errors import DataError
from equipoise.metrics.estimate import Estimate, by_count
from equipoise.metrics.ngrams import grams

ORDERS = (1, 2, 3, 4)


def distinct(fake: Tensor, orders: Sequence[int] = ORDERS) -> dict[str, Estimate]:
    """`distinct_1` ..: different n-grams over all n-grams of fakes [N, L] (Li et al. 2016, arXiv:1510.03055).

    It falls with N: compare at equal counts. No interval, for parts of the samples have another value.

    Raises:
        DataError: where no sentence has so many tokens.
    """
    found = {}
    for n, (counts,) in enumerate(grams(fake, most=max(orders)), 1):
        if n not in orders:
            continue
        if not (total := int(counts.times.sum())):
            raise DataError(f"distinct-{n}: no sentence has {n} tokens.")
        kinds = int(counts.gram.max()) + 1
        found[f"distinct_{n}"] = Estimate(kinds / total, None, None, len(fake), 0, {"metric": "distinct", "n": n})
    return found


def repeats(fake: Tensor) -> Estimate:
    """Share of fakes [N, L] that are word for word another one that came before. It grows with N."""
    value = 1 - len(set(sentences(fake))) / len(fake)
    return Estimate(value, *by_count(value, len(fake)), len(fake), 0, {"metric": "repeats"})


def verbatim(train: Tensor, samples: Tensor) -> Estimate:
    """Share of samples [N, L] that stand word for word in the training data [M, K]."""
    known = set(sentences(train))
    value = sum(sentence in known for sentence in sentences(samples)) / len(samples)
    return Estimate(value, *by_count(value, len(samples)), len(samples), len(train), {"metric": "verbatim"})


def words_used(fake: Tensor) -> int:
    """Different tokens in sentences [N, L]."""
    return len(torch.unique(fake[fake != 0]))


def sentences(tokens: Tensor) -> list[tuple[int, ...]]:
    """Each as its tokens, without the zeros behind."""
    return [tuple(row[:n]) for row, n in zip(tokens.tolist(), (tokens != 0).sum(1).tolist(), strict=True)]
