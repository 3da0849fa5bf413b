"""python benchmarks/style_transfer.py DATA [--learn N] [--train ARM] [--record NAME]    systems that restyle.

DATA/yelp has dev.S.txt and test.S.txt (S: 0 negative, 1 positive), reference.S.txt, and systems/sentiment.test.S.NAME:
a sentence of style S, a tab, and what NAME made of it in the other style. Each system is scored by the same four
figures: accuracy (a classifier of word pairs finds the style that was asked for), self-BLEU (what was kept of the
sentence), reference BLEU (how near to what a person wrote), and perplexity (an n-gram model of the style that was asked
for). `copy` returns its input: a self-BLEU of 1 says nothing where the accuracy is that of the copy. `--train restyle`
and `--train aligned` are our recipes.

These, and classifier and models, learn from dev and test without the sentences that are scored: the usual training
files are not here. No sentence is in what the recipes learn from and in what their judges learn from. So these figures
compare among themselves, and not with those of papers.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from record import Record
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from text_runs import RUNS, lines, sentences, styles, trained
from text_runs import STYLES as ARMS
from torch import Tensor

from equipoise.metrics.bleu import paired_bleu as bleu_of_pairs
from equipoise.metrics.language_model import language_model, perplexity
from equipoise.metrics.ngrams import numbered
from equipoise.uses.restyling import restyled

STYLES = (0, 1)
ORDER = 4  # of BLEU
HELD_OUT = 2000  # sentences of each style that the classifier is judged by
Text = list[list[str]]


@dataclass(frozen=True)
class System:
    """What was made of the sentences of each style."""

    name: str
    made: tuple[Text, Text]
    recipe: str = ""  # of ours


def tokenised(line: str) -> list[str]:
    """People's sentences as the data has them: small letters, and signs and clitics apart."""
    line = re.sub(r"n't\b", " n't", line.lower().strip())
    return re.sub(r"('(?:s|m|re|ve|ll|d)\b|[.,!?;:()\"$])", r" \1 ", line).split()


def pairs(path: Path) -> tuple[Text, Text]:
    """What was given, and what became of it."""
    rows = [line.split("\t") for line in lines(path)]
    return [row[0].split() for row in rows], [tokenised(row[1]) for row in rows]


def systems(yelp: Path) -> tuple[tuple[Text, Text], list[System]]:
    """The sentences that are scored, in each style, and all systems with the copy first."""
    names = sorted({path.suffix[1:] for path in (yelp / "systems").iterdir()})
    read = {name: [pairs(yelp / f"systems/sentiment.test.{s}.{name}") for s in STYLES] for name in names}
    given = pairs(yelp / "reference.0.txt")[0], pairs(yelp / "reference.1.txt")[0]
    found = [System("copy", given)]
    return given, found + [System(name, (a[1], b[1])) for name, (a, b) in read.items()]


def ours(arm: str, data: Path, runs: Path, most: int, given: tuple[Text, Text], kimg: float | None) -> System:
    """What a recipe of ours makes of the sentences."""
    known = trained(ARMS[arm], styles(data, runs, most), runs, arm, kimg=kimg)
    asked = zip(given, ("positive", "negative"), strict=True)
    told = [restyled(known, [" ".join(words) for words in text], to).lines for text, to in asked]
    negative, positive = ([line.split() for line in lines] for lines in told)
    return System(f"text-{arm} here", (negative, positive), arm)


def judges_learn_from(yelp: Path, most: int) -> tuple[Text, Text]:
    """Sentences of each style that no recipe has seen, and none of which is scored."""
    negative, positive = ([line.split() for line in sentences(yelp, s)[most:][: most + HELD_OUT]] for s in STYLES)
    return negative, positive


def classifier(train: tuple[Text, Text]) -> tuple[Pipeline, float]:
    """By words and pairs of them, and how often it is right on sentences that it did not see."""
    model = make_pipeline(
        CountVectorizer(analyzer=words_and_pairs, min_df=2, binary=True), LogisticRegression(max_iter=200)
    )
    seen = [text[HELD_OUT:] for text in train]
    model.fit([*seen[0], *seen[1]], [0] * len(seen[0]) + [1] * len(seen[1]))
    unseen = [*train[0][:HELD_OUT], *train[1][:HELD_OUT]]
    return model, float(model.score(unseen, [0] * HELD_OUT + [1] * HELD_OUT))


def words_and_pairs(sentence: list[str]) -> list[str]:
    return sentence + [f"{a} {b}" for a, b in pairwise(sentence)]


def paired_bleu(made: Tensor, wanted: Tensor) -> float:
    """The mean BLEU of each sentence against its own."""
    return float(bleu_of_pairs(made, wanted, ORDER)[:, ORDER - 1].mean())


def scores(record: Record, data: Path, most: int, runs: Path, arms: Sequence[str], kimg: float | None) -> None:
    yelp = data / "yelp"
    given, asked = systems(yelp)
    asked += [ours(arm, data, runs, most, given, kimg) for arm in arms]
    people = tuple(pairs(yelp / f"reference.{s}.txt")[1] for s in STYLES)
    train = judges_learn_from(yelp, most)
    model, right = classifier(train)
    print(f"the classifier is right on {right:.3f} of {2 * HELD_OUT:,} sentences that it did not see", flush=True)
    made = [text for system in asked for text in system.made]
    tensors = numbered(*given, *people, *(text[HELD_OUT:] for text in train), *made)
    words = len(torch.unique(torch.cat([t.flatten() for t in tensors])))
    models = [language_model(tokens, words) for tokens in tensors[4:6]]
    for i, system in enumerate(asked):
        length = {"kimg": kimg or ARMS[system.recipe].kimg} if system.recipe else {}
        if record.has(key := {"system": system.name, "learn": most, **length}):
            continue
        own = tensors[6 + 2 * i : 8 + 2 * i]
        figures = scored(system, own, tensors[:4])
        surprise = torch.cat([models[1 - s].surprise(own[s]) for s in STYLES])
        labels = [model.predict(text) for text in system.made]
        accuracy = float(sum((labels[s] == 1 - s).mean() for s in STYLES) / 2)
        row: dict[str, Any] = record.append(
            key, accuracy=round(accuracy, 3), **figures, perplexity=round(perplexity(surprise), 1),
            classifier=round(right, 3), sentences=sum(len(text) for text in system.made),
        )  # fmt: skip
        told = "  ".join(f"{name} {row[name]}" for name in ("accuracy", *figures, "perplexity"))
        print(f"{system.name:14s} {told}", flush=True)


def scored(system: System, own: Sequence[Tensor], known: Sequence[Tensor]) -> dict[str, float | None]:
    """Means over both styles, of what was kept and of what people wrote; people are not held against themselves."""
    kept = sum(paired_bleu(own[s], known[s]) for s in STYLES) / 2
    near = None if system.name == "human" else sum(paired_bleu(own[s], known[2 + s]) for s in STYLES) / 2
    return {"self_bleu": round(kept, 3), "reference_bleu": None if near is None else round(near, 3)}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("data", type=Path)
    parser.add_argument("--learn", type=int, default=20_000, help="sentences of each style")
    parser.add_argument("--train", choices=("restyle", "aligned"), action="append", default=[])
    parser.add_argument("--kimg", type=float, help="instead of the length of each arm")
    parser.add_argument("--runs", type=Path, default=RUNS)
    parser.add_argument("--record", default="style_transfer")
    given = parser.parse_args()
    torch.set_num_threads(1)
    scores(Record(given.record), given.data, given.learn, given.runs, given.train, given.kimg)


if __name__ == "__main__":
    main()
