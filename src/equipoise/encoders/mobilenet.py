"""MobileNetV2 1.0 without its classes (Sandler et al. 2018, arXiv:1801.04381, table 2), trained on ImageNet.

The weights are an .npz of the 52 convolutions in the order in which they are applied, batch norms folded in: `00_conv`,
`01_dw` (depthwise), `02_conv`, ..., `51_conv`, each with `.weight` [O, I, H, W] and `.bias` [O].
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import pad, relu6

from equipoise.encoders.encoder import Look, checked, in_pieces
from equipoise.encoders.resize import CLEAN, clean_bicubic, coloured
from equipoise.encoders.weights import Weights, loaded

SIDE = 224
BLOCKS = (  # expansion, channels, repeats, stride of the first: table 2
    (1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1),
)  # fmt: skip
STEM, HEAD = 32, 1280


class MobileNetV2(nn.Module):
    """Images [B, 3, 224, 224] in [-1, 1] -> features [B, 1280]."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleDict()
        self.stem = self.added("conv", nn.Conv2d(3, STEM, 3, stride=2))
        self.blocks: list[tuple[list[str], bool]] = []  # names of the layers, and whether there is a short cut
        channels = STEM
        for expansion, width, repeats, stride in BLOCKS:
            for i in range(repeats):
                names = self.bottleneck(channels, channels * expansion, width, 1 if i else stride)
                self.blocks.append((names, i > 0))
                channels = width
        self.head = self.added("conv", nn.Conv2d(channels, HEAD, 1))

    def bottleneck(self, channels: int, wide: int, width: int, stride: int) -> list[str]:
        """Wider, depthwise, narrower (section 3.3)."""
        depthwise = nn.Conv2d(wide, wide, 3, stride, padding=2 - stride, groups=wide)
        widen = [] if wide == channels else [self.added("conv", nn.Conv2d(channels, wide, 1))]
        return [*widen, self.added("dw", depthwise), self.added("conv", nn.Conv2d(wide, width, 1))]

    def added(self, kind: str, layer: nn.Conv2d) -> str:
        name = f"{len(self.layers):02d}_{kind}"
        self.layers[name] = layer
        return name

    def forward(self, x: Tensor) -> Tensor:
        h = relu6(self.applied(self.stem, x))
        for (*active, linear), short_cut in self.blocks:
            inner = h
            for name in active:
                inner = relu6(self.applied(name, inner))
            inner = self.applied(linear, inner)
            h = h + inner if short_cut else inner
        return relu6(self.applied(self.head, h)).mean((2, 3))

    def applied(self, name: str, h: Tensor) -> Tensor:
        layer = self.layers[name]
        if layer.stride == (2, 2):
            h = pad(h, (0, 1, 0, 1))  # TensorFlow's SAME for even sizes: all of it at the far edges
        out: Tensor = layer(h)
        return out


class MobileNetEncoder:
    """Features [B, 1280]. Never to be compared with Inception's."""

    def __init__(self, weights: Weights, device: torch.device):
        with torch.device("meta"):  # draws no weights
            self.net = MobileNetV2()
        loaded(self.net.layers, weights, "MobileNetV2 1.0")
        self.device = device
        self.net.to(device)
        self.protocol: Mapping[str, Any] = {
            "name": "mobilenet",
            "sha256": weights.sha256,
            "resizer": f"{CLEAN} to {SIDE} x {SIDE}",
            "range": "-1..1",
            "layer": "mean of the last convolution",
            "dimension": HEAD,
        }

    @torch.no_grad()
    def look(self, images: Tensor) -> Look:
        """uint8 [B, C, H, W], C 1 or 3 (RGB). Raises DataError for other images."""
        pieces = in_pieces(checked(images, "mobilenet", (1, 3)), self.device)
        return Look(torch.cat([self.net(self.prepared(piece)).cpu() for piece in pieces]))

    def prepared(self, images: Tensor) -> Tensor:
        x = coloured(clean_bicubic(images, SIDE)) / 127.5 - 1
        return x.contiguous(memory_format=torch.channels_last)  # 46 images/s on one core, 34 as [C, H, W]
