"""BLEU of each sentence against all references (Papineni et al. 2002), and self-BLEU (Zhu et al. 2018:
arXiv:1802.01886).

As the literature on text GANs computes it: uniform weights, the length of the reference that is closest (of two, the
shorter), and 0.1 for a count of matches that is zero (method 1 of Chen and Cherry 2014). Its programs compare each
sentence with each reference; here the references are one table of n-grams, with the same values.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from equipoise.errors import DataError
from equipoise.metrics.estimate import Estimate, by_mean
from equipoise.metrics.ngrams import Counts, Ints, grams, lengths, most_in_another, most_in_one

Floats = NDArray[np.float64]

NO_MATCH = 0.1  # instead of no match at all: Chen and Cherry's method 1, as nltk has it
ORDERS = (2, 3, 4, 5)
SMOOTHING = {"smoothing": "method1", "weights": "uniform", "brevity": "closest"}


def sentence_bleu(tokens: Tensor, references: Tensor, most: int = 5) -> Tensor:
    """BLEU-1 to BLEU-`most` of each sentence [N, L] against all references [M, K]. [N, most] float64.

    Raises:
        DataError: without sentences or references.
    """
    require(1, tokens, references)
    matches = []
    for own, others in grams(tokens, references, most=most):
        kinds = 1 + max(int(own.gram.max(initial=0)), int(others.gram.max(initial=0)))
        matches.append(matched(own, most_in_one(others, kinds)[own.gram], len(tokens)))
    of, to = lengths(tokens), lengths(references)
    return torch.from_numpy(bleu_of(matches, of, closest(of, to)))


def sentence_self_bleu(tokens: Tensor, most: int = 5) -> Tensor:
    """The same of each sentence [N, L] against all the others. [N, most] float64.

    Raises:
        DataError: for fewer than two sentences.
    """
    require(2, tokens)
    matches = [matched(own, most_in_another(own), len(tokens)) for (own,) in grams(tokens, most=most)]
    of = lengths(tokens)
    return torch.from_numpy(bleu_of(matches, of, closest_other(of)))


def paired_bleu(tokens: Tensor, references: Tensor, most: int = 5) -> Tensor:
    """The same of each sentence [N, L] against its own reference alone, of [N, K]. [N, most] float64.

    Raises:
        DataError: without sentences.
    """
    require(1, tokens, references)
    matches = []
    for own, others in grams(tokens, references, most=most):
        kinds = 1 + max(int(own.gram.max(initial=0)), int(others.gram.max(initial=0)))
        asked, known = own.sentence * kinds + own.gram, others.sentence * kinds + others.gram
        place = np.minimum(np.searchsorted(known, asked), max(len(known) - 1, 0))
        limit = np.where(known[place] == asked, others.times[place], 0) if len(known) else np.zeros_like(own.times)
        matches.append(matched(own, limit, len(tokens)))
    return torch.from_numpy(bleu_of(matches, lengths(tokens), lengths(references)))


def matched(own: Counts, limit: Ints, n: int) -> Ints:
    """Of each of n sentences, how many of its n-grams are in a reference, each as often as in one of these. [n]."""
    found = np.zeros(n, dtype=np.int64)
    np.add.at(found, own.sentence, np.minimum(own.times, limit))
    return found


def bleu_of(matches: Sequence[Ints], of: Ints, reference: Ints) -> Floats:
    """Papineni et al., section 2.3, from the matches of 1-grams, 2-grams, ...; 0 where no token matches. [N, most]."""
    logs = []
    for n, found in enumerate(matches, 1):
        asked = np.maximum(of - n + 1, 1)
        logs.append(np.log(np.where(found > 0, found, NO_MATCH) / asked))
    mean = np.cumsum(np.stack(logs, 1), axis=1) / np.arange(1, len(matches) + 1)
    brevity = np.minimum(1 - reference / np.maximum(of, 1), 0)  # the logarithm of the penalty
    scores: Floats = np.where(matches[0][:, None] > 0, np.exp(brevity[:, None] + mean), 0.0)
    return scores


def closest(of: Ints, to: Ints) -> Ints:
    """The length in `to` that is closest to each in `of`; of two, the shorter. [N]."""
    known = np.unique(to)
    after = np.minimum(np.searchsorted(known, of), len(known) - 1)
    before = np.maximum(after - 1, 0)
    nearer: Ints = np.where(np.abs(known[before] - of) <= np.abs(known[after] - of), known[before], known[after])
    return nearer


def closest_other(of: Ints) -> Ints:
    """The same among the other sentences. [N]."""
    known, count = np.unique(of, return_counts=True)
    alone = {length: closest(np.array([length]), np.delete(known, i))[0] for i, length in enumerate(known)
             if count[i] == 1}  # fmt: skip
    found: Ints = np.array([alone.get(length, length) for length in of], dtype=np.int64)
    return found


def bleu(real: Tensor, fake: Tensor, orders: Sequence[int] = ORDERS) -> dict[str, Estimate]:
    """`bleu_2` ..: fakes [M, L] against all reals [N, K], quality; `back_bleu_2` ..: reals against fakes, how much of
    the data is drawn. 0 to 1; both grow with the count of references. Intervals over the scored sentences.
    """
    forward, backward = (sentence_bleu(a, b, max(orders)) for a, b in ((fake, real), (real, fake)))
    counts = len(fake), len(real)
    return {f"bleu_{n}": over_sentences(f"bleu_{n}", forward[:, n - 1], *counts) for n in orders} | {
        f"back_bleu_{n}": over_sentences(f"back_bleu_{n}", backward[:, n - 1], *counts) for n in orders
    }


def self_bleu(fake: Tensor, orders: Sequence[int] = ORDERS) -> dict[str, Estimate]:
    """`self_bleu_2` ..: each fake [M, L] against all the others; 1 where all are equal. It grows with M."""
    scores = sentence_self_bleu(fake, max(orders))
    return {f"self_bleu_{n}": over_sentences(f"self_bleu_{n}", scores[:, n - 1], len(fake), 0) for n in orders}


def over_sentences(name: str, scores: Tensor, n_fake: int, n_real: int) -> Estimate:
    protocol: dict[str, Any] = {"metric": name, **SMOOTHING}
    interval = by_mean(scores) if len(scores) > 1 else (None, None)
    return Estimate(float(scores.mean()), *interval, n_fake, n_real, protocol)


def require(least: int, *texts: Tensor) -> None:
    if (n := min(len(text) for text in texts)) < least:
        raise DataError(f"BLEU: {n} sentence(s), and it needs {least}.")
