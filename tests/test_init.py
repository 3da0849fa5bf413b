"""Initial weights: their variance on large matrices, and that they are a function of the generator."""

import math

import pytest
import torch
from scipy.stats import ks_2samp
from torch import nn
from torch.testing import assert_close

from equipoise.init import INITIALIZERS, fixup, he, normal02, orthogonal, torch_default

LAYERS = {  # name -> (layer, fan_in, fan_out)
    "linear": (lambda: nn.Linear(600, 400), 600, 400),
    "conv": (lambda: nn.Conv2d(64, 128, 5), 64 * 25, 128 * 25),
}
VARIANCE = {
    "torch": lambda fan_in, fan_out: 1 / (3 * fan_in),
    "xavier": lambda fan_in, fan_out: 2 / (fan_in + fan_out),
    "he": lambda fan_in, fan_out: 2 / ((1 + 0.2**2) * fan_in),
    "normal02": lambda fan_in, fan_out: 0.02**2,
}


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def a_net():
    return nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ConvTranspose2d(8, 4, 4), nn.Flatten(), nn.Linear(64, 2)
    )


@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize("name", VARIANCE)
def test_weights_have_the_variance_of_the_paper(name, layer):
    make, fan_in, fan_out = LAYERS[layer]
    net = make()
    INITIALIZERS[name](net, seeded())
    w = net.weight.detach()
    expected = VARIANCE[name](fan_in, fan_out)
    assert w.var().item() == pytest.approx(expected, rel=0.02)
    assert w.mean().item() == pytest.approx(0, abs=4 * math.sqrt(expected / w.numel()))


@pytest.mark.parametrize("rows", [40, 100])
def test_orthogonal_matrices_are_orthogonal(rows):
    layer = nn.Linear(60, rows)
    orthogonal(layer, seeded())
    w = layer.weight.detach()
    small = w @ w.T if rows < 60 else w.T @ w
    assert_close(small, torch.eye(min(rows, 60)), atol=1e-5, rtol=0)


def test_orthogonal_kernels_are_orthogonal_as_matrices():
    layer = nn.Conv2d(4, 8, 3)
    orthogonal(layer, seeded())
    w = layer.weight.detach().flatten(1)
    assert_close(w @ w.T, torch.eye(8), atol=1e-5, rtol=0)


@pytest.mark.parametrize(("make", "fan_in"), [(lambda: nn.Linear(50, 4000), 50), (lambda: nn.Conv2d(4, 4000, 3), 36)])
def test_torch_default_is_the_distribution_of_reset_parameters(make, fan_in):
    torch.manual_seed(2)
    ours, theirs = make(), make()
    torch_default(ours, seeded())
    for a, b in ((ours.weight, theirs.weight), (ours.bias, theirs.bias)):
        a, b = a.detach().flatten(), b.detach().flatten()
        assert a.abs().max().item() == pytest.approx(1 / math.sqrt(fan_in), rel=0.01)
        assert ks_2samp(a, b).pvalue > 0.01


@pytest.mark.parametrize("name", INITIALIZERS)
def test_the_same_generator_gives_the_same_weights_and_leaves_the_global_one_alone(name):
    a, b, c = a_net(), a_net(), a_net()
    before = torch.get_rng_state()
    for net, seed in ((a, 3), (b, 3), (c, 4)):
        INITIALIZERS[name](net, seeded(seed))
    assert torch.equal(torch.get_rng_state(), before)
    for (key, x), y, z in zip(a.state_dict().items(), b.state_dict().values(), c.state_dict().values(), strict=True):
        assert torch.equal(x, y)
        if x.ndim > 1:
            assert not torch.equal(x, z), key


@pytest.mark.parametrize("name", [name for name in INITIALIZERS if name != "torch"])
def test_biases_start_at_zero(name):
    net = a_net()
    INITIALIZERS[name](net, seeded())
    assert all(not p.any() for key, p in net.named_parameters() if key.endswith("bias"))


@pytest.mark.parametrize("name", INITIALIZERS)
def test_layers_without_bias_are_filled(name):
    layer = nn.Linear(4, 4, bias=False)
    nn.init.constant_(layer.weight, 7)
    INITIALIZERS[name](layer, seeded())
    assert not (layer.weight == 7).any()


def test_normal02_draws_the_gains_of_norms_around_one():
    norm = nn.BatchNorm2d(20_000)
    normal02(norm, seeded())
    assert norm.weight.mean().item() == pytest.approx(1, abs=0.001)
    assert norm.weight.std().item() == pytest.approx(0.02, rel=0.03)


def test_he_leaves_the_gains_of_norms_at_one():
    net = a_net()
    he(net, seeded())
    assert (net[1].weight == 1).all()


@pytest.mark.parametrize("name", INITIALIZERS)
def test_embeddings_have_unit_length_on_average(name):
    net = nn.Embedding(2000, 64)
    INITIALIZERS[name](net, seeded())
    assert net.weight.square().sum(1).mean().item() == pytest.approx(1, rel=0.02)


@pytest.mark.parametrize(("depth", "layers", "scale"), [(16, 2, 0.25), (16, 3, 0.5), (1, 2, 1.0), (81, 3, 1 / 3)])
def test_fixup_scales_a_branch_by_its_depth_and_ends_it_with_zero(depth, layers, scale):
    branches = [[nn.Linear(50, 50) for _ in range(layers)] for _ in range(depth)]
    fixup(branches, seeded(5))
    generator = seeded(5)
    for branch in branches:
        assert not branch[-1].weight.any()
        for layer in branch[:-1]:
            plain = nn.init.kaiming_normal_(torch.empty(50, 50), a=0.2, generator=generator)
            assert_close(layer.weight.detach(), scale * plain)


def test_a_branch_of_one_layer_starts_at_zero():
    layer = nn.Conv2d(4, 4, 3)
    fixup([[layer]], seeded())
    assert not layer.weight.any()
