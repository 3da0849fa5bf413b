"""What the players' losses ask for beside the game: each term by hand, and that it does what it is for."""

from __future__ import annotations

import copy

import pytest
import torch
from test_gan import GAN, PLAIN, Point, Reals, Slope, game, hand, memory, nets, played, same, turned, update_D, update_G
from torch import nn
from torch.nn.functional import softplus
from torch.testing import assert_close

from equipoise.games import terms
from equipoise.games.answers import DECAY, Levels, heard
from equipoise.games.gan import Hand
from equipoise.losses import data_to_data
from equipoise.nets import mlp
from equipoise.processes import ALONE

B = 8


def signals_of_D(players, real, fake):
    y = torch.zeros(len(real)).long()
    return players.update_D([Hand(real, fake, y, torch.zeros(len(real), 3))])


def test_lecam_holds_logits_near_where_those_of_the_others_lie():
    players = game(turned(PLAIN, lecam=0.5, d_lr=0), (Point(0.0, 0.0), Slope(1.0, 0.0)))
    real, fake = (torch.tensor([[x, 0.0], [y, 0.0]]) for x, y in ((2.0, 4.0), (1.0, -3.0)))
    assert signals_of_D(players, real, fake)["lecam"].item() == (4 + 16) / 2 + (0 + 9) / 2, "at first the levels are 0"
    assert (players.levels.real.item(), players.levels.fake.item()) == pytest.approx((3, -1))
    again = signals_of_D(players, real, fake)
    assert again["lecam"].item() == pytest.approx((9 + 25) / 2 + (4 + 36) / 2)
    assert again["d_penalty"].item() == pytest.approx(0.5 * again["lecam"].item())


def test_levels_are_averages_without_the_zeros_of_their_start():
    levels = Levels()
    for value in (1.0, 2.0, 5.0):
        levels.update(torch.tensor(value), torch.tensor(-value))
    weights = [DECAY**2, DECAY, 1]
    expected = (weights[0] * 1 + weights[1] * 2 + weights[2] * 5) / sum(weights)
    assert levels.real.item() == pytest.approx(expected, rel=1e-5)
    assert levels.fake.item() == pytest.approx(-expected, rel=1e-5)


def test_lost_levels_change_what_follows_and_loaded_ones_do_not():
    knobs = turned(PLAIN, lecam=1.0)
    whole = played(game(knobs), 3, Reals())
    state = copy.deepcopy(whole.state_dict())
    played(whole, 1, Reals())
    for levels, equal in ((state["levels"], True), (Levels().state_dict(), False)):
        other = game(knobs, nets(seed=1))
        other.load_state_dict(state | {"levels": levels})
        assert same(played(other, 1, Reals()).D, memory(whole.D)) == equal


class Radius(nn.Module):
    """D(x) = |x|^2 + c, which does not mind a mirror."""

    def __init__(self):
        super().__init__()
        self.c = nn.Parameter(torch.zeros(()))

    def forward(self, x, y):
        return x.square().flatten(1).sum(1) + self.c


@pytest.mark.parametrize("kind", ["real", "fake"])
def test_consistency_is_the_squared_difference_of_two_answers_and_0_for_a_D_that_does_not_mind(kind):
    def mirror(x, knobs, call, drawn):
        assert call == kind
        return -x

    knobs = turned(PLAIN, **{f"consistency_{kind}": 2.0})
    real, fake = torch.tensor([[1.0, 5.0], [2.0, 5.0]]), torch.tensor([[3.0, 5.0], [4.0, 5.0]])
    signals = signals_of_D(game(knobs, (Point(0.0, 0.0), Slope(1.0, 0.0)), vary=mirror), real, fake)
    assert signals[f"consistency_{kind}"].item() == {"real": (4 + 16) / 2, "fake": (36 + 64) / 2}[kind]
    assert signals["d_penalty"].item() == 2 * signals[f"consistency_{kind}"].item()
    assert signals_of_D(game(knobs, (Point(0.0, 0.0), Radius()), vary=mirror), real, fake)["d_penalty"] == 0


def test_a_sample_that_is_seen_again_is_told_with_its_picture_moved_alike():
    """Or D would have to take no notice of whether the two lie over each other."""
    players = game(vary=lambda x, knobs, call, drawn: x.flip(-1))
    x, y, classes = torch.randn(B, 1, 4, 4), torch.randn(B, 2, 4, 4), torch.arange(B)
    seen, told = players.seen_again(x, y, "real")
    assert torch.equal(seen, x.flip(-1)) and torch.equal(told, y.flip(-1))
    assert players.seen_again(x, classes, "real")[1] is classes


class Sevens:
    """A pool out of which nothing comes but [7, 7]."""

    def shown(self, fake, index, processes):
        return torch.full_like(fake, 7.0)


def test_the_fake_that_is_seen_again_is_the_one_that_D_was_shown():
    knobs = turned(PLAIN, consistency_fake=1.0)
    players = game(knobs, (Point(0.0, 0.0), Slope(1.0, 0.0)), vary=lambda x, *rest: x, pool=Sevens())
    assert signals_of_D(players, torch.zeros(2, 2), torch.zeros(2, 2))["consistency_fake"] == 0


def test_a_sample_and_what_it_turns_into_are_augmented_alike():
    asked = []

    def noting(x, knobs, call, drawn):
        asked.append((call, drawn))
        return x

    knobs = turned(PLAIN, consistency_real=1.0, consistency_fake=1.0, z_consistency_d=1.0)
    update_D(game(knobs, augment=noting), *next(Reals()))
    assert asked == [("real", B), ("fake", B), ("real", B), ("fake", B), ("fake", B)]


class Scaled(nn.Module):
    """G(z) = a z."""

    def __init__(self, a):
        super().__init__()
        self.a = nn.Parameter(torch.tensor(a))

    def forward(self, z, y):
        return self.a * z


class First(nn.Module):
    def __init__(self):
        super().__init__()
        self.w = nn.Parameter(torch.ones(()))

    def forward(self, x, y):
        return self.w * x[:, 0]


def test_nudged_latents_move_samples_and_logits_by_as_much_as_the_nudge():
    knobs = turned(PLAIN, z_consistency_d=1.0, z_consistency_g=1.0)
    reals = (torch.zeros(4000, 3), torch.zeros(4000).long())
    players = game(knobs, (Scaled(2.0), First()))
    signals = update_D(players, *reals) | update_G(players, *reals)
    for name in ("z_consistency_d", "z_moves"):
        assert signals[name].item() == pytest.approx((2 * terms.NUDGE) ** 2, rel=0.1)
    assert signals["g_penalty"].item() == -signals["z_moves"].item(), "G gains by moving"


def test_mode_seeking_by_hand():
    players = game(turned(PLAIN, mode_seeking=3.0), (Scaled(0.5), First()))
    signals = update_G(players, torch.zeros(B, 3), torch.zeros(B).long())
    assert signals["mode_seeking"].item() == pytest.approx(1 / 0.5, rel=1e-3), "half as far apart as latents"
    assert signals["g_penalty"].item() == pytest.approx(6, rel=1e-3)


@pytest.mark.parametrize(("weight", "varied"), [(0.0, False), (1.0, True)])
def test_mode_seeking_makes_a_generator_listen_to_z(weight, varied):
    """D likes the origin, and G makes nothing else, whatever z."""

    class Origin(Radius):
        def forward(self, x, y):
            return -super().forward(x, y)

    players = game(turned(PLAIN, mode_seeking=weight, g_lr=0.02), (Scaled(0.05), Origin()), torch.optim.Adam)
    for _ in range(60):
        update_G(players, torch.zeros(B, 3), torch.zeros(B).long())
    assert (players.G.a.abs().item() > 0.2) == varied


def test_top_k_keeps_the_losses_of_the_fakes_that_look_most_real():
    logits, losses = torch.tensor([3.0, -1, 7, 0, 5, 2]), torch.tensor([1.0, 2, 4, 8, 16, 32])
    for share, mean in ((1.0, 63 / 6), (0.5, (1 + 4 + 16) / 3), (1 / 3, 10), (0.01, 4)):
        assert terms.mean_of_best(losses, logits, share, ALONE).item() == pytest.approx(mean)
    maps = logits[:, None] * torch.tensor([1.0, 3]), losses[:, None] * torch.tensor([0.5, 1.5])
    assert terms.mean_of_best(maps[1], maps[0], 0.5, ALONE).item() == pytest.approx(7), "maps count by their means"


def test_G_learns_from_its_best_fakes_alone():
    players = game(turned(PLAIN, top_k=0.5), (Scaled(1.0), First()))
    dealt = hand(players, *next(Reals()), graph=True)
    loss = players.loss_of_G(dealt, [])
    best = dealt.z[:, 0].topk(B // 2).values
    assert_close(loss.detach(), softplus(-best).mean())


KINDS = {"cross-entropy": 1.0, "data-to-data": 0.5}


def naming(evidence):
    torch.manual_seed(0)
    return mlp.Discriminator((2,), widths=(8,), classes=3, conditioning=evidence)


@pytest.mark.parametrize("evidence", KINDS)
def test_both_players_pay_for_the_class_that_D_reads_and_D_by_reals_alone(evidence):
    loss = data_to_data if evidence == "data-to-data" else GAN.class_loss
    D, G = naming(evidence), nets(classes=3)[0]
    players = game(turned(PLAIN, auxiliary=KINDS[evidence], d_lr=0), (G, D), class_loss=loss)
    real, y = next(Reals())
    dealt, told = hand(players, real, y, graph=True), []
    for update in (players.loss_of_D, players.loss_of_G):
        update(dealt, told)
    for signal, x, penalty in (("d_class_loss", real, "d_penalty"), ("g_class_loss", dealt.fake, "g_penalty")):
        answer = heard(D(x, y))
        row = told[signal == "g_class_loss"]
        assert_close(row[signal], loss(answer.evidence, answer.classes, y).mean().detach())
        assert_close(row[penalty], KINDS[evidence] * row[signal])


@pytest.mark.parametrize("evidence", KINDS)
def test_a_D_that_names_the_class_is_not_told_it(evidence):
    D, x = naming(evidence), torch.randn(B, 2)
    for part, other in zip(D(x, torch.zeros(B).long()), D(x, torch.ones(B).long()), strict=True):
        assert torch.equal(part, other)
    logits, vectors, classes = D(x, torch.zeros(B).long())
    assert (logits.shape, len(vectors), len(classes)) == ((B,), B, 3)
    if evidence == "data-to-data":
        assert_close(torch.cat([vectors, classes]).norm(dim=1), torch.ones(B + 3))


def test_slopes_and_classes_come_from_one_answer():
    """R1 of a D that names classes is that of its logits."""
    D, G = naming("cross-entropy"), nets(classes=3)[0]
    asked = []
    D.register_forward_hook(lambda *call: asked.append(call))
    players = game(turned(PLAIN, auxiliary=1.0, r1=0.5), (G, D))
    real, y = next(Reals())
    x = real.clone().requires_grad_()
    (slope,) = torch.autograd.grad(D(x, y)[0].sum(), x)
    asked.clear()
    signals = update_D(players, real, y)
    assert len(asked) == 2, "reals and fakes, once each"
    assert_close(signals["real_input_grad"], slope.square().sum(1).mean().sqrt())
