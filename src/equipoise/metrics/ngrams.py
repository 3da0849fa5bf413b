"""Sentences as tensors of tokens [N, L], 0 behind the last token of each; and their n-grams, counted once for all."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Ints = NDArray[np.int64]


class Counts(NamedTuple):
    """How often each n-gram occurs in each sentence that has it."""

    sentence: Ints  # [P], ascending
    gram: Ints  # [P], a number for each different n-gram
    times: Ints  # [P]


def lengths(tokens: Tensor) -> Ints:
    """Tokens of each sentence. [N]."""
    found: Ints = (tokens != 0).sum(1).numpy()
    return found


def numbered(*texts: Sequence[Sequence[str]]) -> tuple[Tensor, ...]:
    """Sets of sentences, given as words, in numbers from 1 that all of them share. One [N, L] each."""
    number: dict[str, int] = {}
    length = max((len(words) for text in texts for words in text), default=1)
    found = []
    for text in texts:
        tokens = torch.zeros(len(text), max(length, 1), dtype=torch.long)
        for row, words in zip(tokens, text, strict=True):
            row[: len(words)] = torch.tensor([number.setdefault(word, len(number) + 1) for word in words])
        found.append(tokens)
    return tuple(found)


def grams(*texts: Tensor, most: int) -> list[list[Counts]]:
    """The 1-grams to `most`-grams of sets of sentences [N, L], in numbers that all of them share: [most][sets].

    The n-gram at a place is that of n - 1 tokens there with the token behind: a pair of numbers, which gets one.
    """
    sizes = np.cumsum([0, *(len(text) for text in texts)])
    count = np.concatenate([lengths(text) for text in texts])
    flat = np.concatenate([text[text != 0].numpy() for text in texts])
    sentence = np.repeat(np.arange(len(count)), count)
    behind = np.repeat(np.cumsum(count), count) - np.arange(len(flat))  # tokens to the end of the sentence
    _, token = np.unique(flat, return_inverse=True)
    place, gram, found = np.arange(len(flat)), token, []
    for n in range(1, most + 1):
        if n > 1:
            longer = behind[place] >= n
            place, gram = place[longer], gram[longer]
            _, gram = np.unique(gram * (token.max(initial=0) + 1) + token[place + n - 1], return_inverse=True)
        found.append(parted(counted(sentence[place], gram), sizes))
    return found


def counted(sentence: Ints, gram: Ints) -> Counts:
    kinds = int(gram.max(initial=0)) + 1
    pair, count = np.unique(sentence * kinds + gram, return_counts=True)
    return Counts(pair // kinds, pair % kinds, count)


def parted(counts: Counts, sizes: Ints) -> list[Counts]:
    """Of each set its own, its sentences numbered from 0."""
    ends = np.searchsorted(counts.sentence, sizes)
    return [
        Counts(counts.sentence[a:b] - first, counts.gram[a:b], counts.times[a:b])
        for a, b, first in zip(ends[:-1], ends[1:], sizes[:-1], strict=True)
    ]


def most_in_one(counts: Counts, kinds: int) -> Ints:
    """The largest count of each n-gram in any one sentence; 0 for those that do not occur. [kinds]."""
    found = np.zeros(kinds, dtype=np.int64)
    np.maximum.at(found, counts.gram, counts.times)
    return found


def most_in_another(counts: Counts) -> Ints:
    """The same for each pair (sentence, n-gram), in any other sentence: of the sentence with the largest count it is
    the second largest. [P]."""
    order = np.lexsort((-counts.times, counts.gram))
    gram, count = counts.gram[order], counts.times[order]
    starts = np.flatnonzero(np.r_[True, gram[1:] != gram[:-1]]) if len(gram) else np.zeros(0, dtype=np.int64)
    sizes = np.diff(np.r_[starts, len(gram)])
    largest = np.repeat(count[starts], sizes)
    has_second = np.flatnonzero(sizes > 1)
    second = np.zeros(len(starts), dtype=np.int64)
    second[has_second] = count[starts[has_second] + 1]
    found = np.empty_like(count)
    found[order] = np.where(count == largest, np.repeat(second, sizes), largest)
    return found
