"""The cross-aligned autoencoder (Shen et al. 2017, arXiv:1705.09655): what a sentence means, as one vector, and a style
are told again by a recurrent net. D looks at the states of that net, and not at words.

Written from the paper; no code was copied. Of the paper differ: the reader is not told the style that it reads, so that
whoever restyles need not know it; one D has a head for each style in place of one D each; and there is no dropout,
whose draws would be state. A sentence is as in `nets.restyler`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import leaky_relu

from equipoise.nets.restyler import ended, unread

FILTER_WIDTHS = (3, 4, 5)  # places


class Told(NamedTuple):
    """A sentence, and the states in which it was told."""

    states: Tensor  # [B, T, width], zero behind the end
    logits: Tensor  # [B, T, V]


class Generator(nn.Module):
    """G(x, y): the sentence x in the style y. Shen et al. 2017, section 4."""

    def __init__(
        self, vocabulary: int, styles: int, *, embedding: int = 100, content: int = 500, style: int = 200
    ):  # fmt: skip
        super().__init__()
        self.words, self.styles = nn.Embedding(vocabulary, embedding), nn.Embedding(styles, style)
        self.start = nn.Parameter(torch.zeros(embedding))  # stands before the first word that is written
        self.reader = nn.GRU(embedding, content, batch_first=True)
        self.writer = nn.GRU(embedding, content + style, batch_first=True)
        self.out = nn.Linear(content + style, vocabulary)

    @torch.no_grad()
    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """Words [B, T]: the sentence x [B, T] in the style y [B], at each place the likeliest; zeros behind its end."""
        told = self.written(x, y, lambda logits: self.words(logits.argmax(1)))
        return ended(told.logits.argmax(2))

    def alone(self, x: Tensor, y: Tensor, beta: float = 1.0) -> Told:
        """Written without help: of each word what it may be, softmax(beta logits), is heard next."""
        return self.written(x, y, lambda logits: (beta * logits).softmax(1) @ self.words.weight)

    def along(self, x: Tensor, y: Tensor, written: Tensor) -> Told:
        """The same where `written` [B, T] is what is heard."""
        heard = torch.cat([self.start.expand(len(x), 1, -1), self.words(written)[:, :-1]], 1)
        states, _ = self.writer(heard, self.meant(x, y))
        return Told(states.masked_fill(unread(written)[..., None], 0), self.out(states))

    def read_along(self, x: Tensor, y: Tensor, written: Tensor) -> Tensor:
        """Logits [B, T, V] of each word of `written` [B, T] after those before it, where x is told in the style y."""
        return self.along(x, y, written).logits

    def written(self, x: Tensor, y: Tensor, heard: Callable[[Tensor], Tensor]) -> Told:
        state, last = self.meant(x, y), self.start.expand(len(x), 1, -1)
        states, logits = list[Tensor](), list[Tensor]()
        for _ in range(x.shape[1]):
            h, state = self.writer(last, state)
            states.append(h[:, 0])
            logits.append(self.out(states[-1]))
            last = heard(logits[-1])[:, None]
        scores = torch.stack(logits, 1)
        behind = unread(scores.argmax(2))[..., None]
        return Told(torch.stack(states, 1).masked_fill(behind, 0), scores)

    def meant(self, x: Tensor, y: Tensor) -> Tensor:
        """What x [B, T] says, and the style y [B] that it shall be told in. [1, B, content + style]."""
        states, _ = self.reader(self.words(x))
        last = (~unread(x)).sum(1) - 1  # the place of its end
        content = states[torch.arange(len(x), device=x.device), last]
        return torch.cat([content, self.styles(y)], 1)[None]


class Discriminator(nn.Module):
    """D(states, y): logits [B], whether states [B, T, width] in which something was told in the style y [B] are those
    of a sentence that is of this style (TextCNN: Kim 2014, arXiv:1408.5882)."""

    def __init__(self, width: int, styles: int, *, filters: int = 128):
        super().__init__()
        self.filters = nn.ModuleList(nn.Conv1d(width, filters, n, padding=n // 2) for n in FILTER_WIDTHS)
        self.out = nn.Linear(filters * len(FILTER_WIDTHS), styles)

    def forward(self, states: Tensor, y: Tensor) -> Tensor:
        x = states.transpose(1, 2)
        seen = torch.cat([leaky_relu(layer(x), 0.2).amax(2) for layer in self.filters], 1)
        logits: Tensor = self.out(seen).gather(1, y[:, None])[:, 0]
        return logits
