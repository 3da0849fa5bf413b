"""python benchmarks/small_data.py --shared DATA [--part k/n]    a few hundred pictures, with and without augmentation.

200 X-ray pictures (28 pixels) and 300 digits of MNIST (16 pixels), one recipe (relativistic + R1 + R2 on a narrow
convolutional pair), five arms: no augmentation in front of D, DiffAugment at a fixed p, ADA's pipeline at the same p,
and ADA's pipeline with p moved by its rule, which hears pairs or held-out reals. Equal images, five seeds, one thread.
Kernel and Frechet distance to the test pictures, and copies, in the features of a classifier of *all* training pictures
(also those that the run has not).
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np
import torch
from examiner import Examiner
from guardian import pictures
from judge import samples_of
from record import Record, grouped, middle, table

from equipoise import build, configuring, launch
from equipoise.config import Arrays
from equipoise.runs.folder import rows

SEEDS, KIMG = 5, 256
SETTINGS = [
    "machine.threads=1", "machine.precision=fp32", "guardian.mode=off", "evaluate.metrics=[]", f"kimg={KIMG}",
    "nets.g_width=32", "nets.d_width=32", "nets.d_norm=none", "nets.init=he", "loss=relativistic", "knobs.r1=1",
    "knobs.r2=1", "optim.g.betas=[0,.99]", "optim.d.betas=[0,.99]",
]  # fmt: skip
P = 0.4
PIPELINE = "augment=[ada-blit, ada-geometric, ada-color]"
ARMS: dict[str, list[str]] = {
    "none": ["knobs.augment_p=0"],
    "DiffAugment": [f"knobs.augment_p={P}"],
    "ADA, fixed": [f"knobs.augment_p={P}", PIPELINE],
    "ADA, by its rule": ["knobs.augment_p=0", PIPELINE, "knobs.augment_target=.6"],
    "ADA, by held-out reals": ["knobs.augment_p=0", PIPELINE, "knobs.augment_target=.5", "augment_hears=held-out"],
}


def few_digits(shared: Path, n: int = 300) -> Path:
    """The first n / 10 of each class, beside all test pictures."""
    path = Path("runs/small-data") / f"mnist-{n}.npz"
    if not path.exists():
        with np.load(shared / "mnist/mnist.npz", allow_pickle=False) as raw:
            x, y, test = raw["x_train"], raw["y_train"], {k: raw[k] for k in ("x_test", "y_test")}
        chosen = np.sort(np.concatenate([np.flatnonzero(y == c)[: n // 10] for c in range(10)]))
        path.parent.mkdir(parents=True, exist_ok=True)
        np.savez(path, x_train=x[chosen], y_train=y[chosen], x_val=test["x_test"][5000:], y_val=test["y_test"][5000:],
                 x_test=test["x_test"][:5000], y_test=test["y_test"][:5000])  # fmt: skip
    return path


SETS = {  # few pictures, all pictures, pixels
    "pneumonia, 200": (lambda shared: pictures(shared, 200), pictures, 32),
    "MNIST, 300": (few_digits, lambda shared: shared / "mnist/mnist.npz", 16),
}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--shared", type=Path, required=True, help="holds mnist/ and pneumonia/")
    parser.add_argument("--part", default="0/1", help="k/n: every n-th run, from the k-th on")
    given = parser.parse_args()
    torch.set_num_threads(1)
    record, examiners, (k, n) = Record("small_data"), dict[str, Examiner](), map(int, given.part.split("/"))
    jobs = [(name, seed, arm) for name in SETS for seed in range(SEEDS) for arm in ARMS]
    for name, seed, arm in jobs[k::n]:
        key = {"set": name, "arm": arm, "seed": seed}
        if record.has(key):
            continue
        few, whole, size = SETS[name]
        if name not in examiners:
            examiners[name] = Examiner(build.splits(Arrays(path=str(whole(given.shared)), size=size)))
        examiner, settings = examiners[name], [*SETTINGS, *ARMS[arm], f"data.size={size}"]
        with tempfile.TemporaryDirectory() as folder:
            config = configuring.configured("dcgan", data=str(few(given.shared)), seed=seed, settings=settings)
            run = launch.start(config, Path(folder) / "run")
            fake = samples_of(run, examiner.n)
            copies = examiner.copies(fake, build.splits(config.data))
            row = record.append(key, figures=examiner.figures(fake) | {"copies": copies}, clock=rows(run.clock)[-1])
        print(key, {f: round(row["figures"][f][0], 4) for f in ("fd", "kid", "coverage", "copies")}, flush=True)


def report() -> None:
    """Medians over the seeds, with the least and the most."""
    shown = ("fd", "kid", "precision", "recall", "coverage", "copies")
    for (name,), of_set in grouped(Record("small_data").rows(), "set").items():
        table(
            f"small_data.py, {name} pictures",
            "augmentation in front of D, runs | " + " | ".join(shown) + " | s",
            (
                f"{arm}, {len(rows)} | "
                + " | ".join(middle(r["figures"][figure][0] for r in rows) for figure in shown)
                + f" | {middle((r['clock']['seconds'] for r in rows), '.0f')}"
                for (arm,), rows in grouped(of_set, "arm").items()
            ),
        )


if __name__ == "__main__":
    main()
