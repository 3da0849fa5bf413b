"""python benchmarks/text_conditional.py DATA [--seed S] [--runs FOLDER] [--kimg K] [--record NAME]    asked sentiment.

`text-conditional` learns from 20,000 Yelp sentences of either sentiment (dev and test, the usual training files are not
here) and says 1,000 of each. The share that a classifier of word pairs, which learns from other sentences, takes for
the sentiment that was asked for, with how often it is right on sentences that nobody learned from; and whether
diversity is kept: self-BLEU-4 and different pairs of words, beside those of as many real sentences. At several
temperatures: one that has the diversity of reals is as it should be.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from record import Record
from style_transfer import classifier, judges_learn_from
from text_runs import RUNS, STYLES, styles, trained

from equipoise.metrics import distinct, sentence_self_bleu
from equipoise.metrics.ngrams import numbered
from equipoise.uses.writing import written

N, LEARN = 1000, 20_000
TEMPERATURES = (1.0, 0.95, 0.9, 0.8)
Text = list[list[str]]


def measure(record: Record, data: Path, runs: Path, seed: int, kimg: float) -> None:
    keys = [{"seed": seed, "kimg": kimg, "learn": LEARN, "temperature": t} for t in TEMPERATURES]
    if all(map(record.has, keys)):
        return
    known = trained(STYLES["conditional"], styles(data, runs, LEARN), runs, "conditional", seed, kimg)
    real = judges_learn_from(data / "yelp", LEARN)
    model, right = classifier(real)
    there = varied([*real[0][:N], *real[1][:N]])
    for key in keys:
        if record.has(key):
            continue
        t = float(key["temperature"])
        said = [[line.split() for line in written(known, N, seed=seed, label=s, temperature=t)] for s in (0, 1)]
        asked = [round(float((model.predict(text) == s).mean()), 3) for s, text in enumerate(said)]
        made = varied([*said[0], *said[1]])
        record.append(
            key, asked=asked, classifier=round(right, 3), self_bleu_4=made[0], self_bleu_4_of_reals=there[0],
            distinct_2=made[1], distinct_2_of_reals=there[1],
        )  # fmt: skip
        print(
            f"seed {seed} at {t:g}: of the sentiment asked {asked[0]:.3f} and {asked[1]:.3f} (the classifier is right "
            f"on {right:.3f}); self-BLEU-4 {made[0]} (reals {there[0]}), distinct-2 {made[1]} (reals {there[1]})",
            flush=True,
        )


def varied(text: Text) -> tuple[float, float]:
    (tokens,) = numbered(text)
    alike = float(sentence_self_bleu(tokens, 4).mean(0)[3])
    return round(alike, 3), round(distinct(tokens, (2,))["distinct_2"].value, 3)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("data", type=Path)
    parser.add_argument("--seed", type=int, action="append")
    parser.add_argument("--kimg", type=float, default=STYLES["conditional"].kimg)
    parser.add_argument("--runs", type=Path, default=RUNS)
    parser.add_argument("--record", default="text_conditional")
    given = parser.parse_args()
    torch.set_num_threads(1)
    for seed in given.seed or (0, 1, 2):
        measure(Record(given.record), given.data, given.runs, seed, given.kimg)


if __name__ == "__main__":
    main()
