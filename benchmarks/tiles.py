"""python benchmarks/tiles.py [--side 2000] [--kimg K] [--tasks denoise superres]    large pictures, in tiles.

`denoise` and `superres` (x2) learn shortly from made-up pictures of 32 pixels; a picture of 2,000 x 2,000 is then
translated in a process of its own. Printed: the most memory that it held (ru_maxrss, with Python and torch), that of
the same process before it read the picture, and how much the result changes from one column (row) to the next where
tiles begin or end, over how much it changes elsewhere: 1 without seams.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from equipoise import configuring, generator, launch
from equipoise.uses import tiles, translating

SIDE = 32  # pixels of a tile
SETTINGS = [
    "machine.threads=1", "machine.device=cpu", "machine.precision=fp32", "guardian.mode=off", "evaluate.metrics=[]",
    "data.of.kind=arrays", f"data.of.size={SIDE}", "nets.d_width=8", "nets.d_layers=1", "batch=8",
]  # fmt: skip
TASKS = {"denoise": ["data.how=denoise"], "superres": ["data.how=superres-x2"]}


def made_up(side: int, seed: int) -> NDArray[np.uint8]:
    """A picture in colour of shapes of all sizes, [side, side, 3]."""
    chance, total = np.random.default_rng(seed), np.zeros((side, side, 3))
    for size in (4, 16, 64, 256):
        if size <= side:
            cells = (chance.random((size, size, 3)) * 255).astype(np.uint8)
            total += np.asarray(Image.fromarray(cells).resize((side, side), Image.Resampling.BICUBIC)) / size**0.5
    return (255 * (total - total.min()) / np.ptp(total)).astype(np.uint8)


def trained(task: str, width: int, kimg: float, folder: Path) -> Path:
    np.save(folder / "x.npy", np.stack([made_up(SIDE, seed) for seed in range(200)]))
    data = [f"data.of.path={folder / 'x.npy'}", f"nets.g_width={width}", f"kimg={kimg:g}"]
    config = configuring.configured(task, settings=[*SETTINGS, *TASKS[task], *data])
    return launch.start(config, folder / task).model


def peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def translate(model: Path, picture: Path, out: Path) -> None:
    """In a process of its own."""
    torch.set_num_threads(1)
    found, before = generator.from_file(model), peak_mib()
    translating.write(translating.translated(found, translating.one(picture)), out)
    print(f"{before:.0f} {peak_mib():.0f}")


def seams(pixels: NDArray[np.uint8], side: int) -> float:
    """The largest mean change across the borders of tiles, of rows and of columns, over that elsewhere."""
    x, ratios = pixels.astype(np.float32), []
    for axis in (0, 1):
        steps = np.abs(np.diff(x, axis=axis)).mean(tuple(i for i in range(3) if i != axis))
        begun = tiles.starts(x.shape[axis], side)
        borders = np.array(sorted({b - 1 for b in begun if b} | {b + side - 1 for b in begun[:-1]}))
        elsewhere = np.delete(steps, borders)
        ratios.append(steps[borders].mean() / elsewhere.mean())
    return float(max(ratios))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--side", type=int, default=2000)
    parser.add_argument("--kimg", type=float, default=4)
    parser.add_argument("--width", type=int, default=16, help="of G")
    parser.add_argument("--tasks", nargs="+", choices=TASKS, default=list(TASKS))
    parser.add_argument("--translate", nargs=3, type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.translate:
        translate(*given.translate)
        return
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        Image.fromarray(made_up(given.side, 1)).save(folder / "large.png")
        for task in given.tasks:
            model, out = trained(task, given.width, given.kimg, folder), folder / "out.png"
            command = [sys.executable, __file__, "--translate", str(model), str(folder / "large.png"), str(out)]
            told = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
            pixels = np.asarray(Image.open(out))
            print(
                f"{task}, G {given.width} wide: {pixels.shape[1]} x {pixels.shape[0]} pixels, {told[1]} MiB "
                f"({told[0]} before), across tile borders {seams(pixels, SIDE):.3f} of elsewhere",
                flush=True,
            )


if __name__ == "__main__":
    main()
