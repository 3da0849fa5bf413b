"""G that looks updates of D ahead, on DiracGAN (Mescheder et al. 2018, arXiv:1801.04406): a point theta against psi x,
where each gradient can be written down."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn.functional import softplus

from equipoise.ema import EMA
from equipoise.games.gan import GAN, Hand
from equipoise.knobs import Knobs
from equipoise.nets import mlp
from equipoise.nets.layers import with_spectral_norm
from equipoise.streams import Stream

LR, THETA, PSI, REAL = 0.1, 0.7, 1.5, -0.4


class Point(nn.Module):
    def __init__(self):
        super().__init__()
        self.theta = nn.Parameter(torch.tensor([THETA]))

    def forward(self, z, y):
        return self.theta.expand(len(z), 1)


class Slope(nn.Module):
    def __init__(self):
        super().__init__()
        self.psi = nn.Parameter(torch.tensor([PSI]))

    def forward(self, x, y):
        return (self.psi * x).squeeze(1)


def game(G, D, **knobs):
    sgd = [torch.optim.SGD(net.parameters(), LR) for net in (G, D)]
    return GAN(G, D, *sgd, EMA(G), 1, Stream(0, "latents"), Stream(0, "chords"), Knobs(d_lr=LR, g_lr=LR, **knobs))


def gradient_of_G(players, shape=(1,)):
    y, z = torch.zeros(4).long(), players.z(4)
    players.update_G([Hand(torch.full((4, *shape), REAL), players.made(z, y, graph=True), y, z)])
    return next(iter(players.G.parameters())).grad.flatten()[0].item()


@pytest.mark.parametrize("steps", [0, 1, 2, 5])
@pytest.mark.parametrize("loss", ["wasserstein", "nonsaturating", "relativistic"])
def test_the_gradient_is_that_of_the_unrolled_loss_on_paper(loss, steps):
    losses = {
        "wasserstein": (lambda r, f: f - r, lambda r, f: -f),
        "nonsaturating": (lambda r, f: softplus(-r) + softplus(f), lambda r, f: softplus(-f)),
        "relativistic": (lambda r, f: softplus(f - r), lambda r, f: softplus(r - f)),
    }
    of_D, of_G = losses[loss]

    def unrolled(theta):
        psi = torch.tensor(PSI)
        for _ in range(steps):
            psi = psi - LR * torch.func.grad(lambda p: of_D(p * REAL, p * theta))(psi)
        return of_G(psi * REAL, psi * theta)

    players = game(Point(), Slope(), loss=loss, unroll=steps)
    expected = torch.func.grad(unrolled)(torch.tensor(THETA)).item()
    assert gradient_of_G(players) == pytest.approx(expected, rel=1e-5)
    assert players.D.psi.item() == PSI, "D itself has not moved"


def test_one_step_ahead_of_a_linear_critic_by_hand():
    """L_G = -psi' theta with psi' = psi - lr (theta - real): its slope is -psi + lr (2 theta - real)."""
    players = game(Point(), Slope(), loss="wasserstein", unroll=1)
    assert gradient_of_G(players) == pytest.approx(-PSI + LR * (2 * THETA - REAL))


@pytest.mark.parametrize("norms", ["batch", "spectral"])
def test_looking_ahead_leaves_weights_and_statistics_of_D_alone(norms):
    torch.manual_seed(0)
    D = mlp.Discriminator((1,), widths=(4, 4), norms=norms)
    D = with_spectral_norm(D) if norms == "spectral" else D
    before = {name: value.clone() for name, value in D.state_dict().items()}
    assert len(before) > len(list(D.parameters())), "there are statistics"
    gradient_of_G(game(Point(), D, loss="nonsaturating", unroll=3))
    assert all(torch.equal(value, before[name]) for name, value in D.state_dict().items())
    gradient_of_G(game(Point(), D, loss="nonsaturating"))
    assert not all(torch.equal(value, before[name]) for name, value in D.state_dict().items()), "without, D is asked"
