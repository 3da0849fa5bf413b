"""Multi-layer perceptrons, for points, records and the smallest images."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from equipoise.nets.layers import Activation, Conditioning, Norm, Output, Said, activation, head, label, norm
from equipoise.nets.minibatch import Minibatch, minibatch

LABEL_DIM = 32


class Generator(nn.Module):
    """z [B, z_dim] and y [B] -> samples [B, *shape]; the class is concatenated to z."""

    def __init__(
        self,
        shape: Sequence[int],
        *,
        z_dim: int = 64,
        widths: Sequence[int] = (256, 256),
        classes: int = 0,
        act: Activation = "relu",
        norms: Norm = "none",
        output: Output = "tanh",
    ):
        super().__init__()
        self.z_dim = z_dim
        self.shape = tuple(shape)
        self.label = label(classes, LABEL_DIM)
        self.hidden = hidden(z_dim + (LABEL_DIM if classes else 0), widths, act, norms)
        self.out = nn.Sequential(nn.Linear(widths[-1], math.prod(shape)), activation(output))

    def forward(self, z: Tensor, y: Tensor) -> Tensor:
        h = self.hidden(torch.cat([z, self.label(y)], dim=1))  # [B, widths[-1]]
        x: Tensor = self.out(h)
        return x.view(-1, *self.shape)


class Discriminator(nn.Module):
    """Samples [B, *shape] and y [B] -> logits [B], and what the head says of the class."""

    def __init__(
        self,
        shape: Sequence[int],
        *,
        widths: Sequence[int] = (256, 256),
        classes: int = 0,
        conditioning: Conditioning = "projection",
        act: Activation = "leaky-relu",
        norms: Norm = "none",
        mixing: Minibatch = "none",
    ):
        super().__init__()
        concatenated = classes if conditioning == "concatenation" else 0
        self.label = label(concatenated, LABEL_DIM)
        self.hidden = hidden(math.prod(shape) + (LABEL_DIM if concatenated else 0), widths, act, norms)
        self.beside, features = minibatch(mixing, widths[-1])
        self.head = head(features, classes, conditioning)

    def forward(self, x: Tensor, y: Tensor) -> Said:
        h = self.hidden(torch.cat([x.flatten(1), self.label(y)], dim=1))  # [B, widths[-1]]
        said: Said = self.head(self.beside(h), y)
        return said


def hidden(inputs: int, widths: Sequence[int], act: Activation, norms: Norm) -> nn.Sequential:
    layers: list[nn.Module] = []
    for before, after in zip([inputs, *widths[:-1]], widths, strict=True):
        layers += [nn.Linear(before, after), norm(norms, after, spatial=False), activation(act)]
    return nn.Sequential(*[layer for layer in layers if not isinstance(layer, nn.Identity)])
