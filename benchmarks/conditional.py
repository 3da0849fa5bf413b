"""python benchmarks/conditional.py    does a conditional generator draw the digit that it is asked for?

The conditional recipes on the 8x8 digits, one thread, three seeds. Of 500 samples of each class: how many are taken for
it by a classifier that no D has met, and how unlike each other they are: the mean distance of two samples of a class in
its features, over that of two test digits of the class (1: as varied as digits are).
Target: each class at least .9.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from statistics import fmean
from typing import Any

import torch
from judge import Judge
from record import Record, grouped, middle, table
from torch import Tensor

from equipoise import configuring, generator, launch
from equipoise.data.digits import digits
from equipoise.data.source import everything, scaled
from equipoise.metrics import pairwise_distance
from equipoise.runs.folder import RunFolder, rows

RECIPES, SEEDS, EACH = ("cgan", "cgan-projection", "acgan", "reacgan"), (0, 1, 2), 500
TARGET = 0.9  # of the samples of each class
SETTINGS = ["machine.threads=1", "machine.precision=fp32", "guardian.mode=off", "evaluate.metrics=[]"]


def figures(run: RunFolder, judge: Judge) -> dict[str, Any]:
    trained, data = generator.from_file(run.model), digits()
    x, y = everything(data.validation)
    right, variety = [], []
    for label in range(data.train.classes):
        fake = scaled(torch.from_numpy(trained.sample(EACH, label=label)).permute(0, 3, 1, 2).contiguous())
        right.append(float((judge.net.classify(fake) == label).double().mean()))
        variety.append(apart(judge, fake) / apart(judge, x[y == label]))
    neighbours = judge.neighbours(scaled(torch.from_numpy(trained.sample(2000)).permute(0, 3, 1, 2).contiguous()))
    return {"asked": right, "variety": variety, **neighbours}


def apart(judge: Judge, x: Tensor) -> float:
    return pairwise_distance(judge.net.features(x)).value


def main() -> None:
    torch.set_num_threads(1)
    record, judge = Record("conditional"), Judge()
    for seed in SEEDS:
        for name in RECIPES:
            key = {"recipe": name, "seed": seed}
            if record.has(key):
                continue
            with tempfile.TemporaryDirectory() as folder:
                run = launch.start(configuring.configured(name, seed=seed, settings=SETTINGS), Path(folder) / "run")
                row = record.append(key, **figures(run, judge), clock=rows(run.clock)[-1])
            print(key, {name: round(min(row[name]), 3) for name in ("asked", "variety")}, flush=True)


def report() -> None:
    """Medians over the seeds, with the least and the most."""
    table(
        "conditional.py",
        "recipe, runs | as asked, of the worst class | of all | variety, of the least varied class | of all "
        "| precision | coverage | s | every class at least .9",
        (
            f"{name}, {len(rows)} | "
            + " | ".join(middle(of(r[figure]) for r in rows) for figure in ("asked", "variety") for of in (min, fmean))
            + f" | {middle(r['precision'] for r in rows)} | {middle(r['coverage'] for r in rows)} "
            f"| {middle((r['clock']['seconds'] for r in rows), '.0f')} "
            f"| {sum(min(r['asked']) >= TARGET for r in rows)} of {len(rows)}"
            for (name,), rows in grouped(Record("conditional").rows(), "recipe").items()
        ),
    )


if __name__ == "__main__":
    main()
