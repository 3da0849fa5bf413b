from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn
from torch.testing import assert_close

from equipoise.build import Form
from equipoise.errors import ConfigError
from equipoise.latents import Codes
from equipoise.uses import directions
from equipoise.uses.directions import (
    Call,
    Directions,
    amplified,
    axes,
    by_class,
    first_values,
    first_weights,
    found,
    moved,
    principal,
)


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


@pytest.fixture
def chunked(untrained):
    """The start is told the first four numbers of z, the one block the others."""
    return untrained("biggan", classes=3)


def test_sefa_reads_each_chunk_of_z_where_it_is_told(chunked):
    weights, block = first_weights(chunked, chunked.codes(3)), chunked.G.blocks[0]
    start = chunked.G.start[0].weight
    norms = torch.cat([table.weight[:, :4] for norm in block.norms for table in (norm.gain, norm.bias)])
    assert_close(weights, torch.block_diag(start, norms))
    assert block.norms[0].gain.weight.shape[1] > chunked.nets.z_dim  # wide enough to be taken for one that is told z


def test_sefa_of_chunks_changes_samples_more_than_any_direction_does(chunked):
    at = found(chunked, "sefa", 8).at
    for part in (slice(0, 4), slice(4, 8)):
        assert_close(torch.linalg.vector_norm(at[:, part], dim=1).round(), at[:, part].any(1).float())
    assert change(chunked, at[:2]).mean() > 1.1 * change(chunked, anyhow(8)).mean()


def test_a_layer_reads_the_codes_that_stand_first_in_its_input():
    codes, classes = torch.randn(2, 2, 8, generator=torch.Generator().manual_seed(0))
    given = {
        range(8): codes,
        range(4, 8): torch.cat([codes[:, 4:], classes], 1),
        range(0): torch.cat([classes, codes], 1),  # the control: as wide, and read as codes once
    }
    for columns, x in given.items():
        assert Call(nn.Linear(x.shape[1], 3), x, None).reads(codes) == columns
    assert not Call(nn.Embedding(8, 3), codes, None).reads(codes)


def test_pca_of_a_resnet_looks_behind_its_first_linear_layer(chunked, untrained):
    codes = chunked.codes(3)
    assert_close(first_values(chunked, codes), chunked.G.start[0](codes.at[:, :4]))
    whole = untrained("sngan")
    assert_close(first_values(whole, codes), whole.G.start[0](codes.at))
    at = principal(chunked, chunked.codes(500))
    assert at.shape == (4, 8), "as many as the start is told"
    assert_close(at[:, 4:], torch.zeros(4, 4), atol=0.1, rtol=0)


def test_fewer_directions_than_asked_for_are_told(chunked):
    assert len(found(chunked, "pca", 4).at) == 4
    with pytest.raises(ConfigError, match=r"found 4 directions .* 5 were asked for: .*--method sefa"):
        found(chunked, "pca", 5)


def test_eigenvectors_are_numpy_s_singular_vectors():
    A = torch.randn(20, 5, generator=torch.Generator().manual_seed(1))
    _, _, expected = np.linalg.svd(A.numpy())
    assert_close((amplified(A) * torch.from_numpy(expected)).sum(1).abs(), torch.ones(5))


def test_axes_find_where_points_spread():
    x = torch.randn(2000, 3, generator=torch.Generator().manual_seed(1)) * torch.tensor([1.0, 5.0, 2.0])
    assert axes(x).abs().argmax(1).tolist() == [1, 2, 0]


@pytest.mark.parametrize(("rows", "columns"), [(40, 12), (12, 40), (20, 20)])
def test_axes_are_those_of_the_covariance_of_few_rows_too(rows, columns):
    draw = torch.Generator().manual_seed(2)
    x = 7 + torch.randn(rows, 5, generator=draw) @ torch.randn(5, columns, generator=draw)
    at = axes(x)
    assert_close(at @ at.T, torch.eye(5), atol=1e-5, rtol=0)  # x spreads along five
    expected = np.linalg.eigh(np.cov(x.double().numpy(), rowvar=False)).eigenvectors[:, ::-1][:, :5]
    assert_close((at * torch.from_numpy(expected.T.copy())).sum(1).abs().float(), torch.ones(5))


def test_of_many_values_fewer_latents_say_the_same(untrained, monkeypatch):
    trained, seen = untrained("dcgan", "nets.g_width=130"), []
    trained.G.start[0].weight[:, 5] *= 8
    monkeypatch.setattr(directions, "axes", lambda x: seen.append(x.shape) or axes(x))
    few = found(trained, "pca", 2).at
    monkeypatch.setattr(directions, "FEW", 1040)
    every = found(trained, "pca", 2).at
    assert seen == [(1024, 1040), (4096, 1040)]
    assert (few[0, 5], every[0, 5]) == pytest.approx((1, 1), abs=0.02)


@pytest.mark.parametrize("classes", [10, 1000])
def test_what_tells_classes_apart_is_no_direction_of_styles(classes, styled, monkeypatch):
    plain, apart = found(styled, "pca", 3), torch.eye(6)[0]
    mapping = styled.G.mapping
    monkeypatch.setattr(styled.G, "mapping", lambda z, y: mapping(z, 0 * y) + 9.0 * (y % 10)[:, None] * apart)
    labelled = replace(styled, form=Form((1, 8, 8), classes))
    told = found(labelled, "pca", 3)
    assert_close((told.at * plain.at).sum(1), torch.ones(3), atol=0.01, rtol=0)
    assert_close(told.spread, plain.spread, atol=0, rtol=0.1)
    codes = labelled.codes(1000)
    assert axes(codes.at[:, 0])[0] @ apart > 0.99, "the control: without their classes nothing else is found"


def test_of_many_classes_each_has_several_codes(untrained):
    trained = untrained("digits", "nets.conditioning=projection", classes=1000)
    codes = directions.drawn(trained, 0)
    assert len(codes.y) == directions.DRAWN
    assert codes.y[: directions.FEW].bincount().tolist() == [4] * 256
    assert change(trained, found(trained, "pca", 2).at).mean() > change(trained, anyhow(8)).mean()
    few = directions.drawn(replace(trained, form=Form((1, 8, 8), 3)), 0)
    assert torch.equal(few.at, replace(trained, form=Form((1, 8, 8), 3)).codes(directions.DRAWN).at)


def test_the_spread_is_that_within_a_class():
    y = torch.tensor([0, 0, 1, 1])
    codes = Codes(torch.tensor([[0.0, 1.0], [2.0, 1.0], [10.0, 1.0], [12.0, 1.0]]), y)
    assert_close(directions.deviations(codes, torch.eye(2)), torch.tensor([2.0**0.5, 0.0]))
    assert_close(directions.deviations(Codes(codes.at, 0 * y), torch.eye(2)), codes.at.std(0))


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
