"""Multi-layer perceptrons: shapes, classes, and that all samples of a batch are judged alone."""

import pytest
import torch
from torch import nn, randn
from torch.testing import assert_close

from equipoise.nets import mlp

Y = torch.tensor([0, 1, 2, 0, 1, 2])


@pytest.fixture(autouse=True)
def _seeded():
    torch.manual_seed(0)


@pytest.mark.parametrize("shape", [(2,), (1, 8, 8), (3, 8, 8), (4, 5, 7)])
@pytest.mark.parametrize("classes", [0, 3])
@pytest.mark.parametrize("conditioning", ["projection", "concatenation"])
def test_G_makes_samples_and_D_answers_each_with_a_logit(shape, classes, conditioning):
    G = mlp.Generator(shape, z_dim=5, widths=(16, 8), classes=classes)
    D = mlp.Discriminator(shape, widths=(16, 8), classes=classes, conditioning=conditioning)
    fake = G(randn(6, G.z_dim), Y)
    assert fake.shape == (6, *shape)
    assert D(fake, Y).shape == (6,)
    assert torch.isfinite(D(fake, Y)).all()


@pytest.mark.parametrize("norms", ["none", "batch", "layer", "spectral"])
@pytest.mark.parametrize("act", ["relu", "leaky-relu", "tanh", "silu"])
def test_every_norm_and_activation_passes_gradients_to_every_weight(norms, act):
    G = mlp.Generator((2,), z_dim=5, widths=(16, 16), norms=norms, act=act, output="linear")
    D = mlp.Discriminator((2,), widths=(16, 16), norms=norms, act=act)
    D(G(randn(6, 5), Y), Y).square().sum().backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for net in (G, D) for p in net.parameters())


@pytest.mark.parametrize(
    ("norms", "kind"), [("none", None), ("spectral", None), ("batch", nn.BatchNorm1d), ("layer", nn.LayerNorm)]
)
def test_each_hidden_layer_has_the_norm_that_was_asked_for(norms, kind):
    for net in (mlp.Generator((2,), norms=norms), mlp.Discriminator((2,), norms=norms)):
        found = [type(m) for m in net.modules() if isinstance(m, nn.BatchNorm1d | nn.LayerNorm)]
        assert found == ([kind, kind] if kind else [])


def test_the_widths_are_those_of_the_hidden_layers():
    D = mlp.Discriminator((3, 4, 4), widths=(7, 5, 6))
    assert [tuple(m.weight.shape) for m in D.modules() if isinstance(m, nn.Linear)] == [
        (7, 48), (5, 7), (6, 5), (1, 6)
    ]  # fmt: skip


@pytest.mark.parametrize("conditioning", ["projection", "concatenation"])
def test_the_class_changes_what_G_makes_and_D_says(conditioning):
    G = mlp.Generator((2,), z_dim=5, classes=3)
    D = mlp.Discriminator((2,), classes=3, conditioning=conditioning)
    z, x, other = randn(6, 5), randn(6, 2), (Y + 1) % 3
    assert not torch.isclose(G(z, Y), G(z, other)).all(1).any()
    assert not torch.isclose(D(x, Y), D(x, other)).any()


def test_without_classes_the_labels_are_ignored():
    G, D = mlp.Generator((2,), z_dim=5), mlp.Discriminator((2,))
    z, x = randn(6, 5), randn(6, 2)
    assert torch.equal(G(z, Y), G(z, Y + 1))
    assert torch.equal(D(x, Y), D(x, Y + 1))


def test_tanh_bounds_the_samples_and_linear_does_not():
    z = 100 * randn(64, 5)
    y = torch.zeros(64).long()
    assert mlp.Generator((2,), z_dim=5, output="tanh")(z, y).abs().max() <= 1
    assert mlp.Generator((2,), z_dim=5, output="linear")(z, y).abs().max() > 1


@pytest.mark.parametrize(("norms", "alone"), [("none", True), ("layer", True), ("batch", False)])
def test_only_BatchNorm_lets_a_sample_see_its_batch(norms, alone):
    D, x = mlp.Discriminator((2,), norms=norms), randn(6, 2)
    others = torch.cat([x[:1], randn(5, 2)])
    assert torch.allclose(D(x, Y)[0], D(others, Y)[0], atol=1e-6) == alone


def test_D_flattens_images_row_by_row():
    D, x = mlp.Discriminator((3, 4, 4), widths=(8,)), randn(6, 3, 4, 4)
    w = D.hidden[0]
    by_hand = nn.functional.leaky_relu(x.reshape(6, 48) @ w.weight.T + w.bias, 0.2)
    assert_close(D(x, Y), (by_hand @ D.head.realness.weight.T + D.head.realness.bias).squeeze(1))
