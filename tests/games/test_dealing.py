"""What each play deals to whom."""

import torch
from torch.testing import assert_close

from equipoise.games import dealing

X, Y = torch.randn(4, 5, 2, 2), torch.arange(4)  # two channels of one domain, three of the other


class Counted:
    def __init__(self):
        self.drawn = 0

    def z(self, n):
        self.count(n)
        return torch.full((n, 7), 3.0)

    def count(self, n):
        self.drawn += n


def test_noise_is_new_and_the_class_is_told_to_both():
    game = Counted()
    real, y, z = dealing.from_noise(game, X, Y)
    assert real is X and y is Y and z.shape == (4, 7) and game.drawn == 4


def test_of_a_pair_both_players_are_told_the_given_side():
    game = Counted()
    real, y, z = dealing.of_pairs(2)(game, X, Y)
    assert_close(real, X[:, 2:])
    assert_close(y, X[:, :2])
    assert_close(z, X[:, :2])
    assert game.drawn == 4  # or the augmentation of the next batch would be that of this one


def test_of_domains_nobody_is_told_where_a_picture_came_from():
    there, back = dealing.of_domains(2)(Counted(), X, Y), dealing.of_domains_back(2)(Counted(), X, Y)
    assert_close(there.real, X[:, 2:])
    assert_close(there.z, X[:, :2])
    assert there.y is Y and back.y is Y
    assert_close(back.real, there.z)
    assert_close(back.z, there.real)


def test_a_style_is_told_and_is_what_the_sample_should_be_like():
    real, y, z = dealing.of_styles(2)(Counted(), X, Y)
    assert_close(real, X[:, 2:])
    assert y is real or torch.equal(y, real)
    assert_close(z, X[:, :2])


def test_to_look_draws_nothing():
    assert dealing.from_noise(dealing.Undrawn(), X, Y).z.shape == (4, 0)
