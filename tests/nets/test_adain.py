"""The style's statistics are taken on, and both pictures matter."""

import pytest
import torch
from torch import nn, randn
from torch.testing import assert_close

from equipoise import init
from equipoise.errors import ConfigError
from equipoise.nets.adain import StyleGenerator, adain, moments


@pytest.fixture(autouse=True)
def _seeded():
    torch.manual_seed(0)


def test_features_take_on_the_mean_and_the_deviation_of_the_style():
    x, style = 3 * randn(2, 4, 16, 16) + 1, randn(2, 4, 1, 1) * randn(2, 4, 12, 20) + randn(2, 4, 1, 1)
    y = adain(x, moments(style))
    assert_close(y.mean((2, 3)), style.mean((2, 3)))
    assert_close(y.std((2, 3), correction=0), style.std((2, 3), correction=0), rtol=1e-3, atol=1e-3)
    assert_close(adain(x, moments(x)), x, rtol=1e-3, atol=1e-3)


def test_it_is_an_instance_norm_whose_gain_and_bias_the_style_gives():
    x, style = randn(2, 4, 16, 16), randn(2, 4, 8, 8)
    mean, deviation = moments(style)
    assert_close(adain(x, (mean, deviation)), deviation * nn.InstanceNorm2d(4)(x) + mean)


def test_what_is_drawn_from_has_the_statistics_of_the_style_at_every_size(monkeypatch):
    monkeypatch.setattr("equipoise.nets.adain.relu", lambda x: x)  # which changes them
    G = StyleGenerator((3, 32, 32), (3, 32, 32), width=4, blocks=0)
    init.orthogonal(G, torch.Generator().manual_seed(0))
    drawn_from = []
    for layer in (*G.up, G.end):
        layer.register_forward_pre_hook(lambda layer, inputs: drawn_from.append(inputs[0]))
    style = 2 * randn(2, 3, 24, 40) + 1
    G(randn(2, 3, 32, 32), style)
    assert [h.shape[2] for h in drawn_from] == [8, 16, 32]
    for h, told in zip(drawn_from, G.style(style)[::-1], strict=True):
        assert_close(h.mean((2, 3)), told.mean((2, 3)), rtol=1e-3, atol=1e-4)
        assert_close(h.std((2, 3), correction=0), told.std((2, 3), correction=0), rtol=1e-2, atol=1e-3)


@pytest.mark.parametrize("size", [8, 16, 28, 32])
@pytest.mark.parametrize(("given", "channels"), [(1, 3), (3, 3)])
def test_pictures_of_every_size_go_through_and_every_weight_is_trained(size, given, channels):
    G = StyleGenerator((given, size, size), (channels, size, size), width=4, blocks=1)
    x = G(randn(2, given, size, size), randn(2, channels, size, size))
    assert x.shape == (2, channels, size, size)
    assert x.abs().max() <= 1
    x.square().mean().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in G.parameters() if p.ndim > 1)


@pytest.mark.parametrize("name", ["torch", "xavier", "normal02"])
def test_both_pictures_matter(name):
    G = StyleGenerator((3, 32, 32), (3, 32, 32), width=16)
    init.INITIALIZERS[name](G, torch.Generator().manual_seed(0))
    a, y = randn(2, 3, 32, 32), randn(2, 3, 1, 1) + randn(2, 3, 1, 1) * randn(2, 3, 32, 32)
    with torch.no_grad():
        x, other_content, other_style = G(a, y), G(a.flip(0), y), G(a, y.flip(0))
    assert (x - other_content).std() > 0.1 * x.std()
    assert (x - other_style).std() > 0.1 * x.std()


def test_of_the_style_only_statistics_are_heard():
    """A style of a single colour has no places: its size makes no difference."""
    G = StyleGenerator((3, 16, 16), (3, 16, 16), width=4).double()
    a = randn(2, 3, 16, 16, dtype=torch.float64)
    colour = randn(2, 3, 1, 1, dtype=torch.float64)
    assert_close(G(a, colour.expand(-1, -1, 16, 16)), G(a, colour.expand(-1, -1, 9, 40)))


def test_larger_pictures_go_through_at_use_in_either_layout():
    G = StyleGenerator((3, 16, 16), (3, 16, 16), width=4).double()
    a, y = randn(1, 3, 32, 48, dtype=torch.float64), randn(1, 3, 20, 11, dtype=torch.float64)
    expected = G(a, y)
    x = G.to(memory_format=torch.channels_last)(a.to(memory_format=torch.channels_last), y)
    assert x.is_contiguous(memory_format=torch.channels_last)
    assert_close(x, expected)
    with pytest.raises(ConfigError, match="multiples of 4"):
        G(randn(1, 3, 30, 16), y)
