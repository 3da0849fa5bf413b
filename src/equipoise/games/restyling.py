"""The game in which sentences of several styles, without pairs, are told in one another's style: the Style Transformer
(Dai et al. 2019, arXiv:1905.05621), its Algorithms 1 and 2 with the multi-class discriminator.

A file of its own because D names styles, where that of `gan` tells reals from fakes, and because G is taught by three
tasks at once: to say a sentence again in its own style, to bring back what it has restyled, and to be taken for the
style that was asked for. Written from the paper; no code was copied.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor, nn
from torch.autograd.profiler import record_function as span  # two microseconds while nobody profiles
from torch.nn.functional import cross_entropy
from torch.optim import Optimizer

from equipoise.ema import EMA
from equipoise.games.base import (
    Batch,
    Signals,
    average_of_two,
    descend,
    detached,
    frozen,
    load_state_of_two,
    means,
    nonfinite,
    set_pace,
    state_of_two,
)
from equipoise.knobs import Knobs
from equipoise.processes import ALONE, Processes
from equipoise.streams import Stream

IGNORED = -100  # in the place of a word that nobody is asked for


class Restyler(Protocol):
    """What the game asks of G beside being a module: see `nets.restyler`."""

    def __call__(self, x: Tensor, y: Tensor) -> Tensor:
        """x [B, T] in the style y [B], soft: [B, T, V]."""
        ...

    def read_along(self, x: Tensor, y: Tensor, written: Tensor) -> Tensor:
        """Logits [B, T, V] of each word of `written` [B, T] after those before it."""
        ...


class Hand(NamedTuple):
    """What a player is dealt for one loss."""

    x: Tensor  # [B, T] words
    y: Tensor  # [B] their style
    other: Tensor  # [B] another one
    due: Tensor  # [B, T] x, with IGNORED behind its end


@dataclass
class Restyling:
    """Of the knobs, `identity` weighs the first task, `cycle` the second, `adversarial` the third; at first the paper
    plays the first alone, which is a schedule of the other two."""

    G: nn.Module  # a Restyler
    D: nn.Module  # D(x) -> logits [B, styles + 1]; the last: of no style, it was restyled
    g_opt: Optimizer
    d_opt: Optimizer
    ema: EMA
    styles: int
    end: int  # the word that ends a sentence
    asked: Stream  # which other style, by the index of the first sentence of a draw
    knobs: Knobs
    processes: Processes = ALONE
    seen: int = 0  # sentences shown to D
    drawn: int = 0  # other styles drawn

    def step(self, reals: Iterator[Batch]) -> Signals:
        """One round: `d_steps` updates of D (Algorithm 1), then `g_steps` of G (Algorithm 2)."""
        before, knobs = self.seen, self.knobs
        lost = torch.zeros((), dtype=torch.long, device=self.asked.device)
        for _ in range(knobs.d_steps):
            d_signals = self.update_D(self.deal(reals))
            lost = lost + d_signals["d_nonfinite"]
        for _ in range(knobs.g_steps):
            g_signals = self.update_G(self.deal(reals))
        with span("average of G"):
            self.ema.update(self.G, self.seen - before, self.seen, 1000 * knobs.ema_halflife_kimg, knobs.ema_ramp)
        return d_signals | g_signals | {"d_nonfinite": lost}

    def deal(self, reals: Iterator[Batch]) -> Iterator[Hand]:
        for _ in range(self.knobs.accumulate):
            with span("real samples"):
                x, y = next(reals)
            behind = x.eq(self.end).cumsum(1) - x.eq(self.end).long() > 0
            yield Hand(x, y, self.another(y), x.masked_fill(behind, IGNORED))

    def another(self, y: Tensor) -> Tensor:
        """A style that is not y [B], each as likely as the next: a function of (seed, how many were drawn before)."""
        generator, whole = self.asked.at(self.drawn), len(y) * self.processes.count
        self.drawn += whole
        steps = torch.randint(1, self.styles, (whole,), generator=generator, device=generator.device)
        return (y + self.processes.part(steps)) % self.styles

    def update_D(self, hands: Iterable[Hand]) -> Signals:
        knobs, told = self.knobs, list[Signals]()
        set_pace(self.d_opt, knobs.d_lr, knobs.beta2)
        losses = (self.loss_of_D(hand, told) for hand in hands)
        done = descend(self.d_opt, losses, knobs.clip_norm, knobs.clip_value, self.processes, "D descends")
        return means(told) | detached(d_grad_norm=done.norm, d_nonfinite=nonfinite(*done))

    def loss_of_D(self, hand: Hand, told: list[Signals]) -> Tensor:
        """A sentence, and what G makes of it in its own style, are of that style; what is restyled is of none."""
        with torch.no_grad():
            own, restyled = self.G(hand.x, hand.y), self.G(hand.x, hand.other)
        of_real, of_own, of_restyled = self.D(hand.x), self.D(own), self.D(restyled)
        none = torch.full_like(hand.y, self.styles)
        loss = cross_entropy(of_real, hand.y) + cross_entropy(of_own, hand.y) + cross_entropy(of_restyled, none)
        self.seen += len(hand.x) * self.processes.count
        told.append(detached(
            d_loss=loss,
            style_accuracy=of_real[:, : self.styles].argmax(1).eq(hand.y).float().mean(),
            restyled_caught=of_restyled.argmax(1).eq(self.styles).float().mean(),
        ))  # fmt: skip
        return loss

    def update_G(self, hands: Iterable[Hand]) -> Signals:
        knobs, told = self.knobs, list[Signals]()
        set_pace(self.g_opt, knobs.g_lr, knobs.beta2)
        with frozen(self.D):
            losses = (self.loss_of_G(hand, told) for hand in hands)
            done = descend(self.g_opt, losses, knobs.clip_norm, knobs.clip_value, self.processes, "G descends")
        return means(told) | detached(g_grad_norm=done.norm, g_nonfinite=nonfinite(*done))

    def loss_of_G(self, hand: Hand, told: list[Signals]) -> Tensor:
        """Equations 6, 7 and 9 of the paper, with their weights."""
        knobs = self.knobs
        identity = self.surprise(hand.x, hand)
        loss, signals = knobs.identity * identity, {"identity": identity}
        if knobs.cycle or knobs.adversarial:
            restyled = self.G(hand.x, hand.other)
            signals["cycle"] = self.surprise(restyled, hand)
            signals["style"] = cross_entropy(self.D(restyled), hand.other)
            loss = loss + knobs.cycle * signals["cycle"] + knobs.adversarial * signals["style"]
        told.append(detached(g_loss=loss, **signals))
        return loss

    def surprise(self, told: Tensor, hand: Hand) -> Tensor:
        """-log p(x | told, the style of x), a mean over words, in nats."""
        logits = self.G.read_along(told, hand.y, hand.x)  # type: ignore[operator]  # a Restyler
        return cross_entropy(logits.flatten(0, 1), hand.due.flatten(), ignore_index=IGNORED)

    @torch.no_grad()
    def sampler(self, z: Tensor, y: Tensor) -> Tensor:
        """Sentences z [B, T] in the style y [B], at each place the likeliest word. [B, T]."""
        words: Tensor = self.ema.net(z, y).argmax(2)
        return words

    def networks(self) -> dict[str, nn.Module]:
        return {"G": self.G, "D": self.D}

    def averages(self) -> dict[str, nn.Module]:
        return average_of_two(self)

    def state_dict(self) -> dict[str, Any]:
        return state_of_two(self)

    def load_state_dict(self, state: dict[str, Any]) -> None:
        load_state_of_two(self, state)
