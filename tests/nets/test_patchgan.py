"""What a logit of a patch sees, at how many scales, and of what; and that R1 can be taken of it."""

import pytest
import torch
from torch import nn, randn
from torch.autograd import gradcheck
from torch.func import functional_call
from torch.nn.functional import avg_pool2d
from torch.testing import assert_close

from equipoise import init
from equipoise.errors import ConfigError
from equipoise.nets.layers import with_spectral_norm
from equipoise.nets.patchgan import PatchDiscriminator
from equipoise.penalties import zero_centered

Y = torch.zeros(2)


@pytest.fixture(autouse=True)
def _seeded():
    torch.manual_seed(0)


@pytest.mark.parametrize(("layers", "pixels"), [(1, 16), (3, 70), (5, 286)])
def test_a_logit_sees_a_patch_of_the_papers_size(layers, pixels):
    """Isola et al. 2017, appendix: PatchGANs of 16, 70 and 286 pixels."""
    size = 2 * pixels + 34
    D = PatchDiscriminator((1, size, size), width=2, max_width=2, layers=layers).double()
    x = randn(1, 1, size, size, dtype=torch.float64, requires_grad=True)
    logits = D(x, Y)
    row, column = logits.shape[2] // 2, logits.shape[3] // 2
    seen = torch.autograd.grad(logits[0, 0, row, column], x)[0][0, 0] != 0
    rows, columns = seen.any(1).nonzero().flatten(), seen.any(0).nonzero().flatten()
    assert len(rows) == len(columns) == pixels
    assert seen[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1].all()
    assert rows.min() > 0
    assert rows.max() < size - 1


def test_the_layers_are_those_of_the_paper():
    """Isola et al. 2017, appendix: C64-C128-C256-C512, and a convolution to one channel."""
    with torch.device("meta"), torch.no_grad():
        D = PatchDiscriminator((3, 256, 256))
        logits = D(torch.empty(1, 3, 256, 256), Y)
    kernels = sum(p.numel() for p in D.parameters() if p.ndim > 1)
    assert kernels == 16 * (3 * 64 + 64 * 128 + 128 * 256 + 256 * 512 + 512)
    assert logits.shape == (1, 1, 30, 30)
    assert [layer[0].out_channels for layer in D.scales[0].hidden] == [64, 128, 256, 512]


@pytest.mark.parametrize(
    ("size", "scales", "halvings", "places"),
    [(8, 1, [1], 2), (16, 1, [2], 2), (16, 2, [2, 1], 2), (28, 1, [3], 1), (28, 3, [3, 2, 1], 1), (31, 2, [3, 2], 1),
     (32, 1, [3], 2), (32, 2, [3, 2], 2), (64, 2, [3, 3], 6), (128, 3, [3, 3, 3], 14)],
)  # fmt: skip
@pytest.mark.parametrize("norms", ["none", "instance", "batch"])
def test_small_pictures_are_halved_less_often(size, scales, halvings, places, norms):
    D = PatchDiscriminator((3, size, size), width=2, scales=scales, norms=norms)
    assert [len(scale.hidden) - 1 for scale in D.scales] == halvings
    logits = D(randn(2, 3, size, size), Y)
    assert logits.shape == (2, scales, places, places)
    logits.square().mean().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in D.parameters() if p.ndim > 1)


def test_pictures_without_room_for_a_patch_are_refused():
    with pytest.raises(ConfigError, match="Use pictures of 6 pixels or more"):
        PatchDiscriminator((3, 5, 5))
    with pytest.raises(ConfigError, match=r"scales=3 .* Set scales to 2 or less"):
        PatchDiscriminator((3, 16, 16), scales=3)
    assert issubclass(ConfigError, ValueError)


def test_each_scale_weighs_the_same_in_the_mean():
    D = PatchDiscriminator((3, 128, 128), width=2, scales=3)
    for scale, bias in zip(D.scales, (1.0, 2.0, 6.0), strict=True):
        nn.init.zeros_(scale.realness.weight)
        nn.init.constant_(scale.realness.bias, bias)
    x = randn(2, 3, 128, 128)
    logits = D(x, Y)
    assert logits.mean().item() == pytest.approx(3)
    assert_close(logits[0, :, 5, 5], torch.tensor([1.0, 2.0, 6.0]))
    sizes = [D.scales[i](avg_pool2d(x, 2**i))[0].shape[2] for i in range(3)]
    assert sizes == [14, 6, 2]  # a mean over all patches as they come would be another


def test_coarser_scales_see_the_mean_of_pixels_and_are_repeated():
    D = PatchDiscriminator((3, 64, 64), width=2, scales=2)
    x = randn(2, 3, 64, 64)
    logits = D(x, Y)
    fine, coarse = D.scales[0](x)[0], D.scales[1](avg_pool2d(x, 2))[0]
    assert_close(logits[:, :1], fine)
    assert coarse.shape == (2, 1, 2, 2)
    assert_close(logits[:, 1:], coarse.repeat_interleave(3, 2).repeat_interleave(3, 3))


def test_only_a_conditional_D_looks_at_what_the_picture_was_made_of():
    x, y = randn(2, 3, 32, 32), randn(2, 1, 32, 32)
    conditional = PatchDiscriminator((3, 32, 32), given=1, width=4, scales=2)
    logits, other = conditional(x, y), conditional(x, y + 1)
    assert ((logits - other).flatten(2).abs().amax(2) > 1e-4).all()  # at both scales
    unconditional = PatchDiscriminator((3, 32, 32), width=4)
    assert torch.equal(unconditional(x, y), unconditional(x, torch.tensor([1, 2])))


def test_features_are_the_hidden_maps_and_come_with_the_logits():
    D = PatchDiscriminator((3, 32, 32), width=4, scales=2, norms="instance")
    x = randn(2, 3, 32, 32)
    features = D.features(x, Y)
    assert [h.shape[1:] for h in features] == [
        (4, 16, 16), (8, 8, 8), (16, 4, 4), (32, 3, 3), (4, 8, 8), (8, 4, 4), (16, 3, 3)
    ]  # fmt: skip
    assert_close(D.scales[0].realness(features[3]), D(x, Y)[:, :1])
    logits, same = D.logits_and_features(x, Y)
    assert torch.equal(logits, D(x, Y))
    assert all(torch.equal(a, b) for a, b in zip(features, same, strict=True))


@pytest.mark.parametrize("norms", ["none", "instance"])
@pytest.mark.parametrize("given", [0, 1])
def test_the_slope_of_r1_is_that_of_finite_differences(norms, given):
    D = PatchDiscriminator((1, 12, 12), given=given, width=1, max_width=2, scales=2, norms=norms).double()
    x, y = randn(2, 1, 12, 12, dtype=torch.float64), randn(2, 1, 12, 12, dtype=torch.float64)
    names, weights = zip(*((n, p) for n, p in D.named_parameters() if p.ndim > 1), strict=True)

    def r1(*weights):
        asked = x.clone().requires_grad_()
        return zero_centered(asked, functional_call(D, dict(zip(names, weights, strict=True)), (asked, y)))

    assert gradcheck(r1, weights, fast_mode=True)


def test_r1_takes_the_slope_by_the_picture_and_not_by_what_it_was_made_of():
    D = PatchDiscriminator((1, 16, 16), given=1, width=4)
    x, y = randn(2, 1, 16, 16, requires_grad=True), randn(2, 1, 16, 16, requires_grad=True)
    of_x, of_y = torch.autograd.grad(D(x, y).sum(), [x, y])
    assert_close(zero_centered(x, D(x, y)), of_x.square().flatten(1).sum(1))
    assert of_y.abs().sum() > 0


def test_spectral_norm_acts_on_every_layer_and_r1_goes_through_it():
    D = PatchDiscriminator((3, 32, 32), width=4, scales=2)
    init.normal02(D, torch.Generator().manual_seed(0))
    with_spectral_norm(D).train()
    x = randn(2, 3, 32, 32, requires_grad=True)
    for _ in range(30):  # the power iteration comes near
        logits = D(x, Y)
    layers = [m for m in D.modules() if isinstance(m, nn.Conv2d)]
    assert len(layers) == 9
    for m in layers:
        assert torch.linalg.matrix_norm(m.weight.flatten(1), 2).item() == pytest.approx(1, rel=0.05)
    zero_centered(x, logits).sum().backward()
    assert all(p.grad.isfinite().all() for p in D.parameters() if p.grad is not None)
    assert all(m.parametrizations.weight.original.grad.abs().sum() > 0 for m in layers)


@pytest.mark.parametrize("norms", ["none", "instance"])
def test_channels_last_and_larger_pictures(norms):
    D = PatchDiscriminator((3, 32, 32), given=3, width=4, scales=2, norms=norms).double()
    x, y = randn(2, 2, 3, 64, 48, dtype=torch.float64)
    expected = D(x, y)
    assert expected.shape == (2, 2, 6, 4)
    last = torch.channels_last
    D.to(memory_format=last)
    assert_close(D(x.to(memory_format=last), y.to(memory_format=last)), expected)
    assert D.features(x.to(memory_format=last), y)[0].is_contiguous(memory_format=last)
