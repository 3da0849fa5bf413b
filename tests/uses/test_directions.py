from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from equipoise.errors import ConfigError
from equipoise.uses import directions
from equipoise.uses.directions import Directions, amplified, axes, by_class, first_weights, found, moved


def change(trained, at):
    """How much samples change, two deviations along directions of unit length."""
    codes = trained.codes(100, 9)
    spread = (codes.at.reshape(100, -1)[:, -at.shape[1] :] @ at.T).std(0)
    x = trained.space.samples(codes)
    steps = moved(codes, Directions("pca", at, spread), 2.0)
    return torch.stack([(trained.space.samples(step) - x).square().mean() for step in steps])


def anyhow(dim, n=20):
    return torch.nn.functional.normalize(torch.randn(n, dim, generator=torch.Generator().manual_seed(0)), dim=1)


@pytest.mark.parametrize("method", ["pca", "sefa"])
@pytest.mark.parametrize(("name", "shape"), [("digits", (1, 8, 8)), ("dcgan", (1, 8, 8)), ("r3gan-xs", (1, 8, 8))])
def test_directions_change_samples_more_than_any_do(method, name, shape, untrained):
    trained = untrained(name, shape=shape)
    at = found(trained, method, 2).at
    assert_close(torch.linalg.vector_norm(at, dim=1), torch.ones(2))
    assert change(trained, at).mean() > 1.1 * change(trained, anyhow(8)).mean()
    assert change(trained, at)[0] > change(trained, found(trained, method, 8).at)[-1]


@pytest.mark.parametrize("method", ["pca", "sefa"])
def test_directions_of_styles_are_orthonormal(method, styled):
    at = found(styled, method, 6).at
    assert_close(at @ at.T, torch.eye(6), atol=1e-5, rtol=0)


def test_sefa_reads_the_weights_that_meet_the_styles(styled):
    weights = first_weights(styled, styled.codes(3))
    assert_close(weights, styled.G.affine.weight.repeat(4, 1))  # once a layer


def test_sefa_reads_the_columns_of_z_where_there_are_classes(untrained):
    trained = untrained("digits", "nets.conditioning=projection", classes=3)
    assert_close(first_weights(trained, trained.codes(3)), trained.G.hidden[0].weight[:, :8])


def test_eigenvectors_are_numpy_s_singular_vectors():
    A = torch.randn(20, 5, generator=torch.Generator().manual_seed(1))
    _, _, expected = np.linalg.svd(A.numpy())
    assert_close((amplified(A) * torch.from_numpy(expected)).sum(1).abs(), torch.ones(5))


def test_axes_find_where_points_spread():
    x = torch.randn(2000, 3, generator=torch.Generator().manual_seed(1)) * torch.tensor([1.0, 5.0, 2.0])
    assert axes(x).abs().argmax(1).tolist() == [1, 2, 0]


def test_what_the_class_does_is_taken_away():
    y = torch.tensor([0, 1, 0, 1])
    assert_close(
        by_class(torch.tensor([[1.0], [10.0], [3.0], [12.0]]), y), torch.tensor([[-1.0], [-1.0], [1.0], [1.0]])
    )


def test_a_strip_has_the_sample_in_its_middle(untrained):
    trained = untrained("digits")
    picture = np.asarray(directions.strips(trained, found(trained, "sefa", 2), 4, None))
    side = 48 + 2
    assert picture.shape == (2 * side + 2, directions.STEPS * side + 2)
    middle = picture[2:50:6, 3 * side + 2 : 4 * side : 6]
    assert np.array_equal(middle, trained.sample(1, 4)[0, :, :, 0])


def test_too_many_directions_and_points_are_refused(untrained):
    with pytest.raises(ConfigError, match="have 8"):
        found(untrained("digits"), "pca", 9)
    trained = untrained("ring", shape=(2,))
    with pytest.raises(ConfigError, match="points"):
        directions.strips(trained, found(trained, "sefa", 1), 0, None)
