"""Sentences of a known grammar: imitation finds its chances, both games find what D knows, a deaf D teaches nothing."""

import math

import pytest
import torch
from torch import nn, optim
from torch.testing import assert_close

from equipoise import init
from equipoise.ema import EMA
from equipoise.games.textgan import TextGAN, spoken, surprise
from equipoise.knobs import Knobs
from equipoise.nets.language import Discriminator, Generator
from equipoise.streams import Stream

WORDS, LENGTH, BATCH = 6, 4, 32


def grammar(n, seed):
    """1 or 2 (three times as often), then 3, and then 4 in every other sentence. Entropy: .562 + .693 nats."""
    first, fourth = torch.rand(2, n, generator=torch.Generator().manual_seed(seed))
    return torch.stack([1 + (first < 0.75).long(), torch.full((n,), 3), 4 * (fourth < 0.5).long()], 1)


def batches(constant=None):
    step = 0
    while True:
        x = torch.zeros(BATCH, LENGTH, dtype=torch.long)
        x[:, :3] = grammar(BATCH, step) if constant is None else torch.tensor(constant)
        yield x, torch.zeros(BATCH, dtype=torch.long)
        step += 1


def game(against="gumbel", imitates=0, D=None, **knobs):
    G = Generator(WORDS, LENGTH, embedding=8, width=16, cell="lstm")
    D = D or Discriminator(WORDS, LENGTH, embedding=8, filters=8, hidden=16)
    for net in (G, D):
        init.torch_default(net, torch.Generator().manual_seed(0))
    loss = "relativistic" if against == "gumbel" else "nonsaturating"
    told = Knobs(loss=loss, g_lr=0.01, d_lr=0.01, ema_halflife_kimg=0, **knobs)
    optimizers = [optim.Adam(net.parameters(), 0.01) for net in (G, D)]
    return TextGAN(
        G, D, *optimizers, EMA(G), Stream(0, "latents"), told, imitates=imitates, sentences=10**6, against=against,
        rollouts=2,
    )  # fmt: skip


def said(played, n=400):
    z = torch.randn(n, LENGTH, generator=torch.Generator().manual_seed(9))
    return played.sampler(z, torch.zeros(n, dtype=torch.long))


def test_imitation_comes_to_the_entropy_of_the_grammar():
    played, reals = game(imitates=10**6), batches()
    for _ in range(250):
        played.step(reals)
    x = torch.nn.functional.pad(grammar(2000, seed=-1), (0, 1))
    with torch.no_grad():
        nats = surprise(played.G, x, torch.zeros(len(x), dtype=torch.long)).sum() / len(x)
    entropy = -(0.25 * math.log(0.25) + 0.75 * math.log(0.75)) + math.log(2)
    assert nats == pytest.approx(entropy, abs=0.05)
    assert (said(played)[:, 0] == 2).double().mean() == pytest.approx(0.75, abs=0.1)
    assert "D" not in played.networks() or played.imitates < played.sentences


def test_the_end_counts_and_what_is_behind_it_does_not():
    assert spoken(torch.tensor([[3, 2, 0, 0], [0, 0, 0, 0], [1, 1, 1, 1]])).tolist() == [
        [1, 1, 1, 0], [1, 0, 0, 0], [1, 1, 1, 1],
    ]  # fmt: skip


@pytest.mark.parametrize(("against", "rounds"), [("gumbel", 120), ("policy", 120)])
def test_a_game_without_imitation_finds_the_one_sentence(against, rounds):
    played, reals = game(against), batches(constant=[2, 3, 0])
    before = (said(played)[:, :2] == torch.tensor([2, 3])).all(1).double().mean()
    for _ in range(rounds):
        signals = played.step(reals)
    after = (said(played)[:, :2] == torch.tensor([2, 3])).all(1).double().mean()
    assert before < 0.2 and after > 0.8
    assert not signals["g_nonfinite"] and not signals["d_nonfinite"]


class Deaf(nn.Module):
    """Says the same of everything."""

    def __init__(self):
        super().__init__()
        self.level = nn.Parameter(torch.zeros(()))

    def forward(self, x, y):
        return self.level.expand(len(x)) + 0 * x.float().flatten(1).sum(1)


@pytest.mark.parametrize("against", ["gumbel", "policy"])
def test_a_deaf_d_teaches_nothing(against):
    played, reals = game(against, D=Deaf()), batches(constant=[2, 3, 0])
    before = [p.clone() for p in played.G.parameters()]
    played.step(reals)
    for p, was in zip(played.G.parameters(), before, strict=True):
        assert_close(p.detach(), was, atol=1e-6, rtol=0)


def test_rewards_tell_the_token_that_decides():
    """D likes whatever begins with 2: the first token has the whole reward, and is known from it on."""

    class LikesTwo(nn.Module):
        def forward(self, x, y):
            return torch.where(x[:, 0] == 2, 9.0, -9.0)

    played = game("policy", D=None)
    played.D = LikesTwo()
    fake = torch.tensor([[2, 1, 3, 0], [1, 1, 3, 0]])
    assert_close(played.rewards(fake, torch.zeros(2, dtype=torch.long)).round(), torch.tensor([[1.0] * 4, [0.0] * 4]))


def test_a_sentence_that_is_over_has_its_own_reward_and_the_others_that_of_their_completions():
    """D counts 3s: behind the end nothing can be added, before it whatever the average of G says."""

    class CountsThrees(nn.Module):
        def forward(self, x, y):
            return (x == 3).sum(1).float()

    played = game("policy")
    played.D = CountsThrees()
    fake, y = torch.tensor([[3, 0, 0, 0], [1, 3, 2, 0], [0, 0, 0, 0]]), torch.zeros(3, dtype=torch.long)
    found = played.rewards(fake, y)
    assert_close(found[0, 1:], torch.full((3,), 1.0).sigmoid())
    assert_close(found[2], torch.full((4,), 0.0).sigmoid())
    again, told = game("policy"), []
    for t in range(1, LENGTH):
        whole = [again.ema.net(again.noise(3), y, fake[:, :t]) for _ in range(2)]
        told.append(torch.stack([played.D(x, y).sigmoid() for x in whole]).mean(0))
    assert_close(found[:, :-1], torch.stack(told, 1))


def test_D_learns_alone_before_G_moves():
    played, reals = game("policy", imitates=BATCH), batches()
    played.alone = 2 * BATCH
    before = [p.clone() for p in (*played.G.parameters(), *played.D.parameters())]
    moved = []
    for _ in range(4):
        signals = played.step(reals)
        now = [p.clone() for p in (*played.G.parameters(), *played.D.parameters())]
        of_G = len(list(played.G.parameters()))
        moved.append(tuple(any(not torch.equal(*pair) for pair in zip(now[part], before[part], strict=True))
                           for part in (slice(of_G), slice(of_G, None))))  # fmt: skip
        before = now
    assert moved == [(True, False), (False, True), (False, True), (True, True)]
    assert "g_loss" in signals


def test_G_imitates_as_many_times_as_fast_as_it_is_told():
    steps = {}
    for haste in (1.0, 10.0):
        played = game(imitates=10**6)
        played.g_opt, played.haste = optim.SGD(played.G.parameters(), 0.01), haste
        before = next(played.G.parameters()).clone()
        played.step(batches())
        steps[haste] = (next(played.G.parameters()) - before).detach()
    assert_close(steps[10.0], 10 * steps[1.0], rtol=1e-3, atol=1e-7)


@pytest.mark.parametrize("views", [2, 4])
def test_many_views_reward_by_their_mean(views):
    played = game("policy", D=Discriminator(WORDS, LENGTH, embedding=8, views=views, filters=3, hidden=5))
    assert played.step(batches())["reward"].isfinite()


def test_the_slope_of_the_reward_has_no_bias():
    """All pairs of one-word sentences by their chances: the mean slope is that of the mean reward. With a baseline that
    includes the sentence itself it is half of it."""
    played, rewards = game("policy"), torch.tensor([0.9, 0.2, 0.5])
    theta = torch.tensor([0.3, -0.2, 0.1], requires_grad=True)
    p = theta.softmax(0)
    (true,) = torch.autograd.grad((p * rewards).sum(), theta, retain_graph=True)
    said, mean = torch.ones(2, 1), torch.zeros(3)
    for a in range(3):
        for b in range(3):
            reward = rewards[[a, b]][:, None]
            gain = (reward - played.baseline(reward, said))[:, 0]
            (slope,) = torch.autograd.grad((gain * p[[a, b]].log()).mean(), theta, retain_graph=True)
            mean += (p[a] * p[b] * slope).detach()
    assert_close(mean, true)


def test_the_baseline_is_of_the_others_that_say_something_there():
    reward, said = torch.tensor([[1.0, 4.0], [2.0, 5.0], [6.0, 9.0]]), torch.tensor([[1.0, 1], [1, 0], [1, 0]])
    assert game("policy").baseline(reward, said).tolist() == [[4.0, 0.0], [3.5, 4.0], [1.5, 4.0]]


@pytest.mark.parametrize("against", ["gumbel", "policy"])
def test_imitation_beside_the_game_keeps_what_D_does_not_like(against):
    """D likes but one sentence: without imitation G says nothing else."""
    fours = {}
    for weight in (0.0, 30.0):
        played, reals = game(against, imitation=weight), batches()
        ones = batches(constant=[2, 3, 0])
        for _ in range(60):
            played.update_D(next(ones))
            (played.update_G if against == "gumbel" else played.update_G_by_policy)(next(reals))
        played.ema.update(played.G, 1, 1, 0, None)
        fours[weight] = float((said(played)[:, 2] == 4).double().mean())
    assert fours[30.0] > 0.1 > fours[0.0]


@pytest.mark.parametrize("against", ["gumbel", "policy"])
def test_a_game_goes_on_from_its_state_to_the_bit(against):
    a, b = game(against, imitates=64), game(against, imitates=64)
    reals = batches()
    for _ in range(4):
        a.step(reals)
    b.load_state_dict(a.state_dict())
    later, again = batches(), batches()
    assert a.step(later)["g_loss"] == b.step(again)["g_loss"]
    for p, q in zip(a.G.parameters(), b.G.parameters(), strict=True):
        assert torch.equal(p, q)
