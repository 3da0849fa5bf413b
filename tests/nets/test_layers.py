"""The parts of networks against PyTorch's own functions and the definitions of their papers."""

import pytest
import torch
from torch import nn, randn
from torch.nn import functional as F
from torch.testing import assert_close

from equipoise.nets.layers import (
    LinearHead,
    NoLabel,
    ProjectionHead,
    activation,
    head,
    label,
    norm,
    with_spectral_norm,
)


@pytest.fixture(autouse=True)
def _seeded():
    torch.manual_seed(0)


@pytest.mark.parametrize(
    ("name", "function"),
    [
        ("relu", F.relu),
        ("leaky-relu", lambda x: torch.where(x > 0, x, 0.2 * x)),
        ("tanh", torch.tanh),
        ("silu", lambda x: x * torch.sigmoid(x)),
        ("linear", lambda x: x),
    ],
)
def test_activations_are_what_they_are_called(name, function):
    x = torch.linspace(-4, 4, 33)
    assert_close(activation(name)(x), function(x))


@pytest.mark.parametrize(
    ("name", "spatial", "over"),
    [
        ("batch", True, (0, 2, 3)),
        ("instance", True, (2, 3)),
        ("layer", True, (1, 2, 3)),
        ("batch", False, (0,)),
        ("layer", False, (1,)),
    ],
)
def test_norms_standardise_over_their_own_axes(name, spatial, over):
    x = torch.arange(1, 5).view(4, *[1] * 2 * spatial) * randn(6, 4, *[5] * 2 * spatial) + 2
    mean, variance = x.mean(over, keepdim=True), x.var(over, correction=0, keepdim=True)
    assert_close(norm(name, 4, spatial=spatial)(x), (x - mean) / (variance + 1e-5).sqrt())


@pytest.mark.parametrize("name", ["none", "spectral"])
@pytest.mark.parametrize("spatial", [True, False])
def test_norms_that_are_not_layers_leave_the_features_alone(name, spatial):
    x = randn(6, 4, 5, 5)
    assert norm(name, 4, spatial=spatial)(x) is x


@pytest.mark.parametrize("name", ["batch", "instance", "layer"])
def test_norms_learn_a_gain_and_a_bias_for_each_channel(name):
    assert [p.shape for p in norm(name, 7, spatial=True).parameters()] == [(7,), (7,)]


@pytest.mark.parametrize(
    ("layer", "x", "as_matrix"),
    [
        (nn.Linear(30, 20), randn(4, 30), lambda w: w),
        (nn.Conv2d(3, 16, 4), randn(4, 3, 8, 8), lambda w: w.flatten(1)),
        (nn.ConvTranspose2d(16, 3, 4), randn(4, 16, 4, 4), lambda w: w.transpose(0, 1).flatten(1)),
        (nn.Embedding(10, 16), torch.arange(10), lambda w: w),
    ],
    ids=["linear", "conv", "transposed", "embedding"],
)
def test_spectral_norm_brings_the_largest_singular_value_to_one(layer, x, as_matrix):
    nn.init.normal_(layer.weight, 0, 3)
    net = with_spectral_norm(nn.Sequential(layer)).train()
    for _ in range(30):
        net(x)
    assert torch.linalg.svdvals(as_matrix(net[0].weight))[0].item() == pytest.approx(1, abs=0.02)


def test_spectral_norm_makes_a_net_blind_to_the_scale_of_its_weights():
    small, large = nn.Linear(8, 8, bias=False), nn.Linear(8, 8, bias=False)
    large.weight.data = 100 * small.weight.data
    torch.manual_seed(1)
    with_spectral_norm(small)
    torch.manual_seed(1)
    with_spectral_norm(large)
    x = randn(4, 8)
    assert_close(small.eval()(x), large.eval()(x))


def test_spectral_norm_in_eval_mode_does_not_move():
    net = with_spectral_norm(nn.Linear(8, 8)).eval()
    x = randn(4, 8)
    assert torch.equal(net(x), net(x))


def test_spectral_norm_leaves_norm_layers_alone():
    net = with_spectral_norm(nn.Sequential(nn.Linear(4, 4), nn.LayerNorm(4)))
    assert hasattr(net[0], "parametrizations")
    assert not hasattr(net[1], "parametrizations")


def test_a_label_is_a_row_of_its_embedding():
    embed, y = label(10, 6), torch.tensor([3, 3, 9])
    assert_close(embed(y), embed.weight[[3, 3, 9]])


def test_without_classes_a_label_is_nothing():
    assert isinstance(label(0, 6), NoLabel)
    assert label(0, 6)(torch.tensor([3, 99])).shape == (2, 0)


def test_a_projection_head_adds_the_match_of_class_and_features():
    projection, phi, y = ProjectionHead(6, 10), randn(4, 6), torch.tensor([0, 1, 9, 9])
    w, b, e = projection.realness.weight[0], projection.realness.bias, projection.embed.weight
    expected = torch.stack([phi[i] @ w + b[0] + e[y[i]] @ phi[i] for i in range(4)])
    assert_close(projection(phi, y), expected)


def test_a_linear_head_ignores_the_class():
    linear, phi = LinearHead(6), randn(4, 6)
    assert linear(phi, torch.zeros(4).long()).shape == (4,)
    assert torch.equal(linear(phi, torch.zeros(4).long()), linear(phi, torch.ones(4).long()))


@pytest.mark.parametrize(
    ("classes", "conditioning", "kind"),
    [
        (10, "projection", ProjectionHead),
        (10, "concatenation", LinearHead),
        (0, "projection", LinearHead),
        (0, "concatenation", LinearHead),
    ],
)
def test_only_a_projection_with_classes_projects(classes, conditioning, kind):
    assert type(head(6, classes, conditioning)) is kind
