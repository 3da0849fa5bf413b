"""python benchmarks/text_curves.py DATA [--arm ARM] [--kimg K] [--runs FOLDER] [--record NAME] [--draw FILE.svg]

Quality against diversity: BLEU-3 of 2,000 captions against coco/test.txt over their self-BLEU-3, of each arm at several
temperatures, and of the published systems of coco_systems as points, punctuation set apart in all. An arm dominates
where its curve lies higher at equal self-BLEU (Caccia et al. 2020, arXiv:1811.02549). `--draw` makes the picture of
what was measured.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import standalone
import torch
from record import Record
from text_runs import CAPTIONS, RUNS, captions, tokenised, trained

from equipoise import charts
from equipoise.metrics import sentence_bleu, sentence_self_bleu
from equipoise.metrics.ngrams import numbered
from equipoise.uses.writing import written

TEMPERATURES = (0.4, 0.6, 0.7, 0.8, 0.9, 1.0, 1.2)
N, ORDER = 2000, 3


def scored(lines: list[str], real: list[list[str]]) -> dict[str, float]:
    fake, against = numbered([line.split() for line in lines if line.strip()][:N], real)
    quality, alike = (scores.mean(0)[ORDER - 1] for scores in (sentence_bleu(fake, against), sentence_self_bleu(fake)))
    return {"bleu_3": round(float(quality), 4), "self_bleu_3": round(float(alike), 4)}


def measure(record: Record, arm: str, data: Path, runs: Path, kimg: float | None, real: list[list[str]]) -> None:
    keys = [{"system": arm, "kimg": kimg or CAPTIONS[arm].kimg, "temperature": t} for t in TEMPERATURES]
    if all(record.has(key) for key in keys):
        return
    known = trained(CAPTIONS[arm], captions(data, runs), runs, arm, kimg=kimg)
    for key in keys:
        if not record.has(key):
            row = record.append(key, **scored(written(known, N, temperature=float(str(key["temperature"]))), real))
            print(
                f"{arm} at {key['temperature']}: BLEU-3 {row['bleu_3']}, self-BLEU-3 {row['self_bleu_3']}", flush=True
            )


def published(record: Record, data: Path, real: list[list[str]]) -> None:
    for path in sorted((data / "coco_systems").glob("*.txt")):
        if not record.has(key := {"system": path.stem, "kimg": None, "temperature": None}):
            row = record.append(key, **scored([" ".join(words) for words in tokenised(path)], real))
            print(f"{path.stem}: BLEU-3 {row['bleu_3']}, self-BLEU-3 {row['self_bleu_3']}")


def draw(record: Record, out: Path) -> None:
    """A curve for each arm, over its temperatures, and a mark for each published system."""
    rows = sorted(record.rows(), key=lambda row: row["self_bleu_3"])
    lines = []
    for arm in CAPTIONS:
        own = [row for row in rows if row["key"]["system"] == arm and row["key"]["temperature"] is not None]
        if own:
            lines.append(charts.Line(f"{arm} here", [r["self_bleu_3"] for r in own], [r["bleu_3"] for r in own]))
    marks = [
        charts.Mark(row["self_bleu_3"], row["bleu_3"], row["key"]["system"])
        for row in rows if row["key"]["temperature"] is None
    ]  # fmt: skip
    standalone.write(charts.curves("captions: BLEU-3 over self-BLEU-3", lines, marks, "self-BLEU-3"), out)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("data", type=Path)
    parser.add_argument("--arm", choices=CAPTIONS, action="append")
    parser.add_argument("--kimg", type=float, help="instead of the length of each arm")
    parser.add_argument("--runs", type=Path, default=RUNS)
    parser.add_argument("--record", default="text_curves")
    parser.add_argument("--draw", type=Path)
    given = parser.parse_args()
    torch.set_num_threads(1)
    record = Record(given.record)
    if given.draw:
        return draw(record, given.draw)
    real = tokenised(given.data / "coco/test.txt")
    published(record, given.data, real)
    for arm in given.arm or CAPTIONS:
        measure(record, arm, given.data, given.runs, given.kimg, real)


if __name__ == "__main__":
    main()
