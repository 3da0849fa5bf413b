"""From sentence to sentence: what each place may see, and that soft words are words."""

import pytest
import torch
from torch.testing import assert_close

from equipoise.nets.restyler import END, Discriminator, Generator, ended, soft, unread

V, STYLES, T = 9, 3, 6
X = torch.tensor([[3, 5, END, 7, END, 2], [1, 2, 3, 4, 5, END], [8, 8, 8, 8, 8, 8]])
Y = torch.tensor([0, 2, 1])


@pytest.fixture(name="G")
def generator():
    torch.manual_seed(0)
    return Generator(V, STYLES, T, width=8, heads=2, layers=2)


@pytest.fixture(name="D")
def discriminator():
    torch.manual_seed(1)
    return Discriminator(V, STYLES, T, width=8, heads=2, layers=2)


def test_a_sentence_is_read_up_to_its_first_end():
    expected = [[0, 0, 0, 1, 1, 1], [0] * 6, [0] * 6]
    assert unread(X).long().tolist() == expected
    assert unread(soft(X, V)).long().tolist() == expected


def test_shapes_and_distributions(G, D):
    made = G.soft(X, Y)
    assert made.shape == (3, T, V) and D(made).shape == (3, STYLES + 1)
    assert_close(made.sum(2), torch.ones(3, T))
    assert G.read_along(X, Y, X).shape == (3, T, V)


def test_what_stands_behind_the_end_is_not_read(G, D):
    other = X.clone()
    other[0, 3:] = torch.tensor([1, 1, 1])
    assert_close(D(other), D(X))
    assert_close(G.soft(other, Y), G.soft(X, Y))
    other[0, 1] = 6  # before the end it is
    assert not torch.allclose(D(other)[0], D(X)[0])
    assert not torch.allclose(G.soft(other, Y)[0], G.soft(X, Y)[0])


@pytest.mark.parametrize("place", range(T))
def test_a_word_is_foretold_by_those_before_it_alone(G, place):
    changed = X.clone()
    changed[:, place] = (changed[:, place] + 1) % V
    moved = (G.read_along(X, Y, changed) - G.read_along(X, Y, X)).abs().sum(2) > 1e-6
    assert not moved[:, : place + 1].any()
    assert moved[:, place + 1 :].all()


def test_words_that_are_sure_are_words(G, D):
    sure = soft(X, V)
    assert_close(D(sure), D(X))
    assert_close(G.soft(sure, Y), G.soft(X, Y))
    assert_close(G.read_along(sure, Y, X), G.read_along(X, Y, X))


def test_writing_is_reading_along_with_what_was_written(G):
    """Nearly without temperature, soft words are words; read along with, each is again the likeliest."""
    made = G.soft(X, Y, beta=1e6)
    assert_close(made.max(2).values, torch.ones(3, T))
    assert_close(G.read_along(X, Y, made.argmax(2)).argmax(2), made.argmax(2))
    assert_close(G(X, Y), ended(made.argmax(2)))


def test_the_style_that_is_asked_for_matters(G):
    assert not torch.allclose(G.soft(X, Y), G.soft(X, (Y + 1) % STYLES))


def test_what_D_says_reaches_all_that_G_is_made_of(G, D):
    with torch.no_grad():
        G.out.bias[END] = -9.0  # a sentence that is over at once has no place that looks at another
    D(G.soft(X, Y)).logsumexp(1).sum().backward()
    without = [name for name, p in G.named_parameters() if p.grad is None or not p.grad.abs().sum()]
    assert without == []
