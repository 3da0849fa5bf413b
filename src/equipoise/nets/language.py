"""Sentences, token by token: G remembers by an LSTM (SeqGAN), a relational memory (RelGAN, Nie et al. 2019) or the
attention of a transformer (Vaswani et al. 2017, arXiv:1706.03762); D reads them by convolutions over one embedding
(TextCNN) or many (RelGAN). Written from the papers; no code was copied.

Token 0 stands before and behind each sentence. G is a function of z: one normal number for each token, whose place in
its distribution chooses the token.
"""

from __future__ import annotations

from typing import Literal, assert_never

import torch
from torch import Tensor, nn
from torch.nn.functional import linear, one_hot, pad

from equipoise.nets.transformer import Block, before

Cell = Literal["lstm", "relational", "transformer"]
FILTER_WIDTHS = (2, 3, 4, 5)  # tokens


class LSTM(nn.Module):
    """Hochreiter and Schmidhuber 1997."""

    def __init__(self, width_in: int, width: int):
        super().__init__()
        self.width, self.cell = width, nn.LSTM(width_in, width, batch_first=True)

    def begin(self, count: int) -> Tensor:
        """The state before the first token: what it puts out, and what it keeps. [2, B, width]."""
        return next(self.parameters()).new_zeros(2, count, self.width)

    def forward(self, x: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """x [B, T, width_in] -> h [B, T, width], and the state behind them."""
        h, (out, kept) = self.cell(x, (state[:1].contiguous(), state[1:].contiguous()))
        return h, torch.cat([out, kept])


class RelationalMemory(nn.Module):
    """Slots that attend to each other and to what comes (Santoro et al. 2018, section 3: arXiv:1806.01822)."""

    def __init__(self, width_in: int, width: int, slots: int = 1, heads: int = 2):
        super().__init__()
        self.slots, self.size, self.width = slots, width, slots * width
        self.attend = nn.MultiheadAttention(width, heads, batch_first=True)
        self.project, self.mlp = (
            nn.Linear(width_in, width),
            nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, width)),
        )
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.gates_of_x, self.gates_of_memory = nn.Linear(width, 2 * width), nn.Linear(width, 2 * width)

    def begin(self, count: int) -> Tensor:
        """Slots that are told apart: rows of the identity. [B, slots, size]."""
        start = torch.eye(self.slots, self.size, device=next(self.parameters()).device)
        return start.expand(count, -1, -1)

    def forward(self, x: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """x [B, T, width_in] -> h [B, T, slots * size], and the memory behind them."""
        found = []
        for new in self.project(x).split(1, 1):
            state = self.remember(state, new)
            found.append(state.flatten(1))
        return torch.stack(found, 1), state

    def remember(self, memory: Tensor, new: Tensor) -> Tensor:
        """Equations 5 to 10, the gates for whole slots of numbers."""
        both = torch.cat([memory, new], 1)
        seen = self.norm1(memory + self.attend(memory, both, both, need_weights=False)[0])
        seen = self.norm2(seen + self.mlp(seen))
        into, kept = (self.gates_of_x(new) + self.gates_of_memory(memory.tanh())).chunk(2, -1)
        memory = (kept + 1).sigmoid() * memory + into.sigmoid() * seen.tanh()
        return memory


class Transformer(nn.Module):
    """Its memory is all that came before."""

    def __init__(self, width_in: int, width: int, length: int, layers: int, heads: int):
        super().__init__()
        self.width, self.project, self.places = width, nn.Linear(width_in, width), nn.Embedding(length, width)
        self.blocks = nn.ModuleList(Block(width, heads) for _ in range(layers))
        self.norm = nn.LayerNorm(width)

    def begin(self, count: int) -> Tensor:
        """What is kept of no token. [layers, 2, B, 0, width]."""
        return self.places.weight.new_zeros(len(self.blocks), 2, count, 0, self.width)

    def forward(self, x: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """x [B, T, width_in] -> h [B, T, width], and what is kept of all so far."""
        past, new = state.shape[3], x.shape[1]
        seen = self.project(x) + self.places.weight[past : past + new]
        allowed, kept = before(new, past, x.device), list[Tensor]()
        for block, own in zip(self.blocks, state, strict=True):
            seen, of_block = block(seen, allowed, own)
            kept.append(of_block)
        return self.norm(seen), torch.stack(kept)


class Generator(nn.Module):
    temperature: Tensor

    def __init__(
        self, words: int, length: int, *, embedding: int, width: int, cell: Cell, slots: int = 1, heads: int = 2,
        layers: int = 2, classes: int = 0,
    ):  # fmt: skip
        """`words` are all tokens, token 0 included; sentences have at most `length`."""
        super().__init__()
        self.words, self.length = words, length
        self.embed = nn.Embedding(words, embedding)
        self.of_class = nn.Embedding(classes, embedding) if classes else None
        self.cell: LSTM | RelationalMemory | Transformer
        match cell:
            case "lstm":
                self.cell = LSTM(embedding, width)
            case "relational":
                self.cell = RelationalMemory(embedding, width, slots, heads)
            case "transformer":
                self.cell = Transformer(embedding, width, length, layers, heads)
            case other:
                assert_never(other)
        self.out = nn.Linear(self.cell.width, words)
        self.register_buffer("temperature", torch.ones(()))  # below 1 likely tokens are likelier still

    def logits(self, tokens: Tensor, y: Tensor) -> Tensor:
        """Of each token given those before it. tokens [B, L], y [B] -> [B, L, words]."""
        scores: Tensor = self.out(self.states(tokens, y))
        return scores

    def states(self, tokens: Tensor, y: Tensor) -> Tensor:
        """What the memory puts out before each token: `out` makes logits of it. [B, L, width]."""
        heard = torch.cat([torch.zeros_like(tokens[:, :1]), tokens[:, :-1]], 1)
        h: Tensor = self.cell(self.told(heard, y), self.cell.begin(len(tokens)))[0]
        return h

    def told(self, tokens: Tensor, y: Tensor) -> Tensor:
        """What the memory hears: [B, T] -> [B, T, embedding]."""
        heard: Tensor = self.embed(tokens)
        return heard if self.of_class is None else heard + self.of_class(y)[:, None]

    @torch.no_grad()
    def forward(self, z: Tensor, y: Tensor, begun: Tensor | None = None) -> Tensor:
        """Sentences of z [B, length] ~ N(0, 1) and classes y [B], with zeros behind each; `begun` [B, T] are its first
        tokens. [B, length] long."""
        begun = z.new_zeros(len(z), 0, dtype=torch.long) if begun is None else begun
        token, state, found = self.after(begun, y)
        alive, place = (begun != 0).all(1), torch.special.ndtr(z)  # uniform
        for t in range(len(found), self.length):
            scores, state = self.next(token, y, state)
            token = at_place(place[:, t], scores / self.temperature) * alive
            alive = token != 0
            found.append(token)
            if not alive.any():
                break
        return pad(torch.stack(found, 1), (0, self.length - len(found)))

    def after(self, begun: Tensor, y: Tensor) -> tuple[Tensor, Tensor, list[Tensor]]:
        """The token to be heard next [B], the state before it, and what is said so far, when a sentence is `begun`
        [B, T]: zeros behind its first one."""
        start = begun.new_zeros(len(begun), 1)
        said = begun * (torch.cat([start + 1, begun[:, :-1]], 1) != 0).cumprod(1)
        heard = torch.cat([start, said], 1)
        state = self.cell.begin(len(begun))
        if said.shape[1]:
            _, state = self.cell(self.told(heard[:, :-1], y), state)
        return heard[:, -1], state, list(said.unbind(1))

    def next(self, token: Tensor, y: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """One token [B] further: the logits of the next [B, words]."""
        h, state = self.cell(self.told(token[:, None], y), state)
        return self.out(h[:, 0]), state

    def soft(self, noise: Tensor, y: Tensor, beta: float) -> Tensor:
        """Sentences with a slope, softmax(beta (logits + noise [B, length, words])), of Gumbel noise; the likeliest
        token is heard next (RelGAN, section 2.2; Jang et al. 2017, arXiv:1611.01144). [B, length, words]."""
        token, state = noise.new_zeros(len(noise), dtype=torch.long), self.cell.begin(len(noise))
        alive, over, found = noise.new_ones(len(noise), 1), one_hot(token, self.words), list[Tensor]()
        for t in range(self.length):
            scores, state = self.next(token, y, state)
            scores = scores + noise[:, t]
            found.append(alive * (beta * scores).softmax(-1) + (1 - alive) * over)
            token = scores.argmax(-1) * alive[:, 0].long()
            alive = alive * (token != 0)[:, None]
        return torch.stack(found, 1)


def at_place(place: Tensor, logits: Tensor) -> Tensor:
    """The token in whose part of [0, 1] each place [B] lies, by the chances of logits [B, words]."""
    ends = logits.float().softmax(-1).cumsum(-1, dtype=torch.float64)
    return torch.searchsorted(ends, place.double()[:, None])[:, 0].clamp(max=logits.shape[-1] - 1)


class Discriminator(nn.Module):
    """Sees sentences by `views` embeddings, and judges each on its own (RelGAN, section 2.3); 1 view is a TextCNN (Kim
    2014, arXiv:1408.5882). Without the papers' dropout, whose draws would be state."""

    def __init__(
        self, words: int, length: int, *, embedding: int, views: int = 1, filters: int = 300, hidden: int = 100,
        classes: int = 0,
    ):  # fmt: skip
        super().__init__()
        self.size = embedding // views  # of each view
        # N(0, 1): by the start of a layer of so many inputs D would hear nothing at first
        self.embed = nn.Embedding(words, self.size * views)
        self.of_class = nn.Embedding(classes, hidden) if classes else None
        self.filters = nn.ModuleList(
            nn.Conv2d(1, filters, (n, self.size), stride=(1, self.size)) for n in FILTER_WIDTHS if n <= length
        )
        seen = filters * len(self.filters)
        self.gate, self.carry = nn.Linear(seen, seen), nn.Linear(seen, seen)  # a highway: Srivastava et al. 2015
        self.hidden, self.out = nn.Linear(seen, hidden), nn.Linear(hidden, 1)

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """Tokens [B, L], or their chances [B, L, words], and classes [B] -> logits [B], or [B, views]."""
        seen = x @ self.embed.weight if x.ndim == 3 else self.embed(x.long())  # [B, L, views * size]
        apart = seen.unflatten(2, (-1, self.size)).transpose(1, 2)  # [B, views, L, size]
        h = torch.cat([strongest(apart, layer) for layer in self.filters], 2)  # [B, views, filters of all]
        gate = self.gate(h).sigmoid()
        h = self.hidden(gate * self.carry(h).relu() + (1 - gate) * h)  # [B, views, hidden]
        logits: Tensor = self.out(h)[..., 0]
        if self.of_class is not None:
            logits = logits + (self.of_class(y)[:, None] * h).sum(-1)  # a projection: arXiv:1802.05637
        return logits[:, 0] if logits.shape[1] == 1 else logits


def strongest(x: Tensor, layer: nn.Module) -> Tensor:
    """What the filters of a convolution over tokens and all of their numbers answer where they answer most, behind a
    ReLU: x [B, views, L, size] -> [B, views, filters]. As a product of matrices, which is several times as fast as a
    convolution over one channel; the greatest is found before the bias and the ReLU, which change no order."""
    weight: Tensor = layer.weight  # type: ignore[assignment]  # [filters, 1, n, size]
    windows = x.unfold(2, weight.shape[2], 1).flatten(3)  # [B, views, L - n + 1, size * n]
    answers = linear(windows, weight[:, 0].transpose(1, 2).flatten(1)).amax(2)
    greatest: Tensor = (answers + layer.bias).relu()  # type: ignore[operator]
    return greatest
