"""python benchmarks/auxiliary.py    how G learns the class: by projection in D, AC-GAN, ReACGAN. Three seeds each.

All on the loss, nets and penalties of `digits`, for 150,000 real samples: 16 to 20 s of one core each. A classifier of
the real digits says which share of 2,000 samples is the digit that was asked for. Diversity within a digit is the mean
distance of two samples of the same asked digit, over that of two reals of it, in pixels: its mean over digits and its
least; AC-GAN is known to lack it.
"""

from __future__ import annotations

from statistics import fmean

import torch
from judge import Judge
from record import Record
from torch import Tensor

from equipoise import build
from equipoise.config import TrainConfig, override
from equipoise.data.digits import digits
from equipoise.data.source import everything
from equipoise.knobs import scheduled
from equipoise.recipes import recipe

SAMPLES, OF_A_CLASS, SEEDS = 2000, 140, 3
PLAYERS = {"projection": ("digits", ["nets.conditioning=projection", "kimg=150"])}
PLAYERS |= {"acgan": ("acgan", []), "reacgan": ("reacgan", [])}


def main() -> None:
    torch.set_num_threads(1)
    record, judge = Record("auxiliary"), Judge()
    reals = apart(*everything(digits().train))
    for name, seed in ((name, seed) for seed in range(SEEDS) for name in PLAYERS):
        key = {"who": name, "seed": seed}
        if record.has(key):
            continue
        base, settings = PLAYERS[name]
        x, y = samples(override(recipe(base), [*settings, f"seed={seed}", "machine.device=cpu"]))
        right = judge.net.classify(x) == y
        diversity = [mine / real for mine, real in zip(apart(x, y), reals, strict=True)]
        row = record.append(
            key, asked=float(right.double().mean()), worst=min(float(right[y == k].double().mean()) for k in range(10)),
            within=fmean(diversity), least_within=min(diversity), **judge.neighbours(x),
        )  # fmt: skip
        print(row, flush=True)


def samples(config: TrainConfig) -> tuple[Tensor, Tensor]:
    """Of the game at its end, and the digits that were asked for."""
    data, device = build.splits(config.data), torch.device("cpu")
    game, batches = build.game(config, build.form(config, data), device), build.batches(config, data, device)
    while game.seen < config.images:
        game.knobs = scheduled(config.knobs, config.schedules, game.seen / config.images)
        game.step(batches)
    y = build.class_cycle(SAMPLES, 10)
    z = torch.randn(SAMPLES, config.nets.z_dim, generator=torch.Generator().manual_seed(7))
    return game.sampler(z, y).clamp(-1, 1), y


def apart(x: Tensor, y: Tensor) -> list[float]:
    """The mean distance of two samples of each digit, in pixels."""
    return [float(torch.pdist(x[y == k][:OF_A_CLASS].flatten(1)).mean()) for k in range(10)]


if __name__ == "__main__":
    main()
