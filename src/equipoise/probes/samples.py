"""What the features of samples say about them: signals that are cheap enough for every look at a run.

Each is one number for the fakes against held-out reals of equal count. What the same number is for reals, and which
defect it sees, is measured on the user's own data: see `calibrating`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from equipoise.encoders.cache import Cache
from equipoise.encoders.cells import cells
from equipoise.errors import DataError
from equipoise.metrics import Bins, effective_rank, repeats, vendi_score
from equipoise.metrics.bleu import sentence_self_bleu
from equipoise.metrics.copies import mann_whitney, share_within
from equipoise.metrics.modes import LIMIT, MISSING, deviations, jensen_shannon
from equipoise.metrics.neighbours import centred, nearest, squared_distances, squared_radii
from equipoise.metrics.wording import words_used

NEIGHBOURS = 5
ALIKE, ORDER = 300, 3  # sentences whose self-BLEU is taken, and of which order
COPIED = 0.05  # of held-out reals are nearer to the training data than the distance below which a fake counts as a copy
BINS, TO_A_BIN = 100, 10  # at most so many bins, and at least so many samples for each
FEWEST = 2 * TO_A_BIN


@dataclass(frozen=True)
class Placed:
    """Samples in a feature space, and where they lie among the training data."""

    features: Tensor  # [N, d]
    near: Tensor  # [N] distance to the nearest training sample
    bin: Tensor  # [N] cell of the training data's k-means
    off: Tensor  # [N] squared distance to the centre of that cell
    classes: Tensor | None = None  # [N] as the encoder reads them, if it does
    tokens: Tensor | None = None  # [N, L] of sentences

    def __len__(self) -> int:
        return len(self.features)

    def at(self, places: Tensor) -> Placed:
        classes = None if self.classes is None else self.classes[places]
        tokens = None if self.tokens is None else self.tokens[places]
        return Placed(self.features[places], self.near[places], self.bin[places], self.off[places], classes, tokens)

    def joined(self, other: Placed) -> Placed:
        classes = None if self.classes is None or other.classes is None else torch.cat([self.classes, other.classes])
        pairs = ((self.features, other.features), (self.near, other.near), (self.bin, other.bin), (self.off, other.off))
        features, near, bins, off = (torch.cat(pair) for pair in pairs)
        tokens = None if self.tokens is None or other.tokens is None else torch.cat([self.tokens, other.tokens])
        return Placed(features, near, bins, off, classes, tokens)


@dataclass(frozen=True)
class Ground:
    """The training data that samples are placed on: its features [M, d], and its cells."""

    train: Tensor
    bins: Bins

    @classmethod
    def of(cls, train: Tensor, n: int, cache: Cache | None = None) -> Ground:
        """For looks at n samples; a cache remembers the cells. Raises DataError where there are too few of either."""
        count = min(BINS, n // TO_A_BIN, len(train) // TO_A_BIN)
        if count < 2:
            raise DataError(f"samples are watched from {FEWEST} of them on, and as many to learn from.")
        return cls(train, cells(train, count, cache))

    def place(self, features: Tensor, classes: Tensor | None = None) -> Placed:
        """Samples as an encoder sees them."""
        near, _ = nearest(features, self.train)
        off, cell = nearest(features, self.bins.centres)
        return Placed(features, near, cell, off.square(), classes)

    def of_itself(self, features: Tensor, classes: Tensor | None = None) -> Placed:
        """The training samples, in their order, as they are or changed: each by its distance to the others."""
        here, train = centred(features, self.train)
        near = torch.cat([
            distance.scatter_(1, torch.arange(rows.start, rows.stop)[:, None], torch.inf).amin(1)
            for rows, distance in squared_distances(here, train)
        ])  # fmt: skip
        off, cell = nearest(features, self.bins.centres)
        return Placed(features, near.clamp(min=0).sqrt().double(), cell, off.square(), classes)


@dataclass(frozen=True)
class Yardstick:
    """The reals that fakes are held against: always the same, so that two looks compare."""

    real: Placed
    cells: int
    classes: int  # 0 where the encoder names none

    def signals(self, fake: Placed) -> dict[str, float]:
        """The signals of as many fakes as there are reals."""
        real = self.real
        found = self.neighbours(fake.features)
        p, q = shares(real.bin, self.cells), shares(fake.bin, self.cells)
        found["jsd"], found["missing"] = jensen_shannon(p, q), float(p[missing(p, q, len(real), len(fake))].sum())
        if self.classes and real.classes is not None and fake.classes is not None:
            found["class_jsd"] = jensen_shannon(shares(real.classes, self.classes), shares(fake.classes, self.classes))
        for name, figure in VARIETY.items():
            found[name] = figure(fake.features) / self.variety[name]
        found["spread"] = float(fake.off.mean() / real.off.mean())
        if real.tokens is not None and fake.tokens is not None:
            found |= self.wording(fake.tokens)
        found["copy_rate"] = share_within(fake.near, real.near, COPIED)
        found["c_t"] = mann_whitney(fake.near, real.near)
        return found

    def wording(self, tokens: Tensor) -> dict[str, float]:
        """Of sentences [N, L]: how many are said again, how many words there are, and how alike some are."""
        used, alike = self.worded
        return {
            "repeats": repeats(tokens).value, "vocabulary": words_used(tokens) / max(used, 1),
            "self_bleu": self_bleu_of_some(tokens) - alike,
        }  # fmt: skip

    @cached_property
    def worded(self) -> tuple[int, float]:
        """Different words of the reals, and their self-BLEU."""
        assert self.real.tokens is not None
        return words_used(self.real.tokens), self_bleu_of_some(self.real.tokens)

    @cached_property
    def variety(self) -> dict[str, float]:
        return {name: figure(self.real.features) for name, figure in VARIETY.items()}

    @cached_property
    def balls(self) -> tuple[Tensor, Tensor, Tensor, float]:
        """The origin of all distances [d], the reals about it, their squared radii [n], and how far they are apart."""
        real, _ = centred(self.real.features, self.real.features[:1])
        return self.real.features[0] - real[0], real, squared_radii(real, NEIGHBOURS), apart(real)

    def neighbours(self, features: Tensor) -> dict[str, float]:
        """Precision, density, coverage and `apart`: how far fakes are from each other, over how far the reals are."""
        origin, real, radius, reals_apart = self.balls
        fake = features - origin
        balls, covered = torch.empty(len(fake)), torch.zeros(len(real), dtype=torch.bool)
        for rows, distance in squared_distances(fake, real):
            inside = distance < radius
            balls[rows] = inside.sum(1, dtype=torch.float32)
            covered |= inside.any(0)
        return {
            "precision": float((balls > 0).double().mean()), "density": float(balls.double().mean() / NEIGHBOURS),
            "coverage": float(covered.double().mean()), "apart": apart(fake) / reals_apart if reals_apart else 0.0,
        }  # fmt: skip


def self_bleu_of_some(tokens: Tensor) -> float:
    """Self-BLEU-3 of the first sentences; a calibration asks for it hundreds of times."""
    return float(sentence_self_bleu(tokens[:ALIKE], ORDER)[:, ORDER - 1].mean())


def apart(x: Tensor) -> float:
    """The middle distance of samples, near the origin, to the nearest other one."""
    return float(squared_radii(x, 1).clamp(min=0).median().sqrt())


VARIETY: dict[str, Callable[[Tensor], float]] = {
    "vendi": lambda x: vendi_score(x, groups=0).value,
    "rank": lambda x: effective_rank(x, groups=0).value,
}


def shares(cell: Tensor, count: int) -> Tensor:
    """Of samples in each of `count` cells. [count]."""
    return torch.bincount(cell, minlength=count).double() / len(cell)


def missing(p: Tensor, q: Tensor, n: int, m: int) -> Tensor:
    """Which cells, with shares p of n reals, the m fakes as good as never reach: shares q. [K] bool."""
    return (deviations(p, q, n, m) < -LIMIT) & (q < MISSING * p)
