"""python benchmarks/text_samples.py DATA [--runs FOLDER] [--arm ARM] [--kimg K]    20 samples of each recipe.

As they come, seed 0, at temperature 1: for docs/how-to/text.md. The runs are those of text_curves.py,
text_conditional.py and style_transfer.py, trained here where they are not there yet.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from text_runs import CAPTIONS, RUNS, STYLES, captions, lines, styles, trained

from equipoise.uses.restyling import restyled
from equipoise.uses.writing import written

COUNT, LEARN = 20, 20_000


def samples(arm: str, data: Path, runs: Path, kimg: float | None) -> list[str]:
    if arm in CAPTIONS:
        return written(trained(CAPTIONS[arm], captions(data, runs), runs, arm, kimg=kimg), COUNT, seed=0)
    known = trained(STYLES[arm], styles(data, runs, LEARN), runs, arm, kimg=kimg)
    if arm == "conditional":
        named = ("negative", "positive")
        return [f"{named[i % 2]}: {line}" for i, line in enumerate(written(known, COUNT, seed=0))]
    found = []
    for s, to in enumerate(("positive", "negative")):
        given = [row.split("\t")[0] for row in lines(data / f"yelp/reference.{s}.txt")[: COUNT // 2]]
        found += [f"{a}  ->  {b}" for a, b in zip(given, restyled(known, given, to).lines, strict=True)]
    return found


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("data", type=Path)
    parser.add_argument("--arm", choices=[*CAPTIONS, *STYLES], action="append")
    parser.add_argument("--kimg", type=float, help="instead of the length of each arm")
    parser.add_argument("--runs", type=Path, default=RUNS)
    given = parser.parse_args()
    torch.set_num_threads(1)
    for arm in given.arm or [*CAPTIONS, *STYLES]:
        print(
            f"\n{arm}\n" + "\n".join(f"    {line}" for line in samples(arm, given.data, given.runs, given.kimg)),
            flush=True,
        )


if __name__ == "__main__":
    main()
