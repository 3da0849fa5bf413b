"""SqueezeNet v1.0 (Iandola et al. 2016, arXiv:1602.07360, table 1), from weights trained on ImageNet.

The weights are an .npz of the 26 convolutions of the authors' Caffe model: `conv1`, `fire2/conv1x1_1` (squeeze),
`fire2/conv1x1_2` and `fire2/conv3x3_2` (expand), ..., `conv_final`, each with `.weight` [O, I, H, W] and `.bias` [O].
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import max_pool2d, relu

from equipoise.encoders.encoder import Look, checked, in_pieces
from equipoise.encoders.resize import CLEAN, clean_bicubic, coloured
from equipoise.encoders.weights import Weights, loaded

SIDE = 227
MEAN_BGR = (104.0, 117.0, 123.0)  # of ImageNet, on a scale of 0..255
FIRES = {2: (16, 64), 3: (16, 64), 4: (32, 128), 5: (32, 128), 6: (48, 192), 7: (48, 192), 8: (64, 256), 9: (64, 256)}
POOLED_AFTER = (4, 8)


class SqueezeNet(nn.Module):
    """Images [B, 3, 227, 227] in BGR minus their mean -> (features [B, 512], logits [B, 1000])."""

    def __init__(self) -> None:
        super().__init__()
        layers: dict[str, nn.Module] = {"conv1": nn.Conv2d(3, 96, 7, stride=2)}
        channels = 96
        for fire, (squeezed, expanded) in FIRES.items():
            layers[f"fire{fire}/conv1x1_1"] = nn.Conv2d(channels, squeezed, 1)
            layers[f"fire{fire}/conv1x1_2"] = nn.Conv2d(squeezed, expanded, 1)
            layers[f"fire{fire}/conv3x3_2"] = nn.Conv2d(squeezed, expanded, 3, padding=1)
            channels = 2 * expanded
        layers["conv_final"] = nn.Conv2d(channels, 1000, 1, padding=1)  # the pad is in the authors' model
        self.layers = nn.ModuleDict(layers)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        *_, h = self.maps(x)
        return h.mean((2, 3)), relu(self.layers["conv_final"](h)).mean((2, 3))

    def maps(self, x: Tensor) -> Iterator[Tensor]:
        """Those of conv1, and of each fire. Of images of any size from 19 pixels on."""
        h = relu(self.layers["conv1"](x))
        yield h
        h = pooled(h)
        for fire in FIRES:
            squeezed = relu(self.layers[f"fire{fire}/conv1x1_1"](h))
            h = relu(torch.cat([self.layers[f"fire{fire}/{conv}"](squeezed) for conv in ("conv1x1_2", "conv3x3_2")], 1))
            yield h
            h = pooled(h) if fire in POOLED_AFTER else h


def pooled(h: Tensor) -> Tensor:
    return max_pool2d(h, 3, 2, ceil_mode=True)  # Caffe rounds sizes up


class SqueezeNetEncoder:
    """Features [B, 512] (the mean of fire9) and logits [B, 1000]. Never to be compared with Inception's."""

    def __init__(self, weights: Weights, device: torch.device):
        with torch.device("meta"):  # draws no weights
            self.net = SqueezeNet()
        loaded(self.net.layers, weights, "SqueezeNet v1.0")
        self.device = device
        self.net.to(device)
        self.mean = torch.tensor(MEAN_BGR, device=device).view(3, 1, 1)
        self.protocol: Mapping[str, Any] = {
            "name": "squeezenet",
            "sha256": weights.sha256,
            "resizer": f"{CLEAN} to {SIDE} x {SIDE}",
            "range": "0..255 in BGR, minus (104, 117, 123)",
            "layer": "mean of fire9",
            "dimension": 512,
        }

    @torch.no_grad()
    def look(self, images: Tensor) -> Look:
        """uint8 [B, C, H, W], C 1 or 3 (RGB). Raises DataError for other images."""
        pieces = in_pieces(checked(images, "squeezenet", (1, 3)), self.device)
        features, logits = zip(*(self.net(self.prepared(piece)) for piece in pieces), strict=True)
        return Look(torch.cat(features).cpu(), torch.cat(logits).cpu())

    def prepared(self, images: Tensor) -> Tensor:
        x = coloured(clean_bicubic(images, SIDE)).flip(1) - self.mean  # RGB -> BGR
        return x.contiguous(memory_format=torch.channels_last)  # 27 images/s on one core, 18 as [C, H, W]
