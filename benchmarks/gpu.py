"""python benchmarks/gpu.py --data cifar10_jpeg.zip [--minutes 20]    on a CUDA device: the speed table, then CIFAR-10.

First benchmarks/speed.py with fp32, bf16 and compiled arms; then R3GAN-s on CIFAR-10 for some minutes: its speed, and
coverage against held-out images in the features of a classifier trained here on the training images. Rows go to
results/gpu.jsonl, the samples to results/gpu_r3gan-s.png.

Not run yet: no CUDA device was at hand.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

import torch
from quality import judged
from record import RESULTS, Record

from equipoise import build, configuring, generator, launch
from equipoise.encoders.classifier import accuracy, trained_classifier
from equipoise.runs.folder import rows


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=20)
    given = parser.parse_args()
    if not torch.cuda.is_available():
        sys.exit("no CUDA device here: this benchmark has nothing to measure.")
    subprocess.run([sys.executable, Path(__file__).with_name("speed.py"), "--device", "cuda"], check=True)
    with tempfile.TemporaryDirectory() as folder:
        train(given.data, given.minutes, Path(folder) / "run")


def train(data: Path, minutes: float, path: Path) -> None:
    config = configuring.configured("r3gan-s", data=str(data), settings=["batch=256"])
    run = launch.start(config, path, time_s=60 * minutes)
    speed = rows(run.clock)[-1]
    found = generator.from_file(run.model)
    splits = build.splits(config.data)
    judge = trained_classifier(splits.train, epochs=4)
    figures = judged(found.G, config, splits, judge)
    generator.write_samples(found.sample(100), RESULTS / "gpu_r3gan-s.png")
    key = {"case": "r3gan-s on CIFAR-10", "minutes": minutes}
    row = Record("gpu").append(
        key, **figures, judge_accuracy=accuracy(judge, splits.test), clock=speed, device=torch.cuda.get_device_name()
    )
    print(row)


if __name__ == "__main__":
    main()
