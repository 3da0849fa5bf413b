"""Features of sentences, learnt here from the training data: latent semantic analysis (Deerwester et al. 1990) of their
words and pairs of words. Sentences about the same things lie near each other; what is said the same way, too.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_array
from torch import Tensor

from equipoise.encoders.encoder import Look
from equipoise.metrics.ngrams import counted

BUCKETS, DIMENSION, LEARNT_FROM = 1024, 64, 10_000  # hashed words and pairs; features; sentences, at most
PRIMES = 1_000_003, 7_919  # that a pair's two tokens are hashed by


@dataclass(frozen=True)
class SentenceEncoder:
    """Of tokens [N, L], 0 behind each sentence."""

    weight: NDArray[np.float64] = field(repr=False)  # [BUCKETS]: the rarer, the more it says
    axes: NDArray[np.float64] = field(repr=False)  # [BUCKETS, d]

    @property
    def protocol(self) -> Mapping[str, Any]:
        digest = hashlib.sha256(self.axes.tobytes() + self.weight.tobytes()).hexdigest()
        return {"name": "sentences", "dimension": self.axes.shape[1], "sha256": digest}

    def look(self, images: Tensor) -> Look:
        """Of sentences, whose tokens may have been rounded off by who moved them."""
        rows = hashed(images.round().long().clamp(min=0))
        return Look(torch.from_numpy(np.asarray(directed(rows, self.weight) @ self.axes)).float())


def sentence_encoder(tokens: Tensor) -> SentenceEncoder:
    """Learnt from sentences [N, L]."""
    rows = hashed(tokens[:LEARNT_FROM])
    known = np.bincount(rows.indices, minlength=BUCKETS)  # sentences that have it
    weight = np.log((1 + rows.shape[0]) / (1 + known)) + 1  # Sparck Jones 1972, smoothed
    seen = directed(rows, weight)
    _, axes = np.linalg.eigh(np.asarray((seen.T @ seen).todense()))  # the same each time, where an iteration may draw
    return SentenceEncoder(weight, axes[:, : -1 - DIMENSION : -1].copy())


def hashed(tokens: Tensor) -> csr_array:
    """How often each sentence has each word and each pair. [N, BUCKETS]."""
    x = tokens.numpy()
    said = x != 0
    pair = said[:, 1:] & said[:, :-1]
    bucket = np.concatenate([(x * PRIMES[1])[said], (x[:, :-1] * PRIMES[0] + x[:, 1:] * PRIMES[1] + 1)[pair]]) % BUCKETS
    place = np.concatenate([np.nonzero(said)[0], np.nonzero(pair)[0]])
    found = counted(place, bucket)
    return csr_array((found.times.astype(float), (found.sentence, found.gram)), shape=(len(x), BUCKETS))


def directed(rows: csr_array, weight: NDArray[np.float64]) -> csr_array:
    """Weighted, and of length 1: a long sentence is not farther away than a short one."""
    scaled = csr_array(rows.multiply(weight[None]))
    length = np.sqrt(np.asarray(scaled.multiply(scaled).sum(1)).ravel())
    return csr_array(scaled.multiply(1 / np.maximum(length, 1e-12)[:, None]))
