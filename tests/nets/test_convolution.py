"""The convolution and its first two derivatives against torch's own, and against finite differences."""

import pytest
import torch
from torch import nn
from torch.autograd import gradcheck, gradgradcheck
from torch.nn.functional import conv2d
from torch.testing import assert_close

from equipoise.nets.convolution import Conv2d, convolution

SHAPES = {  # channels in, out, kernel, stride, padding, groups, size
    "1x1": (4, 6, 1, 1, 0, 1, 5),
    "3x3": (4, 6, 3, 1, 1, 1, 5),
    "groups": (4, 8, 3, 1, 1, 2, 5),
    "depthwise, down": (4, 4, 4, 2, 1, 4, 8),
    "stride with a pixel left over": (3, 4, 3, 2, 1, 1, 6),
    "to one pixel": (4, 4, 4, 1, 0, 4, 4),
    "oblong kernel": (2, 3, (1, 3), (1, 2), (0, 1), 1, 7),
}


def example(case, dtype=torch.float64):
    inputs, outputs, kernel, stride, padding, groups, size = SHAPES[case]
    torch.manual_seed(0)
    ours = Conv2d(inputs, outputs, kernel, stride, padding, groups=groups).to(dtype)
    theirs = nn.Conv2d(inputs, outputs, kernel, stride, padding, groups=groups).to(dtype)
    theirs.load_state_dict(ours.state_dict())
    return ours, theirs, torch.randn(2, inputs, size, size, dtype=dtype)


def penalised(net, x):
    """The gradients of a loss that holds R1: they need the second derivative."""
    x = x.clone().requires_grad_()
    y = torch.tanh(net(x))
    slope = torch.autograd.grad(y.square().sum(), x, create_graph=True)[0]
    return torch.autograd.grad(y.sum() + slope.square().sum(), [x, *net.parameters()])


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("case", SHAPES)
def test_value_and_derivatives_are_torchs(case, layout):
    ours, theirs, x = example(case)
    ours, theirs, x = ours.to(memory_format=layout), theirs.to(memory_format=layout), x.to(memory_format=layout)
    assert_close(ours(x), theirs(x))
    for a, b in zip(penalised(ours, x), penalised(theirs, x), strict=True):
        assert_close(a, b)


@pytest.mark.parametrize("case", SHAPES)
def test_derivatives_are_those_of_finite_differences(case):
    ours, _, x = example(case)
    stride, padding, groups = SHAPES[case][3:6]
    pairs = [v if isinstance(v, tuple) else (v, v) for v in (stride, padding)]
    points = (x.requires_grad_(), ours.weight, ours.bias)
    assert gradcheck(lambda x, w, b: convolution(x, w, b, *pairs, groups), points)
    assert gradgradcheck(lambda x, w, b: convolution(x, w, b, *pairs, groups), points)


def test_a_pass_to_the_samples_works_out_no_gradient_of_the_weights(monkeypatch):
    from equipoise.nets import convolution as module

    asked = []
    real = module.weight_gradient
    monkeypatch.setattr(module, "weight_gradient", lambda *args: asked.append(1) or real(*args))
    net, _, x = example("3x3")
    y = net(x.requires_grad_()).square().sum()
    torch.autograd.grad(y, x, create_graph=True)
    assert not asked
    y.backward()
    assert asked == [1]


def test_constant_kernels_and_frozen_weights_get_no_gradient():
    net, _, x = example("3x3")
    net.requires_grad_(False)
    net(x.requires_grad_()).sum().backward()
    assert net.weight.grad is None and x.grad is not None


def test_without_gradients_it_is_torchs_own():
    net, theirs, x = example("3x3", torch.float32)
    with torch.no_grad():
        assert torch.equal(net(x), theirs(x))
        assert net(x).grad_fn is None


def test_under_autocast_both_derivatives_are_in_bf16_and_near():
    net, theirs, x = example("3x3", torch.float32)
    exact = penalised(theirs, x)
    x = x.clone().requires_grad_()
    with torch.autocast("cpu", torch.bfloat16):
        y = net(x)
    assert y.dtype == torch.bfloat16
    y = torch.tanh(y.float())
    slope = torch.autograd.grad(y.square().sum(), x, create_graph=True)[0]
    found = torch.autograd.grad(y.sum() + slope.square().sum(), [x, *net.parameters()])
    for a, b in zip(found, exact, strict=True):
        assert a.dtype == torch.float32
        assert (a - b).norm() < 0.05 * b.norm()


def test_the_derivative_is_differentiable_a_third_time():
    net, theirs, x = example("3x3")

    def third(net):
        at = x.clone().requires_grad_()
        first = torch.autograd.grad(net(at).pow(4).sum(), at, create_graph=True)[0]
        second = torch.autograd.grad(first.square().sum(), at, create_graph=True)[0]
        return torch.autograd.grad(second.sum(), at)[0]

    assert_close(third(net), third(theirs))


def test_conv2d_is_found_by_those_who_look_for_torchs():
    assert isinstance(Conv2d(1, 1, 3), nn.Conv2d)
    x = torch.randn(1, 1, 5, 5)
    layer = Conv2d(1, 1, 3)
    assert_close(layer(x), conv2d(x, layer.weight, layer.bias))
