"""Blocks of a transformer, norms before attention (Xiong et al. 2020, arXiv:2002.04745), without dropout: nothing
random has state here.

What a block needs of the places before is kept, so that a sentence that is written word by word is not read again for
each of them.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import gelu, scaled_dot_product_attention


class Heed(nn.Module):
    """Attention of several heads: what stands in x [B, T, C] heeds what was kept of another place."""

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.heads = heads
        self.query, self.key = nn.Linear(width, width), nn.Linear(width, width, bias=False)
        self.value, self.out = nn.Linear(width, width), nn.Linear(width, width)

    def keep(self, x: Tensor) -> Tensor:
        """Keys and values of x [B, S, C]. [2, B, S, C]."""
        return torch.stack([self.key(x), self.value(x)])

    def forward(self, x: Tensor, kept: Tensor, allowed: Tensor | None) -> Tensor:
        """`allowed` is bool [B or 1, 1, T or 1, S]; None: all of it."""
        query, key, value = (
            part.unflatten(2, (self.heads, -1)).transpose(1, 2)  # [B, heads, T or S, C / heads]
            for part in (self.query(x), kept[0], kept[1])
        )
        seen = scaled_dot_product_attention(query, key, value, attn_mask=allowed)
        out: Tensor = self.out(seen.transpose(1, 2).flatten(2))
        return out


class Block(nn.Module):
    """Residual branches in turn: attention to the sentence itself, to another one where there is one, and an MLP."""

    def __init__(self, width: int, heads: int, heeds_another: bool = False):
        super().__init__()
        self.norm, self.itself = nn.LayerNorm(width), Heed(width, heads)
        self.norm_another = nn.LayerNorm(width) if heeds_another else nn.Identity()
        self.another = Heed(width, heads) if heeds_another else None
        self.norm_mlp = nn.LayerNorm(width)
        self.wide, self.narrow = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(
        self, x: Tensor, allowed: Tensor | None, past: Tensor | None = None, another: Tensor | None = None,
        allowed_another: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:  # fmt: skip
        """x [B, T, C] behind a `past` [2, B, t, C], heeding what was kept of `another`; and the past behind x."""
        normed = self.norm(x)
        kept = self.itself.keep(normed) if past is None else torch.cat([past, self.itself.keep(normed)], 2)
        x = x + self.itself(normed, kept, allowed)
        if self.another is not None and another is not None:
            x = x + self.another(self.norm_another(x), another, allowed_another)
        return x + self.narrow(gelu(self.wide(self.norm_mlp(x)))), kept


def before(new: int, past: int, device: torch.device) -> Tensor:
    """Which places each of `new` ones may heed, behind `past` others: all before it, and itself. bool [1, 1, T, S]."""
    return torch.ones(new, past + new, dtype=torch.bool, device=device).tril(past)[None, None]
