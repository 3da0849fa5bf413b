"""A discriminator that looks twice: at the whole picture, and closely at the place that was filled (Iizuka et al. 2017,
ACM TOG 36(4) 107, section 3.3: the global and the local one). Written from the paper; both judge patches."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from equipoise.nets.layers import Norm
from equipoise.nets.patchgan import PatchDiscriminator


class FocusedDiscriminator(nn.Module):
    """Pictures x [B, *shape] and y [B, given, H, W], whose last channel is the mask -> logits [B, 2, h, w].

    The local one sees the square of half the side around the middle of the mask; its map is repeated to the size of the
    global one's, so that in a mean over all logits both weigh the same. Widths as of `PatchDiscriminator`.

    Raises:
        ConfigError: where half the side is too small for one halving.
    """

    def __init__(
        self, shape: Sequence[int], *, given: int, width: int = 64, max_width: int = 512, layers: int = 3,
        norms: Norm = "none",
    ):  # fmt: skip
        super().__init__()
        channels, *sides = shape
        self.closer = [side // 2 for side in sides]
        self.whole = PatchDiscriminator(
            shape, given=given, width=width, max_width=max_width, layers=layers, norms=norms
        )
        self.local = PatchDiscriminator(
            (channels, *self.closer), given=given, width=width, max_width=max_width, layers=layers, norms=norms
        )

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        return self.logits_and_features(x, y)[0]

    def features(self, x: Tensor, y: Tensor) -> list[Tensor]:
        """The hidden maps of both."""
        return self.logits_and_features(x, y)[1]

    def logits_and_features(self, x: Tensor, y: Tensor) -> tuple[Tensor, list[Tensor]]:
        logits, features = self.whole.logits_and_features(x, y)
        rows, columns = (around(y[:, -1], axis, n) for axis, n in enumerate(self.closer))
        said, closely = self.local.logits_and_features(cut(x, rows, columns), cut(y, rows, columns))
        return torch.cat([logits, interpolate(said, logits.shape[2:], mode="nearest")], 1), features + closely


def around(mask: Tensor, axis: int, count: int) -> Tensor:
    """The `count` rows (axis 0) or columns (1) around the middle of each mask [B, H, W], inside the picture [B, count].

    Of an empty mask, those around the middle of the picture.
    """
    weight = (mask > 0.5).float().sum(2 - axis)  # [B, side]
    weight = torch.where(weight.any(1, keepdim=True), weight, torch.ones_like(weight))
    side = weight.shape[1]
    middle = (weight * torch.arange(side, device=mask.device)).sum(1) / weight.sum(1)
    first = (middle - (count - 1) / 2).round().long().clamp(0, side - count)
    return first[:, None] + torch.arange(count, device=mask.device)


def cut(x: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """[B, C, H, W], rows [B, h], columns [B, w] -> [B, C, h, w]."""
    one = torch.arange(len(x), device=x.device)[:, None, None, None]
    channel = torch.arange(x.shape[1], device=x.device)[:, None, None]
    return x[one, channel, rows[:, None, :, None], columns[:, None, None, :]]
