"""The game of styles, against the paper's losses, and on a language whose truth is known."""

import copy
import math
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from equipoise.ema import EMA
from equipoise.games.restyling import IGNORED, OfWords, Restyling
from equipoise.knobs import Knobs
from equipoise.nets.restyler import END, Discriminator, Generator
from equipoise.streams import Stream

THINGS, ADJECTIVES, AND = range(1, 5), ((5, 6, 7), (8, 9, 10)), 11  # words; adjectives of each style
V, T, STYLES = 12, 5, 2


def sentences(n, seed=0):
    """'thing adjective' or 'thing adjective and thing' of either style."""
    generator = Stream(seed, "language").at(0)

    def drawn(high):
        return torch.randint(high, (n,), generator=generator)

    y = drawn(2)
    adjective = torch.tensor(ADJECTIVES)[y, drawn(3)]
    more = drawn(2).bool()
    tail = torch.stack([torch.full((n,), AND), 1 + drawn(4), torch.zeros(n, dtype=torch.long)], 1)
    x = torch.cat([torch.stack([1 + drawn(4), adjective], 1), torch.where(more[:, None], tail, END)], 1)
    return x, y


def endless(batch, seed=0):
    index = 0
    while True:
        yield sentences(batch, seed + index)
        index += 1


def game(knobs, width=32, seed=0):
    torch.manual_seed(seed)
    G = Generator(V, STYLES, T, width=width, heads=2, layers=1)
    D = Discriminator(V, STYLES, T, width=width, heads=2, layers=1)
    return Restyling(
        G, D, torch.optim.Adam(G.parameters(), betas=(0.0, 0.99)), torch.optim.Adam(D.parameters(), betas=(0.0, 0.99)),
        EMA(G), STYLES, END, Stream(0, "styles"), knobs, OfWords(),
    )  # fmt: skip


class Uniform(nn.Module):
    """A G to which all words are alike, and a D to which all styles are."""

    def __init__(self, out):
        super().__init__()
        self.w, self.out = nn.Parameter(torch.zeros(out)), out

    def forward(self, x):
        return self.w.expand(len(x), self.out)

    def soft(self, x, y, beta):
        return self.w.expand(*x.shape[:2], self.out).softmax(2)

    def read_along(self, x, y, written):
        return self.w.expand(*written.shape, self.out)


def test_losses_of_players_that_know_nothing():
    """Each word costs log V, each style log (K + 1)."""
    playing = game(Knobs(identity=0.25, cycle=0.5, adversarial=2.0))
    playing.G, playing.D = Uniform(V), Uniform(STYLES + 1)
    hand = next(playing.deal(iter([sentences(32)])))
    of_words, of_styles = math.log(V), math.log(STYLES + 1)
    assert playing.lesson.of_D(playing, hand)[0].item() == pytest.approx(3 * of_styles, rel=1e-6)
    assert playing.lesson.of_G(playing, hand)[0].item() == pytest.approx(0.75 * of_words + 2 * of_styles, rel=1e-6)


def test_words_behind_the_end_are_not_asked_for():
    playing = game(Knobs())
    x = torch.tensor([[1, 5, END, END, END], [1, 5, AND, 2, END]])
    hand = next(playing.deal(iter([(x, torch.tensor([0, 0]))])))
    assert hand.due.tolist() == [[1, 5, END, IGNORED, IGNORED], [1, 5, AND, 2, END]]
    assert hand.words == 8
    short = next(playing.deal(iter([(x[:1], torch.tensor([0]))])))
    assert short.x.tolist() == [[1, 5, END]]


def test_the_other_styles_are_asked_for_evenly_and_without_state():
    playing = game(Knobs())
    playing.styles = 4
    y = torch.arange(4).repeat(3000)
    other = playing.another(y)
    counts = torch.bincount(y * 4 + other, minlength=16).view(4, 4)
    assert not counts.diag().any()
    expected = 1000 * (1 - torch.eye(4))
    assert (counts - expected).abs().max() < 5 * math.sqrt(1000 * 2 / 3)  # five deviations of the count
    again = playing.another(y)
    assert not again.equal(other)
    playing.drawn = 0
    assert playing.another(y).equal(other)


def test_processes_ask_for_their_share_of_what_one_would():
    y = torch.zeros(8, dtype=torch.long)
    alone, shares = game(Knobs()), []
    alone.styles = 5
    for rank in range(2):
        playing = copy.copy(alone)
        playing.processes = SimpleNamespace(count=2, part=lambda whole, rank=rank: whole[4 * rank : 4 * rank + 4])
        shares.append(playing.another(y[:4]))
        assert playing.drawn == 8
    assert torch.cat(shares).equal(alone.another(y))


def test_what_is_saved_is_all_that_the_next_step_needs():
    """The same bits; and each entry that is lost shows."""
    knobs = Knobs(identity=1, cycle=1, g_lr=1e-2, d_lr=1e-2)
    one = game(knobs, width=8)
    for _ in range(3):
        one.step(endless(8))
    saved = copy.deepcopy(one.state_dict())

    def after(state):
        other = game(knobs, width=8, seed=1)
        other.load_state_dict(copy.deepcopy(state))
        other.step(endless(8, seed=50))
        return other.state_dict()

    one.step(endless(8, seed=50))
    assert equal(after(saved), one.state_dict())
    fresh = game(knobs, width=8, seed=2).state_dict()
    for name in saved:
        assert not equal(after(saved | {name: fresh[name]}), one.state_dict()), name


def equal(a, b):
    if isinstance(a, torch.Tensor):
        return a.equal(b)
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(equal(a[k], b[k]) for k in a)
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(map(equal, a, b))
    return a == b


def played(adversarial, rounds):
    """First alone what teaches G to say a sentence again, as the paper begins; then all of it."""
    start = Knobs(g_lr=3e-3, d_lr=3e-3, identity=0.25, cycle=0.0, adversarial=0.0, ema_halflife_kimg=1.0)
    playing, reals = game(start), endless(64)
    for _ in range(rounds // 3):
        playing.step(reals)
    playing.knobs = start.model_copy(update={"cycle": 0.5, "adversarial": adversarial, "g_lr": 1e-3, "d_lr": 1e-3})
    for _ in range(rounds):
        playing.step(reals)
    return playing


def judged(playing):
    """Shares of new sentences whose adjective is of the style that was asked for, and whose other words were kept."""
    x, y = sentences(400, seed=10_000)
    made = playing.sampler(x, 1 - y)
    wanted = torch.tensor(ADJECTIVES)[1 - y]
    styled = (made[:, 1:2] == wanted).any(1)
    rest = [0, 2, 3, 4]
    return float(styled.float().mean()), float((made[:, rest] == x[:, rest]).all(1).float().mean())


@pytest.mark.slow
def test_it_learns_to_restyle_and_to_keep_the_rest():
    styled, kept = judged(played(adversarial=1.0, rounds=150))
    assert styled > 0.9 and kept > 0.8


@pytest.mark.slow
def test_without_the_discriminator_nothing_is_restyled():
    styled, kept = judged(played(adversarial=0.0, rounds=60))
    assert styled < 0.5 and kept > 0.5
