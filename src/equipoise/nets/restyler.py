"""From sentence to sentence: a G that says the same in another style, and a D that names the style of a sentence.

The Style Transformer (Dai et al. 2019, arXiv:1905.05621), written from the paper; no code was copied. It differs from
the paper in its blocks: see `nets.transformer`.

A sentence is T numbers of words, of which the first END is its last word and what follows is not read. Or it is soft:
at each place a distribution over the words, so that gradients of what is said of it reach whoever wrote it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn
from torch.nn.functional import embedding, one_hot

from equipoise.nets.transformer import Block, before

END = 0  # the word that ends a sentence


def unread(x: Tensor) -> Tensor:
    """Whether a place lies behind the end of a sentence x [B, T], or soft [B, T, V]. bool [B, T]."""
    ends = (x if x.ndim == 2 else x.argmax(2)) == END
    return ends.cumsum(1) - ends.long() > 0


def ended(words: Tensor) -> Tensor:
    """Sentences [B, T] with END alone behind their first END."""
    return words.masked_fill(unread(words), END)


class Reader(nn.Module):
    """What a sentence means, behind one token of its own that is put before it. [B, 1 + T, width]."""

    def __init__(self, vocabulary: int, length: int, width: int, heads: int, layers: int):
        super().__init__()
        self.words, self.places = nn.Embedding(vocabulary, width), nn.Embedding(length + 1, width)
        self.blocks = nn.ModuleList(Block(width, heads) for _ in range(layers))
        self.norm = nn.LayerNorm(width)

    def embedded(self, x: Tensor) -> Tensor:
        """Words [...], or soft ones [B, T, V]: then the mean of what they may be. [..., width]."""
        return x @ self.words.weight if x.is_floating_point() else embedding(x, self.words.weight)

    def forward(self, first: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
        """`first` is the token's [B, width]. Also which of the places are read, bool [B, 1, 1, 1 + T]."""
        seen = torch.cat([first[:, None], self.embedded(x)], 1) + self.places.weight[: x.shape[1] + 1]
        read = torch.cat([unread(x).new_ones(len(x), 1), ~unread(x)], 1)[:, None, None]
        for block in self.blocks:
            seen, _ = block(seen, read)
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

    @torch.no_grad()
    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """Words [B, T]: the sentence x [B, T] in the style y [B], at each place the likeliest; zeros behind its end."""
        return ended(torch.stack([logits.argmax(1) for logits in self.written(x, y, self.certain)], 1))

    def soft(self, x: Tensor, y: Tensor, beta: float = 1.0) -> Tensor:
        """Soft words [B, T, V], softmax(beta logits), each written after those before it, as many as x [B, T] or
        [B, T, V] has; y [B]."""
        written = self.written(x, y, lambda logits: self.likely(beta * logits))
        return torch.stack([(beta * logits).softmax(1) for logits in written], 1)

    def written(self, x: Tensor, y: Tensor, heard: Callable[[Tensor], Tensor]) -> Iterator[Tensor]:
        """Logits [B, V] of one word after the other; of those before it, what is `heard` of their logits."""
        meant, read = self.reader(self.styles(y), x)
        others = self.kept(meant)
        pasts: list[Tensor | None] = [None] * len(self.blocks)
        last = self.start.expand(len(x), 1, -1)
        for t in range(x.shape[1]):
            seen = last + self.reader.places.weight[t]
            for i, block in enumerate(self.blocks):
                seen, pasts[i] = block(seen, None, pasts[i], others[i], read)
            logits = self.out(self.norm(seen))[:, 0]
            yield logits
            last = heard(logits)[:, None]

    def certain(self, logits: Tensor) -> Tensor:
        """The embedding of the likeliest word."""
        return self.reader.embedded(logits.argmax(1))

    def likely(self, logits: Tensor) -> Tensor:
        """The mean embedding of what a word may be."""
        return logits.softmax(1) @ self.reader.words.weight

    def kept(self, meant: Tensor) -> list[Tensor]:
        """What each block heeds of the sentence that was read."""
        return [block.another.keep(meant) for block in self.blocks]  # type: ignore[operator, union-attr]

    def read_along(self, x: Tensor, y: Tensor, written: Tensor) -> Tensor:
        """Logits [B, T, V] of each word of `written` [B, T] after those before it, where x is told in the style y."""
        meant, read = self.reader(self.styles(y), x)
        told = self.reader.embedded(written)[:, :-1]
        seen = torch.cat([self.start.expand(len(x), 1, -1), told], 1) + self.reader.places.weight[: written.shape[1]]
        past = before(seen.shape[1], 0, seen.device)
        for block, other in zip(self.blocks, self.kept(meant), strict=True):
            seen, _ = block(seen, past, None, other, read)
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
