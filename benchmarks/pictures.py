"""python benchmarks/pictures.py --logs LOGS    the pictures of docs/explanation: what signals see, what losses hide.

`signs_*.png`: real digits of scikit-learn, as they are and with planted defects, 36 each. `losses.svg`: losses and FID
of one run that PyTorch-StudioGAN published (benchmarks/training_logs.py says what LOGS holds), whose FID ended at many
times its best. Both are functions of their data: the same files come out each time.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import standalone
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from sklearn.datasets import load_digits
from training_logs import Run, runs

from equipoise import charts
from equipoise.charts import Line
from equipoise.pictures import grid

HERE = Path(__file__).parents[1] / "docs/pictures"
SHOWN, SIDE, SEED = 36, 6, 0

Pixels = NDArray[np.float64]


def picked(rng: np.random.Generator, x: Pixels, y: NDArray[np.int64]) -> Pixels:
    return x[rng.permutation(len(x))[:SHOWN]]


def alike(rng: np.random.Generator, x: Pixels, y: NDArray[np.int64]) -> Pixels:
    return x[y == 3][:1] + rng.normal(0, 0.4, (SHOWN, 8, 8))


def few_classes(rng: np.random.Generator, x: Pixels, y: NDArray[np.int64]) -> Pixels:
    return picked(rng, x[y < 3], y)


def uneven(rng: np.random.Generator, x: Pixels, y: NDArray[np.int64]) -> Pixels:
    share = np.where(y == 1, 8.0, 1.0)
    return x[rng.choice(len(x), SHOWN, replace=False, p=share / share.sum())]


def shrunken(rng: np.random.Generator, x: Pixels, y: NDArray[np.int64]) -> Pixels:
    """Half of the way, and more, to the mean of their class."""
    means = np.stack([x[y == c].mean(0) for c in range(10)])
    places = rng.permutation(len(x))[:SHOWN]
    return 0.3 * x[places] + 0.7 * means[y[places]]


def blurred(rng: np.random.Generator, x: Pixels, y: NDArray[np.int64]) -> Pixels:
    return gaussian_filter(picked(rng, x, y), (0, 1.0, 1.0)) + rng.normal(0, 1.2, (SHOWN, 8, 8))


def copied(rng: np.random.Generator, x: Pixels, y: NDArray[np.int64]) -> Pixels:
    """Each beside its like in the training data: the columns in pairs are the same."""
    return np.repeat(picked(rng, x, y)[: SHOWN // 2], 2, axis=0)


PLANTED: Mapping[str, Callable[[np.random.Generator, Pixels, NDArray[np.int64]], Pixels]] = {
    "good": picked, "total_collapse": alike, "partial_collapse": few_classes, "imbalance": uneven,
    "shrinkage": shrunken, "quality_loss": blurred, "memorising": copied,
}  # fmt: skip


def signs(folder: Path) -> None:
    x, y = load_digits(return_X_y=True)
    x = x.reshape(-1, 8, 8)
    for name, make in PLANTED.items():
        drawn = make(np.random.default_rng(SEED), x, y)
        pixels = (drawn * 255 / 16).clip(0, 255).astype(np.uint8)
        image = grid(pixels[..., None], SIDE)
        image.resize((image.width // 2, image.height // 2)).save(folder / f"signs_{name}.png", optimize=True)


def worst(found: list[Run]) -> Run:
    """Of the runs that have losses: that whose last FID is the most times its best."""
    return max((run for run in found if "d_loss" in run.log), key=lambda run: run.fid[1][-1] / run.fid[1].min())


def losses(logs: Path, folder: Path) -> None:
    run = worst(runs(logs))
    steps = {name: run.log[name][0] / 1000 for name in ("d_loss", "g_loss", "fid")}
    lines = [Line(name, steps[name].tolist(), run.log[name][1].tolist()) for name in ("d_loss", "g_loss")]
    told = f"{run.name.partition('-train')[0]}: "
    drawn = {
        "losses": charts.curves(f"{told}its losses", lines, x_name="thousand steps"),
        "losses_fid": charts.curves(
            f"{told}its FID", [Line("", steps["fid"].tolist(), run.log["fid"][1].tolist())], x_name="thousand steps"
        ),
    }
    for name, svg in drawn.items():
        standalone.write(svg, folder / f"{name}.svg")
    best = int(run.fid[1].argmin())
    print(f"{run.name}: best FID {run.fid[1][best]:.1f} at step {run.fid[0][best]:,}, last {run.fid[1][-1]:.1f}")
    for name in ("d_loss", "g_loss"):
        at, values = run.log[name]
        spans = values[at <= run.fid[0][best]][-100:], values[-100:]
        print(name, *(f"{span.mean():.3f} ± {span.std():.3f}" for span in spans), "(before the best, at the end)")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--logs", type=Path, help="none: the pictures of losses stay as they are")
    parser.add_argument("--out", type=Path, default=HERE)
    given = parser.parse_args()
    signs(given.out)
    if given.logs:
        losses(given.logs, given.out)


if __name__ == "__main__":
    main()
