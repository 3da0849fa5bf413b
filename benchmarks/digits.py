"""python benchmarks/digits.py    `digits` for 120 s, five seeds, then the classical recipes at their own lengths.

Judged by a classifier of the real digits. Targets of `digits`: every class at least 4% of 2,000 samples; precision and
coverage at least .8 (k = 5, in the classifier's features, against held-out images); copies of training images at most
as frequent as among held-out images, plus two standard errors.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import torch
from judge import Judge, samples_of
from record import Record, Row, table, verdict

from equipoise import configuring, launch
from equipoise.runs.folder import rows

SAMPLES = 2000
PLAN = [("digits", 120.0, range(5)), ("dcgan", None, range(2))]
PLAN += [(name, None, range(1)) for name in ("lsgan", "wgan", "wgan-gp", "hinge")]


def main() -> None:
    torch.set_num_threads(1)
    record, judge = Record("digits"), Judge()
    for name, seconds, seed in ((name, seconds, seed) for name, seconds, seeds in PLAN for seed in seeds):
        key = {"recipe": name, "seed": seed, "seconds": seconds}
        if record.has(key):
            continue
        with tempfile.TemporaryDirectory() as folder:
            config = configuring.configured(name, seed=seed)
            run = launch.start(config, Path(folder) / "run", time_s=seconds)
            figures = judge.digits(samples_of(run, SAMPLES))
            passed = (
                figures["smallest_class"] >= 0.04
                and min(figures["precision"], figures["coverage"]) >= 0.8
                and max(figures["copies_in_features"], figures["copies_in_pixels"]) <= judge.copy_limit(SAMPLES)
            )
            row = record.append(
                key, **figures, passed=passed, copy_limit=judge.copy_limit(SAMPLES), ceiling=judge.ceiling,
                classifier_accuracy=judge.accuracy, clock=rows(run.clock)[-1],
            )  # fmt: skip
            print(row, flush=True)


def report() -> None:
    def line(r: Row) -> str:
        figures = ("smallest_class", "precision", "recall", "coverage", "copies_in_features", "copies_in_pixels")
        return " | ".join(
            [f"{r['key']['recipe']} {r['key']['seed']}", *(f"{r[f]:.3f}" for f in figures),
             str(r["clock"]["step"]), f"{r['clock']['seconds']:.0f}", verdict(r)]
        )  # fmt: skip

    if not (rows := Record("digits").rows()):
        return
    ceiling = rows[0]["ceiling"]
    table(
        "digits.py",
        "recipe, seed | smallest class | precision | recall | coverage | copies, features | copies, pixels | steps | s "
        "| all targets",
        map(line, rows),
    )
    print(
        f"\nTraining images as samples: precision {ceiling['precision']:.3f}, coverage {ceiling['coverage']:.3f}."
        f" Limit of copies {rows[0]['copy_limit']:.3f}."
        f" Classifier on held-out digits {rows[0]['classifier_accuracy']:.3f}."
    )


if __name__ == "__main__":
    main()
