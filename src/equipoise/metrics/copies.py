"""Does the generator repeat its training data? Distances of samples to it, against those of held-out real data."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from equipoise.errors import DataError
from equipoise.metrics.estimate import Estimate, by_count, jackknife, wider
from equipoise.metrics.inputs import check_features
from equipoise.metrics.modes import Bins
from equipoise.metrics.neighbours import nearest

QUANTILE = 0.05  # of held-out reals' distances: what is nearer passes for a copy
ROUNDING = 1e-5  # of the length of a row: one picture, as an encoder sees it in two batches
ERRORS = 3  # standard errors


def copy_rate(
    train: Tensor, fake: Tensor, held_out: Tensor, quantile: float = QUANTILE, groups: int = 20, seed: int = 0
) -> Estimate:
    """Share of fakes [M, d] nearer to the training data [N, d] than the `quantile` of held-out reals [H, d] are.

    `quantile` itself for a generator that copies no more than chance, 1 for one that only copies. H of at least
    1 / quantile. Interval by the jackknife over `groups` of fakes and of held-out reals (0: none).

    Raises:
        DataError: for held-out reals that are among the training data.
    """
    check_features("copy rate", 2, train=train, fake=fake)
    check_features("copy rate", round(1 / quantile), train=train, held_out=held_out)
    of_fake, of_held_out = nearest(fake, train)[0], nearest(held_out, train)[0]
    require_apart("copy rate", train, of_held_out, quantile)

    def rate(fakes: Tensor, others: Tensor) -> float:
        return share_within(fakes, others, quantile)

    value = rate(of_fake, of_held_out)
    interval = jackknife(value, rate, of_fake, of_held_out, groups=groups, seed=seed)
    interval = wider(interval, by_count(value, len(fake)))
    protocol = {"metric": "copy_rate", "quantile": quantile, "held_out": len(held_out)}
    return Estimate(value, *interval, len(fake), len(train), protocol)


def require_apart(metric: str, train: Tensor, of_held_out: Tensor, quantile: float = QUANTILE) -> None:
    """That held-out reals, at such distances [H] from the training data [N, d], are not taken from it: where they are,
    copies are no nearer than usual, and pass. Rows that are equal by chance are equal among the training data as often.

    Raises:
        DataError: when more than the `quantile` of them lie on training rows, and more than chance would put there.
    """
    n, h = len(train), len(of_held_out)
    equal = float((of_held_out <= ROUNDING * train.double().norm(dim=1).mean()).double().mean())
    if equal <= quantile:
        return
    usual = repeated(train)
    both = (h * equal + n * usual) / (h + n)
    error = math.sqrt(both * (1 - both) * (1 / h + 2 / n))  # equal training rows come in pairs at least
    if equal - usual > max(quantile, ERRORS * error):
        raise DataError(
            f"{metric}: {equal:.0%} of the held-out reals are among the training data, so copies would look as usual.\n"
            "Give training data without them (--train SET#train), or other reals."
        )


def repeated(x: Tensor) -> float:
    """Share of rows of x [N, d] that another row is equal to."""
    _, which, counts = torch.unique(x, dim=0, return_inverse=True, return_counts=True)
    return float((counts[which] > 1).double().mean())


def share_within(x: Tensor, others: Tensor, quantile: float) -> float:
    """Share of distances x [M] within the `quantile` of others [N]; `quantile` itself for x that are like the others.

    Rows of whole numbers lie at few distances, and many of the others at the limit itself. What lies there counts as
    far as the others have to, to come to the quantile: records that are equal by chance are no copies.
    """
    limit = torch.quantile(others, quantile)
    below, at = (float(found.double().mean()) for found in (x < limit, x == limit))
    usual_below, usual_at = (float(found.double().mean()) for found in (others < limit, others == limit))
    return below + at * (min(1.0, (quantile - usual_below) / usual_at) if usual_at else 1.0)


CELL = 10  # fewest fakes and held-out reals that a cell is judged by


def copying_test(
    train: Tensor, fake: Tensor, held_out: Tensor, bins: Bins | None = None, groups: int = 20, seed: int = 0
) -> Estimate:
    """C_T: are fakes [M, d] nearer to the training data [N, d] than held-out reals [H, d] are? In standard deviations.

    0 on average for a generator that neither copies nor strays, below -3 for one that copies, above 3 for one that
    strays; it grows with the root of the counts. With `bins`, fitted on the training data, each cell is judged on its
    own, and the mean is weighted by the held-out reals in it: copying in one place is not made up for by straying in
    another. Meehan, Chaudhuri and Dasgupta 2020 (arXiv:2004.05675), section 3. Interval by the jackknife over `groups`.

    Raises:
        DataError: for held-out reals that are among the training data, and where no cell has enough to judge by.
    """
    check_features("copying test", CELL, train=train, fake=fake, held_out=held_out)
    fakes, others = (located(x, train, bins) for x in (fake, held_out))
    require_apart("copying test", train, others[:, 1])
    cells = [c for c in torch.unique(others[:, 0]) if min((x[:, 0] == c).sum() for x in (fakes, others)) >= CELL]
    if not cells:
        raise DataError(f"copying test: no cell has {CELL} fakes and {CELL} held-out reals. Use fewer bins, or none.")

    def weighted_z(fakes: Tensor, others: Tensor) -> float:
        """Meehan et al., eq. 3."""
        parts = [(fakes[fakes[:, 0] == c, 1], others[others[:, 0] == c, 1]) for c in cells]
        return sum(mann_whitney(f, h) * len(h) for f, h in parts) / sum(len(h) for _, h in parts)

    value = weighted_z(fakes, others)
    interval = jackknife(value, weighted_z, fakes, others, groups=groups, seed=seed)
    count = 1 if bins is None else len(bins.centres)
    protocol = {"metric": "copying_test", "cells": count, "least": CELL, "held_out": len(held_out)}
    return Estimate(value, *interval, len(fake), len(train), protocol)


def located(x: Tensor, train: Tensor, bins: Bins | None) -> Tensor:
    """Of each row of x [N, d] its cell, and its distance to the nearest training sample there. [N, 2] float64."""
    cell, of_train = (torch.zeros(len(y)) if bins is None else bins.assign(y) for y in (x, train))
    found = torch.stack([cell.double(), torch.full((len(x),), torch.inf, dtype=torch.float64)], 1)
    for place in torch.unique(of_train):
        if (cell == place).any():
            found[cell == place, 1] = nearest(x[cell == place], train[of_train == place])[0]
    return found


def mann_whitney(x: Tensor, y: Tensor) -> float:
    """z of U, the count of pairs x > y and half of those x = y, of x [M], y [N] (Mann and Whitney 1947). 0 for none."""
    m, n = len(x), len(y)
    if m * n == 0:
        return 0.0
    y = y.sort().values
    u = (torch.searchsorted(y, x) + torch.searchsorted(y, x, right=True)).double().sum() / 2
    return float((u - m * n / 2) / math.sqrt(m * n * (m + n + 1) / 12))
