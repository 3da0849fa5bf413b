"""One round of the two-player game against closed forms, and who may touch what in it."""

import copy

import pytest
import torch
from torch import nn
from torch.nn.functional import softplus
from torch.testing import assert_close

from equipoise.ema import EMA
from equipoise.errors import ConfigError
from equipoise.games.base import frozen, nonfinite, weights
from equipoise.games.gan import GAN, Hand, adversarial_loss
from equipoise.knobs import Knobs
from equipoise.nets import mlp
from equipoise.streams import Stream

B = 8
PLAIN = Knobs(loss="nonsaturating", g_lr=0.01, d_lr=0.01)
RELATIVISTIC = Knobs(loss="relativistic", g_lr=0.01, d_lr=0.01, r1=0.3, r2=0.2)
WGAN_GP = Knobs(loss="wasserstein", g_lr=0.01, d_lr=0.01, gp=10)


class Point(nn.Module):
    """A generator of one point: its gradient can be written down."""

    def __init__(self, *place):
        super().__init__()
        self.b = nn.Parameter(torch.tensor([place]))

    def forward(self, z, y):
        return self.b.expand(len(z), -1)


class Slope(nn.Module):
    """D(x) = w . x"""

    def __init__(self, *w):
        super().__init__()
        self.w = nn.Parameter(torch.tensor([w]))

    def forward(self, x, y):
        return (x @ self.w.T).squeeze(1)


class Spy(nn.Module):
    """Notes what a network is asked."""

    def __init__(self, net):
        super().__init__()
        self.net, self.asked = net, []

    def forward(self, x, y):
        self.asked.append((x.detach(), y))
        return self.net(x, y)


class Detached(nn.Module):
    def __init__(self, net):
        super().__init__()
        self.net = net

    def forward(self, z, y):
        return self.net(z, y).detach()


class Reals:
    def __init__(self):
        self.taken = 0

    def __iter__(self):
        return self

    def __next__(self):
        generator = Stream(0, "reals").at(self.taken)
        self.taken += 1
        return torch.randn(B, 2, generator=generator), torch.randint(3, (B,), generator=generator)


def nets(classes=0, conditioning="projection", norms="none", seed=0):
    torch.manual_seed(seed)
    return (
        mlp.Generator((2,), z_dim=3, widths=(8, 8), classes=classes, norms=norms, output="linear"),
        mlp.Discriminator((2,), widths=(8, 8), classes=classes, conditioning=conditioning),
    )


def game(knobs=PLAIN, players=None, optimizer=torch.optim.SGD, **more):
    G, D = players or nets()
    return GAN(
        G, D, optimizer(G.parameters(), lr=9), optimizer(D.parameters(), lr=9), EMA(G), 3,
        Stream(0, "latents"), Stream(0, "chords"), knobs, **more,
    )  # fmt: skip


def hand(players, real, y, graph):
    z = players.z(len(y))
    return Hand(real, players.made(z, y, graph), y, z)


def update_D(players, real, y):
    return players.update_D([hand(players, real, y, graph=False)])


def update_G(players, real, y):
    return players.update_G([hand(players, real, y, graph=True)])


def adam(params, lr):
    return torch.optim.Adam(params, lr, betas=(0.5, 0.99))


def turned(knobs, **changes):
    return Knobs(**{**knobs.model_dump(), **changes})


def memory(net):
    return {name: value.clone() for name, value in net.state_dict().items()}


def same(net, before):
    return all(torch.equal(value, before[name]) for name, value in net.state_dict().items())


def leaves(state):
    """All that a nested state holds, in order, as Python numbers."""
    if isinstance(state, dict):
        state = list(state.values())
    if isinstance(state, list | tuple):
        return [leaf for value in state for leaf in leaves(value)]
    return [state.tolist() if isinstance(state, torch.Tensor) else state]


def latents():
    return torch.randn(B, 3, generator=Stream(0, "latents").at(0))


W, POINT = (1.5, -2.0), (0.3, 0.7)


def slope_against_point(knobs):
    return game(knobs, (Point(*POINT), Slope(*W)))


@pytest.mark.parametrize(
    ("penalty", "slope"),
    [
        ({}, lambda w: 0 * w),
        ({"r1": 0.6}, lambda w: 0.6 * w),
        ({"r2": 0.4}, lambda w: 0.4 * w),
        ({"gp": 10}, lambda w: 20 * (w.norm() - 1) * w / w.norm()),
        ({"d_l1": 0.3}, lambda w: 0.3 * w.sign()),
        ({"d_l2": 0.3}, lambda w: 0.3 * w),
        ({"r1": 0.6, "r2": 0.4, "gp": 1, "d_l2": 0.5}, lambda w: 1.5 * w + 2 * (w.norm() - 1) * w / w.norm()),
        ({"g_l1": 5, "g_l2": 5}, lambda w: 0 * w),
    ],
)
def test_a_linear_critic_descends_by_the_gradient_on_paper(penalty, slope):
    players = slope_against_point(Knobs(loss="wasserstein", d_lr=0.1, **penalty))
    real, y = next(Reals())
    w = players.D.w.detach().clone()
    gradient = torch.tensor([POINT]) - real.mean(0) + slope(w)
    signals = update_D(players, real, y)
    assert_close(players.D.w.detach(), w - 0.1 * gradient)
    assert_close(signals["d_grad_norm"], gradient.norm())


@pytest.mark.parametrize(
    ("penalty", "slope"),
    [
        ({}, lambda b: 0 * b),
        ({"g_l1": 0.3}, lambda b: 0.3 * b.sign()),
        ({"g_l2": 0.3}, lambda b: 0.3 * b),
        ({"r1": 1, "r2": 1, "gp": 1, "d_l1": 1, "d_l2": 1}, lambda b: 0 * b),
    ],
)
def test_a_point_climbs_a_linear_critic(penalty, slope):
    players = slope_against_point(Knobs(loss="wasserstein", g_lr=0.1, **penalty))
    b, w = players.G.b.detach().clone(), players.D.w.detach()
    update_G(players, *next(Reals()))
    assert_close(players.G.b.detach(), b + 0.1 * (w - slope(b)))


def test_the_signals_of_a_linear_critic_are_its_slopes():
    signals = update_D(slope_against_point(turned(WGAN_GP, r1=0.6, r2=0.4)), *next(Reals()))
    norm = torch.tensor(W).norm()
    assert_close(signals["real_input_grad"], norm)
    assert_close(signals["fake_input_grad"], norm)
    assert_close(signals["chord_grad_off_one"], norm - 1)
    assert_close(signals["d_penalty"], (0.3 + 0.2) * norm**2 + 10 * (norm - 1) ** 2)
    assert_close(signals["fake_logit"], torch.tensor(W) @ torch.tensor(POINT))


def test_accuracy_counts_signs_and_paired_sign_compares_pairs():
    players = game(PLAIN, (Point(0.5, 0.0), Slope(1.0, 0.0)))
    real = torch.tensor([[1.0, 0], [1, 0], [1, 0], [-1, 0]])
    signals = update_D(players, real, torch.zeros(4).long())
    assert signals["d_accuracy"].item() == (0.75 + 0) / 2
    assert signals["paired_sign"].item() == 0.5


@pytest.mark.parametrize("knobs", [PLAIN, RELATIVISTIC, WGAN_GP], ids=lambda k: k.loss)
@pytest.mark.parametrize(("d_steps", "g_steps"), [(1, 1), (3, 1), (1, 2), (2, 3)])
def test_a_round_has_its_number_of_steps_and_counts_the_reals_that_D_saw(knobs, d_steps, g_steps):
    D, reals = Spy(nets()[1]), Reals()
    players = game(turned(knobs, d_steps=d_steps, g_steps=g_steps), (nets()[0], D))
    players.step(reals)
    players.step(reals)
    assert players.seen == 2 * d_steps * B
    assert players.drawn == 2 * (d_steps + g_steps) * B
    assert reals.taken == 2 * (d_steps + g_steps)
    in_d_step, in_g_step = 3 if knobs.gp else 2, 2 if knobs.loss == "relativistic" else 1
    assert len(D.asked) == 2 * (d_steps * in_d_step + g_steps * in_g_step)


@pytest.mark.parametrize("knobs", [PLAIN, RELATIVISTIC], ids=lambda k: k.loss)
def test_gradients_of_several_batches_are_those_of_one_that_holds_them_all(knobs):
    parts, whole = game(turned(knobs, accumulate=3)), game(knobs)
    real, y = torch.cat([next(Reals())[0] for _ in range(3)]), torch.zeros(3 * B).long()
    for update, z in ((GAN.update_D, torch.randn(3 * B, 3)), (GAN.update_G, torch.randn(3 * B, 3))):
        pieces = zip(real.split(B), z.split(B), y.split(B), strict=True)
        a = update(parts, [Hand(x, parts.G(latent, c), c, latent) for x, latent, c in pieces])
        b = update(whole, [Hand(real, whole.G(z, y), y, z)])
        assert a.keys() == b.keys()
        for name in a.keys() - {"real_input_grad", "fake_input_grad"}:  # a root of the mean of squares
            assert_close(a[name], b[name], msg=name)
    for net in ("G", "D"):
        for name, value in getattr(parts, net).state_dict().items():
            assert_close(value, getattr(whole, net).state_dict()[name])


def test_a_round_of_several_batches_counts_them_all():
    players, reals = game(turned(RELATIVISTIC, accumulate=3, d_steps=2)), Reals()
    signals = players.step(reals)
    assert (players.seen, players.drawn, reals.taken) == (6 * B, 9 * B, 9)
    assert all(torch.isfinite(value) for value in signals.values())


def test_norms_that_keep_their_statistics_do_not_mix_the_samples_of_a_batch():
    D = torch.nn.Sequential(torch.nn.Linear(2, 4), torch.nn.BatchNorm1d(4), torch.nn.LeakyReLU(), torch.nn.Linear(4, 1))

    def mixes():
        x = torch.randn(B, 2, requires_grad=True)
        (slope,) = torch.autograd.grad(D(x)[0].sum(), x)
        return bool(slope[1:].abs().sum() > 0)

    class Flat(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.net = D

        def forward(self, x, y):
            return self.net(x).squeeze(1)

    players = game(PLAIN, (nets()[0], Flat()))
    players.step(Reals())
    assert mixes(), "the control"
    players.knobs = turned(RELATIVISTIC, frozen_norm=True)
    mean = D[1].running_mean.clone()
    players.step(Reals())
    assert not mixes()
    assert torch.equal(D[1].running_mean, mean)
    players.knobs = PLAIN
    players.step(Reals())
    assert not torch.equal(D[1].running_mean, mean)


def test_a_relativistic_G_compares_with_reals_that_do_not_count():
    players = game(RELATIVISTIC)
    real, y = next(Reals())
    expected = softplus(players.D(real, y) - players.D(players.G(latents(), y), y)).mean()
    assert_close(update_G(players, real, y)["g_loss"], expected.detach())
    assert players.seen == 0


@pytest.mark.parametrize("knobs", [PLAIN, RELATIVISTIC], ids=lambda k: k.loss)
def test_only_a_relativistic_G_depends_on_the_reals(knobs):
    y = torch.zeros(B).long()
    losses = [update_G(game(knobs), real, y)["g_loss"].item() for real in (torch.zeros(B, 2), torch.ones(B, 2))]
    assert (losses[0] == losses[1]) == (knobs.loss == "nonsaturating")


@pytest.mark.parametrize("knobs", [PLAIN, RELATIVISTIC, WGAN_GP], ids=lambda k: k.loss)
def test_a_step_of_G_leaves_the_weights_and_gradients_of_D_alone(knobs):
    players, reals = game(knobs, optimizer=adam), Reals()
    update_D(players, *next(reals))
    D, G = memory(players.D), memory(players.G)
    gradients = [p.grad.clone() for p in players.D.parameters()]
    optimizer = leaves(players.d_opt.state_dict())
    update_G(players, *next(reals))
    assert same(players.D, D)
    assert not same(players.G, G)
    assert all(torch.equal(p.grad, g) for p, g in zip(players.D.parameters(), gradients, strict=True))
    assert all(p.requires_grad for p in players.D.parameters())
    assert leaves(players.d_opt.state_dict()) == optimizer


@pytest.mark.parametrize("knobs", [PLAIN, RELATIVISTIC, WGAN_GP], ids=lambda k: k.loss)
def test_a_step_of_D_leaves_G_and_its_average_alone(knobs):
    players = game(knobs)
    D, G, average = memory(players.D), memory(players.G), memory(players.ema.net)
    update_D(players, *next(Reals()))
    assert not same(players.D, D)
    assert same(players.G, G)
    assert same(players.ema.net, average)
    assert all(p.grad is None for p in players.G.parameters())


@pytest.mark.parametrize("optimizer", [torch.optim.SGD, adam])
def test_a_learning_rate_of_zero_changes_no_weight(optimizer):
    players = game(turned(RELATIVISTIC, g_lr=0, d_lr=0), optimizer=optimizer)
    D, G = memory(players.D), memory(players.G)
    players.step(Reals())
    assert same(players.D, D)
    assert same(players.G, G)


def test_learning_rates_are_read_at_each_step():
    moves = []
    for g_lr in (0.1, 0.2):
        players = slope_against_point(WGAN_GP)
        b = players.G.b.detach().clone()
        players.knobs = turned(WGAN_GP, g_lr=g_lr)
        update_G(players, *next(Reals()))
        moves.append(players.G.b.detach() - b)
    assert_close(moves[1], 2 * moves[0])


def test_a_step_of_G_that_detaches_the_fakes_trains_nothing():
    for wrap, trains in ((lambda net: net, True), (Detached, False)):
        G, D = nets()
        players, before = game(PLAIN, (wrap(G), D)), memory(G)
        if trains:
            update_G(players, *next(Reals()))
        else:
            with pytest.raises(RuntimeError, match="does not require grad"):
                update_G(players, *next(Reals()))
        assert same(G, before) != trains
        assert all(p.requires_grad for p in D.parameters())


@pytest.mark.parametrize("knobs", [PLAIN, RELATIVISTIC, WGAN_GP], ids=lambda k: k.loss)
@pytest.mark.parametrize("conditioning", ["projection", "concatenation"])
def test_every_question_to_G_and_D_carries_the_classes_of_the_batch(knobs, conditioning):
    G, D = nets(classes=3, conditioning=conditioning)
    players = game(knobs, (Spy(G), Spy(D)))
    real, y = next(Reals())
    for update in (update_D, update_G):
        update(players, real, y)
    assert all(torch.equal(asked, y) for _, asked in players.G.asked + players.D.asked)


@pytest.mark.parametrize("conditioning", ["projection", "concatenation"])
def test_a_conditional_loss_is_that_of_samples_with_their_classes(conditioning):
    players = game(PLAIN, nets(classes=3, conditioning=conditioning))
    real, y = next(Reals())
    fake = players.G(latents(), y)
    expected, wrong = (
        (softplus(-players.D(real, c)) + softplus(players.D(fake, c))).mean().item() for c in (y, (y + 1) % 3)
    )
    assert update_D(players, real, y)["d_loss"].item() == pytest.approx(expected)
    assert expected != pytest.approx(wrong)


@pytest.mark.parametrize("knobs", [PLAIN, RELATIVISTIC, WGAN_GP], ids=lambda k: k.loss)
def test_no_sample_goes_around_the_augmentation(knobs):
    D = Spy(nets()[1])
    players = game(knobs, (nets()[0], D), augment=lambda x, *how: 0 * x + 5)
    players.step(Reals())
    assert all((x == 5).all() for x, _ in D.asked)


@pytest.mark.parametrize("knobs", [PLAIN, RELATIVISTIC, WGAN_GP], ids=lambda k: k.loss)
def test_each_call_of_D_has_an_augmentation_of_its_own_that_follows_from_counters(knobs):
    asked = []

    def noting(x, knobs, call, drawn):
        asked.append((knobs.augment_p, call, drawn))
        return x

    players = game(turned(knobs, augment_p=0.25, d_steps=2, g_steps=2), augment=noting)
    reals = Reals()
    for _ in range(3):
        players.step(reals)
    assert {p for p, *_ in asked} == {0.25}
    assert len(set(asked)) == len(asked) == 3 * 2 * (4 if knobs.loss == "relativistic" or knobs.gp else 3)
    state, seen = players.state_dict(), len(asked)
    players.judge(*next(Reals()), "real")  # somebody looks
    asked.pop()
    players.step(reals)
    later = asked[seen:]
    players.load_state_dict(state)
    players.step(reals)
    assert asked[seen + len(later) :] == later


def test_the_gradient_penalty_looks_at_new_places_on_the_chords_each_step():
    players = game(turned(WGAN_GP, d_lr=0), (Point(*POINT), Spy(Slope(*W))))
    real, y = next(Reals())
    for _ in range(2):
        update_D(players, real, y)
    first, second = (x for x, _ in players.D.asked[2::3])
    parts = [((x - real) / (torch.tensor([POINT]) - real))[:, 0] for x in (first, second)]
    for x, t in zip((first, second), parts, strict=True):
        assert_close(x, real.lerp(torch.tensor([POINT]), t[:, None]))
        assert t.min() > 0
        assert t.max() < 1
    assert not torch.isclose(*parts).any()


class PatchGAN(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 1, 4, stride=2)

    def forward(self, x, y):
        return self.conv(x)


@pytest.mark.parametrize("knobs", [PLAIN, RELATIVISTIC])
def test_a_PatchGAN_averages_over_its_patches(knobs):
    """Its losses; but what it says of a picture before that picture is paired with another."""
    G, D = mlp.Generator((1, 6, 6), z_dim=3, widths=(8,)), PatchGAN()
    players = game(knobs, (G, D))
    real, y = torch.randn(B, 1, 6, 6), torch.zeros(B).long()
    r, f = D.conv(real), D.conv(G(latents(), y))
    paired = softplus(f.flatten(1).mean(1) - r.flatten(1).mean(1)).mean()
    expected = paired if knobs.loss == "relativistic" else (softplus(-r) + softplus(f)).mean()
    signals = update_D(players, real, y) | update_G(players, real, y)
    assert_close(signals["d_loss"], expected.detach())
    assert all(torch.isfinite(value) for value in signals.values())


@pytest.mark.parametrize("limit", [0.05, 0.5, 1e6])
def test_gradients_are_clipped_by_their_norm_which_is_reported_as_it_was(limit):
    free, held = (slope_against_point(Knobs(loss="wasserstein", d_lr=1, clip_norm=c)) for c in (0, limit))
    real, y = 100 * next(Reals())[0], torch.zeros(B).long()
    w = free.D.w.detach().clone()
    norms = [update_D(players, real, y)["d_grad_norm"].item() for players in (free, held)]
    full, clipped = free.D.w.detach() - w, held.D.w.detach() - w
    assert norms == pytest.approx([full.norm().item()] * 2)
    assert_close(clipped, full * min(1, limit / norms[0]), rtol=1e-4, atol=1e-6)


def test_the_gradient_of_G_is_clipped_too():
    players = slope_against_point(Knobs(loss="wasserstein", g_lr=1, clip_norm=0.5))
    b = players.G.b.detach().clone()
    norm = update_G(players, *next(Reals()))["g_grad_norm"]
    assert_close(norm, torch.tensor(W).norm())
    assert (players.G.b.detach() - b).norm().item() == pytest.approx(0.5, rel=1e-4)


def test_gradients_are_clipped_value_by_value():
    players = slope_against_point(Knobs(loss="wasserstein", g_lr=1, clip_value=1.7))
    b = players.G.b.detach().clone()
    update_G(players, *next(Reals()))
    assert_close(players.G.b.detach() - b, torch.tensor([[1.5, -1.7]]))


def test_weights_of_D_are_clipped_after_its_step_and_those_of_G_are_not():
    players = game(turned(PLAIN, loss="wasserstein", clip_weights=0.05))
    players.step(Reals())
    assert all(p.abs().max() <= 0.05 for p in players.D.parameters())
    assert any((p.abs() == torch.tensor(0.05)).any() for p in players.D.parameters())
    assert any(p.abs().max() > 0.05 for p in players.G.parameters())


def played(players, rounds, reals):
    for _ in range(rounds):
        players.step(reals)
    return players


FULL = Knobs(loss="relativistic", g_lr=0.01, d_lr=0.02, r1=0.1, r2=0.1, gp=0.5, d_steps=2, clip_norm=1, g_l2=0.1)


def saved_and_fresh():
    saved = played(game(FULL, nets(classes=3), adam), 3, Reals())
    fresh = played(game(FULL, nets(classes=3, seed=1), adam), 1, Reals())
    return saved, fresh


def test_save_load_step_is_step_to_the_bit():
    saved, fresh = saved_and_fresh()
    fresh.load_state_dict(copy.deepcopy(saved.state_dict()))
    for players in (saved, fresh):
        played(players, 2, Reals())
    assert leaves(fresh.state_dict()) == leaves(saved.state_dict())


@pytest.mark.parametrize("lost", ["G", "D", "G_ema", "g_opt", "d_opt", "seen", "drawn"])
def test_losing_any_entry_of_the_state_changes_what_follows(lost):
    saved, fresh = saved_and_fresh()
    fresh.load_state_dict({**copy.deepcopy(saved.state_dict()), lost: copy.deepcopy(fresh.state_dict()[lost])})
    for players in (saved, fresh):
        played(players, 1, Reals())
    pairs = ((saved.G, fresh.G), (saved.D, fresh.D), (saved.ema.net, fresh.ema.net))
    assert not all(same(a, memory(b)) for a, b in pairs)


def test_the_state_names_every_entry():
    assert set(game().state_dict()) == {"G", "D", "G_ema", "g_opt", "d_opt", "seen", "drawn", "levels"}


def test_a_loaded_game_shares_nothing_with_the_one_it_came_from():
    saved, fresh = saved_and_fresh()
    fresh.load_state_dict(saved.state_dict())
    before = leaves(saved.state_dict())
    played(fresh, 1, Reals())
    assert leaves(saved.state_dict()) == before


def test_what_is_not_finite_is_counted_and_not_hidden():
    players = game(RELATIVISTIC)
    real, y = next(Reals())
    assert update_D(players, real, y)["d_nonfinite"] == 0
    signals = update_D(players, real.index_fill(0, torch.tensor([2]), float("nan")), y)
    assert signals["d_nonfinite"] == 2
    assert signals["d_loss"].isnan()
    assert signals["d_grad_norm"].isnan()
    assert players.D.head.realness.weight.isnan().all()
    assert update_G(players, real, y)["g_nonfinite"] == 2


def test_nonfinite_counts_nan_and_both_infinities():
    assert nonfinite(*torch.tensor([1.0, float("nan"), float("inf"), -float("inf"), 0.0])) == 3


@pytest.mark.parametrize("knobs", [PLAIN, RELATIVISTIC, WGAN_GP], ids=lambda k: k.loss)
def test_signals_are_detached_scalars(knobs):
    signals = game(knobs).step(Reals())
    assert all(value.ndim == 0 and not value.requires_grad for value in signals.values())


def test_looking_at_samples_touches_nothing():
    players = played(game(FULL, nets(classes=3, norms="batch"), adam), 2, Reals())
    before, modes = leaves(players.state_dict()), players.G.training
    rng = torch.get_rng_state()
    samples = players.sampler(torch.randn(5, 3, generator=Stream(1, "z").at(0)), torch.tensor([0, 1, 2, 0, 1]))
    assert samples.shape == (5, 2)
    assert not samples.requires_grad
    assert leaves(players.state_dict()) == before
    assert players.G.training == modes
    assert torch.equal(torch.get_rng_state(), rng)


def test_the_sampler_asks_the_average_and_not_G():
    players = game()
    nn.init.zeros_(players.ema.net.out[0].weight)
    nn.init.constant_(players.ema.net.out[0].bias, 0.25)
    assert (players.sampler(latents(), torch.zeros(B).long()) == 0.25).all()


def test_a_round_neither_reads_nor_moves_the_global_generator():
    results = []
    for seed in (1, 2):
        players = game(FULL, nets(classes=3), adam)
        torch.manual_seed(seed)
        state = torch.get_rng_state()
        played(players, 2, Reals())
        assert torch.equal(torch.get_rng_state(), state)
        results.append(leaves(players.state_dict()))
    assert results[0] == results[1]


def test_no_latent_is_drawn_twice():
    players = game()
    drawn = torch.cat([players.z(n) for n in (B, 1, 5, B)])
    assert len(drawn.unique(dim=0)) == len(drawn) == players.drawn
    assert torch.equal(drawn[:B], latents())


@pytest.mark.parametrize(("d_steps", "g_steps"), [(1, 1), (5, 1), (1, 2), (2, 3)])
def test_the_halflife_of_the_average_is_counted_in_reals_that_D_saw(d_steps, g_steps):
    knobs = turned(PLAIN, g_lr=0, d_steps=d_steps, g_steps=g_steps, ema_ramp=None, ema_halflife_kimg=d_steps * B / 1000)
    players = game(knobs)
    for p in players.ema.net.parameters():
        nn.init.zeros_(p)
    players.step(Reals())
    for average, now in zip(players.ema.net.parameters(), players.G.parameters(), strict=True):
        assert_close(average, now.detach() / 2)


def test_frozen_gives_back_what_it_froze_and_nothing_else():
    net = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2).requires_grad_(False))
    with pytest.raises(ZeroDivisionError), frozen(net):
        assert not any(p.requires_grad for p in net.parameters())
        _ = 1 / 0
    assert [p.requires_grad for p in net.parameters()] == [True, True, False, False]


def test_weights_are_matrices_and_kernels_without_gains_and_biases():
    net = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Linear(4, 4))
    assert [tuple(w.shape) for w in weights(net)] == [(2, 1, 3, 3), (4, 4)]


def test_least_squares_takes_its_targets_from_the_knobs():
    loss = adversarial_loss(Knobs(loss="least-squares", ls_targets=(-1, 1, 0)))
    assert loss.generator(torch.zeros(1), torch.tensor([3.0])).item() == 4.5
    with pytest.raises(ConfigError, match="no incentive"):
        adversarial_loss(Knobs(loss="least-squares").model_copy(update={"ls_targets": (0, 1, 0)}))


def test_smoothing_is_taken_from_the_knobs():
    loss = adversarial_loss(turned(PLAIN, smooth_real=0.1, smooth_fake=0.2))
    zero = torch.zeros(1)
    assert loss.discriminator(zero, zero).item() == pytest.approx(2 * softplus(zero).item())
    slopes = torch.func.grad(lambda r, f: loss.discriminator(r, f).sum(), argnums=(0, 1))(zero, zero)
    assert [s.item() for s in slopes] == pytest.approx([-0.4, 0.3])  # sigmoid(0) minus the soft labels .9 and .2


@pytest.mark.parametrize("loss", ["wasserstein", "hinge", "relativistic"])
def test_a_smoothed_game_needs_a_loss_with_labels(loss):
    with pytest.raises(ConfigError, match="needs a loss whose D answers with labels"):
        update_D(game(Knobs(loss=loss).model_copy(update={"smooth_real": 0.1})), *next(Reals()))


@pytest.mark.parametrize(("accumulate", "d_steps"), [(1, 1), (2, 1), (1, 2)])
def test_lazy_r1_is_felt_in_the_last_round_of_so_many_as_many_times_over(accumulate, d_steps):
    """Karras et al. 2020 (arXiv:1912.04958), appendix B: the mean over the rounds is R1 itself."""
    players = slope_against_point(
        Knobs(loss="wasserstein", d_lr=0, g_lr=0, r1=0.6, r1_every=3, accumulate=accumulate, d_steps=d_steps)
    )
    told, reals = [players.step(Reals()) for _ in range(6)], 0.3 * torch.tensor(W).norm() ** 2
    penalties = torch.stack([signals["d_penalty"] for signals in told])
    assert_close(penalties, 3 * reals * torch.tensor([0.0, 0, 1, 0, 0, 1]))
    assert ["real_input_grad" in signals for signals in told] == [False, False, True, False, False, True]


class Linear(nn.Module):
    """A generator with two layers of styles, whose image is w_1 A + w_2 B."""

    layers = 2

    def __init__(self):
        super().__init__()
        self.A, self.B = (nn.Parameter(torch.randn(3, 4)) for _ in range(2))
        self.scale = nn.Parameter(torch.ones(3))
        self.register_buffer("path_mean", torch.tensor(0.2))

    def mapping(self, z, y):
        return self.scale * z

    def synthesis(self, w):
        return (w[:, 0] @ self.A + w[:, 1] @ self.B).view(-1, 1, 2, 2)

    def forward(self, z, y):
        return self.synthesis(self.mapping(z, y)[:, None].expand(-1, 2, -1))


def styled(**knobs):
    torch.manual_seed(0)
    D = nn.Sequential(nn.Flatten(), nn.Linear(4, 1))
    D.forward = lambda x, y: D[1](D[0](x)).squeeze(1)
    return game(Knobs(loss="wasserstein", g_lr=0, d_lr=0, **knobs), (Linear(), D))


def squares():
    while True:
        yield torch.randn(B, 1, 2, 2), torch.zeros(B).long()


def test_path_length_is_the_squared_distance_from_its_running_mean_in_one_round_of_so_many():
    players = styled(path_length=2, path_every=4)
    mean, told = 0.2, []
    for step in range(1, 9):
        drawn, told = players.drawn, players.step(squares())
        paths = step % 4 == 0
        assert players.drawn - drawn == 2 * B + paths * B // 2
        assert ("path_off" in told) == paths
        if paths:
            noise = torch.randn(B // 2, 1, 2, 2, generator=Stream(0, "paths").at(players.drawn)).flatten(1)
            slopes = torch.stack([noise @ players.G.A.T, noise @ players.G.B.T]).square().sum((0, 2))  # [B / 2]
            lengths = (slopes / (2 * 4)).sqrt().detach()
            mean += 0.01 * (lengths.mean().item() - mean)
            assert_close(told["path_off"], (lengths - mean).square().mean())
            assert_close(told["g_penalty"], 4 * 2 * told["path_off"])
        else:
            assert told["g_penalty"] == 0
    assert players.G.path_mean.item() == pytest.approx(mean)


def test_the_running_mean_of_the_paths_begins_with_the_first_that_are_measured():
    players = styled(path_length=1)
    players.G.path_mean.zero_()
    told = players.step(squares())
    noise = torch.randn(B // 2, 1, 2, 2, generator=Stream(0, "paths").at(players.drawn)).flatten(1)
    slopes = torch.stack([noise @ players.G.A.T, noise @ players.G.B.T]).square().sum((0, 2))
    lengths = (slopes / (2 * 4)).sqrt().detach()
    assert_close(players.G.path_mean, lengths.mean())
    assert_close(told["path_off"], lengths.var(correction=0))


def test_the_running_mean_of_the_paths_is_state():
    players, other = styled(path_length=1), styled(path_length=1)
    players.step(squares())
    other.load_state_dict(copy.deepcopy(players.state_dict()))
    assert other.G.path_mean == players.G.path_mean != 0.2
    assert torch.equal(players.ema.net.path_mean, players.G.path_mean)


def test_reconstruction_is_asked_of_reals_as_D_sees_them_with_its_weight():
    asked = []

    class Decoder(Slope):
        def reconstruction(self, x, first):
            asked.append((x.detach(), first))
            return x.square().sum(1) * self.w.sum()

    players = game(
        turned(PLAIN, reconstruction=0.5), (Point(*POINT), Decoder(*W)), augment=lambda x, knobs, call, drawn: x + 1
    )
    real, y = next(Reals())
    signals = update_D(players, real, y)
    assert torch.equal(asked[0][0], real + 1)
    assert [first for _, first in asked] == [0]
    assert_close(signals["reconstruction"], (real + 1).square().sum(1).mean() * sum(W))
    assert_close(signals["d_penalty"], 0.5 * signals["reconstruction"])
