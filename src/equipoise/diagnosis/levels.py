"""What the columns of a log do: levels and their noise, blocks, gaps, rhythms. As of the end of the log.

A figure of quality scatters, and its best is the luckiest of many. So levels are compared, not values: the median of
three evaluations, against the best such level before. It must be worse by a margin and beyond the noise.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]
Steps = NDArray[np.int64]
Series = tuple[Steps, Values]  # steps ascending
Log = Mapping[str, Series]

LOSSES = ("d_loss", "g_loss")
NORMS = ("grad_norm_g", "grad_norm_d")
SCORES = ("d_real", "d_fake")  # D's mean answer, as logits or as probabilities
QUALITY = ("fid", "is", "precision", "recall", "density", "coverage")
COLUMNS = (*LOSSES, *QUALITY, *SCORES, *NORMS)

THREE = 3  # evaluations of a level: one outlier does not move their median
LEAST = 5  # evaluations that a judgment needs
MARGIN = 1.12  # a level is worse by such a factor: fitted on published logs, benchmarks/training_logs.py
SEVERE = 1.25  # such a factor is severe: how published runs are called degraded
NOISES = 5.0  # of the scatter: flat noise comes so far from its best in 6% of logs of 100 evaluations, without a margin
RECENT = 40  # evaluations that tell the scatter
UNKNOWN = 0.05  # scatter of a logarithm while there are too few evaluations to tell
NOTHING = 0.05  # a rate below it is as good as none: its ratios mean nothing

BLOCKS, BLOCK = 40, 5  # at most so many blocks, of at least so many values
CYCLES, EITHER = 4, 0.5  # the fewest that make a rhythm; the share of the variance that it must explain in either half

NONE: Series = (np.zeros(0, np.int64), np.zeros(0))


@dataclass(frozen=True)
class Fell:
    """A figure that is worse than it was."""

    column: str
    step: int  # since when
    best_step: int
    now: float
    best: float
    factor: float
    noises: float

    @property
    def severity(self) -> Literal["warning", "severe"]:
        return "severe" if self.factor > SEVERE else "warning"

    @property
    def evidence(self) -> dict[str, float]:
        return {
            f"{self.column}_now": self.now, f"{self.column}_best": self.best, "best_at_step": float(self.best_step),
            "factor": self.factor, "noises": self.noises,
        }  # fmt: skip


@dataclass(frozen=True)
class Look:
    """A log of finite numbers, as the rules ask about it."""

    log: Log
    margin: float = MARGIN

    def series(self, column: str) -> Series:
        return self.log.get(column, NONE)

    def blocks(self, column: str, by: Callable[[Values], Values] = np.asarray) -> Series:
        steps, values = self.series(column)
        return blocks(steps, by(values))

    def fell(self, column: str) -> Fell | None:
        return fell(column, *self.series(column), self.margin)

    @cached_property
    def quality_fell(self) -> Fell | None:
        """FID decides where there is one; without it, more than half of the other figures must agree."""
        if len(self.series("fid")[0]) >= LEAST:
            return self.fell("fid")
        others = [name for name in QUALITY if len(self.series(name)[0]) >= LEAST]
        worse = [each for name in others if (each := self.fell(name))]
        return max(worse, key=lambda each: each.factor) if 2 * len(worse) > len(others) else None

    @cached_property
    def is_critic(self) -> bool:
        """A loss of D that is negative is Wasserstein's: it has no scale, and neither have D's answers."""
        return bool((self.series("d_loss")[1] < 0).any())

    @cached_property
    def gap(self) -> Series:
        """How far D's answers to reals and to fakes lie apart, in logits, by blocks."""
        (real_at, real), (fake_at, fake) = (self.series(name) for name in SCORES)
        steps, i, j = np.intersect1d(real_at, fake_at, return_indices=True)
        real, fake = real[i], fake[j]
        if len(steps) and min(real.min(), fake.min()) >= 0 and max(real.max(), fake.max()) <= 1:  # probabilities
            real, fake = logit(real), logit(fake)
        return blocks(steps, real - fake)


def logit(p: Values) -> Values:
    p = np.clip(p, 1e-6, 1 - 1e-6)
    return np.asarray(np.log(p / (1 - p)))


def fell(column: str, steps: Steps, values: Values, margin: float) -> Fell | None:
    if len(values) < LEAST:
        return None
    scores, shown = goodness(column, values), medians(values)
    levels = medians(scores)
    drops = np.maximum.accumulate(levels) - levels
    drop, noise = float(drops[-1]), scatter(scores[:-THREE])  # the fall itself is no noise
    if drop <= max(np.log(margin), NOISES * noise):
        return None
    at, best = steps[THREE - 1 :], int(levels.argmax())
    since = begun(at, drops > np.log(margin))
    return Fell(
        column, since, int(at[best]), float(shown[-1]), float(shown[best]), float(np.exp(drop)), drop / max(noise, 1e-6)
    )


def goodness(column: str, values: Values) -> Values:
    """On a scale where higher is better and a difference is a ratio."""
    if column == "fid":
        return np.asarray(-np.log(np.maximum(values, 1e-6)))
    return np.asarray(np.log(np.maximum(values, NOTHING)))


def medians(values: Values) -> Values:
    """Of three in a row, [n - 2]."""
    return np.asarray(np.median(np.lib.stride_tricks.sliding_window_view(values, THREE), axis=1))


def scatter(values: Values) -> float:
    """Standard deviation about a smooth curve, of the most recent: second differences have sqrt(6) of it."""
    if len(values) < LEAST:
        return UNKNOWN
    return float(1.4826 * np.median(np.abs(np.diff(values, 2)[-RECENT:])) / 6**0.5)


def blocks(steps: Steps, values: Values) -> Series:
    """First step and median of each block up to the end; nothing where there are too few values for two."""
    if len(values) < 2 * BLOCK:
        return NONE
    count = min(BLOCKS, len(values) // BLOCK)
    size = len(values) // count
    return steps[-count * size :: size], np.median(values[-count * size :].reshape(count, size), axis=1)


def begun(steps: Steps, holds: NDArray[np.bool_]) -> int:
    """Since which step it holds without a break up to the end, where it does."""
    broken = np.flatnonzero(~holds)
    return int(steps[broken[-1] + 1 if len(broken) else 0])


class Rhythm(NamedTuple):
    period: float  # in values
    chance: float  # that white noise shows one as strong
    swing: float  # its amplitude, in parts of the level


def rhythm(values: Values) -> Rhythm | None:
    """The period that explains most of the last three quarters (at first, much is learnt), if it explains either half.

    An event that happens once does not. Chance: the F test of a harmonic regression, for all periods that were tried.
    """
    values = values[len(values) // 4 :]
    n = len(values)
    if n < 6 * CYCLES:
        return None
    x = np.arange(n) / n
    rest = values - np.polyval(np.polyfit(x, values, 2), x)
    tried = np.arange(CYCLES, n / 4, 0.25)  # cycles; four values and more in each
    waves = [np.exp(2j * np.pi * cycles * x) for cycles in tried]
    parts = [explained(rest, wave) for wave in waves]
    top = int(np.argmax(parts))
    if min(explained(part, wave) for part, wave in zip(halves(rest), halves(waves[top]), strict=True)) < EITHER:
        return None
    chance = len(tried) * (1 - parts[top]) ** ((n - 6) / 2)  # three numbers for the parabola, two for the wave
    swing = float((2 * parts[top] * rest.var()) ** 0.5) / max(abs(float(np.median(values))), 1e-12)
    return Rhythm(n / float(tried[top]), min(1.0, chance), swing)


def halves(values: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    return values[: len(values) // 2], values[len(values) // 2 :]


def explained(rest: Values, wave: NDArray[np.complex128]) -> float:
    """The share of the variance that a wave of any phase explains."""
    basis = np.stack([wave.real, wave.imag, np.ones(len(wave))], axis=1)
    left = rest - basis @ np.linalg.lstsq(basis, rest, rcond=None)[0]
    return 1 - float(left.var()) / float(rest.var()) if rest.var() > 0 else 0.0
