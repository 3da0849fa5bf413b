"""python benchmarks/zoo.py --mnist mnist.npz [--grids FOLDER] [--part k/n]    eight recipes on MNIST at 16 pixels.

Narrow nets, one thread, three seeds; at equal images (KIMG thousand real ones shown to D) and at equal time (MINUTES of
one core, measured at the start as `--time` does). Frechet and kernel distance, precision, recall, density and coverage
of 2,000 samples of the averaged generator against 2,000 test images, in the features of a classifier that no D meets.

Stuck is a recipe whose Frechet distance is not below half of what its untrained generator has.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

import torch
from examiner import Examiner
from judge import samples_of
from record import Record, Row, grouped, middle, table

from equipoise import build, configuring, generator, launch
from equipoise.config import TrainConfig
from equipoise.runs.folder import rows
from equipoise.uses import keeping

KIMG, MINUTES, SEEDS = 128, 5, (0, 1, 2)
SETTINGS = ["data.size=16", "machine.threads=1", "machine.precision=fp32", "guardian.mode=off", "evaluate.metrics=[]"]
NARROW_DCGAN = ["nets.g_width=32", "nets.d_width=32"]
NARROW_RESNET = ["nets.g_width=32", "nets.g_max_width=64", "nets.d_width=32", "nets.d_max_width=64", "batch=64"]
NARROW_STYLES = [
    "nets.capacity=512", "nets.max_width=64", "nets.z_dim=64", "nets.w_dim=64", "batch=64",
    "knobs.g_lr=7e-3", "knobs.d_lr=7e-3",  # for an eighth of the channels: see recipes.style
]  # fmt: skip
ZOO: dict[str, list[str]] = {
    "dcgan": NARROW_DCGAN,
    "lsgan": NARROW_DCGAN,
    "wgan-gp": NARROW_DCGAN,
    "sngan": NARROW_RESNET,
    "sagan": [*NARROW_RESNET, "nets.attention=8"],
    "biggan": [*NARROW_RESNET, "nets.attention=8"],
    "stylegan2": NARROW_STYLES,
    "r3gan-xs": ["nets.width=64", "knobs.r1=1", "knobs.r2=1"],
}


def configured(name: str, mnist: Path, seed: int) -> TrainConfig:
    settings = [*SETTINGS, *ZOO[name], f"kimg={KIMG}"]
    return configuring.configured(name, data=str(mnist), seed=seed, settings=settings)


def played(config: TrainConfig, time_s: float | None, examiner: Examiner, picture: Path | None) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        run = launch.start(config, Path(folder) / "run", time_s=time_s)
        clock = rows(run.clock)[-1]
        trained = generator.from_file(run.model)
        if picture:
            keeping.write_samples(trained.sample(64), picture)
        figures = examiner.figures(samples_of(run, examiner.n))
    return {"figures": figures, "clock": clock}


def facts(config: TrainConfig, examiner: Examiner) -> dict[str, Any]:
    """Parameters of both players, and where the distance of the untrained generator lies."""
    data = build.splits(config.data)
    form = build.form(config, data)
    G, D = build.networks(config.nets, form, config.seed)
    fake = generator.TrainedGenerator(G.eval().requires_grad_(False), config.nets, form).sample(examiner.n)
    x = torch.from_numpy(fake).permute(0, 3, 1, 2).float() / 127.5 - 1
    parameters = {name: sum(p.numel() for p in net.parameters()) for name, net in (("G", G), ("D", D))}
    return {"parameters": parameters, "untrained_fd": examiner.figures(x)["fd"][0]}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--mnist", type=Path, required=True)
    parser.add_argument("--grids", type=Path, help="folder for a grid of 64 samples of each recipe's first seed")
    parser.add_argument("--part", default="0/1", help="k/n: every n-th run, from the k-th on")
    given = parser.parse_args()
    torch.set_num_threads(1)
    record, examiner, (k, n) = Record("zoo"), None, map(int, given.part.split("/"))
    jobs = [(seed, equal, name) for equal in ("images", "time") for seed in SEEDS for name in ZOO]
    for seed, equal, name in jobs[k::n]:
        key = {"recipe": name, "equal": equal, "seed": seed}
        if record.has(key):
            continue
        config = configured(name, given.mnist, seed)
        examiner = examiner or Examiner(build.splits(config.data))
        picture = given.grids / f"zoo_{name}_{equal}.png" if given.grids and seed == SEEDS[0] else None
        found = played(config, 60 * MINUTES if equal == "time" else None, examiner, picture)
        record.append(key, **found, **facts(config, examiner))
        print(key, {name: round(value, 4) for name, (value, *_) in found["figures"].items()}, flush=True)


def report() -> None:
    """Medians over the seeds, with the least and the most."""
    shown = ("fd", "kid", "precision", "recall", "density", "coverage", "smallest_class")
    for (equal,), of_equal in grouped(Record("zoo").rows(), "equal").items():
        table(
            f"zoo.py, equal {equal}",
            "recipe, runs | M weights: G, D | steps | s | " + " | ".join(shown) + " | fd before training | stuck",
            (
                f"{name}, {len(rows)} | {', '.join(f'{n / 1e6:.2f}' for n in rows[0]['parameters'].values())} "
                f"| {middle((r['clock']['step'] for r in rows), '.0f')} "
                f"| {middle((r['clock']['seconds'] for r in rows), '.0f')} | "
                + " | ".join(middle(r["figures"][figure][0] for r in rows) for figure in shown)
                + f" | {middle((r['untrained_fd'] for r in rows), '.1f')} | {sum(map(stuck, rows))} of {len(rows)}"
                for (name,), rows in grouped(of_equal, "recipe").items()
            ),
        )


def stuck(row: Row) -> bool:
    return not row["figures"]["fd"][0] < row["untrained_fd"] / 2


if __name__ == "__main__":
    main()
