"""Holes are filled from what lies around them, and nothing else is touched."""

import pytest
import torch
from torch import randn
from torch.testing import assert_close

from equipoise import init
from equipoise.errors import ConfigError
from equipoise.nets.inpainting import Gated, GatedGenerator

Y = torch.zeros(2)


@pytest.fixture(autouse=True)
def _seeded():
    torch.manual_seed(0)


def holed(size=32, channels=3, side=12, outside=0.0):
    """Pictures with a square hole in the middle: [2, C + 1, size, size], and the hole [size, size]."""
    hole = torch.zeros(size, size, dtype=torch.bool)
    start = (size - side) // 2
    hole[start : start + side, start : start + side] = True
    mask = torch.where(hole, 1.0, outside).expand(2, 1, -1, -1)
    return torch.cat([randn(2, channels, size, size), mask], 1), hole


def bits(x):
    return x.contiguous().view(torch.int32)


@pytest.mark.parametrize("outside", [0.0, -1.0])  # a mask may have come as a picture within -1..1
@pytest.mark.parametrize("norms", ["none", "instance"])
def test_outside_the_hole_not_a_bit_is_changed(norms, outside):
    a, hole = holed(outside=outside)
    a[0, 0, 0, 0], a[0, 1, 0, 0], a[0, 2, 0, 0] = -0.0, 1e-42, 7.0
    x = GatedGenerator((4, 32, 32), (3, 32, 32), width=4, norms=norms)(a, Y)
    assert torch.equal(bits(x[:, :, ~hole]), bits(a[:, :3, ~hole]))
    inside = x[:, :, hole]
    assert (inside != a[:, :3, hole]).all()
    assert inside.abs().max() <= 1


def test_nor_in_half_precision():
    a, hole = holed()
    with torch.autocast("cpu", torch.bfloat16):
        x = GatedGenerator((4, 32, 32), (3, 32, 32), width=4)(a, Y)
    assert x.dtype == torch.float32
    assert torch.equal(bits(x[:, :, ~hole]), bits(a[:, :3, ~hole]))


def test_what_lies_in_the_hole_is_not_looked_at():
    a, hole = holed()
    G = GatedGenerator((4, 32, 32), (3, 32, 32), width=4)
    init.he(G, torch.Generator().manual_seed(0))
    other = a.clone()
    other[:, :3, hole] = float("nan")
    assert torch.equal(G(a, Y), G(other, Y))
    other = a.clone()
    other[:, :3, ~hole] += 1
    assert (G(a, Y) - G(other, Y))[:, :, hole].abs().max() > 1e-3


def test_help_between_picture_and_mask_is_looked_at_in_the_hole_too():
    a, hole = holed()
    sketch = randn(2, 1, 32, 32)
    G = GatedGenerator((5, 32, 32), (3, 32, 32), width=4)
    init.he(G, torch.Generator().manual_seed(0))
    x, other = (G(torch.cat([a[:, :3], drawn, a[:, 3:]], 1), Y) for drawn in (sketch, sketch * ~hole))
    assert (x - other)[:, :, hole].abs().max() > 1e-3


def test_the_middle_of_a_large_hole_knows_what_lies_beyond_it():
    G = GatedGenerator((2, 64, 64), (1, 64, 64), width=4).double()
    a, hole = holed(64, 1, 40)
    a = a.double().requires_grad_()
    x = G(a, Y)
    slope = torch.autograd.grad(x[0, 0, 32, 32], a)[0][0, 0]
    assert (slope[~hole] != 0).any()
    assert not slope[hole].any()


@pytest.mark.parametrize("size", [8, 16, 28, 32])
@pytest.mark.parametrize("channels", [1, 3])
def test_pictures_of_every_size_go_through_and_every_weight_is_trained(size, channels):
    a, _ = holed(size, channels, size // 2)
    G = GatedGenerator((channels + 1, size, size), (channels, size, size), width=4)
    x = G(a, Y)
    assert x.shape == (2, channels, size, size)
    x.square().mean().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in G.parameters())
    assert G(torch.cat([a, a], 3), Y).shape == (2, channels, size, 2 * size)


def test_gates_decide_how_much_of_the_features_passes():
    layer, x = Gated(2, 3, 3, "none"), randn(2, 2, 8, 8)
    features = torch.nn.functional.elu(layer.conv(x)[:, :3])
    for bias, share in ((100.0, 2.0), (-100.0, 0.0)):
        torch.nn.init.constant_(layer.conv.bias[3:], bias)
        assert_close(layer(x), share * features)


@pytest.mark.parametrize("name", ["he", "orthogonal", "lecun"])
def test_a_signal_passes_all_gates_at_the_start(name):
    G = GatedGenerator((4, 64, 64), (3, 64, 64))
    init.INITIALIZERS[name](G, torch.Generator().manual_seed(0))
    a, hole = holed(64)
    with torch.no_grad():
        x = G(a, Y)
    assert (x[0] - x[1])[:, hole].std() > 0.05


def test_a_picture_without_a_mask_and_odd_sides_are_refused():
    with pytest.raises(ConfigError, match="3 channels: it must have the 3"):
        GatedGenerator((3, 16, 16), (3, 16, 16))
    with pytest.raises(ConfigError, match="multiples of 4"):
        GatedGenerator((4, 18, 18), (3, 18, 18))
