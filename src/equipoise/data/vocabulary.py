"""From lines to tokens and back: by word as the file separates them, by character, or by parts of words (BPE).

Token 0 stands behind the last token of a sentence, 1 for whatever the vocabulary does not hold.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import torch
from torch import Tensor

from equipoise.errors import MachineError

By = Literal["word", "character", "bpe"]
END, UNKNOWN = 0, 1
SHOWN = ("", "<?>")  # how these two are written


@dataclass(frozen=True)
class Vocabulary:
    by: By
    tokens: tuple[str, ...]  # by number; SHOWN first
    merges: str = ""  # of BPE: the tokenizer, as its library writes it down

    def __len__(self) -> int:
        return len(self.tokens)

    @cached_property
    def number(self) -> dict[str, int]:
        return {token: i for i, token in enumerate(self.tokens)}

    @cached_property
    def cut(self) -> Callable[[str], Sequence[str]]:
        """A line in its tokens."""
        return bpe(self.merges) if self.by == "bpe" else CUT[self.by]

    def encode(self, line: str) -> list[int]:
        """The numbers of a line's tokens, as many as it has."""
        return [self.number.get(token, UNKNOWN) for token in self.cut(line)]

    def decode(self, tokens: Iterable[int]) -> str:
        """The line, up to the first END."""
        words = []
        for token in tokens:
            if token == END:
                break
            words.append(self.tokens[token])
        return joined(self.by, words)

    def lines(self, tokens: Tensor) -> list[str]:
        """Of sentences [N, L]."""
        return [self.decode(map(int, row)) for row in tokens.tolist()]

    def facts(self) -> dict[str, Any]:
        """To write down."""
        return {"by": self.by, "tokens": list(self.tokens), "merges": self.merges}

    @classmethod
    def of(cls, facts: Mapping[str, Any]) -> Vocabulary:
        """As it was written down."""
        return cls(facts["by"], tuple(facts["tokens"]), facts["merges"])


CUT: Mapping[str, Callable[[str], Sequence[str]]] = {"word": str.split, "character": list}
GAP = "\u2581"  # BPE writes it for the space before a word


def joined(by: By, words: Sequence[str]) -> str:
    match by:
        case "word":
            return " ".join(words)
        case "character":
            return "".join(words)
        case "bpe":
            return "".join(words).replace(GAP, " ").strip()


def learnt(by: By, lines: Sequence[str], most: int) -> Vocabulary:
    """The `most` commonest tokens of some lines, of equally common ones the first in the alphabet.

    Raises:
        MachineError: for BPE without the library that learns it.
    """
    if by == "bpe":
        return learnt_bpe(lines, most)
    counts = Counter(token for line in lines for token in CUT[by](line))
    common = sorted(counts, key=lambda token: (-counts[token], token))[: most - len(SHOWN)]
    return Vocabulary(by, (*SHOWN, *common))


def learnt_bpe(lines: Sequence[str], most: int) -> Vocabulary:
    """Sennrich et al. 2016 (arXiv:1508.07909). The library breaks ties by itself, the same way each time."""
    tokenizers = library()
    model = tokenizers.Tokenizer(tokenizers.models.BPE(unk_token=SHOWN[UNKNOWN]))
    model.pre_tokenizer = tokenizers.pre_tokenizers.Metaspace(replacement=GAP)
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=most - 1, special_tokens=[SHOWN[UNKNOWN]], show_progress=False
    )  # fmt: skip
    model.train_from_iterator(lines, trainer)
    known = sorted(model.get_vocab(), key=model.get_vocab().__getitem__)
    return Vocabulary("bpe", (SHOWN[END], *known), model.to_str())


def bpe(merges: str) -> Callable[[str], Sequence[str]]:
    model = library().Tokenizer.from_str(merges)
    return lambda line: list(model.encode(line).tokens)


def library() -> Any:
    try:
        import tokenizers
    except ImportError as error:
        raise MachineError("data.by=bpe needs tokenizers: pip install 'equipoise[text]', or take by=word.") from error
    return tokenizers


def padded(sentences: Sequence[Sequence[int]], length: int) -> Tensor:
    """[N, length], the longer ones cut."""
    found = torch.zeros(len(sentences), length, dtype=torch.long)
    for row, sentence in zip(found, sentences, strict=True):
        n = min(len(sentence), length)
        row[:n] = torch.tensor(sentence[:n], dtype=torch.long)
    return found
