"""What the players of one game are dealt for a batch of the data: G begins with noise, or with a picture that it shall
turn into another.

A set of two domains has samples whose first channels are a picture of the one, and whose last are one of the other:
see `data.sides`. What is dealt decides what is learnt: pairs (pix2pix, Isola et al. 2017, arXiv:1611.07004), domains
without pairs (CUT, Park et al. 2020, arXiv:2007.15651; each half of CycleGAN, Zhu et al. 2017, arXiv:1703.10593), or a
content and a style.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol

import torch
from torch import Tensor


class Draws(Protocol):
    """What a dealing asks of the game."""

    def z(self, n: int) -> Tensor:
        """New latents [n, z_dim]."""
        ...

    def count(self, n: int) -> None:
        """n fakes more are made without latents: what is drawn for them has a new index."""
        ...


class Dealt(NamedTuple):
    real: Tensor  # [B, ...] what D takes for real
    y: Tensor  # what both players are told: classes [B], or pictures [B, C, H, W]
    z: Tensor  # what G begins with: latents [B, z_dim], or pictures [B, C, H, W]


Dealing = Callable[[Draws, Tensor, Tensor], Dealt]  # of (x [B, ...], y [B]) from the data


class Undrawn:
    """Of whoever only looks: nothing is drawn."""

    def z(self, n: int) -> Tensor:
        return torch.empty(n, 0)

    def count(self, n: int) -> None: ...


def from_noise(game: Draws, x: Tensor, y: Tensor) -> Dealt:
    return Dealt(x, y, game.z(len(y)))


def of_pairs(given: int) -> Dealing:
    """G turns the first `given` channels into the others, and D is told them, too."""

    def dealt(game: Draws, x: Tensor, y: Tensor) -> Dealt:
        game.count(len(x))
        a, b = x[:, :given], x[:, given:]
        return Dealt(b, a, a)

    return dealt


def of_domains(given: int) -> Dealing:
    """G turns the first `given` channels into what D shall take for one of the others."""

    def dealt(game: Draws, x: Tensor, y: Tensor) -> Dealt:
        game.count(len(x))
        return Dealt(x[:, given:], y, x[:, :given])

    return dealt


def of_domains_back(given: int) -> Dealing:
    """The other way."""

    def dealt(game: Draws, x: Tensor, y: Tensor) -> Dealt:
        game.count(len(x))
        return Dealt(x[:, :given], y, x[:, given:])

    return dealt


def of_sentences(game: Draws, x: Tensor, y: Tensor) -> Dealt:
    """G begins with a sentence x of the style y, and is told another style by whoever asks."""
    return Dealt(x, y, x)


def of_styles(given: int) -> Dealing:
    """G turns the first `given` channels into what has the style of the others, which it is told."""

    def dealt(game: Draws, x: Tensor, y: Tensor) -> Dealt:
        game.count(len(x))
        a, b = x[:, :given], x[:, given:]
        return Dealt(b, b, a)

    return dealt
