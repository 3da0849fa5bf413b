"""Copies are told from other samples, few as they are, and from those near the middle, nearer to everything."""

import pytest
import torch
from histories import calibration

from equipoise.diagnosis.history import Look
from equipoise.diagnosis.symptoms import symptoms
from equipoise.probes.samples import Ground, Yardstick


def named(n, train, fake, seed):
    """Whether looks at n samples, of as many dimensions as `fake` draws, are called memorising."""
    of_train = torch.randn(train, 8, generator=torch.Generator().manual_seed(seed))
    ground = Ground.of(of_train, n)
    real = ground.place(torch.randn(n, 8, generator=torch.Generator().manual_seed(1000 + seed)))
    yardstick = Yardstick(real, len(ground.bins.centres), 0)
    draws = [torch.Generator().manual_seed(10_000 * (1 + i) + seed) for i in range(4)]
    history = [Look(1000 * (i + 1), yardstick.signals(ground.place(fake(of_train, n, g)))) for i, g in enumerate(draws)]
    return "memorising" in {finding.symptom for finding in symptoms(history, calibration(), 0)}


def honest(of_train, n, g):
    return torch.randn(n, 8, generator=g)


def shrunk(of_train, n, g):
    return 0.6 * torch.randn(n, 8, generator=g)


def copies(of_train, n, g):
    return of_train[torch.randint(len(of_train), (n,), generator=g)]


@pytest.mark.parametrize(("fake", "right"), [(honest, 0), (shrunk, 0), (copies, 12)])
def test_of_thirty_samples_copies_are_named_and_neither_others_nor_those_that_lie_near_the_middle(fake, right):
    assert sum(named(30, 90, fake, seed) for seed in range(12)) == right
