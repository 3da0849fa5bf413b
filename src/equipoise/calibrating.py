"""Calibrates the signals of samples on the user's own data: reals in place of fakes, as they are and with defects.

Limits come from reals against reals, drawn without replacement; the power of a signal is how often a planted defect
goes beyond them. The calibration is remembered, under everything that it depends on.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import conv2d

from equipoise.data.hooks import Track, untracked
from equipoise.diagnosis.calibration import Calibration, Draw, calibration
from equipoise.metrics.neighbours import squared_radii
from equipoise.probes.samples import Placed, Yardstick
from equipoise.streams import Stream

VERSION = 4  # of what is planted and how: a calibration is remembered under it
NULLS, OTHERS, TRIALS = 100, 40, 20
SPARE = 3  # times as many reals as a look takes: fewer leave no room for defects
GREY_LEVELS = 20  # standard deviation of the noise that is planted, of 255
KEPT = 0.7  # of each mode, when it shrinks: those nearest to its middle
COPIES, DIFFERENT = 0.2, 0.25  # share of the fakes that are copies; share of different ones among duplicates


@dataclass(frozen=True)
class Pool:
    """Reals that take the place of fakes."""

    clean: Placed  # [N]
    blurred: Placed  # the same reals, worse
    noisy: Placed
    modes: Tensor  # [N] what may go missing: classes, or cells where there are none; numbered without gaps
    training: Placed  # what a copy is a copy of

    def __len__(self) -> int:
        return len(self.clean)


Defect = Callable[[Pool, int, torch.Generator], Placed]  # n samples of the pool, with a defect


def drawn(n: int, weights: Tensor, g: torch.Generator) -> Tensor:
    """n places without replacement, each with a chance in proportion to its weight: Efraimidis and Spirakis 2006.
    Where fewer weigh anything, these are taken again in turn: what is missing stays missing."""
    keys = torch.rand(len(weights), generator=g, dtype=torch.float64).log() / weights.double()
    places = keys.topk(min(n, int((weights > 0).sum()))).indices
    return places[torch.arange(n) % len(places)]


def evenly(pool: Pool, n: int, g: torch.Generator) -> Tensor:
    return torch.randperm(len(pool), generator=g)[:n]


def nothing(pool: Pool, n: int, g: torch.Generator) -> Placed:
    return pool.clean.at(evenly(pool, n, g))


def kept_modes(pool: Pool, share: float, g: torch.Generator) -> Tensor:
    """The weight of each sample when `share` of the modes, by number, are missing; of a part of a mode, that part."""
    count = int(pool.modes.max()) + 1
    order, gone = torch.randperm(count, generator=g), share * count
    weight = torch.ones(count)
    weight[order[: int(gone)]] = 0
    if gone % 1:
        weight[order[int(gone)]] = 1 - gone % 1
    return weight[pool.modes]


def dropped(share: float) -> Defect:
    return lambda pool, n, g: pool.clean.at(drawn(n, kept_modes(pool, share, g), g))


def imbalanced(pool: Pool, n: int, g: torch.Generator) -> Placed:
    """Modes in proportion to 1 / sqrt(rank), in a random order (Zipf's law with exponent .5)."""
    rank = torch.randperm(int(pool.modes.max()) + 1, generator=g) + 1
    return pool.clean.at(drawn(n, rank.double().rsqrt()[pool.modes], g))


def shrunk(pool: Pool, n: int, g: torch.Generator) -> Placed:
    """Only those samples of each cell that are nearest to its middle."""
    rank = torch.empty(len(pool), dtype=torch.float64)
    for cell in torch.unique(pool.clean.bin):
        members = (pool.clean.bin == cell).nonzero().flatten()
        rank[members] = pool.clean.off[members].argsort().argsort().double() / len(members)
    return pool.clean.at(drawn(n, (rank < KEPT).double(), g))


def duplicated(pool: Pool, n: int, g: torch.Generator) -> Placed:
    few = evenly(pool, max(2, round(DIFFERENT * n)), g)
    return pool.clean.at(few[torch.randint(len(few), (n,), generator=g)])


def copied(base: Defect) -> Defect:
    """The defect, with training samples in place of a part of the fakes."""

    def defect(pool: Pool, n: int, g: torch.Generator) -> Placed:
        k = round(COPIES * n)
        copies = pool.training.at(torch.randint(len(pool.training), (k,), generator=g))
        return base(pool, n - k, g).joined(copies)

    return defect


DEFECTS: Mapping[str, Defect] = {
    "drop 5%": dropped(0.05), "drop 10%": dropped(0.1), "drop 25%": dropped(0.25), "drop 50%": dropped(0.5),
    "imbalance": imbalanced, "shrink": shrunk,
    "blur": lambda pool, n, g: pool.blurred.at(evenly(pool, n, g)),
    "noise": lambda pool, n, g: pool.noisy.at(evenly(pool, n, g)),
    "duplicates": duplicated, "copies": copied(nothing),
    "drop 25% + noise": lambda pool, n, g: pool.noisy.at(drawn(n, kept_modes(pool, 0.25, g), g)),
    "drop 25% + copies": copied(dropped(0.25)),
}  # fmt: skip


def calibrated(
    yardstick: Yardstick, pool: Pool, features: str, trials: int = TRIALS, nulls: int = NULLS, others: int = OTHERS,
    track: Track = untracked,
) -> Calibration:  # fmt: skip
    """Of looks at as many samples as the yardstick has reals."""
    n = len(yardstick.real)

    def draws(name: str, count: int) -> list[Draw]:
        defect = DEFECTS.get(name, nothing)
        return [yardstick.signals(defect(pool, n, Stream(0, f"calibration/{name}").at(i))) for i in range(count)]

    names = ["limits", "false alarms", *DEFECTS]
    counts = [nulls, others, *[trials] * len(DEFECTS)]
    found = {
        name: draws(name, counts[i]) for i, name in enumerate(track(names, "calibrating the guardian", len(names)))
    }
    return calibration(n, features, found.pop("limits"), found.pop("false alarms"), found, pool=len(pool))


def blurred(x: Tensor) -> Tensor:
    """uint8 images [N, C, H, W] through a binomial filter of 3 pixels; points as they are."""
    kernel = torch.outer(torch.tensor([1.0, 2, 1]), torch.tensor([1.0, 2, 1])) / 16
    smooth = conv2d(x.float().flatten(0, 1)[:, None], kernel[None, None], padding=1)
    return smooth.view(x.shape).round().clamp(0, 255).to(torch.uint8)


def noisy(x: Tensor) -> Tensor:
    """uint8 images with normal noise."""
    noise = torch.randn(x.shape, generator=Stream(0, "planted noise").at(0)) * GREY_LEVELS
    return (x.float() + noise).round().clamp(0, 255).to(torch.uint8)


def scrambled(tokens: Tensor) -> Tensor:
    """Sentences [N, L] in which one token in four is that of the next sentence at this place, if it has one."""
    other = tokens.roll(-1, 0)
    chance = torch.rand(tokens.shape, generator=Stream(0, "planted words").at(0))
    return torch.where((chance < 0.25) & (tokens != 0) & (other != 0), other, tokens)


def jittered(x: Tensor) -> Tensor:
    """Points [N, d] with normal noise, of half the distance to the nearest other point in the middle."""
    width = float(squared_radii(x, 1).median().sqrt()) / 2
    return x + torch.randn(x.shape, generator=Stream(0, "planted noise").at(0)) * width
