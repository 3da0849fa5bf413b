"""A convolution whose gradient can be differentiated again at the price of convolutions.

R1, R2 and the gradient penalty differentiate D twice. torch finds the weights' part of that second derivative by a
convolution with a kernel as large as the image: on a CPU 2 to 4 times slower than need be, and slower still in groups.
Here the first derivative is itself an ordinary (transposed) convolution, whose own derivative torch finds the fast way.
After the idea of Karras et al. 2020 (arXiv:2006.06676, appendix on speed); no code was copied.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd import Function
from torch.nn.functional import conv2d, conv_transpose2d

Pair = tuple[int, int]


class Conv2d(nn.Conv2d):
    """torch's convolution of images [B, C, H, W] with zero padding; only its second derivative is another."""

    def forward(self, x: Tensor) -> Tensor:
        return convolution(x, self.weight, self.bias, pair(self.stride), pair(self.padding), self.groups)


def convolution(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Pair = (1, 1),
    padding: Pair = (0, 0),
    groups: int = 1,
) -> Tensor:
    """As torch.nn.functional.conv2d."""
    if not torch.is_grad_enabled():
        return conv2d(x, weight, bias, stride, padding, groups=groups)
    if torch.is_autocast_enabled(x.device.type):
        dtype = torch.get_autocast_dtype(x.device.type)
        x, weight, bias = x.to(dtype), weight.to(dtype), None if bias is None else bias.to(dtype)
    weight = weight.view_as(weight)  # torch tells of inner nodes, but not of leaves, whether a pass will reach them
    y: Tensor = Convolution.apply(x, weight, bias, stride, padding, groups)  # type: ignore[no-untyped-call]
    return y


class Convolution(Function):
    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, stride: Pair, padding: Pair, groups: int
    ) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.stride, ctx.padding, ctx.groups = stride, padding, groups
        return conv2d(x, weight, bias, stride, padding, groups=groups)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor | None, ...]:
        """g [B, C', H', W'] -> the gradients of x, weight and bias, each only if somebody asks for it."""
        x, weight = ctx.saved_tensors
        of_weights = weights_asked(ctx)
        return (
            input_gradient(g, x, weight, ctx) if ctx.needs_input_grad[0] else None,
            weight_gradient(g, x, weight, ctx) if of_weights else None,
            g.sum((0, 2, 3)) if of_weights and ctx.needs_input_grad[2] else None,
            None, None, None,
        )  # fmt: skip


def input_gradient(g: Tensor, x: Tensor, weight: Tensor, ctx: Any) -> Tensor:
    """The transposed convolution; what a stride left over at the edge is made up by output padding."""
    left_over = [
        size - ((out - 1) * stride - 2 * padding + kernel)
        for size, out, stride, padding, kernel in zip(
            x.shape[2:], g.shape[2:], ctx.stride, ctx.padding, weight.shape[2:], strict=True
        )
    ]
    gradient = conv_transpose2d(g, weight, None, ctx.stride, ctx.padding, left_over, ctx.groups)
    return gradient.contiguous(memory_format=layout(x))  # torch takes [C, 1, k, k] kernels for NCHW


def weight_gradient(g: Tensor, x: Tensor, weight: Tensor, ctx: Any) -> Tensor:
    only_weight = [False, True, False]
    gradients = torch.ops.aten.convolution_backward(
        g, x, weight, None, ctx.stride, ctx.padding, (1, 1), False, (0, 0), ctx.groups, only_weight
    )
    weights: Tensor = gradients[1]
    return weights


def layout(x: Tensor) -> torch.memory_format:
    last = torch.channels_last
    return last if x.is_contiguous(memory_format=last) else torch.contiguous_format


def weights_asked(ctx: Any) -> bool:
    """Whether this backward pass will use the gradient of the weights: a pass to the samples does not."""
    node = ctx.next_functions[1][0]  # None for a weight that is a constant
    return node is not None and torch._C._will_engine_execute_node(node)


def pair(value: int | str | tuple[int, ...]) -> Pair:
    assert isinstance(value, tuple), "nn.Conv2d keeps pairs, unless padding is a word"
    return (value[0], value[1])
