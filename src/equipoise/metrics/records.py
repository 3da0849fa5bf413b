"""Figures about records: rows of flags (0 or 1) or of counts, such as the codes that a patient has had.

Choi et al. 2017 (arXiv:1703.06490), sections 4.2 to 4.4, compare column by column: how often each occurs, and how well
it is told from the others. Records are floats [N, d] that hold whole numbers.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from equipoise.errors import DataError
from equipoise.metrics.estimate import Estimate, by_mean, jackknife
from equipoise.metrics.inputs import check_features

ASKED = 20  # columns, at most, that are told from the others: the most even ones
RARE = 0.02  # a column that is this rare or this common tells nothing
FEWEST = 10  # of both kinds, in what a column is learned and judged by


class Likeness(NamedTuple):
    prevalence_r2: (
        Estimate  # of the columns' means: 1 - sum (real - fake)^2 / sum (real - mean real)^2; 1 for equal ones
    )
    correlation_error: Estimate  # mean |correlation of reals - of fakes| over pairs of columns; 0 for equal ones


class Usefulness(NamedTuple):
    tstr_auc: Estimate  # learned from fakes, judged on reals; .5 is chance
    trtr_auc: Estimate  # learned from reals, judged on reals: what the first can at best be


def likeness(real: Tensor, fake: Tensor, groups: int = 10, seed: int = 0) -> Likeness:
    """Of records real [N, d] and fake [M, d]. Intervals by the jackknife over groups of both.

    Equal distributions of few records do not reach 1 and 0: compare with reals against reals.

    Raises:
        DataError: for what is no records, or columns that never differ.
    """
    require_records("records", 20, real=real, fake=fake)
    real, fake = real.double(), fake.double()

    def r2(real: Tensor, fake: Tensor) -> float:
        a, b = real.mean(0), fake.mean(0)
        return float(1 - (a - b).square().sum() / (a - a.mean()).square().sum())

    def off(real: Tensor, fake: Tensor) -> float:
        varying = (real != real[0]).any(0)
        a, b = (correlations(x[:, varying]) for x in (real, fake))
        return float((a - b).abs().mean())

    if not (real != real[0]).any(0).sum() > 1 or real.mean(0).std() == 0:
        raise DataError("records: fewer than two columns differ between reals, or all are as frequent.")

    def estimate(name: str, figure: Callable[[Tensor, Tensor], float]) -> Estimate:
        value = figure(real, fake)
        interval = jackknife(value, figure, real, fake, groups=groups, seed=seed)
        return Estimate(value, *interval, len(fake), len(real), {"metric": name, "columns": real.shape[1]})

    return Likeness(estimate("prevalence_r2", r2), estimate("correlation_error", off))


def usefulness(train: Tensor, fake: Tensor, test: Tensor) -> Usefulness:
    """Each of some columns (whether it is above 0) told from all others by logistic regression, learned from as many
    fakes [M, d] as training reals [N, d], and judged on test reals [T, d] by the area under its curve.

    The mean over columns; intervals over columns, which share records: they tell of other columns, not of other tests.

    Raises:
        DataError: for what is no records, or no column with enough of both kinds.
    """
    require_records("records", 2 * FEWEST, train=train, fake=fake, test=test)
    columns = askable(train, test)
    if len(columns) < 2:
        raise DataError(
            f"records: fewer than two columns have {FEWEST} records of both kinds to learn from and to be judged by."
        )
    n = min(len(train), len(fake))
    scores = {
        name: torch.tensor([told(learned[:n], test, column) for column in columns], dtype=torch.float64)
        for name, learned in (("tstr_auc", fake), ("trtr_auc", train))
    }
    facts = {"columns": len(columns), "learned_from": n}
    return Usefulness(*(
        Estimate(float(each.mean()), *by_mean(each), len(fake), len(test), {"metric": name, **facts})
        for name, each in scores.items()
    ))  # fmt: skip


def correlations(x: Tensor) -> Tensor:
    """Between columns of x [N, d], of all pairs: [d (d - 1) / 2]. 0 where one is constant."""
    centred = x - x.mean(0)
    spread = centred.square().sum(0).sqrt()
    found = (centred.T @ centred) / (spread[:, None] * spread).clamp(min=1e-12)
    return found[tuple(torch.triu_indices(len(found), len(found), 1))]


def askable(train: Tensor, test: Tensor) -> list[int]:
    """The columns that are neither rare nor common, the most even ones first."""
    had = train > 0
    share = had.double().mean(0)
    enough = torch.stack([(x.sum(0) >= FEWEST) & ((~x).sum(0) >= FEWEST) for x in (had, test > 0)]).all(0)
    even = (share - 0.5).abs().where(enough & (share > RARE) & (share < 1 - RARE), torch.inf)
    return [int(i) for i in even.argsort(stable=True)[:ASKED] if even[i] < torch.inf]


def told(learned: Tensor, test: Tensor, column: int) -> float:
    """The area under the curve; .5 where fakes have one kind alone, and nothing is learned."""
    from sklearn.linear_model import LogisticRegression  # takes a second to import

    others = [i for i in range(learned.shape[1]) if i != column]
    x, y = (t.double().log1p().numpy() for t in (learned[:, others], test[:, others]))  # counts have long tails
    x_had, y_had = (t[:, column] > 0 for t in (learned, test))
    if x_had.all() or not x_had.any():
        return 0.5
    score = LogisticRegression(max_iter=200).fit(x, x_had.numpy()).decision_function(y)
    return area(torch.from_numpy(score)[y_had], torch.from_numpy(score)[~y_had])


def area(high: Tensor, low: Tensor) -> float:
    """The share of pairs in which the first is higher; equal ones count half."""
    low = low.sort().values
    below = torch.searchsorted(low, high) + torch.searchsorted(low, high, right=True)
    return float(below.double().mean() / 2 / len(low))


def require_records(metric: str, least: int, **records: Tensor) -> None:
    check_features(metric, least, **records)
    for name, x in records.items():
        if (x != x.round()).any() or (x < 0).any():
            raise DataError(f"{metric} are whole numbers from 0, and '{name}' holds others: round them first.")
