"""The duality gap on games whose equilibrium is known."""

import copy

import pytest
import torch
from torch import nn

from equipoise.ema import EMA
from equipoise.games.gan import GAN
from equipoise.knobs import Knobs
from equipoise.probes.duality import duality_gap
from equipoise.streams import Stream


class Shift(nn.Module):
    """G(z) = z + theta."""

    def __init__(self, theta):
        super().__init__()
        self.theta = nn.Parameter(torch.tensor([theta]))

    def forward(self, z, y):
        return z + self.theta


class Slope(nn.Module):
    """D(x) = psi x."""

    def __init__(self, psi):
        super().__init__()
        self.psi = nn.Parameter(torch.tensor([psi]))

    def forward(self, x, y):
        return (x * self.psi).squeeze(1)


def game(theta, psi, loss="minimax"):
    G, D = Shift(theta), Slope(psi)
    return GAN(
        G=G, D=D, g_opt=torch.optim.SGD(G.parameters(), 0.1), d_opt=torch.optim.SGD(D.parameters(), 0.1), ema=EMA(G),
        z_dim=1, latents=Stream(0, "latents"), chords=Stream(0, "chords"), knobs=Knobs(loss=loss, g_lr=0.1, d_lr=0.1),
    )  # fmt: skip


def normal():
    """Reals N(0, 1), as G makes them at theta = 0."""
    for i in range(10**6):
        yield torch.randn(256, 1, generator=Stream(1, "reals").at(i)), torch.zeros(256, dtype=torch.long)


def test_in_equilibrium_nobody_can_win():
    """theta = 0, psi = 0: D cannot tell the two apart, and G cannot change what a constant D says."""
    found = duality_gap(game(0.0, 0.0), normal(), steps=100)
    assert found.gap.value == pytest.approx(0, abs=0.02)


@pytest.mark.parametrize(("theta", "psi", "who"), [(2.0, 0.0, "by_D"), (0.0, 1.5, "by_G")])
def test_away_from_it_the_player_that_could_move_wins(theta, psi, who):
    found = duality_gap(game(theta, psi), normal(), steps=100)
    assert getattr(found, who) > 0.1
    assert found.gap.value == pytest.approx(found.by_D + found.by_G, abs=1e-6)
    assert found.gap.low > 0


def test_the_gap_grows_with_the_distance():
    gaps = [duality_gap(game(theta, 0.0), normal(), steps=60).gap.value for theta in (0.0, 1.0, 3.0)]
    assert gaps == sorted(gaps)


def test_what_D_wins_is_the_divergence_of_the_two():
    """max over psi of the logistic value, at psi x with a shift of 2: by quadrature over a grid of psi."""
    x = torch.linspace(-12, 12, 4001, dtype=torch.float64)
    p, q = (torch.exp(-((x - mean) ** 2) / 2) for mean in (0.0, 2.0))
    p, q = p / p.sum(), q / q.sum()
    psi = torch.linspace(-3, 3, 601, dtype=torch.float64)[:, None]
    value = (p * nn.functional.logsigmoid(psi * x) + q * nn.functional.logsigmoid(-psi * x)).sum(1)
    assert duality_gap(game(2.0, 0.0), normal(), steps=400).by_D == pytest.approx(
        float(value.max()) + 2 * torch.log(torch.tensor(2.0)).item(), abs=0.03
    )


def test_the_game_is_not_touched():
    one = game(1.0, 0.5)
    before = copy.deepcopy(one.state_dict())
    duality_gap(one, normal(), steps=5)
    after = one.state_dict()
    assert (before["seen"], before["drawn"]) == (after["seen"], after["drawn"])
    assert torch.equal(before["G"]["theta"], after["G"]["theta"]) and torch.equal(before["D"]["psi"], after["D"]["psi"])
