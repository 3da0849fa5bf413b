"""python benchmarks/augmentation.py --mnist mnist.npz [--part k/n]    are generated pictures worth training on?

5, 20 and 100 real digits of MNIST a class (16 pixels). A conditional GAN is trained on these and no others; then a
classifier, for equally many steps of equally many pictures, on: the reals; reals and generated ones, half and half;
reals with ordinary augmentation (shifted, turned, scaled); both. Accuracy on all 10,000 test digits, five draws of the
reals, and the gain over the reals alone, paired by draw, with a 95% interval (Student's t).
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from pathlib import Path
from statistics import fmean, stdev

import numpy as np
import torch
from record import Record, grouped, table
from scipy.stats import t as student
from torch import Tensor
from torch.nn.functional import cross_entropy

from equipoise import augment, build, configuring, generator, launch
from equipoise.config import Arrays
from equipoise.data.source import Splits, everything, scaled
from equipoise.encoders.classifier import Classifier
from equipoise.runs.folder import rows
from equipoise.streams import Stream

EACH, DRAWS = (5, 20, 100), 5  # reals a class; draws of them
RECIPE, KIMG = "cgan-projection", 256
SETTINGS = [
    "machine.threads=1", "machine.precision=fp32", "guardian.mode=off", "evaluate.metrics=[]", f"kimg={KIMG}",
    "data.size=16",
]  # fmt: skip
STEPS, BATCH, GENERATED = 1500, 64, 10_000
ARMS = ("real + generated", "real + ordinary", "all three")  # beside the reals alone
ORDINARY = augment.Ranges(shift=0.1, turn_degrees=12, scale=0.1)


def few(mnist: Path, each: int, draw: int) -> Path:
    """So many of each class, drawn at random."""
    path = Path("runs/augmentation") / f"mnist-{each}-{draw}.npz"
    if not path.exists():
        with np.load(mnist, allow_pickle=False) as raw:
            x, y, test = raw["x_train"], raw["y_train"], (raw["x_test"], raw["y_test"])
        order = torch.randperm(len(x), generator=Stream(draw, "reals").at(each)).numpy()
        chosen = np.concatenate([order[y[order] == c][:each] for c in range(10)])
        path.parent.mkdir(parents=True, exist_ok=True)
        np.savez(
            path, x_train=x[chosen], y_train=y[chosen], x_val=test[0], y_val=test[1], x_test=test[0], y_test=test[1]
        )
    return path


Deal = Callable[[int], tuple[Tensor, Tensor]]  # a batch for a step


def of(x: Tensor, y: Tensor, size: int, name: str, draw: int) -> Deal:
    def deal(step: int) -> tuple[Tensor, Tensor]:
        chosen = torch.randint(len(x), (size,), generator=Stream(draw, name).at(step))
        return x[chosen], y[chosen]

    return deal


def both(a: Deal, b: Deal) -> Deal:
    def deal(step: int) -> tuple[Tensor, Tensor]:
        (x, y), (u, v) = a(step), b(step)
        return torch.cat([x, u]), torch.cat([y, v])

    return deal


def accuracy(deal: Deal, data: Splits, draw: int, ordinary: bool) -> float:
    torch.manual_seed(draw)
    net = Classifier(data.train.shape[0], data.train.classes, width=16)
    optimizer = torch.optim.AdamW(net.parameters(), 2e-3, weight_decay=1e-2, fused=True)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 4e-3, total_steps=STEPS)
    for step in range(STEPS):
        x, y = deal(step)
        if ordinary:
            x = augment.varied(x, augment.rows(Stream(draw, "ordinary"), step * len(x), len(x)), ORDINARY)
        loss = cross_entropy(net(x), y, label_smoothing=0.05)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    x, y = everything(data.test)
    return float((net.eval().classify(x) == y).double().mean())


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--mnist", type=Path, required=True)
    parser.add_argument("--part", default="0/1", help="k/n: every n-th run, from the k-th on")
    given = parser.parse_args()
    torch.set_num_threads(1)
    record, (k, n) = Record("augmentation"), map(int, given.part.split("/"))
    for each, draw in [(each, draw) for each in EACH for draw in range(DRAWS)][k::n]:
        key = {"reals_a_class": each, "draw": draw}
        if record.has(key):
            continue
        path = few(given.mnist, each, draw)
        with tempfile.TemporaryDirectory() as folder:
            run = launch.start(
                configuring.configured(RECIPE, data=str(path), seed=draw, settings=SETTINGS), Path(folder) / "run"
            )
            trained, clock = generator.from_file(run.model), rows(run.clock)[-1]
            fake, asked = trained.sample(GENERATED), trained.labels(GENERATED, None)
        data = build.splits(Arrays(path=str(path), size=16))
        x, y = everything(data.train)
        u = scaled(torch.from_numpy(fake).permute(0, 3, 1, 2).contiguous())
        real, half = of(x, y, BATCH, "real", draw), of(x, y, BATCH // 2, "real", draw)
        mixed = both(half, of(u, asked, BATCH // 2, "generated", draw))
        found = {
            "real": accuracy(real, data, draw, False), "real + generated": accuracy(mixed, data, draw, False),
            "real + ordinary": accuracy(real, data, draw, True), "all three": accuracy(mixed, data, draw, True),
        }  # fmt: skip
        record.append(key, accuracy=found, clock=clock)
        print(key, {name: round(value, 4) for name, value in found.items()}, flush=True)


def report() -> None:
    """Mean accuracies, and gains over the reals alone, paired by draw, with 95% intervals (Student's t)."""
    table(
        "augmentation.py",
        "reals a class, draws | real | " + " | ".join(f"{arm} | gain" for arm in ARMS),
        (
            f"{each}, {len(rows)} | {fmean(r['accuracy']['real'] for r in rows):.3f} | "
            + " | ".join(
                f"{fmean(r['accuracy'][arm] for r in rows):.3f} "
                f"| {gained([r['accuracy'][arm] - r['accuracy']['real'] for r in rows])}"
                for arm in ARMS
            )
            for (each,), rows in grouped(Record("augmentation").rows(), "reals_a_class").items()
        ),
    )


def gained(gains: list[float]) -> str:
    """One draw has no interval."""
    mean = fmean(gains)
    if len(gains) < 2:
        return f"{mean:+.3f}"
    off = stdev(gains) / len(gains) ** 0.5 * student.ppf(0.975, len(gains) - 1)
    return f"{mean:+.3f} ({mean - off:+.3f} to {mean + off:+.3f})"


if __name__ == "__main__":
    main()
