"""Sentences that were told in another style: whether they have it, what was kept of them, and how fluent they are.

The four questions of the literature on style transfer (Dai et al. 2019, arXiv:1905.05621, section 4.3), but for BLEU
against what people wrote. Classifier and language models are learned here, from sentences whose style is known.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_array
from torch import Tensor

from equipoise.errors import DataError
from equipoise.metrics.bleu import SMOOTHING, paired_bleu
from equipoise.metrics.estimate import Estimate, by_count, by_mean, jackknife
from equipoise.metrics.language_model import LanguageModel, language_model, perplexity

FIGURES = ("style_accuracy", "style_accuracy_of_copies", "style_kept", "style_perplexity", "style_score")
BUCKETS = 2**16  # hashed words and pairs
PRIMES = 1_000_003, 7_919  # that a pair's two words are hashed by
ORDER = 4  # of BLEU
HELD_OUT = 0.1  # of the sentences: the classifier is judged by them


@dataclass(frozen=True)
class Known:
    """What is known of the styles."""

    classifier: Any  # of rows of `hashed`
    right: float  # on sentences that it did not see
    models: Sequence[LanguageModel]  # of each style

    def named(self, tokens: Tensor) -> NDArray[np.int64]:
        """The style of each sentence [N, L], as the classifier sees it. [N]."""
        found: NDArray[np.int64] = self.classifier.predict(hashed(tokens))
        return found


@dataclass(frozen=True)
class Restyled:
    """What was to be told in another style."""

    given: Tensor  # sentences [N, L]
    asked: Tensor  # [N] in which style
    known: Known


def known_styles(tokens: Tensor, styles: Tensor, count: int) -> Known:
    """Learned from sentences [N, L] and their styles [N], in a mixed order. The classifier is a logistic regression on
    words and pairs of them.

    Raises:
        DataError: where a style has too few.
    """
    from sklearn.linear_model import LogisticRegression  # takes a second to import

    held, y = max(1, round(HELD_OUT * len(tokens))), styles.numpy()
    if len(np.unique(y[held:])) < count:
        raise DataError("style: each style needs more sentences than these to be learned.")
    rows = hashed(tokens)
    classifier = LogisticRegression(max_iter=200).fit(rows[held:], y[held:])
    words = len(torch.unique(tokens))  # the end among them
    models = [language_model(tokens[styles == style], words) for style in range(count)]
    return Known(classifier, float(classifier.score(rows[:held], y[:held])), models)


def hashed(tokens: Tensor) -> csr_array:
    """Which words and pairs each sentence has. [N, BUCKETS]."""
    x = tokens.numpy().astype(np.int64)
    said = x != 0
    pair = said[:, 1:] & said[:, :-1]
    pairs = (x[:, :-1] * PRIMES[0] + x[:, 1:] * PRIMES[1] + 1)[pair]
    bucket = np.concatenate([(x * PRIMES[1])[said], pairs]) % BUCKETS
    place = np.concatenate([np.nonzero(said)[0], np.nonzero(pair)[0]])
    rows = csr_array((np.ones(len(place)), (place, bucket)), shape=(len(x), BUCKETS))
    rows.sum_duplicates()
    rows.data[:] = 1
    return rows


def restyled(made: Tensor, what: Restyled) -> dict[str, Estimate]:
    """Of sentences made [N, L]: `style_accuracy`, how often the classifier finds the style that was asked for, and the
    same of sentences that are left as they are; `style_kept`, BLEU-4 of each against what it was made of; their
    geometric mean `style_score`, by which neither a copy nor a sentence about something else is any good; and
    `style_perplexity`, for a model of the style that was asked for."""
    n, known = len(made), what.known
    protocol: dict[str, Any] = {"metric": "style", "classifier": "words and pairs", "right": known.right}
    asked = what.asked.numpy()
    accuracy, copied = (float((known.named(x) == asked).mean()) for x in (made, what.given))
    kept = paired_bleu(made, what.given, ORDER)[:, ORDER - 1]
    rows = torch.cat([known.models[style].surprise(row[None]) for style, row in zip(asked.tolist(), made, strict=True)])
    of_bleu = {"metric": "bleu", "order": ORDER, "against": "the source"} | SMOOTHING
    of_model = {"metric": "lm", "of": "the style that was asked for", "smoothing": "Kneser-Ney"}
    fluent = perplexity(rows)
    score = (accuracy * float(kept.mean())) ** 0.5
    return {
        "style_accuracy": Estimate(accuracy, *by_count(accuracy, n), n, 0, protocol),
        "style_accuracy_of_copies": Estimate(copied, *by_count(copied, n), n, 0, protocol),
        "style_kept": Estimate(float(kept.mean()), *by_mean(kept), n, 0, of_bleu),
        "style_score": Estimate(score, None, None, n, 0, protocol),
        "style_perplexity": Estimate(fluent, *jackknife(fluent, perplexity, rows), n, 0, of_model),
    }
