"""An n-gram model of sentences, and how surprised one made from some samples is by others.

Interpolated Kneser-Ney smoothing: Chen and Goodman 1999, section 2.7, with one discount for all orders.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from equipoise.metrics.estimate import Estimate, jackknife
from equipoise.metrics.wording import sentences

START, END = -1, 0  # stand before and behind each sentence; END is predicted, too
ORDER, DISCOUNT = 5, 0.75
Gram = tuple[int, ...]


class Level(NamedTuple):
    """The n-grams of one length."""

    times: Counter[Gram]
    total: Counter[Gram]  # of each context, the counts of its n-grams
    kinds: Counter[Gram]  # and how many different ones it has


@dataclass(frozen=True)
class LanguageModel:
    levels: Sequence[Level]  # of 1-grams, 2-grams, ...
    words: int  # what may come next: each different token, and END

    def surprise(self, tokens: Tensor) -> Tensor:
        """Of sentences [N, L]: -log p in nats, and how many tokens it is of, the end included. [N, 2] float64."""
        found = [
            (-sum(math.log(self.chance(gram)) for gram in predicted(s, len(self.levels))), len(s) + 1)
            for s in sentences(tokens)
        ]
        return torch.tensor(found, dtype=torch.float64)

    def chance(self, gram: Gram) -> float:
        """p(last | those before). Chen and Goodman, eq. 16, down to a uniform one."""
        p = 1 / self.words
        for n in range(1, len(gram) + 1):
            level, of, context = self.levels[n - 1], gram[-n:], gram[-n:-1]
            if total := level.total[context]:
                p = (max(level.times[of] - DISCOUNT, 0) + DISCOUNT * level.kinds[context] * p) / total
        return p


def predicted(sentence: Gram, order: int) -> Iterator[Gram]:
    """For each token and the end: the token, behind as many as the model looks back."""
    whole = (START, *sentence, END)
    for end in range(2, len(whole) + 1):
        yield whole[max(0, end - order) : end]


def language_model(tokens: Tensor, words: int, order: int = ORDER) -> LanguageModel:
    """Learnt from sentences [N, L]. An n-gram that is not of the full order counts as often as there are different
    tokens before it, unless it begins a sentence."""
    full = Counter(gram for sentence in sentences(tokens) for gram in predicted(sentence, order))
    levels = [level(full, order)]
    for n in range(order - 1, 0, -1):
        shorter = Counter(gram[1:] for gram in levels[0].times if len(gram) == n + 1)
        shorter.update({gram: count for gram, count in full.items() if len(gram) == n and gram[0] == START})
        levels.insert(0, level(shorter, n))
    return LanguageModel(levels, words)


def level(counts: Counter[Gram], n: int) -> Level:
    own = Counter({gram: count for gram, count in counts.items() if len(gram) == n})
    total: Counter[Gram] = Counter()
    for gram, count in own.items():
        total[gram[:-1]] += count
    return Level(own, total, Counter(gram[:-1] for gram in own))


def perplexities(real: Tensor, fake: Tensor, order: int = ORDER) -> dict[str, Estimate]:
    """`lm_perplexity`: of fakes [M, L] for a model of the reals [N, K], how likely they are; `reverse_lm_perplexity`:
    of reals for a model of the fakes, which is high where they lack what reals have (Zhao et al. 2018,
    arXiv:1706.04223). A token. Intervals by the jackknife over the scored sentences.
    """
    words = len(torch.unique(torch.cat([real[real != 0], fake[fake != 0]]))) + 1
    found = {}
    for name, known, scored in (("lm", real, fake), ("reverse_lm", fake, real)):
        surprise = language_model(known, words, order).surprise(scored)
        value = perplexity(surprise)
        protocol = {"metric": name, "order": order, "smoothing": "Kneser-Ney", "discount": DISCOUNT, "words": words}
        interval = jackknife(value, perplexity, surprise)
        found[f"{name}_perplexity"] = Estimate(value, *interval, len(fake), len(real), protocol)
    return found


def perplexity(surprise: Tensor) -> float:
    """Of rows (nats, tokens) [N, 2]."""
    nats, tokens = surprise.sum(0).tolist()
    return math.exp(nats / tokens)
