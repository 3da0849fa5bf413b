"""The parts of FastGAN's nets by hand, and what its decoders are for."""

import pytest
import torch
from torch.nn.functional import avg_pool2d
from torch.testing import assert_close

from equipoise import build
from equipoise.config import FastGAN
from equipoise.errors import ConfigError
from equipoise.nets import fastgan


@pytest.fixture(autouse=True)
def _seeded():
    torch.manual_seed(0)


def built(size=32, classes=0, channels=3, **more):
    nets = FastGAN(
        **{"z_dim": 8, "g_width": 8, "d_width": 8, "max_width": 16} | more,
        conditioning="projection" if classes else "none",
    )
    return build.networks(nets, build.Form((channels, size, size), classes), seed=0)


@pytest.mark.parametrize(("size", "channels", "places"), [(8, 1, 1), (16, 3, 1), (32, 1, 5), (64, 3, 5), (256, 3, 5)])
@pytest.mark.parametrize("classes", [0, 3])
def test_images_of_every_size_go_through_and_every_weight_is_trained(size, channels, places, classes):
    G, D = built(size, classes, channels, d_norm="none", init="he")
    y = torch.arange(4) % 3
    x = G(torch.randn(4, 8), y)
    assert x.shape == (4, channels, size, size)
    assert x.abs().max() <= 1
    logits = D(x, y)
    assert logits.shape == (4, places, places)
    again = D.reconstruction(x)
    assert again.shape == (4,)
    (logits.square().mean() + again.mean()).backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for net in (G, D) for p in net.parameters())


@pytest.mark.parametrize(("size", "gates"), [(8, 1), (32, 1), (64, 1), (128, 2), (256, 3), (512, 4)])
def test_maps_gate_those_of_sixteen_times_their_side_or_the_last(size, gates):
    G = fastgan.Generator((3, size, size), width=1, max_width=16)
    assert len(G.excite) == gates
    assert G.reach == min(4, len(G.up))


def test_the_gate_scales_whole_channels_by_what_the_low_map_says():
    gate, low, high = fastgan.Excitation(3, 5), torch.randn(2, 3, 8, 8), torch.randn(2, 5, 32, 32)
    kept = gate(low, high) / high
    assert_close(kept, kept[:, :, :1, :1].expand_as(kept), rtol=1e-4, atol=1e-5)
    assert kept.min() > 0
    assert kept.max() < 1
    assert (gate(low.flip(0), high) - gate(low, high)).abs().max() > 1e-3
    last = gate.gate[3]
    for bias, share in ((100.0, 1.0), (-100.0, 0.0)):
        torch.nn.init.constant_(last.bias, bias)
        assert_close(gate(low, high), share * high)


def test_the_gates_of_G_work():
    G, _ = built(init="he")
    G.eval()
    z, y = torch.randn(4, 8), torch.zeros(4).long()
    x = G(z, y)
    for gate in G.excite:
        torch.nn.init.constant_(gate.gate[3].bias, -100.0)
    shut = G(z, y)
    assert (x - x[:1]).abs().max() > 1e-4
    assert_close(shut, shut[:1].expand_as(shut), rtol=0, atol=1e-6)  # nothing of z passes a shut gate


def test_quarters_are_cut_as_they_are_numbered():
    x = torch.arange(64.0).view(1, 1, 8, 8).expand(4, 2, -1, -1)
    cut = fastgan.quarters(x, torch.tensor([3, 0, 1, 2]))
    whole = x[0]
    for quarter, expected in zip(
        cut, (whole[:, 4:, 4:], whole[:, :4, :4], whole[:, :4, 4:], whole[:, 4:, :4]), strict=True
    ):
        assert torch.equal(quarter, expected)


def test_reconstruction_is_the_mean_distance_of_the_whole_and_of_a_quarter_that_takes_turns():
    _, D = built(256)
    D.whole.forward = lambda h: torch.zeros(len(h), 3, 128, 128)
    D.quarter.forward = lambda h: torch.zeros(len(h), 3, 128, 128)
    x = torch.rand(5, 3, 256, 256)
    corners = [x[0, :, :128, :128], x[1, :, :128, 128:], x[2, :, 128:, :128], x[3, :, 128:, 128:], x[4, :, :128, :128]]
    parts = torch.stack([c.mean() for c in corners])
    assert_close(D.reconstruction(x), avg_pool2d(x, 2).flatten(1).mean(1) + parts)
    assert_close(D.reconstruction(x[2:], first=2), D.reconstruction(x)[2:])
    assert not torch.allclose(D.reconstruction(x[2:]), D.reconstruction(x)[2:])


def test_decoders_learn_to_draw_what_they_are_shown_and_teach_the_encoder():
    _, D = built(16, channels=1, init="he", d_norm="none")
    x = torch.rand(8, 1, 1, 1).expand(-1, -1, 16, 16) * torch.linspace(-1, 1, 16)
    optimizer = torch.optim.Adam(D.parameters(), lr=5e-3)
    off = []
    for _ in range(60):
        optimizer.zero_grad()
        loss = D.reconstruction(x).mean()
        loss.backward()
        optimizer.step()
        off.append(loss.item())
    assert off[-1] < 0.4 * off[0]
    assert D.large[0].weight.grad.abs().sum() > 0
    assert D.realness.weight.grad is None


def test_spectral_norm_bounds_every_layer_of_D():
    _, D = built(16, init="he")
    D.train()
    for _ in range(20):  # the power iteration comes near
        D(torch.randn(2, 3, 16, 16), torch.zeros(2).long())
    layers = [m for m in D.large.modules() if isinstance(m, torch.nn.Conv2d)]
    assert all(torch.linalg.matrix_norm(m.weight.flatten(1), 2).item() == pytest.approx(1, rel=0.05) for m in layers)


def test_classes_change_both_players():
    G, D = built(classes=5, init="he", d_norm="none")
    z, x = torch.randn(1, 8).expand(2, -1), torch.randn(1, 3, 32, 32).expand(2, -1, -1, -1)
    y = torch.tensor([1, 4])
    a, b = G.eval()(z, y)
    assert not torch.allclose(a, b)
    a, b = D(x, y)
    assert not torch.allclose(a, b)


@pytest.mark.parametrize("shape", [(2,), (3, 24, 24), (3, 32, 16)])
def test_what_is_no_square_image_of_a_power_of_two_is_refused(shape):
    with pytest.raises(ConfigError, match=r"nets\.kind=fastgan makes"):
        build.networks(FastGAN(), build.Form(shape, 0), seed=0)
