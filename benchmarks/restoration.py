"""python benchmarks/restoration.py --cifar cifar10_jpeg.zip [--part k/n] [--grids FOLDER]    larger, and without holes.

CIFAR-10 as JPEGs, 32 pixels: super-resolution (x2 and x4) against the bicubic filter, in-painting (boxes and free
holes) against the mean colour around, and each against the same net by L1 alone, which is the control for the game.
PSNR and SSIM to the true pictures, and kernel distance to other test pictures in the features of a classifier of the
training pictures. Equal pictures for all arms, one thread.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

import torch
from record import Record
from torch import Tensor

from equipoise import build, configuring, generator, launch, pictures
from equipoise.config import Pictures, TrainConfig
from equipoise.data.source import Splits, mixed, scaled, to_uint8
from equipoise.encoders.classifier import accuracy, trained_classifier
from equipoise.metrics import kernel_distance
from equipoise.metrics.similarity import psnr, ssim
from equipoise.runs.folder import rows

KIMG, TESTS, SEEDS = 60, 2000, 2
SETTINGS = [
    "machine.threads=1", "machine.precision=fp32", "guardian.mode=off", "evaluate.metrics=[]", f"kimg={KIMG}",
    "nets.g_width=32", "nets.d_width=32", "nets.d_layers=2", "batch=16",
]  # fmt: skip
TASKS = {"superres-x2": "superres", "superres-x4": "superres", "inpaint-box": "inpaint", "inpaint-free": "inpaint"}
ARMS: dict[str, list[str]] = {"game": [], "L1 alone": ["knobs.adversarial=0"]}


class Examiner:
    """By the first test pictures of a mixed order; kernel distances to others."""

    def __init__(self, cifar: Path):
        data = build.splits(Pictures(path=str(cifar), size=32))
        self.net = trained_classifier(data.train, seed=99, epochs=2, width=32)
        self.accuracy = accuracy(self.net, data.test)
        others = mixed(data.test, 2 * TESTS)
        self.real = self.net.features(others.take(torch.arange(TESTS, 2 * TESTS))[0])

    def figures(self, made: Tensor, true: Tensor) -> dict[str, Any]:
        a, b = to_uint8(made), to_uint8(true)
        kid = kernel_distance(self.real, self.net.features(scaled(a)))
        return {"psnr": mean(psnr(a, b)), "ssim": mean(ssim(a, b)), "kid": [kid.value, kid.low, kid.high]}


def mean(values: Tensor) -> float:
    return float(values[values.isfinite()].mean())


def configured(task: str, arm: str, seed: int, cifar: Path) -> TrainConfig:
    data = ["data.of.kind=pictures", f"data.of.path={cifar}", "data.of.size=32", f"data.how={task}"]
    return configuring.configured(TASKS[task], seed=seed, settings=[*data, *SETTINGS, *ARMS[arm]])


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--cifar", type=Path, required=True)
    parser.add_argument("--grids", type=Path, help="where a grid of seed 0 of each arm is put")
    parser.add_argument("--part", default="0/1", help="k/n: every n-th run, from the k-th on")
    given = parser.parse_args()
    torch.set_num_threads(1)
    record, cifar, (k, n) = Record("restoration"), given.cifar.resolve(), map(int, given.part.split("/"))
    examiner = Examiner(cifar)
    jobs = [(task, seed, arm) for seed in range(SEEDS) for task in TASKS for arm in ARMS]
    for task, seed, arm in jobs[k::n]:
        if record.has(key := {"task": task, "arm": arm, "seed": seed}):
            continue
        config = configured(task, arm, seed, cifar)
        data = build.splits(config.data)
        x, _ = tested(data)
        spoilt, true = x[:, : true_channels(x)], x[:, data.given :]
        if not record.has(control := {"task": task, "arm": "as it was given"}):
            record.append(control, **examiner.figures(spoilt, true), accuracy=examiner.accuracy)
        with tempfile.TemporaryDirectory() as folder:
            run = launch.start(config, Path(folder) / "run")
            trained = generator.from_file(run.model)
            dealt = build.dealt_of("pairs", trained.form, mixed(data.test, TESTS))
            made = scaled(trained.made_of(dealt))
            figures = examiner.figures(made, true)
            record.append(key, **figures, clock=rows(run.clock)[-1])
        if given.grids and seed == 0:
            draw(given.grids / f"{task}-{arm.split()[0]}.png", spoilt, made, true)
        print(key, figures, flush=True)


def tested(data: Splits) -> tuple[Tensor, Tensor]:
    return mixed(data.test, TESTS).take(torch.arange(TESTS))


def true_channels(x: Tensor) -> int:
    """Of the picture itself in what is given, which may end with a mask."""
    return x.shape[1] // 2


def draw(path: Path, spoilt: Tensor, made: Tensor, true: Tensor) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    shown = torch.stack([spoilt[:36], made[:36], true[:36]], 1).flatten(0, 1)
    pictures.grid(build.as_pixels(shown), 12).save(path)


if __name__ == "__main__":
    main()
