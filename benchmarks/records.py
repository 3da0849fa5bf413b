"""python benchmarks/records.py [--kimg K] [--seeds N] [--record NAME]    medGAN on records whose distribution is known.

Flags of 40 columns, in groups of 4 that go together (`data.records`); the true prevalences and correlations are known.
Each seed: R2 of the prevalences against the true ones, correlation error, TSTR beside TRTR, and the AUC of membership
(training records against held-out ones). Controls: new records of the distribution, which is the best that can be had;
each column drawn on its own, which keeps prevalences and loses correlations; and the training records themselves, which
privacy must catch.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

import torch
from record import Record
from torch import Tensor

from equipoise import build, configuring, generator, launch
from equipoise.config import MadeUpRecords
from equipoise.data import records
from equipoise.data.source import everything
from equipoise.metrics import Estimate
from equipoise.metrics.privacy import People, privacy
from equipoise.metrics.records import likeness, usefulness
from equipoise.runs.folder import rows

SAMPLES = 2000
SETTINGS = [
    "machine.threads=1", "machine.device=cpu", "machine.precision=fp32", "guardian.mode=off", "evaluate.metrics=[]",
]  # fmt: skip


class Examiner:
    """The parts of the set, and a figure of each kind for some fakes."""

    def __init__(self) -> None:
        data = build.splits(MadeUpRecords())
        self.train, self.test = (everything(part)[0] for part in (data.train, data.test))

    def figures(self, fake: Tensor) -> dict[str, Any]:
        found: dict[str, Estimate] = likeness(self.test, fake)._asdict()
        found |= usefulness(self.train, fake, self.test)._asdict()
        train, held_out = (People(x, torch.arange(len(x))) for x in (self.train, self.test))
        found |= privacy(train, held_out, fake)._asdict()
        told = {name: [each.value, each.low, each.high] for name, each in found.items()}
        return told | {"prevalence_r2_of_the_truth": of_the_truth(fake)}


def of_the_truth(fake: Tensor) -> float:
    """R2 of the prevalences against those that the records were made by."""
    p = records.prevalences()
    return float(1 - (fake.mean(0) - p).square().sum() / (p - p.mean()).square().sum())


def controls(train: Tensor) -> dict[str, Tensor]:
    lots = torch.Generator().manual_seed(12345)
    alone = torch.stack([column[torch.randperm(len(train), generator=lots)[:SAMPLES]] for column in train.T], 1)
    return {"new records": records.flags(SAMPLES, lots), "columns alone": alone, "copies": train[:SAMPLES]}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--kimg", type=float, default=4000)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--record", default="records")
    given = parser.parse_args()
    torch.set_num_threads(1)
    record, examiner = Record(given.record), Examiner()
    for name, fake in controls(examiner.train).items():
        if not record.has({"arm": name}):
            print(record.append({"arm": name}, **examiner.figures(fake)), flush=True)
    for seed in range(given.seeds):
        if record.has(key := {"arm": "medical-records", "seed": seed, "kimg": given.kimg}):
            continue
        config = configuring.configured("medical-records", seed=seed, settings=[*SETTINGS, f"kimg={given.kimg:g}"])
        with tempfile.TemporaryDirectory() as folder:
            run = launch.start(config, Path(folder) / "run")
            fake = torch.from_numpy(generator.from_file(run.model).sample(SAMPLES, seed))
            print(record.append(key, **examiner.figures(fake), clock=rows(run.clock)[-1]), flush=True)


if __name__ == "__main__":
    main()
