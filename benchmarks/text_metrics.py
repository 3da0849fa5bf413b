"""python benchmarks/text_metrics.py DATA [--case systems|speed] [--record NAME]    BLEU of published systems.

DATA has coco/test.txt, coco/train.txt and coco_systems/*.txt, a sentence a line. `systems`: of each system all of its
sentences, against all captions of the test part, with the published values of BLEU beside; 2,000 of them against each
other; punctuation is set apart in all. The rows of captions are what a perfect generator would have. `speed`:
self-BLEU-2 to 5 of 2,000 sentences, against the loop over nltk's `sentence_bleu`, which is played for the first ones
and taken for all.
"""

from __future__ import annotations

import argparse
import random
import time
from pathlib import Path

import torch
from record import Record
from text_runs import tokenised as read

from equipoise.metrics import distinct, repeats, sentence_bleu, sentence_self_bleu, verbatim
from equipoise.metrics.ngrams import numbered

# BLEU-2 to 5, from the table of RelGAN's paper (Nie et al. 2019), on captions and samples of its own.
PUBLISHED = {
    "mle": (0.731, 0.497, 0.305, 0.189), "seq": (0.745, 0.498, 0.294, 0.180), "leakgan": (0.746, 0.528, 0.355, 0.230),
}  # fmt: skip
SELF, LOOPED = 2000, 20  # sentences of self-BLEU; of them, those that nltk's loop is timed on
Text = list[list[str]]


def some(text: Text, n: int) -> Text:
    return random.Random(0).sample(text, min(n, len(text)))


def systems(record: Record, data: Path) -> None:
    test, train = read(data / "coco/test.txt"), read(data / "coco/train.txt")
    asked = {path.stem: read(path) for path in sorted((data / "coco_systems").glob("*.txt"))}
    for name, text in {**asked, "train captions": train, "test captions": test}.items():
        if record.has(key := {"case": "systems", "system": name}):
            continue
        fake, real, learned = numbered(text, test, train)
        few = numbered(some(text, SELF))[0]
        own = sentence_self_bleu(few).mean(0)
        forward = sentence_self_bleu(real).mean(0) if name == "test captions" else sentence_bleu(fake, real).mean(0)
        row = record.append(
            key, sentences=len(text), bleu=rounded(forward), self_bleu=rounded(own), published=PUBLISHED.get(name),
            distinct_2=round(distinct(few, (2,))["distinct_2"].value, 3), repeats=round(repeats(fake).value, 4),
            verbatim=round(verbatim(learned, fake).value, 4) if name != "train captions" else None,
        )  # fmt: skip
        print(f"{name:15s} BLEU-2..5 {row['bleu']}  published {row['published']}")
        print(f"{'':15s} self-BLEU-2..5 {row['self_bleu']}  repeats {row['repeats']}  verbatim {row['verbatim']}")


def rounded(scores: torch.Tensor) -> list[float]:
    """Of BLEU-2 to 5."""
    return [round(float(score), 3) for score in scores[1:]]


def speed(record: Record, data: Path) -> None:
    from nltk.translate.bleu_score import SmoothingFunction  # fmt: skip
    from nltk.translate.bleu_score import sentence_bleu as by_nltk

    text = some(read(data / "coco_systems/seq.txt"), SELF)
    began = time.perf_counter()
    found = sentence_self_bleu(numbered(text)[0])
    ours = time.perf_counter() - began
    smooth, largest, began = SmoothingFunction().method1, 0.0, time.perf_counter()
    for i, sentence in enumerate(text[:LOOPED]):
        others = text[:i] + text[i + 1 :]
        for n in range(2, 6):
            value = by_nltk(others, sentence, (1 / n,) * n, smooth)
            largest = max(largest, abs(value - found[i, n - 1].item()))
    theirs = (time.perf_counter() - began) * len(text) / LOOPED
    row = record.append(
        {"case": "speed", "sentences": len(text)}, seconds=round(ours, 3), nltk_seconds=round(theirs, 1),
        looped=LOOPED, times=round(theirs / ours), largest_difference=largest,
    )  # fmt: skip
    print(f"{row['seconds']} s against {row['nltk_seconds']} s: {row['times']} times; largest difference {largest:.1e}")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("data", type=Path)
    parser.add_argument("--case", choices=("systems", "speed"), action="append")
    parser.add_argument("--record", default="text_metrics")
    given = parser.parse_args()
    torch.set_num_threads(1)
    for case in given.case or ("systems", "speed"):
        {"systems": systems, "speed": speed}[case](Record(given.record), given.data)


if __name__ == "__main__":
    main()
