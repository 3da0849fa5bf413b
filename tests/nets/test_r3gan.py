"""The sizes, the start and the parts of R3GAN's nets, against the figures of the paper and closed forms."""

import pytest
import torch
from torch.testing import assert_close

from equipoise import build
from equipoise.config import R3GAN
from equipoise.errors import ConfigError
from equipoise.nets import r3gan


def built(size=32, width=64, classes=0, channels=3, **more):
    nets = R3GAN(width=width, conditioning="projection" if classes else "none", **more)
    return build.networks(nets, build.Form((channels, size, size), classes), seed=0)


def millions(net):
    return sum(p.numel() for p in net.parameters()) / 1e6


@pytest.mark.parametrize(
    ("size", "classes", "G_published", "D_published"), [(32, 10, 20.8, 21.3), (64, 0, 22.4, 22.4), (256, 0, 23.1, 23.0)]
)
def test_the_number_of_weights_is_the_papers(size, classes, G_published, D_published):
    """Table 9 at width 768: CIFAR-10, FFHQ-64, FFHQ-256. On the meta device, which holds no numbers."""
    with torch.device("meta"):
        G = r3gan.Generator((3, size, size), width=768, classes=classes)
        D = r3gan.Discriminator((3, size, size), width=768, classes=classes)
    assert millions(G) == pytest.approx(G_published, abs=0.06 if not classes else 0.65)
    assert millions(D) == pytest.approx(D_published, abs=0.06 if not classes else 0.65)


@pytest.mark.parametrize("size", [8, 16, 32, 64, 128, 256])
@pytest.mark.parametrize("channels", [1, 3])
def test_images_of_every_size_go_through(size, channels):
    G, D = built(size, channels=channels, blocks=1)
    x = G(torch.randn(2, 64), torch.zeros(2).long())
    assert x.shape == (2, channels, size, size)
    assert D(x, torch.zeros(2).long()).shape == (2,)


@pytest.mark.parametrize(("width", "name"), [(192, "xs"), (384, "s"), (768, "b")])
def test_widths_halve_beyond_32_pixels(width, name):
    assert r3gan.stages(256, width) == [width] * 4 + [width // 2, width // 4, width // 8]


def test_at_the_start_no_branch_moves_anything():
    G, D = built()
    for net in (G, D):
        for branch in net.branches():
            assert (branch[-1].weight == 0).all()
            assert all((layer.weight != 0).any() for layer in branch[:-1])
    block = next(m for m in D.modules() if isinstance(m, r3gan.Block))
    x = torch.randn(2, block.branch[0].in_channels, 8, 8)
    assert torch.equal(block(x), x)


def test_the_start_is_scaled_by_the_number_of_blocks_as_fixup_says():
    _, D = built(width=256)
    first, second, _ = D.branches()[0]
    L = len(D.branches())
    gain = (2 / 1.04) ** 0.5 * L**-0.25
    assert L == 8
    assert first.weight.std().item() == pytest.approx(gain / first.in_channels**0.5, rel=0.02)
    assert second.weight.std().item() == pytest.approx(gain / (16 * 9) ** 0.5, rel=0.02)


def test_the_basis_is_standard_normal_and_logits_start_near_zero():
    G, D = built(width=256)
    assert (G.basis.mean().item(), G.basis.std().item()) == pytest.approx((0, 1), abs=0.05)
    assert D(torch.randn(64, 3, 32, 32), torch.zeros(64).long()).abs().mean() < 2


def test_biases_stand_only_in_front_of_activations():
    G, D = built()
    biases = [name for net in (G, D) for name, _ in net.named_parameters() if name.endswith("bias")]
    activations = [m for net in (G, D) for m in net.modules() if isinstance(m, r3gan.BiasedLeakyReLU)]
    assert len(biases) == len(activations) == 2 * 16


def test_the_groups_have_16_channels():
    _, D = built(width=192)
    assert {m.in_channels // m.groups for m in D.modules() if getattr(m, "kernel_size", 0) == (3, 3)} == {16}


@pytest.mark.parametrize("width", [16, 48, 112])
def test_widths_that_16_does_not_divide_at_high_resolutions_go_through(width):
    _, D = built(size=128, width=width, blocks=1)
    assert D(torch.randn(1, 3, 128, 128), torch.zeros(1).long()).shape == (1,)


def test_resampling_keeps_a_constant_inside_and_halves_and_doubles():
    x = torch.full((1, 2, 8, 8), 3.0)
    up, down = r3gan.Up(2)(x), r3gan.Down(2)(x)
    assert (up.shape, down.shape) == ((1, 2, 16, 16), (1, 2, 4, 4))
    assert_close(up[..., 1:-1, 1:-1], torch.full((1, 2, 14, 14), 3.0))
    assert_close(down[..., 1:-1, 1:-1], torch.full((1, 2, 2, 2), 3.0))


def test_down_is_the_binomial_low_pass():
    """[1, 2, 1] * [1, 1] is [1, 3, 3, 1]: the response to a single pixel is one of its weights."""
    x = torch.zeros(1, 1, 8, 8)
    x[0, 0, 3, 3] = 64
    assert_close(r3gan.Down(1)(x)[0, 0, 1:3, 1:3], torch.tensor([[9.0, 3.0], [3.0, 1.0]]))


def test_up_is_four_times_the_transpose_of_down():
    x, y = torch.randn(1, 3, 8, 8), torch.randn(1, 3, 4, 4)
    assert_close((r3gan.Up(3)(y) * x).sum(), 4 * (y * r3gan.Down(3)(x)).sum(), rtol=1e-4, atol=1e-4)


def test_classes_change_both_players():
    G, D = built(classes=5)
    z, x = torch.randn(1, 64).expand(2, -1), torch.randn(1, 3, 32, 32).expand(2, -1, -1, -1)
    y = torch.tensor([1, 4])
    a, b = G(z, y)
    assert not torch.equal(a, b)
    a, b = D(x, y)
    assert a != b


def test_every_weight_is_trained():
    G, D = built(classes=3, blocks=1)
    for net in (G, D):
        for branch in net.branches():
            torch.nn.init.normal_(branch[-1].weight, 0, 0.1)  # at the start a zero stands in the way
    D(G(torch.randn(4, 64), torch.arange(4) % 3), torch.arange(4) % 3).square().sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for net in (G, D) for p in net.parameters())


@pytest.mark.parametrize("shape", [(2,), (3, 24, 24), (3, 32, 16)])
def test_what_is_no_square_image_of_a_power_of_two_is_refused(shape):
    with pytest.raises(ConfigError, match=r"nets\.kind=r3gan makes"):
        build.networks(R3GAN(), build.Form(shape, 0), seed=0)
