"""The four-player game between two domains without pairs: CycleGAN (Zhu et al. 2017, arXiv:1703.10593).

Two games of `gan`, each of which begins with the pictures of the other's domain, and what ties them: a picture that
goes there and back is the picture that it was. In the paper's names there.G is G: X -> Y, there.D is D_Y, back.G is
F: Y -> X, and back.D is D_X. A file of its own because both generators move at once. Written from the paper; no code
was copied.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar

import torch
from torch import Tensor, nn
from torch.autograd.profiler import record_function as span  # two microseconds while nobody profiles

from equipoise.correspondences import distance_l1
from equipoise.ema import EMA
from equipoise.games.base import Batch, Signals, descend, detached, frozen, keep_statistics, means, nonfinite, set_pace
from equipoise.games.gan import GAN, Hand
from equipoise.knobs import Knobs

T = TypeVar("T")
BACK = "back_"  # before the names of what belongs to the way back


class Hands(NamedTuple):
    there: Hand
    back: Hand


@dataclass
class CycleGAN:
    """Both games have the same knobs, processes and optimizer of the generators, and count alike."""

    there: GAN
    back: GAN

    def step(self, reals: Iterator[Batch]) -> Signals:
        """One round: `d_steps` updates of each D, then `g_steps` of both generators together."""
        before, knobs = self.seen, self.knobs
        lost = g_lost = torch.zeros((), dtype=torch.long, device=self.there.latents.device)
        for left in reversed(range(knobs.d_steps)):
            there, back = self.update_D(list(self.deal(reals, graph=False)), last=left == 0)
            lost = lost + there["d_nonfinite"] + back["d_nonfinite"]
        for _ in range(knobs.g_steps):
            g_signals = self.update_G(self.deal(reals, graph=True))
            g_lost = g_lost + g_signals["g_nonfinite"]
        with span("average of G"):
            for game in self.games:
                game.ema.update(game.G, self.seen - before, self.seen, 1000 * knobs.ema_halflife_kimg, knobs.ema_ramp)
        shown = self.seen - before
        there |= self.there.pace.hear(there, shown, knobs, self.there.processes)
        back |= self.back.pace.hear(back, shown, knobs, self.back.processes)
        return there | of_way_back(back) | g_signals | {"d_nonfinite": lost, "g_nonfinite": g_lost}

    def deal(self, reals: Iterator[Batch], graph: bool) -> Iterator[Hands]:
        """Both games get the same batches, and see other sides of them."""
        for _ in range(self.knobs.accumulate):
            with span("real samples"):
                batch = next(reals)
            yield Hands(self.there.hand(batch, graph), self.back.hand(batch, graph))

    def update_D(self, dealt: list[Hands], last: bool) -> tuple[Signals, Signals]:
        """Each by its own hands; in the last update of a round it may be asked more."""
        asked = [game.pace.asked(game) if last else {} for game in self.games]
        there = self.there.update_D(counted_again(self.there, [hands.there for hands in dealt]))
        back = self.back.update_D(counted_again(self.back, [hands.back for hands in dealt]))
        return there | asked[0], back | asked[1]

    def update_G(self, dealt: Iterable[Hands]) -> Signals:
        """Both generators, by the sum of their losses."""
        knobs, there, told = self.knobs, self.there, list[Signals]()
        set_pace(there.g_opt, knobs.g_lr, knobs.beta2)
        for game in self.games:
            keep_statistics(game.D, knobs.frozen_norm, game.processes)
        with frozen(self.there.D, self.back.D):
            losses = (self.loss_of_G(hands, told) for hands in dealt)
            done = descend(there.g_opt, losses, knobs.clip_norm, knobs.clip_value, there.processes, "G descends")
        return means(told) | detached(g_grad_norm=done.norm, g_nonfinite=nonfinite(*done))

    def loss_of_G(self, hands: Hands, told: list[Signals]) -> Tensor:
        """Equations 1 to 3 of the paper, and that of its identity loss (section 5.2)."""
        knobs, of_there, of_back = self.knobs, list[Signals](), list[Signals]()
        loss = self.there.loss_of_G(hands.there, of_there) + self.back.loss_of_G(hands.back, of_back)
        asked: Signals = {}
        if knobs.cycle:
            cycle = self.off_after(self.back, hands.there) + self.off_after(self.there, hands.back)
            loss, asked["cycle"] = loss + knobs.cycle * cycle, cycle.detach()
        if knobs.identity:
            moved = self.moved(self.there, hands.there) + self.moved(self.back, hands.back)
            loss, asked["identity"] = loss + knobs.identity * moved, moved.detach()
        told.append(of_there[0] | of_way_back(of_back[0]) | asked)
        return loss

    def off_after(self, home: GAN, hand: Hand) -> Tensor:
        """How far a picture is off itself when `home` has brought it back: ||F(G(x)) - x||_1, a mean over pixels."""
        return distance_l1(home.made(hand.fake, hand.y, graph=True), hand.z).mean()

    def moved(self, game: GAN, hand: Hand) -> Tensor:
        """How far a picture that is of the domain already is moved: ||G(y) - y||_1."""
        return distance_l1(game.made(hand.real, hand.y, graph=True), hand.real).mean()

    @property
    def games(self) -> tuple[GAN, GAN]:
        return self.there, self.back

    @property
    def knobs(self) -> Knobs:
        return self.there.knobs

    @knobs.setter
    def knobs(self, knobs: Knobs) -> None:
        self.there.knobs = self.back.knobs = knobs

    @property
    def seen(self) -> int:
        """Reals of each domain shown to its D so far."""
        return self.there.seen

    @property
    def ema(self) -> EMA:
        return self.there.ema

    def sampler(self, z: Tensor, y: Tensor) -> Tensor:
        return self.there.sampler(z, y)

    def networks(self) -> dict[str, nn.Module]:
        return self.there.networks() | of_way_back(self.back.networks())

    def averages(self) -> dict[str, nn.Module]:
        return self.there.averages() | of_way_back(self.back.averages())

    def state_dict(self) -> dict[str, Any]:
        """The counters and the optimizer of G are those of the way there."""
        back = self.back.state_dict()
        for shared in ("g_opt", "seen", "drawn"):
            del back[shared]
        return self.there.state_dict() | of_way_back(back)

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.there.load_state_dict(state)
        shared = {name: state[name] for name in ("g_opt", "seen", "drawn")}
        back = {name.removeprefix(BACK): value for name, value in state.items() if name.startswith(BACK)}
        self.back.load_state_dict(back | shared)


def counted_again(game: GAN, hands: Sequence[Hand]) -> Iterator[Hand]:
    """Each when as many fakes were made as when it was dealt: what is drawn for it has an index of its own."""
    game.count(-sum(len(hand.z) for hand in hands))
    for hand in hands:
        game.count(len(hand.z))
        yield hand


def of_way_back(values: dict[str, T]) -> dict[str, T]:
    return {f"{BACK}{name}": value for name, value in values.items()}
