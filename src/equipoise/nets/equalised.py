"""Layers with an equalised learning rate (Karras et al. 2018, arXiv:1710.10196, section 4.1).

The weight starts with unit deviation and is scaled where it is used, so that a step of Adam moves each layer by the
same share of its size. A leaky ReLU has the gain sqrt 2, which keeps the variance; it is homogeneous, so the factor
stands in the small tensors before it. Written from the papers: the authors' code is not free.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import leaky_relu_, linear

from equipoise.nets.convolution import convolution
from equipoise.nets.r3gan import SLOPE, Kink

GAIN = math.sqrt(2)  # of the leaky ReLU
EPSILON = 1e-8


class Linear(nn.Module):
    """[..., I] -> [..., O]. `rate` is over the learning rate of the others: the weight starts with the deviation
    1 / rate. `gain` is that of an activation which follows."""

    def __init__(self, inputs: int, outputs: int, *, bias: float = 0.0, rate: float = 1.0, gain: float = 1.0):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(outputs, inputs))
        self.bias = nn.Parameter(torch.full((outputs,), bias))
        self.rate, self.gain, self.scale = rate, gain, gain * rate / math.sqrt(inputs)

    def forward(self, x: Tensor) -> Tensor:
        return linear(x, self.weight * self.scale, self.bias * (self.gain * self.rate))


class Conv(nn.Module):
    """Of odd kernels; [B, I, H, H] -> [B, O, H, H]."""

    def __init__(self, inputs: int, outputs: int, kernel: int, *, gain: float = 1.0):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(outputs, inputs, kernel, kernel))
        self.bias = nn.Parameter(torch.zeros(outputs))
        self.gain, self.scale, self.padding = gain, gain / math.sqrt(inputs * kernel**2), (kernel // 2, kernel // 2)

    def forward(self, x: Tensor) -> Tensor:
        return convolution(x, self.weight * self.scale, self.bias * self.gain, padding=self.padding)


def bent(x: Tensor) -> Tensor:
    """Leaky ReLU of a tensor that nobody else needs."""
    if not torch.is_grad_enabled():
        return leaky_relu_(x, SLOPE)
    y: Tensor = Kink.apply(x)  # type: ignore[no-untyped-call]
    return y


def of_unit_size(x: Tensor) -> Tensor:
    """[B, n], of which each row has mean square 1; nothing where there is nothing."""
    return x * (x.square().mean(1, keepdim=True) + EPSILON).rsqrt()
