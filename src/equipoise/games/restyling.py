"""The game in which sentences of several styles, without pairs, are told in one another's style.

A file of its own because D names styles, where that of `gan` tells reals from fakes, and because G is taught by several
tasks at once. What D and G are taught is a lesson: here that of the Style Transformer (Dai et al. 2019,
arXiv:1905.05621), its Algorithms 1 and 2 with the multi-class discriminator; in `aligning` that of the cross-aligned
autoencoder. Written from the papers; no code was copied.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
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
        """x [B, T] in the style y [B]: words [B, T]."""
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
    words: Tensor  # that are due, a mean over the processes


class Lesson(Protocol):
    """What the players are taught: losses, and what is told of them."""

    def of_D(self, game: Restyling, hand: Hand) -> tuple[Tensor, Signals]: ...

    def of_G(self, game: Restyling, hand: Hand) -> tuple[Tensor, Signals]: ...


@dataclass
class Restyling:
    """Of the knobs, `identity` weighs that a sentence is said again in its own style, `cycle` that a restyled one is
    brought back, `adversarial` what D says; at first the papers play the first alone, which is a schedule of the other
    two."""

    G: nn.Module  # a Restyler
    D: nn.Module  # as the lesson needs it
    g_opt: Optimizer
    d_opt: Optimizer
    ema: EMA
    styles: int
    end: int  # the word that ends a sentence
    asked: Stream  # which other style, by the index of the first sentence of a draw
    knobs: Knobs
    lesson: Lesson
    sentences: int = 0  # of the whole run
    beta: float = 1.0  # how sharp soft words are at the end of the run: the inverse of their temperature, at first 1
    processes: Processes = ALONE
    seen: int = 0  # sentences shown to D
    drawn: int = 0  # other styles drawn

    def step(self, reals: Iterator[Batch]) -> Signals:
        """One round: `d_steps` updates of D (Algorithm 1), then `g_steps` of G (Algorithm 2)."""
        before, knobs = self.seen, self.knobs
        lost = g_lost = torch.zeros((), dtype=torch.long, device=self.asked.device)
        for _ in range(knobs.d_steps):
            d_signals = self.update_D(self.deal(reals))
            lost = lost + d_signals["d_nonfinite"]
        for _ in range(knobs.g_steps):
            g_signals = self.update_G(self.deal(reals))
            g_lost = g_lost + g_signals["g_nonfinite"]
        with span("average of G"):
            self.ema.update(self.G, self.seen - before, self.seen, 1000 * knobs.ema_halflife_kimg, knobs.ema_ramp)
        return d_signals | g_signals | {"d_nonfinite": lost, "g_nonfinite": g_lost}

    def deal(self, reals: Iterator[Batch]) -> Iterator[Hand]:
        for _ in range(self.knobs.accumulate):
            with span("real samples"):
                x, y = next(reals)
            longest = self.processes.largest(int((x != self.end).sum(1).max()))
            x = x[:, : longest + 1]  # what is behind all ends costs time, and teaches nothing
            behind = x.eq(self.end).cumsum(1) - x.eq(self.end).long() > 0
            self.processes.average([words := (~behind).float().sum()])
            yield Hand(x, y, self.another(y), x.masked_fill(behind, IGNORED), words)

    def another(self, y: Tensor) -> Tensor:
        """A style that is not y [B], each as likely as the next: a function of (seed, how many were drawn before)."""
        generator, whole = self.asked.at(self.drawn), len(y) * self.processes.count
        self.drawn += whole
        steps = torch.randint(1, self.styles, (whole,), generator=generator, device=generator.device)
        return (y + self.processes.part(steps)) % self.styles

    def update_D(self, hands: Iterable[Hand]) -> Signals:
        knobs, told = self.knobs, list[Signals]()
        set_pace(self.d_opt, knobs.d_lr, knobs.beta2)
        hands = map(self.shown, hands)
        losses = (self.taught(self.lesson.of_D, hand, told) for hand in hands)
        done = descend(self.d_opt, losses, knobs.clip_norm, knobs.clip_value, self.processes, "D descends")
        return means(told) | detached(d_grad_norm=done.norm, d_nonfinite=nonfinite(*done))

    def update_G(self, hands: Iterable[Hand]) -> Signals:
        knobs, told = self.knobs, list[Signals]()
        set_pace(self.g_opt, knobs.g_lr, knobs.beta2)
        with frozen(self.D):
            losses = (self.taught(self.lesson.of_G, hand, told) for hand in hands)
            done = descend(self.g_opt, losses, knobs.clip_norm, knobs.clip_value, self.processes, "G descends")
        return means(told) | detached(g_grad_norm=done.norm, g_nonfinite=nonfinite(*done))

    def shown(self, hand: Hand) -> Hand:
        """To D, which counts."""
        self.seen += len(hand.x) * self.processes.count
        return hand

    def taught(
        self, lesson: Callable[[Restyling, Hand], tuple[Tensor, Signals]], hand: Hand, told: list[Signals]
    ) -> Tensor:  # fmt: skip
        loss, signals = lesson(self, hand)
        told.append(detached(**signals))
        return loss

    def surprise(self, logits: Tensor, hand: Hand) -> Tensor:
        """-log p of the sentence, a mean over the words of all processes, in nats."""
        nats = cross_entropy(logits.flatten(0, 1), hand.due.flatten(), ignore_index=IGNORED, reduction="sum")
        return nats / hand.words

    @property
    def sharpness(self) -> float:
        """Of soft words, now: it rises evenly by its logarithm."""
        return float(self.beta ** min(self.seen / max(1, self.sentences), 1.0))

    def sampler(self, z: Tensor, y: Tensor) -> Tensor:
        """Sentences z [B, T] in the style y [B], by the averaged generator. [B, T]."""
        words: Tensor = self.ema.net(z, y)
        return words

    def networks(self) -> dict[str, nn.Module]:
        return {"G": self.G, "D": self.D}

    def averages(self) -> dict[str, nn.Module]:
        return average_of_two(self)

    def state_dict(self) -> dict[str, Any]:
        return state_of_two(self)

    def load_state_dict(self, state: dict[str, Any]) -> None:
        load_state_of_two(self, state)


class OfWords:
    """The Style Transformer's. D(x) -> logits [B, styles + 1] of words or soft words; the last: of no style, it was
    restyled."""

    def of_D(self, game: Restyling, hand: Hand) -> tuple[Tensor, Signals]:
        """A sentence, and what G makes of it in its own style, are of that style; what is restyled is of none."""
        with torch.no_grad():
            own, restyled = (game.G.soft(hand.x, y, game.sharpness) for y in (hand.y, hand.other))  # type: ignore[operator]
        of_real, of_own, of_restyled = game.D(hand.x), game.D(own), game.D(restyled)
        none = torch.full_like(hand.y, game.styles)
        loss = cross_entropy(of_real, hand.y) + cross_entropy(of_own, hand.y) + cross_entropy(of_restyled, none)
        return loss, {
            "d_loss": loss,
            "d_right": of_real[:, : game.styles].argmax(1).eq(hand.y).float().mean(),
            "restyled_caught": of_restyled.argmax(1).eq(game.styles).float().mean(),
        }

    def of_G(self, game: Restyling, hand: Hand) -> tuple[Tensor, Signals]:
        """Equations 6, 7 and 9 of the paper, with their weights."""
        knobs = game.knobs
        identity = game.surprise(game.G.read_along(hand.x, hand.y, hand.x), hand)  # type: ignore[operator]
        loss, signals = knobs.identity * identity, {"identity": identity}
        if knobs.cycle or knobs.adversarial:
            restyled = game.G.soft(hand.x, hand.other, game.sharpness)  # type: ignore[operator]
            signals["cycle"] = game.surprise(game.G.read_along(restyled, hand.y, hand.x), hand)  # type: ignore[operator]
            signals["style"] = cross_entropy(game.D(restyled), hand.other)
            loss = loss + knobs.cycle * signals["cycle"] + knobs.adversarial * signals["style"]
        return loss, signals | {"g_loss": loss}
