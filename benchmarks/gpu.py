"""python benchmarks/gpu.py --cifar cifar10_jpeg.zip --mnist mnist.npz [--minutes 20]    on a CUDA device.

Three parts, each resumable on its own (--only speed,cifar,stacked):

* `speed`: benchmarks/speed.py with fp32, bf16 and compiled arms.
* `cifar`: R3GAN-s on CIFAR-10 for some minutes: the Frechet distance against time, its speed, and coverage against
  held-out images. Distances are in the features of a classifier that is trained here on the training images, and are no
  FID of Inception.
* `stacked`: Stacked MNIST, a set after PacGAN (Lin et al. 2018, arXiv:1712.04086, section 4.1): 128,000 stacks of three
  MNIST digits, here at 32 pixels; a DCGAN of 64 channels without norms, 25 times 128,000 reals, and 26,000 samples read
  by a classifier of one digit: modes of 1,000, and KL. The methods are those of benchmarks/collapse.py.

Rows go to results/gpu.jsonl, the samples of `cifar` to results/gpu_r3gan-s.png. With --device cpu it can be tried
(--minutes .2 --stacked-kimg 1 --record scratch): such figures say nothing.

Not run yet: no CUDA device was at hand.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from collapse import METHODS
from judge import samples_of
from quality import judged
from record import RESULTS, Record
from torch import Tensor

from equipoise import build, configuring, generator, launch
from equipoise.config import Arrays
from equipoise.encoders.classifier import Classifier, accuracy, trained_classifier
from equipoise.metrics.modes import kl_from_uniform, present
from equipoise.runs.folder import RunFolder, rows
from equipoise.uses import keeping

STACKS, SAMPLES, SIDE = 128_000, 26_000, 32


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--cifar", type=Path, required=True)
    parser.add_argument("--mnist", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=20)
    parser.add_argument("--stacked-kimg", type=float, default=25 * STACKS / 1000)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--only", default="speed,cifar,stacked", help="some of them, with commas")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--record", default="gpu", help="name of the file in results/")
    given = parser.parse_args()
    if given.device == "cuda" and not torch.cuda.is_available():
        sys.exit("no CUDA device here: this benchmark has nothing to measure. --device cpu only tries it.")
    machine, record = [f"machine.device={given.device}"], Record(given.record)
    asked = given.only.split(",")
    if "speed" in asked:
        speed = Path(__file__).with_name("speed.py")
        subprocess.run([sys.executable, speed, "--device", given.device], check=True)
    if "cifar" in asked:
        cifar(given.cifar, given.minutes, machine, record)
    if "stacked" in asked:
        stacked(given.mnist, given.stacked_kimg, given.seeds, machine, record)


def name_of(machine: list[str]) -> str:
    return torch.cuda.get_device_name() if machine[0].endswith("cuda") else "cpu"


# -- CIFAR-10: the Frechet distance against time


def cifar(data: Path, minutes: float, machine: list[str], record: Record) -> None:
    key = {"case": "r3gan-s on CIFAR-10", "minutes": minutes}
    if record.has(key):
        return
    settings = [
        "batch=256", "evaluate.metrics=[fd,prdc]", "evaluate.best_by=fd", "evaluate.features=classifier", *machine
    ]  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        config = configuring.configured("r3gan-s", data=str(data), settings=settings)
        run = launch.start(config, Path(folder) / "run", time_s=60 * minutes)
        found, splits = generator.from_file(run.model), build.splits(config.data)
        judge = trained_classifier(splits.train, epochs=4)
        figures = judged(found.G, config, splits, judge)
        keeping.write_samples(found.sample(100), RESULTS / f"{record.path.stem}_r3gan-s.png")
        row = record.append(
            key, **figures, fd=against_time(run), judge_accuracy=accuracy(judge, splits.test),
            clock=rows(run.clock)[-1], device=name_of(machine),
        )  # fmt: skip
    print(row)


def against_time(run: RunFolder) -> list[tuple[float, float]]:
    """(seconds of training at an even pace, Frechet distance of the averaged generator)."""
    events = rows(run.events)
    seconds, images = rows(run.clock)[-1]["seconds"], max(row["seen"] for row in events if "seen" in row)
    return [
        (round(seconds * row["seen"] / images, 1), row["figures"]["fd"]["value"])
        for row in events
        if row["kind"] == "metrics" and row["net"] == "average"
    ]


# -- Stacked MNIST


def stacked(mnist: Path, kimg: float, seeds: int, machine: list[str], record: Record) -> None:
    jobs = [(seed, name) for seed in range(seeds) for name in METHODS]
    keys: list[dict[str, Any]] = [{"method": name, "seed": seed, "kimg": kimg} for seed, name in jobs]
    if all(map(record.has, keys)):
        return
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "stacks.npz"
        write_stacks(mnist, data)
        digits = build.splits(Arrays(path=str(mnist), size=SIDE))
        judge = trained_classifier(digits.train, epochs=2)
        print(f"the judge is right on {accuracy(judge, digits.test):.1%} of the digits", flush=True)
        for (seed, name), key in zip(jobs, keys, strict=True):
            if not record.has(key):
                settings = [*SETTINGS, *METHODS[name], f"kimg={kimg}", *machine]
                config = configuring.configured("dcgan", data=str(data), seed=seed, settings=settings)
                run = launch.start(config, Path(folder) / f"{name} {seed}".replace(" ", "_"))
                figures = read(judge, samples_of(run, SAMPLES))
                row = record.append(key, **figures, clock=rows(run.clock)[-1], device=name_of(machine))
                print(key, figures, f"{row['clock']['seconds']:.0f} s", flush=True)


SETTINGS = [
    "guardian.mode=off", "evaluate.metrics=[]", "nets.g_norm=none", "nets.d_norm=none", "nets.init=he",
    "shared_fakes=false",
]  # fmt: skip


def write_stacks(mnist: Path, out: Path) -> None:
    """uint8 [STACKS, 28, 28, 3], each channel a training digit drawn with a seed; of each mode as many as come."""
    with np.load(mnist, allow_pickle=False) as raw:
        x = raw["x_train"]
    chosen = np.random.default_rng(0).integers(len(x), size=(STACKS, 3))
    np.savez(out, x=np.stack([x[chosen[:, channel]] for channel in range(3)], -1))


def read(judge: Classifier, x: Tensor) -> dict[str, float]:
    """Modes of 1,000 among stacks [N, 3, H, W], and KL."""
    spelled = judge.classify(x.flatten(0, 1)[:, None].contiguous(), chunk=500).view(-1, 3)
    modes = spelled @ torch.tensor([100, 10, 1])
    return {"modes": float(present(modes)), "kl": kl_from_uniform(modes, 1000)}


if __name__ == "__main__":
    main()
