"""The residual pair: its sizes, and the parts by which SNGAN, SAGAN and BigGAN differ."""

import pytest
import torch
from torch import nn, randn
from torch.testing import assert_close

from equipoise import build
from equipoise.config import ResNet
from equipoise.errors import ConfigError
from equipoise.nets import resnet
from equipoise.nets.attention import SelfAttention
from equipoise.nets.layers import ConditionalBatchNorm

Y = torch.tensor([0, 1, 2, 0])
NARROW = {"g_width": 4, "g_max_width": 8, "d_width": 4, "d_max_width": 8, "z_dim": 24}
BIGGAN = {"embedding": "shared", "skip_z": True, "g_norm": "batch+spectral", "attention": 8, "init": "orthogonal"}


@pytest.fixture(autouse=True)
def _seeded():
    torch.manual_seed(0)


def built(size=16, channels=3, classes=0, **more):
    nets = ResNet.model_validate({**NARROW, "conditioning": "projection" if classes else "none", **more})
    return build.networks(nets, build.Form((channels, size, size), classes), seed=0)


def of(net, kind):
    return [m for m in net.modules() if isinstance(m, kind)]


@pytest.mark.parametrize("size", [8, 16, 32, 64, 128, 256])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_images_of_every_size_go_through(size, channels):
    G, D = built(size, channels, classes=3, **BIGGAN | {"attention": min(16, size // 2)})
    fake = G(randn(2, G.z_dim), Y[:2])
    assert fake.shape == (2, channels, size, size)
    assert fake.abs().max() <= 1
    assert D(fake, Y[:2]).shape == (2,)


def test_at_32_pixels_the_pair_has_the_weights_of_table_3():
    """SNGAN for CIFAR-10: three blocks of 256 channels from 4 x 4, and 128 channels, two halvings, two blocks more."""
    with torch.device("meta"):
        G, D = resnet.Generator((3, 32, 32)), resnet.Discriminator((3, 32, 32))
    conv = lambda a, b, k: a * b * k * k + b  # noqa: E731
    up = 2 * conv(256, 256, 3) + conv(256, 256, 1) + 4 * 256
    assert sum(p.numel() for p in G.parameters()) == 129 * 16 * 256 + 3 * up + 2 * 256 + conv(256, 3, 3)
    first = conv(3, 128, 3) + conv(128, 128, 3) + conv(3, 128, 1)
    plain = 2 * conv(128, 128, 3)
    assert sum(p.numel() for p in D.parameters()) == first + plain + conv(128, 128, 1) + 2 * plain + 129


@pytest.mark.parametrize(
    ("width", "more", "millions"),
    [
        (64, {"z_dim": 128}, 81.5),
        (96, {"z_dim": 128}, 173.5),
        (96, {"z_dim": 120, "embedding": "shared"}, 160.6),
        (96, {"z_dim": 120, "embedding": "shared", "skip_z": True}, 158.3),
    ],
    ids=["SAGAN", "wider", "shared embedding", "BigGAN"],
)
def test_for_ImageNet_at_128_pixels_the_pair_has_as_many_weights_as_in_BigGANs_table_1(width, more, millions):
    shape, both = (3, 128, 128), {"width": width, "max_width": 16 * width, "classes": 1000, "attention": 64}
    with torch.device("meta"):
        players = resnet.Generator(shape, **both, **more), resnet.Discriminator(shape, **both)
    assert sum(p.numel() for net in players for p in net.parameters()) / 1e6 == pytest.approx(millions, abs=0.15)


@pytest.mark.parametrize(
    ("size", "maps"), [(8, [4, 2, 2, 2]), (32, [16, 8, 8, 8]), (64, [32, 16, 8, 4, 4]), (128, [64, 32, 16, 8, 4, 4])]
)
def test_D_halves_the_maps_as_the_tables_say(size, maps):
    _, D = built(size)
    seen = []
    for block in D.blocks:
        block.register_forward_hook(lambda block, x, y: seen.append(y.shape[-1]))
    D(randn(1, 3, size, size), Y[:1])
    assert seen == maps


def test_widths_double_towards_the_small_maps_as_in_table_4():
    with torch.device("meta"):
        G = resnet.Generator((3, 128, 128), width=64, max_width=1024)
        D = resnet.Discriminator((3, 128, 128), width=64, max_width=1024)
    assert [block.second.out_channels for block in G.blocks] == [1024, 512, 256, 128, 64]
    assert [block.branch[3].out_channels for block in D.blocks] == [64, 128, 256, 512, 1024, 1024]


@pytest.mark.parametrize("net", [0, 1], ids=["G", "D"])
def test_attention_stands_once_where_it_was_asked_for_and_is_at_first_nothing(net):
    with_it, without = built(32, attention=8)[net], built(32)[net]
    (attention,) = of(with_it, SelfAttention)
    seen = []
    attention.register_forward_hook(lambda layer, x, y: seen.append((x[0], y)))
    with_it(randn(4, 24) if net == 0 else randn(4, 3, 32, 32), Y)
    ((x, y),) = seen
    assert x.shape[-1] == 8
    assert torch.equal(x, y)
    assert not of(without, SelfAttention)
    nn.init.ones_(attention.gamma)
    assert not torch.equal(attention(x), x)


def test_attention_is_the_papers_sum_over_all_places():
    """Equations 1 to 3 place by place, on maps whose keys and values are alike in 2 x 2 cells, so that pooling them
    changes nothing."""
    layer = SelfAttention(8)
    nn.init.constant_(layer.gamma, 0.5)
    x = randn(2, 8, 2, 3).repeat_interleave(2, 2).repeat_interleave(2, 3)  # [2, 8, 4, 6]
    query, key, value = (m.weight.flatten(1) @ x.flatten(2) for m in (layer.query, layer.key, layer.value))
    for b, i in ((0, 0), (1, 13)):
        weight = torch.stack([query[b, :, i] @ key[b, :, j] for j in range(24)]).exp()
        seen = sum(w * value[b, :, j] for j, w in enumerate(weight / weight.sum()))
        expected = x[b].flatten(1)[:, i] + 0.5 * layer.out.weight.flatten(1) @ seen
        assert_close(layer(x)[b].flatten(1)[:, i], expected)


def test_attention_sees_the_far_corner_and_a_block_does_not():
    x = randn(1, 8, 8, 8, requires_grad=True)
    attention = SelfAttention(8)
    nn.init.ones_(attention.gamma)
    for layer, sees in ((attention, True), (resnet.Block(8, 8, nn.ReLU(), nn.Identity(), nn.Identity()), False)):
        (slope,) = torch.autograd.grad(layer(x)[0, :, 0, 0].sum(), x)
        assert slope[0, :, 6:, 6:].any() == sees


def test_a_conditional_norm_scales_and_shifts_the_normalised_maps_by_its_condition():
    gain, bias = nn.Embedding(3, 5), nn.Embedding(3, 5)
    norm, x = ConditionalBatchNorm(5, gain, bias), 3 + 2 * randn(4, 5, 6, 6)
    y = norm(x, Y)
    plain = (x - x.mean((0, 2, 3), keepdim=True)) / (x.var((0, 2, 3), correction=0, keepdim=True) + 1e-5).sqrt()
    assert_close(y[1], (1 + gain.weight[1])[:, None, None] * plain[1] + bias.weight[1][:, None, None])


@pytest.mark.parametrize("more", [{}, {"embedding": "shared"}, BIGGAN], ids=["each norm", "shared", "biggan"])
def test_the_class_reaches_every_block_and_without_classes_none(more):
    z = randn(1, 24).expand(4, -1)
    G, D = built(classes=3, **more)
    x = randn(1, 3, 16, 16).expand(4, -1, -1, -1)
    assert len(of(G, ConditionalBatchNorm)) == 4
    for norm in of(G, ConditionalBatchNorm):
        assert_that_it_heeds(norm, G, z)
    a, b, _, again = G.eval()(z, Y)
    assert not torch.allclose(a, b)
    assert_close(a, again)
    assert len(D(x, Y).unique()) == 3
    G, D = built(**more)
    assert torch.equal(G.eval()(z, Y), G(z, Y + 1))
    assert torch.equal(D.eval()(x, Y), D(x, Y + 1))


def assert_that_it_heeds(norm, G, z):
    """The gains of images of one class are alike, and those of two classes are not."""
    gains = []
    handle = norm.gain.register_forward_hook(lambda layer, x, gain: gains.append(gain))
    G(z, Y)
    handle.remove()
    assert_close(gains[0][0], gains[0][3])
    assert not torch.allclose(gains[0][0], gains[0][1])


def test_each_block_is_told_a_part_of_z_of_its_own():
    """Changing one part moves the gains of one block, or the start, and no other."""
    G, _ = built(32, classes=3, **BIGGAN)
    assert G.chunks == [6, 6, 6, 6]
    told = []
    for block in G.blocks:
        block.register_forward_hook(lambda block, x, y: told.append(x[1]))
    z = randn(1, 24)
    for part in range(4):
        other = z.clone()
        other[:, 6 * part : 6 * part + 6] += 1
        told.clear()
        G.eval()(torch.cat([z, other]), Y[[0, 0]])
        moved = [i for i, condition in enumerate(told, 1) if not torch.equal(condition[0], condition[1])]
        assert moved == ([part] if part else [])
    a, b = G(torch.cat([z, z + torch.eye(24)[:1]]), Y[[0, 0]])
    assert not torch.allclose(a, b), "the first part reaches the image by the start"


def test_every_weight_of_both_players_learns():
    G, D = built(classes=3, **BIGGAN)
    for attention in (*of(G, SelfAttention), *of(D, SelfAttention)):
        nn.init.ones_(attention.gamma)
    D(G(randn(4, 24), Y), Y).square().sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for net in (G, D) for p in net.parameters())


def test_spectral_norm_holds_every_map_of_both_players_and_leaves_the_tables_of_classes_free():
    G, D = built(classes=3, attention=8, g_norm="batch+spectral")
    with torch.no_grad():
        for p in (*G.parameters(), *D.parameters()):
            p.mul_(5)
        for _ in range(30):
            D(G(randn(4, 24), Y), Y)
    for net in (G, D):
        for layer in of(net, nn.Linear | nn.Conv2d):
            assert torch.linalg.svdvals(layer.weight.flatten(1))[0].item() == pytest.approx(1, abs=0.03)
    assert torch.linalg.svdvals(D.head.embed.weight)[0].item() == pytest.approx(1, abs=0.03)
    assert all(torch.linalg.svdvals(table.weight)[0] > 2 for table in of(G, nn.Embedding))


def test_R1_of_a_D_with_spectral_norm_and_attention_can_be_learnt():
    _, D = built(attention=8)
    nn.init.ones_(of(D, SelfAttention)[0].gamma)
    x = randn(2, 3, 16, 16, requires_grad=True)
    (slope,) = torch.autograd.grad(D(x, Y[:2]).sum(), x, create_graph=True)
    slope.square().sum().backward()
    assert all(p.grad.abs().sum() > 0 for p in D.parameters() if p.grad is not None and p.ndim > 1)


@pytest.mark.parametrize(
    ("shape", "more", "words"),
    [
        ((3, 24, 24), {}, "square images of 8, 16, ... pixels, not 24 x 24: set data.size"),
        ((3, 32, 16), {}, "not 32 x 16"),
        ((2,), {}, "use nets.kind=mlp"),
        ((3, 32, 32), {"attention": 32}, "nets.attention=32: for images of 32 pixels both players have maps of 8, 16 "),
        ((3, 8, 8), {"attention": 16}, "have maps of 4 pixels"),
        ((3, 32, 32), {"embedding": "shared", "skip_z": True, "z_dim": 3}, "Set nets.z_dim to 4 or more"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused_in_words(shape, more, words):
    with pytest.raises(ConfigError) as caught:
        build.networks(ResNet(**more), build.Form(shape, 0), seed=0)
    assert words in str(caught.value)


def test_parts_of_z_without_a_shared_embedding_are_refused():
    with pytest.raises(ValueError, match=r"set nets\.embedding=shared"):
        ResNet(skip_z=True)
