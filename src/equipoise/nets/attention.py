"""Self-attention over the pixels of feature maps."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import max_pool2d

from equipoise.nets.convolution import Conv2d


class SelfAttention(nn.Module):
    """x + gamma o(sum of softmax(f(x) . g(x)) h(x)), [B, C, H, W] in and out; gamma is at first 0.

    Zhang et al. 2019 (arXiv:1805.08318), eq. 1-3; keys and values at half the resolution, and values of C / 2 channels,
    as in BigGAN (Brock et al. 2019, arXiv:1809.11096). In plain products, for R1 differentiates them twice.
    """

    def __init__(self, channels: int):
        super().__init__()
        narrow, half = max(1, channels // 8), max(1, channels // 2)
        self.query = Conv2d(channels, narrow, 1, bias=False)
        self.key = Conv2d(channels, narrow, 1, bias=False)
        self.value = Conv2d(channels, half, 1, bias=False)
        self.out = Conv2d(half, channels, 1, bias=False)
        self.gamma = nn.Parameter(torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        query = self.query(x).flatten(2)  # [B, C / 8, H W]
        key = max_pool2d(self.key(x), 2).flatten(2)  # [B, C / 8, H W / 4]
        value = max_pool2d(self.value(x), 2).flatten(2)  # [B, C / 2, H W / 4]
        weight = (query.mT @ key).softmax(2)  # [B, H W, H W / 4]
        seen = (value @ weight.mT).unflatten(2, x.shape[2:])  # [B, C / 2, H, W]
        y: Tensor = x + self.gamma * self.out(seen)
        return y
