"""The parts that every family of networks chooses from: activations, norms, labels and heads."""

from __future__ import annotations

from typing import Literal, assert_never

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

Activation = Literal["relu", "leaky-relu", "tanh", "silu"]
Norm = Literal["none", "batch", "instance", "layer", "spectral"]
Output = Literal["tanh", "linear"]
Conditioning = Literal["projection", "concatenation"]


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


def with_spectral_norm(net: nn.Module) -> nn.Module:
    """Divides each weight by its largest singular value (Miyato et al. 2018, arXiv:1802.05957, eq. 8), in place.

    Apply it after initialisation: the power iteration starts from the weights that it finds.
    """
    for layer in list(net.modules()):
        if isinstance(layer, (nn.Linear, nn.Conv2d, nn.ConvTranspose2d, nn.Embedding)):
            spectral_norm(layer)
    return net


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


def head(features: int, classes: int, conditioning: Conditioning) -> nn.Module:
    projects = classes and conditioning == "projection"
    return ProjectionHead(features, classes) if projects else LinearHead(features)
