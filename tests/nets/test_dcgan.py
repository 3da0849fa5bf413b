"""The convolutional pair: sizes, channels, norms, classes, and what sits where."""

import pytest
import torch
from torch import nn, randn

from equipoise.nets import dcgan
from equipoise.nets.layers import with_spectral_norm

Y = torch.tensor([0, 1, 2, 0])


@pytest.fixture(autouse=True)
def _seeded():
    torch.manual_seed(0)


def pair(shape, classes=0, conditioning="projection", norms="batch", act="leaky-relu", upsample="resize"):
    return (
        dcgan.Generator(
            shape, z_dim=5, width=4, max_width=16, classes=classes, norms=norms, act=act, upsample=upsample
        ),
        dcgan.Discriminator(
            shape, width=4, max_width=16, classes=classes, conditioning=conditioning, norms=norms, act=act
        ),
    )


def kinds(net, *types):
    return [next(t for t in types if isinstance(m, t)) for m in net.modules() if isinstance(m, types)]


@pytest.mark.parametrize("size", [8, 16, 32, 64])
@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("upsample", ["resize", "transposed"])
def test_G_makes_images_and_D_answers_each_with_a_logit(size, channels, upsample):
    G, D = pair((channels, size, size), upsample=upsample)
    fake = G(randn(4, G.z_dim), Y)
    assert fake.shape == (4, channels, size, size)
    assert fake.abs().max() <= 1
    assert D(fake, Y).shape == (4,)


@pytest.mark.parametrize("norms", ["none", "batch", "instance", "layer", "spectral"])
@pytest.mark.parametrize("act", ["relu", "leaky-relu", "tanh", "silu"])
@pytest.mark.parametrize("size", [8, 16])
def test_every_norm_and_activation_passes_gradients_to_every_weight(norms, act, size):
    G, D = pair((1, size, size), norms=norms, act=act)
    D(G(randn(4, 5), Y), Y).square().sum().backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for net in (G, D) for p in net.parameters())


@pytest.mark.parametrize(
    ("norms", "kind"), [("batch", nn.BatchNorm2d), ("instance", nn.InstanceNorm2d), ("layer", nn.GroupNorm)]
)
def test_norms_stand_everywhere_but_at_the_samples(norms, kind):
    G, D = pair((3, 32, 32), norms=norms)
    norms_or_convolutions = (nn.Conv2d, kind)
    assert kinds(G, *norms_or_convolutions) == [kind, nn.Conv2d, kind, nn.Conv2d, kind, nn.Conv2d]
    assert kinds(D, *norms_or_convolutions) == [nn.Conv2d, nn.Conv2d, kind, nn.Conv2d, kind]


@pytest.mark.parametrize(("upsample", "kind"), [("resize", nn.Upsample), ("transposed", nn.ConvTranspose2d)])
def test_each_doubling_of_the_resolution_is_made_as_asked(upsample, kind):
    G, _ = pair((1, 64, 64), upsample=upsample)
    assert kinds(G, nn.Upsample, nn.ConvTranspose2d) == [kind] * 4


@pytest.mark.parametrize(
    ("size", "channels"), [(8, [8, 4]), (16, [8, 4]), (32, [16, 8, 4]), (64, [20, 16, 8, 4]), (128, [20, 20, 16, 8, 4])]
)
def test_channels_double_towards_the_small_maps_up_to_a_limit(size, channels):
    D = dcgan.Discriminator((1, size, size), width=4, max_width=20)
    assert [m.out_channels for m in D.modules() if isinstance(m, nn.Conv2d)] == channels[::-1]
    G = dcgan.Generator((1, size, size), width=4, max_width=20)
    assert [m.in_channels for m in G.modules() if isinstance(m, nn.Conv2d)] == channels


def test_at_64_pixels_the_transposed_pair_has_the_parameters_of_the_paper():
    G = dcgan.Generator((3, 64, 64), z_dim=100, width=64, upsample="transposed")
    maps = [(512, 256), (256, 128), (128, 64), (64, 3)]
    up = sum(16 * a * b + b for a, b in maps) + 2 * (256 + 128 + 64)
    assert sum(p.numel() for p in G.parameters()) == (100 + 1) * 512 * 16 + 2 * 512 + up


@pytest.mark.parametrize("conditioning", ["projection", "concatenation"])
def test_the_class_changes_what_G_makes_and_D_says(conditioning):
    G, D = pair((1, 16, 16), classes=3, conditioning=conditioning, norms="none")
    z, x, other = randn(4, 5), randn(4, 1, 16, 16), (Y + 1) % 3
    assert not torch.isclose(G(z, Y), G(z, other)).flatten(1).all(1).any()
    assert not torch.isclose(D(x, Y), D(x, other)).any()


def test_without_classes_the_labels_are_ignored():
    G, D = pair((1, 16, 16), norms="none")
    z, x = randn(4, 5), randn(4, 1, 16, 16)
    assert torch.equal(G(z, Y), G(z, Y + 1))
    assert torch.equal(D(x, Y), D(x, Y + 1))


@pytest.mark.parametrize(
    ("norms", "alone"), [("none", True), ("instance", True), ("layer", True), ("spectral", True), ("batch", False)]
)
def test_only_BatchNorm_lets_a_sample_see_its_batch(norms, alone):
    _, D = pair((1, 16, 16), norms=norms)
    x = randn(4, 1, 16, 16)
    others = torch.cat([x[:1], 3 * randn(3, 1, 16, 16)])
    assert torch.allclose(D(x, Y)[0], D(others, Y)[0], atol=1e-6) == alone


@pytest.mark.parametrize("upsample", ["resize", "transposed"])
def test_spectral_norm_holds_every_layer_of_both_players(upsample):
    G, D = (with_spectral_norm(net) for net in pair((3, 32, 32), classes=3, norms="spectral", upsample=upsample))
    fake = G(randn(4, 5), Y)
    for _ in range(20):
        fake = G(randn(4, 5), Y)
        D(fake.detach(), Y)
    for net in (G, D):
        for layer in net.modules():
            if isinstance(layer, nn.Linear | nn.Conv2d | nn.ConvTranspose2d | nn.Embedding):
                w = layer.weight.transpose(0, 1) if isinstance(layer, nn.ConvTranspose2d) else layer.weight
                assert torch.linalg.svdvals(w.flatten(1))[0].item() == pytest.approx(1, abs=0.03)
