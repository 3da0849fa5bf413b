"""What the penalty on overlapping filters acts on, and how far it moves a step of G."""

import torch
from torch import nn
from torch.testing import assert_close

from equipoise.ema import EMA
from equipoise.games.base import filters
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
