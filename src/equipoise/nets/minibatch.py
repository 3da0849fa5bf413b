"""Layers that let D see the samples of a batch beside each other: samples that are all alike give themselves away.

They mix the samples of a batch: `config` says what does not go with them. With several processes each sees the samples
of its own share.
"""

from __future__ import annotations

from typing import Literal, assert_never

import torch
from torch import Tensor, nn

Minibatch = Literal["none", "std", "discrimination"]
KERNELS, KERNEL_DIM = 16, 8  # measures of nearness that discrimination learns, and the dimensions of each


class MinibatchStd(nn.Module):
    """[B, C, H, W] -> [B, C + 1, H, W], and features [B, F] -> [B, F + 1]: how far the samples of a group differ.

    Karras et al. 2018 (arXiv:1710.10196), section 3: the standard deviation of each feature at each place over `group`
    samples, and the mean of these as one more channel. Groups are consecutive samples, so that processes that share a
    batch have the groups of the whole; samples left over are told of the last whole group.
    """

    def __init__(self, group: int = 4):
        super().__init__()
        self.group = group

    def forward(self, x: Tensor) -> Tensor:
        group = min(self.group, len(x))
        whole = len(x) // group * group
        groups = x[:whole].float().reshape(-1, group, *x.shape[1:])  # [B / group, group, C, ...]
        spread = (groups.var(1, correction=0) + 1e-8).sqrt().flatten(1).mean(1)  # [B / group]
        each = torch.cat([spread[:, None].expand(-1, group).flatten(), spread[-1:].expand(len(x) - whole)])  # [B]
        channel = each.to(x.dtype).view(-1, *[1] * (x.ndim - 1)).expand(-1, 1, *x.shape[2:])
        return torch.cat([x, channel], dim=1)


class MinibatchDiscrimination(nn.Module):
    """Features [B, F] -> [B, F + kernels]: how near the other samples of the batch are, by measures that D learns.

    Salimans et al. 2016 (arXiv:1606.03498), section 3.2: exp(-|M_i - M_j|_1) of projections M = f T; here a mean over
    the others and not a sum, so that it does not grow with the batch.
    """

    def __init__(self, features: int, kernels: int = KERNELS, dim: int = KERNEL_DIM):
        super().__init__()
        self.kernels = kernels
        self.project = nn.Linear(features, kernels * dim, bias=False)  # T

    def forward(self, features: Tensor) -> Tensor:
        m = self.project(features).float().view(len(features), self.kernels, -1).transpose(0, 1)  # [kernels, B, dim]
        near = torch.cdist(m, m, p=1).neg().exp()  # [kernels, B, B]; cannot be differentiated twice
        others = (near.sum(2) - 1) / max(1, len(features) - 1)  # without the sample itself
        return torch.cat([features, others.T.to(features.dtype)], dim=1)


def minibatch(name: Minibatch, features: int) -> tuple[nn.Module, int]:
    """The layer in front of D's head, and the number of features behind it."""
    match name:
        case "none":
            return nn.Identity(), features
        case "std":
            return MinibatchStd(), features + 1
        case "discrimination":
            return MinibatchDiscrimination(features), features + KERNELS
        case other:
            assert_never(other)
