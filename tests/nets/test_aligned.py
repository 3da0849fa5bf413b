"""The autoencoder whose states are aligned: what it may hear and see."""

import pytest
import torch
from torch.testing import assert_close

from equipoise.nets.aligned import Discriminator, Generator
from equipoise.nets.restyler import END

V, STYLES, T = 9, 3, 6
X = torch.tensor([[3, 5, END, END, END, END], [1, 2, 3, 4, 5, END], [8, 8, 8, 8, 8, 8]])
Y = torch.tensor([0, 2, 1])


@pytest.fixture(name="G")
def generator():
    torch.manual_seed(0)
    return Generator(V, STYLES, embedding=5, content=6, style=4)


def test_what_stands_behind_the_end_is_not_read(G):
    other = X.clone()
    other[0, 3:] = torch.tensor([1, 1, 1])
    assert_close(G.meant(other, Y), G.meant(X, Y))
    other[0, 1] = 6
    assert not torch.allclose(G.meant(other, Y)[:, 0], G.meant(X, Y)[:, 0])


@pytest.mark.parametrize("place", range(T))
def test_a_word_is_foretold_by_those_before_it_alone(G, place):
    changed = X.clone()
    changed[:, place] = (changed[:, place] + 1) % V
    moved = (G.read_along(X, Y, changed) - G.read_along(X, Y, X)).abs().sum(2) > 1e-6
    assert not moved[:, : place + 1].any()
    assert moved[:, place + 1 :].all()


def test_written_alone_without_temperature_is_told_along_with_what_was_written(G):
    alone = G.alone(X, Y, beta=1e6)
    along = G.along(X, Y, alone.logits.argmax(2))
    assert_close(alone.logits, along.logits)
    assert_close(alone.states, along.states)
    assert_close(G(X, Y), torch.where(alone.states.abs().sum(2) > 0, alone.logits.argmax(2), END))


def test_the_style_that_is_asked_for_matters(G):
    assert not torch.allclose(G.alone(X, Y).logits, G.alone(X, (Y + 1) % STYLES).logits)


def test_states_are_judged_by_the_style_and_their_slope_reaches_G(G):
    torch.manual_seed(1)
    D = Discriminator(10, STYLES, filters=3)
    states = G.alone(X, Y).states
    logits = D(states, Y)
    assert logits.shape == (3,) and not torch.allclose(logits, D(states, (Y + 1) % STYLES))
    logits.sum().backward()
    without = {name for name, p in G.named_parameters() if p.grad is None or not p.grad.abs().sum()}
    assert without == set()
