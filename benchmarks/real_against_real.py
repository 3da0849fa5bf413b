"""python benchmarks/real_against_real.py --shared SHARED [-n 2000]    training images in the place of fakes.

The best that a generator can reach at these counts: MNIST and CIFAR-10, training against test images, in SqueezeNet's
features, and MNIST in those of a classifier of its own labels. Then how the Frechet distance falls with the count: for
equal distributions as 1 / N, so that the slope of log FD in log N is -1.

SHARED holds mnist/mnist.npz, cifar10/cifar10_jpeg.zip and features/squeezenet_v1.0.npz. The CIFAR-10 there is made of
JPEG files, so that published figures do not apply to it.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import torch
from record import Record, table
from torch import Tensor

from equipoise.evaluation import Samples
from equipoise.metrics import frechet_distance
from equipoise.scoring import Asked, score

SHOWN = ("fd", "kid", "precision", "recall", "density", "coverage")
PARTS = (1, 2, 4, 8)  # into how many disjoint parts the samples go


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--shared", type=Path, required=True)
    parser.add_argument("-n", type=int, default=2000)
    given = parser.parse_args()
    squeezenet = f"squeezenet={given.shared / 'features/squeezenet_v1.0.npz'}"
    mnist, cifar = given.shared / "mnist/mnist.npz", given.shared / "cifar10/cifar10_jpeg.zip"
    record = Record("real_against_real")
    for name, path, features, n in (
        ("MNIST", mnist, "classifier", 5 * given.n), ("MNIST", mnist, squeezenet, given.n),
        ("CIFAR-10", cifar, squeezenet, given.n),
    ):  # fmt: skip
        key = {"set": name, "features": features.partition("=")[0], "n": n}
        if record.has(key):
            continue
        began = time.perf_counter()
        found = score(Asked(f"{path}#train", f"{path}#test", metrics=("fd", "kid", "prdc"), features=features, n=n))
        figures = {k: [found.figures[k].value, found.figures[k].low, found.figures[k].high] for k in SHOWN}
        falls = falling(found.reference.real, found.fake)
        print(record.append(key, figures=figures, **falls, seconds=round(time.perf_counter() - began)), flush=True)


def falling(real: Samples, fake: Samples) -> dict[str, object]:
    """Mean Frechet distance of disjoint parts, by their size."""
    by_size = {}
    for parts in PARTS:
        pairs = zip(dealt(real.features, parts), dealt(fake.features, parts), strict=True)
        distances = [frechet_distance(a, b, groups=0).value for a, b in pairs]
        by_size[len(fake) // parts] = float(np.mean(distances))
    x, y = (np.log(list(values)) for values in (by_size.keys(), by_size.values()))
    return {"fd_by_n": by_size, "slope": round(float(np.polyfit(x, y, 1)[0]), 3), "dimension": fake.features.shape[1]}


def dealt(x: Tensor, parts: int) -> tuple[Tensor, ...]:
    return torch.split(x[: len(x) // parts * parts], len(x) // parts)


def report() -> None:
    shown = ("fd", "kid", "precision", "recall", "density", "coverage")

    def cell(value: float, low: float, high: float) -> str:
        return f"{value:.3g} ({low:.3g} to {high:.3g})"

    table(
        "real_against_real.py: training images in the place of fakes, with 95% intervals",
        "set, features, n | " + " | ".join(shown) + " | slope of log FD in log N",
        (
            f"{r['key']['set']}, {r['key']['features']}, {r['key']['n']} | "
            + " | ".join(cell(*r["figures"][name]) for name in shown)
            + f" | {r['slope']}"
            for r in Record("real_against_real").rows()
        ),
    )


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
