"""Networks for records of flags or counts (medGAN, Choi et al. 2017, arXiv:1703.06490, section 3 and appendix).

A record has no slope from a 0 to a 1, so G draws a code, and the decoder of an autoencoder makes a record of it.
Written from the paper; no code was copied.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from equipoise.errors import ConfigError

Values = Literal["flags", "counts"]  # 0 or 1; or whole numbers from 0


class Generator(nn.Module):
    """z [B, z_dim] -> records [B, d], y is ignored: numbers in 0..1 or from 0, which have slopes; in `eval` whole ones.

    Each layer adds to what it is given (eq. 4 of the appendix), so all are as wide as z. The paper's layers have
    BatchNorm: sampled alone, by the means that training kept.

    Raises:
        ConfigError: for samples that are no rows.
    """

    def __init__(self, shape: Sequence[int], *, z_dim: int = 128, layers: int = 2, values: Values = "flags"):
        super().__init__()
        require_rows(shape)
        self.z_dim = z_dim
        self.layers = nn.ModuleList(
            nn.Sequential(nn.Linear(z_dim, z_dim, bias=False), nn.BatchNorm1d(z_dim)) for _ in range(layers)
        )
        self.code = code(values)
        self.decoder = Decoder(z_dim, shape[0], values)

    def forward(self, z: Tensor, y: Tensor) -> Tensor:
        h = z
        for i, layer in enumerate(self.layers):
            h = h + (self.code(layer(h)) if i == len(self.layers) - 1 else layer(h).relu())
        x: Tensor = self.decoder(h)
        return x if self.training else x.round()


class Decoder(nn.Module):
    """Codes [B, width] -> records [B, d]."""

    def __init__(self, width: int, columns: int, values: Values):
        super().__init__()
        self.linear = nn.Linear(width, columns)
        self.values = values

    def forward(self, h: Tensor) -> Tensor:
        logits: Tensor = self.linear(h)
        return logits.sigmoid() if self.values == "flags" else logits.relu()


class Autoencoder(nn.Module):
    """What the decoder is learned by, before the game: records [B, d] -> the same."""

    def __init__(self, decoder: Decoder):
        super().__init__()
        width, columns = decoder.linear.in_features, decoder.linear.out_features
        self.encoder = nn.Sequential(nn.Linear(columns, width), code(decoder.values))
        self.decoder = decoder

    def forward(self, x: Tensor) -> Tensor:
        made: Tensor = self.decoder(self.encoder(x))
        return made

    def losses(self, x: Tensor) -> Tensor:
        """Cross-entropy of flags (eq. 3), squared distance of counts (eq. 2), summed over columns. [B]."""
        made: Tensor = self(x)
        if self.decoder.values == "counts":
            return (made - x).square().sum(1)
        return torch.nn.functional.binary_cross_entropy(made, x, reduction="none").sum(1)


class Discriminator(nn.Module):
    """Records [B, d] -> logits [B], y is ignored: each is looked at beside the mean of its batch (section 3.3), so that
    a G that makes the same record again and again is told at once."""

    def __init__(self, shape: Sequence[int], *, widths: Sequence[int] = (256, 128)):
        super().__init__()
        require_rows(shape)
        layers: list[nn.Module] = []
        for before, after in zip([2 * shape[0], *widths[:-1]], widths, strict=True):
            layers += [nn.Linear(before, after), nn.ReLU()]
        self.layers = nn.Sequential(*layers, nn.Linear(widths[-1], 1))

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        logits: Tensor = self.layers(torch.cat([x, x.mean(0, keepdim=True).expand_as(x)], 1))
        return logits[:, 0]


def code(values: Values) -> nn.Module:
    """As the paper has it: tanh before flags, ReLU before counts."""
    return nn.Tanh() if values == "flags" else nn.ReLU()


def require_rows(shape: Sequence[int]) -> None:
    if len(shape) != 1:
        raise ConfigError(f"nets.kind=records makes rows [d], and this data has the shape {list(shape)}: use others.")
