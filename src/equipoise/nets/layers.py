"""The parts that every family of networks chooses from: activations, norms, labels and heads."""

from __future__ import annotations

from typing import Literal, assert_never

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize
from torch.nn.utils.parametrizations import spectral_norm

Activation = Literal["relu", "leaky-relu", "tanh", "silu"]
Norm = Literal["none", "batch", "instance", "layer", "spectral"]
Output = Literal["tanh", "linear"]
Conditioning = Literal["projection", "concatenation", "cross-entropy", "data-to-data"]
Said = Tensor | tuple[Tensor, Tensor, Tensor]  # logits [B]; of a head that names classes, as ClassHead has it
PROXY_DIM = 128

MAPS = (nn.Linear, nn.Conv2d, nn.ConvTranspose2d)


def activation(name: Activation | Output) -> nn.Module:
    match name:
        case "relu":
            return nn.ReLU()
        case "leaky-relu":
            return nn.LeakyReLU(0.2)
        case "tanh":
            return nn.Tanh()
        case "silu":
            return nn.SiLU()
        case "linear":
            return nn.Identity()
        case other:
            assert_never(other)


def norm(name: Norm, channels: int, *, spatial: bool) -> nn.Module:
    """The layer behind a convolution (`spatial`) or a linear map; spectral norm acts on weights instead."""
    match name:
        case "none" | "spectral":
            return nn.Identity()
        case "batch":
            return nn.BatchNorm2d(channels) if spatial else nn.BatchNorm1d(channels)
        case "instance":
            # over a single value an instance has no spread: the config refuses it where there is no space
            return nn.InstanceNorm2d(channels, affine=True)
        case "layer":
            return nn.GroupNorm(1, channels) if spatial else nn.LayerNorm(channels)
        case other:
            assert_never(other)


def with_spectral_norm(net: nn.Module, kinds: tuple[type[nn.Module], ...] = (*MAPS, nn.Embedding)) -> nn.Module:
    """Divides each weight by its largest singular value (Miyato et al. 2018, arXiv:1802.05957, eq. 8), in place.

    Apply it after initialisation: the power iteration starts from the weights that it finds.
    """
    for layer in list(net.modules()):
        if isinstance(layer, kinds):
            spectral_norm(layer)
    return net


class UnconditionalBatchNorm(nn.Module):
    """BatchNorm where nothing is told: the condition is left aside."""

    def __init__(self, channels: int):
        super().__init__()
        self.norm = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        y: Tensor = self.norm(x)
        return y


class ConditionalBatchNorm(nn.Module):
    """(1 + gain(c)) x' + bias(c) for x' of mean 0 and variance 1 over the batch; x [B, C, H, W].

    De Vries et al. 2017 (arXiv:1707.00683), section 3. `gain` and `bias` map a condition c, classes [B] or vectors
    [B, F], to [B, C].
    """

    def __init__(self, channels: int, gain: nn.Module, bias: nn.Module):
        super().__init__()
        self.norm = nn.BatchNorm2d(channels, affine=False)
        self.gain, self.bias = gain, bias

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        gain, bias = self.gain(condition)[:, :, None, None], self.bias(condition)[:, :, None, None]
        y: Tensor = (1 + gain) * self.norm(x) + bias
        return y


class NoLabel(nn.Module):
    """The label of networks without classes: nothing, [B, 0]."""

    def forward(self, y: Tensor) -> Tensor:
        return torch.zeros(y.shape[0], 0, device=y.device)  # len(y) would fix the batch size of an export


def label(classes: int, dim: int) -> nn.Module:
    """y [B] -> [B, dim], or [B, 0] without classes."""
    return nn.Embedding(classes, dim) if classes else NoLabel()


class LinearHead(nn.Module):
    """Features [B, F] -> logits [B], whatever the class."""

    def __init__(self, features: int, bias: bool = True):
        super().__init__()
        self.realness = nn.Linear(features, 1, bias=bias)

    def forward(self, features: Tensor, y: Tensor) -> Tensor:
        logits: Tensor = self.realness(features)
        return logits.squeeze(1)  # [B]


class ProjectionHead(nn.Module):
    """Features [B, F] and classes [B] -> logits [B]: psi(phi) + e(y) . phi.

    Miyato & Koyama 2018 (arXiv:1802.05637), eq. 4.
    """

    def __init__(self, features: int, classes: int):
        super().__init__()
        self.realness = nn.Linear(features, 1)
        self.embed = nn.Embedding(classes, features)

    def forward(self, features: Tensor, y: Tensor) -> Tensor:
        realness: Tensor = self.realness(features)
        match: Tensor = (self.embed(y) * features).sum(1)
        return realness.squeeze(1) + match


class ClassHead(nn.Module):
    """Features [B, F] -> logits [B], evidence of the class [B, F], and what it is of each class [K, F]: the products of
    both are the logits of a classifier. D is not told the class.

    Odena et al. 2017 (arXiv:1610.09585), section 3; without biases of the classes.
    """

    def __init__(self, features: int, classes: int):
        super().__init__()
        self.realness = nn.Linear(features, 1)
        self.classes = nn.Linear(features, classes, bias=False)

    def forward(self, features: Tensor, y: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        return self.realness(features).squeeze(1), features, self.classes.weight


class ProxyHead(nn.Module):
    """Features [B, F] -> logits [B], evidence of the class [B, E] and a proxy for each class [K, E], of length 1.

    Kang et al. 2021 (arXiv:2111.01118), section 3.2.
    """

    def __init__(self, features: int, classes: int, dim: int = PROXY_DIM):
        super().__init__()
        self.realness = nn.Linear(features, 1)
        self.project = nn.Linear(features, dim)
        self.proxies = nn.Embedding(classes, dim)

    def forward(self, features: Tensor, y: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        logits: Tensor = self.realness(features)
        return logits.squeeze(1), normalize(self.project(features)), normalize(self.proxies.weight)


def head(features: int, classes: int, conditioning: Conditioning) -> nn.Module:
    if not classes:
        return LinearHead(features)
    match conditioning:
        case "projection":
            return ProjectionHead(features, classes)
        case "concatenation":
            return LinearHead(features)
        case "cross-entropy":
            return ClassHead(features, classes)
        case "data-to-data":
            return ProxyHead(features, classes)
        case other:
            assert_never(other)
