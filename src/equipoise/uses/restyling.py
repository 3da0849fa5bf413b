"""Sentences told in another style by a trained generator."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain, repeat
from typing import NamedTuple

import torch

from equipoise.config import nearest
from equipoise.data.hooks import Track, untracked
from equipoise.data.vocabulary import END, SHOWN, UNKNOWN, Vocabulary, joined, padded
from equipoise.errors import ConfigError, DataError
from equipoise.generator import TrainedGenerator


class Told(NamedTuple):
    lines: list[str]
    cut: int  # how many of the sentences were longer than the generator's


def style_of(trained: TrainedGenerator, name: str) -> int:
    """Raises ConfigError for a generator that restyles nothing, and for a style that it does not know."""
    styles = trained.form.styles
    if not styles:
        raise ConfigError("this generator does not restyle sentences: train one by the recipe text-restyle.")
    if name not in styles:
        raise ConfigError(f"--to {name}: this generator knows the styles {', '.join(styles)}{nearest(name, styles)}")
    return styles.index(name)


@torch.no_grad()
def restyled(trained: TrainedGenerator, lines: Sequence[str], to: str, track: Track = untracked) -> Told:
    """As many lines as were given, the empty ones empty. A word that the generator does not know stays where it says
    that one stands.

    Raises: as `style_of`.
    """
    style, vocabulary, length = style_of(trained, to), trained.form.vocabulary, trained.form.shape[0]
    assert vocabulary is not None, "what restyles has words"
    encoded = [vocabulary.encode(line) for line in lines]
    said = [i for i, sentence in enumerate(encoded) if sentence]
    found = [""] * len(lines)
    parts = [said[i : i + trained.form.at_once] for i in range(0, len(said), trained.form.at_once)]
    for part in track(parts, "restyling", len(parts)):
        x = padded([encoded[i] for i in part], length)
        made = trained.G(x, torch.full((len(part),), style))
        for i, row in zip(part, made.tolist(), strict=True):
            found[i] = worded(vocabulary, row, lines[i])
    return Told(found, sum(len(sentence) > length for sentence in encoded))


def worded(vocabulary: Vocabulary, row: Sequence[int], source: str) -> str:
    """The line, with the unknown words of its source, one after the other, in the places of unknown ones."""
    strange = [token for token in vocabulary.cut(source) if token not in vocabulary.number]
    left = chain(strange, repeat(SHOWN[UNKNOWN]))
    said = row[: row.index(END)] if END in row else row
    return joined(vocabulary.by, [next(left) if token == UNKNOWN else vocabulary.tokens[token] for token in said])


def lines_in(raw: bytes) -> list[str]:
    """The lines of a text, without the spaces about them. Raises DataError for what is no text in UTF-8."""
    try:
        whole = raw.decode("utf-8-sig").replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        line = 1 + raw[: error.start].count(b"\n")
        raise DataError(
            f"what was given is no text in UTF-8: line {line} has the byte 0x{raw[error.start]:02x}.\n"
            "If it is Latin-1: iconv -f ISO-8859-1 -t UTF-8 OLD | equipoise restyle ..."
        ) from error
    lines = whole.split("\n")
    return [line.strip() for line in (lines[:-1] if lines[-1] == "" else lines)]
