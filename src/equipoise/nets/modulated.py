"""Convolutions that a style steers (Karras et al. 2020, arXiv:1912.04958, section 2), and the noise beside them.

Written from the paper, without operators of its own: the authors' code is not free.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import conv_transpose2d, linear

from equipoise.nets.convolution import convolution
from equipoise.nets.equalised import EPSILON, GAIN, Linear, bent
from equipoise.nets.r3gan import Resampling


class Modulated(nn.Module):
    """Convolution, noise, bias and activation of one layer (section 2.2 of the paper, eq. 1 to 3).

    A kernel's inputs are scaled by the style s = A(w), and the outputs are brought to unit variance. Here the feature
    maps are scaled before and after one convolution of the whole batch instead of the kernels of each sample: the same
    sum, and the convolution is an ordinary one.
    """

    def __init__(self, inputs: int, outputs: int, size: int, w_dim: int, convolve: nn.Module):
        super().__init__()
        self.style = Linear(w_dim, inputs, bias=1.0)
        self.weight = nn.Parameter(torch.empty(outputs, inputs, 3, 3))
        self.bias = nn.Parameter(torch.zeros(outputs))
        self.scale = 1 / math.sqrt(inputs * 9)
        self.convolve, self.noise = convolve, Noise(size)

    def forward(self, x: Tensor, w: Tensor, key: Tensor) -> Tensor:
        style, weight = self.style(w), self.weight * self.scale
        back = demodulation(style, weight)  # [B, O]
        x = scaled(self.convolve(scaled(x, style), weight), GAIN * back)
        return bent(x.add_(GAIN * self.noise(key)).add_(GAIN * self.bias[:, None, None]))


def demodulation(style: Tensor, weight: Tensor) -> Tensor:
    """Eq. 3: 1 / the deviation of the outputs of kernels [O, I, k, k] under styles [B, I], for inputs of unit variance.
    [B, O]."""
    return (linear(style.square(), weight.square().sum((2, 3))) + EPSILON).rsqrt()


class Plain(nn.Module):
    """x [B, I, H, H] and kernels [O, I, 3, 3] -> [B, O, H, H]."""

    def forward(self, x: Tensor, weight: Tensor) -> Tensor:
        return convolution(x, weight, padding=(1, 1))


class Doubling(Resampling):
    """x [B, I, H, H] and kernels [O, I, 3, 3] -> [B, O, 2 H, 2 H]: a transposed convolution and the low-pass, which is
    upsampling, low-pass and convolution at a quarter of their price."""

    def forward(self, x: Tensor, weight: Tensor) -> Tensor:
        x = conv_transpose2d(x, weight.transpose(0, 1), stride=2)  # [B, O, 2 H + 1, 2 H + 1]
        return convolution(x, 4 * self.kernel, padding=(1, 1), groups=x.shape[1])


class Noise(nn.Module):
    """Keys [B] of samples -> noise [B, 1, size, size] of a learned strength: one tile of white noise, which begins at
    another pixel for each key and goes around the edges."""

    tile: Tensor

    def __init__(self, size: int):
        super().__init__()
        self.register_buffer("tile", torch.empty(size, size))
        self.strength = nn.Parameter(torch.zeros(()))

    def forward(self, key: Tensor) -> Tensor:
        size = len(self.tile)
        moved, pixels = hashed(key, size), torch.arange(size, device=key.device)
        rows, columns = ((pixels + (moved[:, None] >> bits)) % size for bits in (33, 48))  # [B, size]
        return self.strength * self.tile[rows[:, None, :, None], columns[:, None, None, :]]


class ToImage(nn.Module):
    """Feature maps [B, I, H, H] under w [B, w_dim] -> [B, C, H, H]; modulated only."""

    def __init__(self, inputs: int, channels: int, w_dim: int):
        super().__init__()
        self.style = Linear(w_dim, inputs, bias=1.0)
        self.weight = nn.Parameter(torch.empty(channels, inputs, 1, 1))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.scale = 1 / math.sqrt(inputs)

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        return convolution(scaled(x, self.style(w) * self.scale), self.weight, self.bias)


def scaled(x: Tensor, by: Tensor) -> Tensor:
    """Each feature map of [B, C, H, H] by its own factor [B, C]."""
    return x * by[..., None, None].to(x.dtype)


def hashed(key: Tensor, i: int) -> Tensor:
    """Number i of the hashes of each key: the high bits are as good as random."""
    return (key ^ key >> 32) * odd(i)


def odd(i: int) -> int:
    """Number i of a fixed series of odd 64-bit numbers, signed (SplitMix64; Steele et al. 2014)."""
    word = 2**64 - 1
    x = (i + 1) * 0x9E3779B97F4A7C15 & word
    x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9 & word
    x = (x ^ x >> 27) * 0x94D049BB133111EB & word
    x = (x ^ x >> 31) | 1
    return x - (x >> 63 << 64)
