"""Perceptual path length of generators whose path is known."""

import math

import pytest
import torch

from equipoise.errors import DataError
from equipoise.metrics import path_length
from equipoise.metrics.path_length import slerp, trimmed_mean


def squared(a, b):
    return (a - b).square().flatten(1).sum(1)


def picture(z):
    return z[:, :, None, None]


def test_slerp_moves_at_an_even_pace_on_the_circle():
    a, b = torch.tensor([[3.0, 0.0]]), torch.tensor([[0.0, 5.0]])
    for t in (0.0, 0.3, 1.0):
        found = slerp(a, b, torch.tensor([t]))
        expected = torch.tensor([[math.cos(t * math.pi / 2), math.sin(t * math.pi / 2)]])
        torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("z_dim", [16, 128])
def test_the_identity_has_the_squared_angle_of_two_latents(z_dim):
    """A step along the circle of radius sqrt(d) is sqrt(d) times the angle, which is nearly a right one for large d."""
    found = path_length(picture, squared, z_dim, n=2000)
    spread = 1 / z_dim  # variance of the angle, about
    assert found.value == pytest.approx(z_dim * ((math.pi / 2) ** 2 + spread), rel=0.03)


def test_a_generator_that_ignores_z_has_no_length_and_twice_the_picture_four_times():
    assert path_length(lambda z: torch.ones(len(z), 1, 2, 2), squared, 8, n=200).value == 0
    once, twice = (path_length(lambda z, k=k: k * picture(z), squared, 8, n=500).value for k in (1, 2))
    assert twice == pytest.approx(4 * once, rel=1e-3)


def test_the_size_of_the_batch_does_not_matter():
    found = [path_length(picture, squared, 8, n=300, batch=batch) for batch in (7, 300)]
    assert found[0].value == pytest.approx(found[1].value)
    assert found[0].low < found[0].value < found[0].high


def test_the_ends_are_left_out():
    assert trimmed_mean(torch.cat([torch.ones(98), torch.tensor([1e9, -1e9])])) == 1


def test_too_few_pairs_and_distances_that_are_no_numbers():
    with pytest.raises(DataError, match="needs 100 pairs; n is 99"):
        path_length(picture, squared, 8, n=99)
    with pytest.raises(DataError, match="100 of 100 distances are not finite"):
        path_length(lambda z: picture(z) / 0, squared, 8, n=100)
