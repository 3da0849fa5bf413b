"""The penalty on overlapping filters, the pace of optimizers, and numbers of any game that are no longer finite."""

import pytest
import test_cyclegan
import test_gan
import test_restyling
import test_textgan
import torch
from torch import nn
from torch.testing import assert_close

from equipoise.ema import EMA
from equipoise.games.base import filters, set_pace
from equipoise.games.gan import GAN, Hand
from equipoise.knobs import Knobs
from equipoise.nets import mlp
from equipoise.nets.layers import with_spectral_norm
from equipoise.streams import Stream


def test_filters_make_an_output_each_and_are_found_under_spectral_norm():
    net = nn.Sequential(
        nn.Embedding(9, 8), nn.Linear(8, 5), nn.Conv2d(5, 6, 3), nn.ConvTranspose2d(6, 7, 2), nn.BatchNorm2d(7)
    )
    before = [w.detach().clone() for w in filters(net)]
    assert [tuple(w.shape) for w in before] == [(5, 8), (6, 45), (7, 24)]
    assert torch.equal(before[2][3], net[3].weight[:, 3].flatten())
    with_spectral_norm(net)
    assert all(torch.equal(a, b) for a, b in zip(before, filters(net), strict=True))


def stepped(**turned):
    """The weights of G after one step of plain descent."""
    torch.manual_seed(0)
    G, D = mlp.Generator((2,), z_dim=3, widths=(6,), classes=2), mlp.Discriminator((2,), widths=(6,))
    start = [w.detach().clone() for w in filters(G)]
    players = GAN(
        G, D, torch.optim.SGD(G.parameters(), 1), torch.optim.SGD(D.parameters(), 1), EMA(G), 3,
        Stream(0, "latents"), Stream(0, "chords"), Knobs(loss="hinge", g_lr=0.1, **turned),
    )  # fmt: skip
    y = torch.tensor([0, 1])
    z = players.z(2)
    signals = players.update_G([Hand(torch.zeros(2, 2), players.made(z, y, graph=True), y, z)])
    return start, [w.detach() for w in filters(G)], signals["g_penalty"]


def test_a_step_of_G_goes_down_the_overlaps_of_its_filters():
    start, plain, nothing = stepped()
    _, penalised, penalty = stepped(g_orthogonal=0.2)
    overlaps = [w @ w.T - (w @ w.T).diag().diag() for w in start]
    assert nothing == 0
    assert_close(penalty, 0.2 * sum(o.square().sum() for o in overlaps))
    for w, o, a, b in zip(start, overlaps, plain, penalised, strict=True):
        assert_close(b, a - 0.1 * 0.2 * 4 * o @ w)  # the gradient of ||W W^T * (1 - I)||^2 is 4 (W W^T * (1 - I)) W


def test_beta2_goes_back_to_that_of_the_optimizer_also_once_it_is_loaded():
    net, other = torch.nn.Linear(2, 1), torch.nn.Linear(2, 1)
    first, second = (torch.optim.Adam(each.parameters(), 0.1, betas=(0.5, 0.99)) for each in (net, other))
    found = []
    for optimizer, beta2 in ((first, 0.0), (first, 0.9), (second, 0.0)):
        set_pace(optimizer, 0.01, beta2)
        found += [(group["lr"], *group["betas"]) for group in optimizer.param_groups]
        second.load_state_dict(first.state_dict())
    assert found == [(0.01, 0.5, 0.99), (0.01, 0.5, 0.9), (0.01, 0.5, 0.99)]
    set_pace(torch.optim.SGD(net.parameters(), 0.1), 0.01, 0.9)


GAMES = {
    "gan": lambda **turned: (test_gan.game(Knobs(loss="hinge", **turned)), test_gan.Reals()),
    "cyclegan": lambda **turned: (test_cyclegan.game(Knobs(loss="least-squares", **turned)), test_cyclegan.reals()),
    "gumbel": lambda **turned: (test_textgan.game("gumbel", **turned), test_textgan.batches()),
    "policy": lambda **turned: (test_textgan.game("policy", **turned), test_textgan.batches()),
    "restyling": lambda **turned: (test_restyling.game(Knobs(identity=1, **turned)), test_restyling.endless(8)),
}


@pytest.mark.parametrize("at", [0, 1, 2, None])
@pytest.mark.parametrize("name", GAMES)
def test_an_update_of_G_that_is_not_finite_counts_wherever_in_its_round_it_was(name, at):
    """Its gradient is clipped, so that the updates behind it are finite again."""
    played, reals = GAMES[name](g_steps=3, clip_value=1.0)
    updates = iter(range(3))
    next(iter(played.networks()["G"].parameters())).register_hook(
        lambda slope: torch.full_like(slope, torch.inf) if next(updates) == at else slope
    )
    signals = played.step(iter(reals))
    assert signals["g_nonfinite"] == (at is not None)
    assert signals["d_nonfinite"] == 0
