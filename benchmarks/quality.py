"""python benchmarks/quality.py [--mnist mnist.npz]    the fast step draws as well as the plain one.

The arms of benchmarks/speed.py, trained for equally many steps from the same weights on the same images: MNIST at 32
pixels for dcgan (64 channels, batch 64), the 8x8 digits for r3gan (width 64, batch 64). Precision and coverage (k = 5)
of 2,000 samples against as many held-out reals, or all there are, in the features of a classifier trained here on the
training images. Both arms are judged by the generator itself; `average` is Equipoise's own averaged one.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import plain
import torch
from record import Record, Row, table
from torch import nn

from equipoise import build
from equipoise.config import Arrays, Digits, TrainConfig, override
from equipoise.data.source import Splits
from equipoise.encoders.classifier import Classifier, trained_classifier
from equipoise.metrics.neighbours import prdc
from equipoise.recipes import recipe

CPU = torch.device("cpu")
SAMPLES, SEEDS = 2000, (0, 1, 2)
STEPS = {"dcgan": 400, "r3gan": 500}
R3GAN = ["nets.width=64", "batch=64", "knobs.augment_p=0", "knobs.r1=1", "knobs.r2=1"]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--mnist", type=Path)
    given = parser.parse_args()
    torch.set_num_threads(1)
    cases = {}
    if given.mnist:
        cases["dcgan"] = recipe("dcgan").model_copy(update={"data": Arrays(path=str(given.mnist), size=32)})
    cases["r3gan"] = override(recipe("r3gan-xs"), R3GAN).model_copy(update={"data": Digits()})
    record = Record("quality")
    for case, config in cases.items():
        data, judge = build.splits(config.data), None
        for seed in SEEDS:
            for arm in ("plain", "equipoise"):
                key = {"case": case, "arm": arm, "seed": seed, "steps": STEPS[case]}
                if record.has(key):
                    continue
                judge = judge or trained_classifier(data.train, epochs=30 if case == "r3gan" else 1)
                config = override(config, [f"seed={seed}", "machine.precision=fp32"])
                train = trained if arm == "equipoise" else trained_plainly
                figures = {name: judged(G, config, data, judge) for name, G in train(config, data, STEPS[case]).items()}
                print(record.append(key, **figures), flush=True)


def trained(config: TrainConfig, data: Splits, steps: int) -> dict[str, nn.Module]:
    game, batches = build.game(config, build.form(config, data), CPU), build.batches(config, data, CPU)
    for _ in range(steps):
        game.step(batches)
    return {"generator": game.networks()["G"], "average": game.ema.net}


def trained_plainly(config: TrainConfig, data: Splits, steps: int) -> dict[str, nn.Module]:
    torch.manual_seed(config.seed)
    players, batches = plain.Plain(config, build.form(config, data)), build.batches(config, data, CPU)
    step = plain.r3gan_step if config.nets.kind == "r3gan" else plain.dcgan
    for _ in range(steps):
        real, y = next(batches)
        step(players, real.contiguous(), y)
    return {"generator": players.G}


@torch.no_grad()
def judged(G: nn.Module, config: TrainConfig, data: Splits, judge: Classifier) -> dict[str, float]:
    n = min(SAMPLES, len(data.validation))
    z = torch.randn(n, config.nets.z_dim, generator=torch.Generator().manual_seed(99))
    fake = torch.cat([G.eval()(part, torch.zeros(len(part), dtype=torch.long)) for part in z.split(250)])
    real, _ = data.validation.take(torch.arange(n))
    found = prdc(judge.features(real), judge.features(fake), subsamples=0)
    classes = torch.bincount(judge.classify(fake), minlength=10)
    return {
        "precision": round(found.precision.value, 3), "coverage": round(found.coverage.value, 3), "samples": n,
        "smallest_class": round(classes.min().item() / n, 3),
    }  # fmt: skip


def report() -> None:
    def cells(figures: Row) -> str:
        return f"{figures['precision']:.3f} | {figures['coverage']:.3f} | {figures['smallest_class']:.3f}"

    table(
        "quality.py",
        "case, seed, steps | net | precision | coverage | smallest class",
        (
            f"{r['key']['case']}, {r['key']['seed']}, {r['key']['steps']} | {r['key']['arm']}, {name} "
            f"| {cells(r[name])}"
            for r in Record("quality").rows()
            for name in ("generator", "average")
            if name in r
        ),
    )


if __name__ == "__main__":
    main()
