"""From sentence to sentence: a G that says the same in another style, and a D that names the style of a sentence.

The Style Transformer (Dai et al. 2019, arXiv:1905.05621), written from the paper; no code was copied. It differs from
the paper in that norms come before attention (Xiong et al. 2020, arXiv:2002.04745), and that there is no dropout:
nothing random has state here.

A sentence is T numbers of words, of which the first END is its last word and what follows is not read. Or it is soft:
at each place a distribution over the words, so that gradients of what is said of it reach whoever wrote it.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import embedding, gelu, one_hot, scaled_dot_product_attention

END = 0  # the word that ends a sentence


def unread(x: Tensor) -> Tensor:
    """Whether a place lies behind the end of a sentence x [B, T], or soft [B, T, V]. bool [B, T]."""
    ends = (x if x.ndim == 2 else x.argmax(2)) == END
    return ends.cumsum(1) - ends.long() > 0


class Heed(nn.Module):
    """Attention of several heads: what stands in x [B, T, C] heeds what stands in `to` [B, S, C]."""

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.heads = heads
        self.query, self.key = nn.Linear(width, width), nn.Linear(width, width, bias=False)
        self.value, self.out = nn.Linear(width, width), nn.Linear(width, width)

    def forward(self, x: Tensor, to: Tensor, allowed: Tensor | None) -> Tensor:
        """`allowed` is bool [B or 1, 1, T or 1, S]; None: all of it."""
        query, key, value = (
            part.unflatten(2, (self.heads, -1)).transpose(1, 2)  # [B, heads, T or S, C / heads]
            for part in (self.query(x), self.key(to), self.value(to))
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
        self, x: Tensor, allowed: Tensor, another: Tensor | None = None, allowed_another: Tensor | None = None
    ) -> Tensor:
        normed = self.norm(x)
        x = x + self.itself(normed, normed, allowed)
        if self.another is not None and another is not None:
            x = x + self.another(self.norm_another(x), another, allowed_another)
        out: Tensor = x + self.narrow(gelu(self.wide(self.norm_mlp(x))))
        return out


class Reader(nn.Module):
    """What a sentence means, behind one token of its own that is put before it. [B, 1 + T, width]."""

    def __init__(self, vocabulary: int, length: int, width: int, heads: int, layers: int):
        super().__init__()
        self.words, self.places = nn.Embedding(vocabulary, width), nn.Embedding(length + 1, width)
        self.blocks = nn.ModuleList(Block(width, heads) for _ in range(layers))
        self.norm = nn.LayerNorm(width)

    def embedded(self, x: Tensor) -> Tensor:
        """Words [B, T], or soft ones [B, T, V]: then the mean of what they may be. [B, T, width]."""
        return embedding(x, self.words.weight) if x.ndim == 2 else x @ self.words.weight

    def forward(self, first: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
        """`first` is the token's [B, width]. Also which of the places are read, bool [B, 1, 1, 1 + T]."""
        seen = torch.cat([first[:, None], self.embedded(x)], 1) + self.places.weight[: x.shape[1] + 1]
        read = torch.cat([unread(x).new_ones(len(x), 1), ~unread(x)], 1)[:, None, None]
        for block in self.blocks:
            seen = block(seen, read)
        return self.norm(seen), read


class Generator(nn.Module):
    """G(x, y): the sentence x in the style y. Dai et al. 2019, section 3.3.

    `length` is the most words of a sentence, its END among them; vocabulary and styles are counts.
    """

    def __init__(self, vocabulary: int, styles: int, length: int, *, width: int = 256, heads: int = 4, layers: int = 4):
        super().__init__()
        self.length = length
        self.styles = nn.Embedding(styles, width)
        self.reader = Reader(vocabulary, length, width, heads, layers)
        self.start = nn.Parameter(torch.zeros(width))  # stands before the first word that is written
        self.blocks = nn.ModuleList(Block(width, heads, heeds_another=True) for _ in range(layers))
        self.norm, self.out = nn.LayerNorm(width), nn.Linear(width, vocabulary)

    def forward(self, x: Tensor, y: Tensor, temperature: float = 1.0) -> Tensor:
        """Soft words [B, T, V], each written after those before it, as many as x [B, T] or [B, T, V] has; y [B]."""
        meant, read = self.reader(self.styles(y), x)
        written = self.start.expand(len(x), 1, -1)
        soft = list[Tensor]()
        for _ in range(x.shape[1]):
            soft.append((self.next_words(written, meant, read)[:, -1] / temperature).softmax(1))
            written = torch.cat([written, (soft[-1] @ self.reader.words.weight)[:, None]], 1)
        return torch.stack(soft, 1)

    def read_along(self, x: Tensor, y: Tensor, written: Tensor) -> Tensor:
        """Logits [B, T, V] of each word of `written` [B, T] after those before it, where x is told in the style y."""
        meant, read = self.reader(self.styles(y), x)
        before = self.reader.embedded(written)[:, :-1]
        return self.next_words(torch.cat([self.start.expand(len(x), 1, -1), before], 1), meant, read)

    def next_words(self, written: Tensor, meant: Tensor, read: Tensor) -> Tensor:
        """Logits [B, T, V] of the word behind each place of what is written [B, T, width]."""
        t = written.shape[1]
        seen = written + self.reader.places.weight[:t]
        past = torch.ones(t, t, dtype=torch.bool, device=seen.device).tril()[None, None]
        for block in self.blocks:
            seen = block(seen, past, meant, read)
        logits: Tensor = self.out(self.norm(seen))
        return logits


class Discriminator(nn.Module):
    """D(x): logits [B, styles + 1] of the style of a sentence x [B, T] or soft [B, T, V]; the last: of none, it was
    restyled. Dai et al. 2019, section 3.4.2, the multi-class discriminator."""

    def __init__(self, vocabulary: int, styles: int, length: int, *, width: int = 256, heads: int = 4, layers: int = 4):
        super().__init__()
        self.first = nn.Parameter(torch.zeros(width))
        self.reader = Reader(vocabulary, length, width, heads, layers)
        self.out = nn.Linear(width, styles + 1)

    def forward(self, x: Tensor) -> Tensor:
        seen, _ = self.reader(self.first.expand(len(x), -1), x)
        logits: Tensor = self.out(seen[:, 0])
        return logits


def soft(x: Tensor, vocabulary: int) -> Tensor:
    """Words [B, T] as distributions that are sure of them. [B, T, V]."""
    return one_hot(x, vocabulary).float()
