"""The game that goes there and back, against the paper's equations on nets that can be written down."""

import copy

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from equipoise.ema import EMA
from equipoise.games import dealing
from equipoise.games.cyclegan import BACK, CycleGAN, Hands
from equipoise.games.gan import GAN
from equipoise.knobs import Knobs
from equipoise.streams import Stream

B, C = 6, 1
KNOBS = Knobs(loss="least-squares", g_lr=0.01, d_lr=0.01, cycle=10, identity=5)


class Shift(nn.Module):
    """G(x) = x + b"""

    def __init__(self, b):
        super().__init__()
        self.b = nn.Parameter(torch.tensor(b))

    def forward(self, a, y):
        return a + self.b


class Patches(nn.Module):
    """D(x) = w x, a logit for each pixel."""

    def __init__(self, w):
        super().__init__()
        self.w, self.asked = nn.Parameter(torch.tensor(w)), []

    def forward(self, x, y):
        self.asked.append(x.detach())
        return self.w * x


def reals(shift=3.0):
    """The one domain about 0, the other about `shift`."""
    i = 0
    while True:
        x = torch.randn(B, 2 * C, 4, 4, generator=Stream(0, "reals").at(i))
        x[:, C:] += shift
        yield x, torch.zeros(B, dtype=torch.long)
        i += 1


def game(knobs=KNOBS, there=0.5, back=-0.25):
    G, F, D_Y, D_X = Shift(there), Shift(back), Patches(0.7), Patches(-0.4)
    g_opt = torch.optim.SGD([*G.parameters(), *F.parameters()], knobs.g_lr)
    sides = []
    for way, net, D, dealt in (("", G, D_Y, dealing.of_domains(C)), (BACK, F, D_X, dealing.of_domains_back(C))):
        sides.append(GAN(
            G=net, D=D, g_opt=g_opt, d_opt=torch.optim.SGD(D.parameters(), knobs.d_lr), ema=EMA(net), z_dim=0,
            latents=Stream(0, f"{way}latents"), chords=Stream(0, f"{way}chords"), knobs=knobs, dealing=dealt,
        ))  # fmt: skip
    return CycleGAN(*sides)


def test_the_generators_loss_is_the_papers():
    played = game()
    x, y = next(reals())
    a, b = x[:, :C], x[:, C:]
    hands = Hands(played.there.hand((x, y), graph=True), played.back.hand((x, y), graph=True))
    found = played.loss_of_G(hands, [])
    adversarial = ((0.7 * (a + 0.5) - 1) ** 2).mean() / 2 + ((-0.4 * (b - 0.25) - 1) ** 2).mean() / 2
    cycle = 2 * abs(0.5 - 0.25)  # F(G(a)) = a + .25 = G(F(a)), of each domain
    identity = 0.5 + 0.25
    assert_close(found, adversarial + 10 * cycle + 5 * identity)


def test_ways_that_undo_each_other_cost_nothing():
    played, told = game(KNOBS.model_copy(update={"identity": 0.0}), there=0.5, back=-0.5), []
    batch = next(reals())
    played.loss_of_G(Hands(played.there.hand(batch, True), played.back.hand(batch, True)), told)
    assert_close(told[0]["cycle"], torch.tensor(0.0), atol=1e-6, rtol=0)
    assert "identity" not in told[0]


def test_each_D_meets_its_own_domain_alone():
    played = game()
    stream = reals()
    played.step(stream)
    x, _ = next(reals())
    asked_there, asked_back = played.there.D.asked, played.back.D.asked
    assert_close(asked_there[0], x[:, C:])  # real
    assert_close(asked_there[1], x[:, :C] + 0.5)  # G of the other domain
    assert_close(asked_back[0], x[:, :C])
    assert_close(asked_back[1], x[:, C:] - 0.25)


def test_a_step_moves_all_four_players_and_each_only_by_its_own_loss():
    played, before = game(), None
    before = {name: copy.deepcopy(net.state_dict()) for name, net in played.networks().items()}
    signals = played.step(reals())
    for name, net in played.networks().items():
        assert any(not torch.equal(value, before[name][key]) for key, value in net.state_dict().items()), name
    assert played.seen == B and played.back.seen == B
    assert {"d_loss", f"{BACK}d_loss", "g_loss", f"{BACK}g_loss", "cycle", "identity", "g_grad_norm"} <= set(signals)
    assert not any(p.grad is not None and p.grad.abs().sum() for p in played.there.ema.net.parameters())


def off(cycle):
    """How far the ways are from undoing each other, after 60 rounds under a D that says nothing."""
    knobs = KNOBS.model_copy(update={"g_lr": 0.05, "d_lr": 0.0, "identity": 0.0, "cycle": cycle})
    played = game(knobs, there=3.0, back=0.0)
    with torch.no_grad():
        played.there.D.w.zero_()
        played.back.D.w.zero_()
    stream = reals()
    for _ in range(60):
        played.step(stream)
    return abs((played.there.G.b + played.back.G.b).item())


def test_the_cycle_ties_the_ways_and_nothing_else_does():
    assert off(cycle=2.0) < 0.25  # a step of the descent moves the sum by .4
    assert off(cycle=0.0) == pytest.approx(3.0)


def test_the_state_brings_everything_back():
    played, stream = game(), reals()
    for _ in range(3):
        played.step(stream)
    state = copy.deepcopy(played.state_dict())
    first = {k: float(v) for k, v in played.step(stream).items()}
    other, again = game(), reals()
    for _ in range(3):
        next(again), next(again)
    other.load_state_dict(state)
    assert other.back.seen == other.there.seen == 3 * B
    assert {k: float(v) for k, v in other.step(again).items()} == first


def test_each_part_of_a_batch_has_draws_of_its_own():
    """The pool would give back the fakes of the part before, and each part would be augmented as the first."""
    played, drawn = game(KNOBS.model_copy(update={"accumulate": 3})), {"": [], BACK: []}
    for way, half in (("", played.there), (BACK, played.back)):
        half.augment = lambda x, knobs, call, at, way=way: (drawn[way].append(at) if call == "real" else None, x)[1]
    played.step(reals())
    assert drawn[""] == drawn[BACK] == [B, 2 * B, 3 * B]
    assert played.there.drawn == played.back.drawn == 6 * B


def test_knobs_are_those_of_both():
    played = game()
    played.knobs = played.knobs.model_copy(update={"g_lr": 0.5})
    assert played.there.knobs is played.back.knobs and played.knobs.g_lr == 0.5


def test_a_relativistic_D_pairs_pictures_and_not_places():
    """With one logit for each picture, the mean of its patches: the loss does not change when patches change places."""
    played = game(KNOBS.model_copy(update={"loss": "relativistic"}))
    there = played.there
    batch = next(reals())
    hand = there.hand(batch, graph=False)
    loss = there.loss_of_D(hand, [])
    moved = hand._replace(real=hand.real.flip(-1).roll(1, -2))
    assert_close(there.loss_of_D(moved, []), loss)
    assert there.judge(hand.real, hand.y, "real").shape == (B,)
    played.knobs = KNOBS
    assert there.judge(hand.real, hand.y, "real").shape == (B, C, 4, 4)
