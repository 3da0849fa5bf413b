"""Terms of translation against numpy, torch's own, and cases whose value is known."""

import math

import numpy as np
import pytest
import torch
from torch import randn
from torch.nn.functional import cross_entropy, normalize
from torch.testing import assert_close

from equipoise.correspondences import (
    content,
    distance_l1,
    feature_matching,
    gram,
    gram_style,
    patch_nce,
    per_image,
    style_statistics,
)
from equipoise.losses import relativistic
from equipoise.nets.adain import adain
from equipoise.nets.adain import moments as of_map


@pytest.fixture(autouse=True)
def _seeded():
    torch.manual_seed(0)


def vectors(*shape):
    return normalize(randn(*shape), dim=-1)


def test_patch_nce_is_the_cross_entropy_of_telling_a_patch_by_its_key():
    queries, keys = vectors(3, 5, 8), vectors(3, 5, 8)
    by_hand = []
    for q, k in zip(queries.numpy().astype(np.float64), keys.numpy().astype(np.float64), strict=True):
        chances = np.exp(q @ k.T / 0.07)
        by_hand.append(np.mean(-np.log(np.diag(chances) / chances.sum(1))))
    assert_close(patch_nce(queries, keys), torch.tensor(by_hand).float())
    torchs = [cross_entropy(q @ k.T / 0.2, torch.arange(5)) for q, k in zip(queries, keys, strict=True)]
    assert_close(patch_nce(queries, keys, 0.2), torch.stack(torchs))


@pytest.mark.parametrize("places", [2, 7, 64])
def test_patch_nce_of_patches_that_are_all_alike_is_that_of_guessing(places):
    same = vectors(1, 1, 8).expand(2, places, 8)
    assert_close(patch_nce(same, same), torch.full((2,), math.log(places)))


def test_patch_nce_of_orthonormal_patches():
    eye = torch.eye(6).expand(2, 6, 6)
    assert patch_nce(eye, eye, 0.01).max() < 1e-6
    assert_close(patch_nce(eye, eye, 1.0), torch.full((2,), math.log(1 + 5 / math.e)))
    assert patch_nce(eye, eye.roll(1, 1), 0.01).min() > 50  # each looks like another place's key


def test_patch_nce_takes_negatives_from_the_same_picture_only():
    queries, keys = vectors(2, 5, 8), vectors(2, 5, 8)
    among = patch_nce(queries, keys)
    assert_close(patch_nce(queries[:1], keys[:1]), among[:1])
    assert_close(patch_nce(queries, torch.cat([keys[:1], vectors(1, 5, 8)]))[0], among[0])
    order = torch.randperm(5)
    assert_close(patch_nce(queries[:, order], keys[:, order]), among)


def test_patch_nce_does_not_overflow_and_pulls_a_query_to_its_key():
    queries, keys = vectors(1, 4, 8).requires_grad_(), vectors(1, 4, 8)
    assert patch_nce(1e3 * queries, 1e3 * keys).isfinite().all()
    slope = torch.autograd.grad(patch_nce(queries, keys).sum(), queries)[0]
    assert ((-slope * keys).sum(2) > 0).all()


def test_patch_nce_is_exact_in_half_precision_too():
    queries, keys = vectors(2, 16, 8), vectors(2, 16, 8)
    with torch.autocast("cpu", torch.bfloat16):
        half = patch_nce(queries, keys)
        rounded = queries @ keys.transpose(1, 2) / 0.07
    assert_close(half, patch_nce(queries, keys))
    assert (rounded - queries @ keys.transpose(1, 2) / 0.07).abs().max() > 0.01  # what it is spared


def test_distances_are_means_of_each_sample():
    x, target = randn(3, 2, 4, 5), randn(3, 2, 4, 5)
    expected = np.abs(x.numpy() - target.numpy()).reshape(3, -1).mean(1)
    assert_close(distance_l1(x, target), torch.from_numpy(expected))
    assert_close(distance_l1(x, x + torch.tensor([0.0, 1.0, -2.0])[:, None, None, None]), torch.tensor([0.0, 1.0, 2.0]))


def test_feature_matching_sums_over_maps_of_any_size():
    fake, real = [randn(2, 3, 8, 8), randn(2, 5, 3, 3)], [randn(2, 3, 8, 8), randn(2, 5, 3, 3)]
    expected = sum((a - b).abs().flatten(1).mean(1) for a, b in zip(fake, real, strict=True))
    assert_close(feature_matching(fake, real), expected)
    assert_close(feature_matching(fake, fake), torch.zeros(2))
    with pytest.raises(ValueError, match="shorter"):
        feature_matching(fake, real[:1])


def test_gram_matrices():
    x = randn(2, 3, 4, 5)
    expected = np.einsum("bchw,bdhw->bcd", x.numpy(), x.numpy()) / (3 * 4 * 5)
    assert_close(gram(x), torch.from_numpy(expected))


def test_style_statistics_by_hand():
    x, style = [randn(2, 3, 8, 8), randn(2, 5, 4, 4)], [randn(2, 3, 6, 9), randn(2, 5, 7, 7)]
    expected = np.zeros(2)
    for a, b in zip(x, style, strict=True):
        a, b = a.numpy(), b.numpy()
        expected += ((a.mean((2, 3)) - b.mean((2, 3))) ** 2).mean(1) + ((a.std((2, 3)) - b.std((2, 3))) ** 2).mean(1)
    assert_close(style_statistics(x, style), torch.from_numpy(expected).float(), rtol=1e-4, atol=1e-5)


def test_style_has_no_places():
    x = randn(2, 3, 8, 8)
    elsewhere = x.flatten(2)[:, :, torch.randperm(64)].view_as(x)
    assert style_statistics([x], [elsewhere]).max() < 1e-10
    assert distance_l1(x, elsewhere).min() > 0.5
    assert style_statistics([x], [2 * x]).min() > 0.5


def test_what_adain_makes_has_the_statistics_of_the_style():
    x, style = randn(2, 3, 16, 16), 2 * randn(2, 3, 16, 16) + 1
    assert style_statistics([adain(x, of_map(style))], [style]).max() < 1e-8
    assert style_statistics([x], [style]).min() > 1


def test_style_statistics_of_constant_features_have_a_slope():
    x = torch.full((1, 2, 4, 4), 0.5, requires_grad=True)
    style_statistics([x], [randn(1, 2, 4, 4)]).sum().backward()
    assert x.grad.isfinite().all()


@pytest.mark.parametrize("shape", [(3,), (3, 1, 4, 4), (3, 2, 5)])
def test_a_picture_is_judged_by_the_mean_of_its_patches(shape):
    logits = randn(shape)
    assert_close(per_image(logits), logits.reshape(3, -1).mean(1))


def test_pairs_of_pictures_do_not_depend_on_where_their_patches_lie():
    real, fake = randn(3, 1, 4, 4), randn(3, 1, 4, 4)
    moved = fake.flip(2, 3)
    loss = relativistic.discriminator
    assert_close(loss(per_image(real), per_image(fake)), loss(per_image(real), per_image(moved)))
    assert not torch.allclose(loss(real, fake).mean(), loss(real, moved).mean())


def test_content_and_style_of_given_maps_are_relative_to_the_target_and_those_of_numpy():
    x, target = [randn(2, 3, 4, 4), randn(2, 5, 2, 2)], [randn(2, 3, 4, 4), randn(2, 5, 2, 2)]
    by_hand, of_grams = np.zeros(2), np.zeros(2)
    for a, b in zip(x, target, strict=True):
        a, b = a.double().numpy(), b.double().numpy()
        by_hand += ((a - b) ** 2).mean((1, 2, 3)) / (b**2).mean((1, 2, 3))
        grams = [np.einsum("ncij,ndij->ncd", t, t) for t in (a, b)]
        of_grams += ((grams[0] - grams[1]) ** 2).mean((1, 2)) / (grams[1] ** 2).mean((1, 2))
    assert_close(content(x, target), torch.tensor(by_hand).float())
    assert_close(gram_style(x, target), torch.tensor(of_grams).float())
    assert_close(content([3 * t for t in x], [3 * t for t in target]), content(x, target))


def test_the_products_of_channels_do_not_tell_where_something_is():
    x = randn(2, 3, 4, 4)
    moved = x.flatten(2)[:, :, torch.randperm(16)].view(x.shape)
    assert_close(gram_style([moved], [x]), torch.zeros(2))
    assert content([moved], [x]).min() > 0.1
