"""The two-player game: one generator G against one discriminator D (Goodfellow et al. 2014, arXiv:1406.2661).

DCGAN, LSGAN, WGAN, WGAN-GP, hinge and R3GAN are settings of this file, not games of their own; so are pix2pix and CUT,
where what G begins with is a picture: see `dealing`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from itertools import chain
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.autograd.profiler import record_function as span  # two microseconds while nobody profiles
from torch.optim import Optimizer

from equipoise import penalties
from equipoise.ema import EMA
from equipoise.games import likeness, terms
from equipoise.games.adaptive import Adaptive, Steady
from equipoise.games.answers import Answer, Levels, heard, of_images
from equipoise.games.base import (
    Batch,
    Signals,
    average_of_two,
    descend,
    detached,
    filters,
    frozen,
    keep_statistics,
    load_state_of_two,
    means,
    nonfinite,
    set_pace,
    state_of_two,
    weights,
)
from equipoise.games.dealing import Dealing, from_noise
from equipoise.games.pool import NoPool, Pool
from equipoise.games.unrolling import unrolled
from equipoise.knobs import Knobs
from equipoise.losses import LOSSES, AdversarialLoss, ClassLoss, class_cross_entropy, least_squares, smoothed
from equipoise.processes import ALONE, Processes
from equipoise.streams import Stream

Precision = Callable[[], AbstractContextManager[Any]]
Call = Literal["real", "fake", "mixed", "held out"]  # what D is asked about; each has augmentations of its own
Judge = Callable[[Tensor, Tensor], Any]  # a D: (x, y) -> logits, or what answers.heard takes
Augment = Callable[[Tensor, Knobs, Call, int], Tensor]  # (x, knobs, call, latents drawn so far) -> x


def identity(x: Tensor, knobs: Knobs, call: Call, drawn: int) -> Tensor:
    return x


def nothing_seen(x: Tensor) -> list[Tensor]:
    """Without given weights."""
    return []


class Hand(NamedTuple):
    """What a player is dealt for one loss."""

    real: Tensor  # [B, ...]
    fake: Tensor  # [B, ...]
    y: Tensor  # [B] classes of both; or pictures, as `dealing` has it
    z: Tensor  # [B, z_dim] latents of the fakes; or pictures


@dataclass
class GAN:
    G: nn.Module  # G(z, y) -> samples [B, ...]
    D: nn.Module  # D(x, y) -> logits [B], or a PatchGAN map; or with evidence of the class: see answers.heard
    g_opt: Optimizer
    d_opt: Optimizer
    ema: EMA
    z_dim: int
    latents: Stream  # z, by the index of the first latent of a draw
    chords: Stream  # where the gradient penalty looks, by samples seen
    knobs: Knobs
    augment: Augment = identity
    vary: Augment = identity  # what a sample is like when D sees it again, for consistency
    class_loss: ClassLoss = class_cross_entropy
    pack: int = 1  # samples that D judges at once
    pace: Adaptive | Steady = field(default_factory=Steady)  # of the augmentation
    precision: Precision = nullcontext  # what the networks compute in; losses and weights are always float32
    homogeneous_D: bool = False  # D takes a bias for each sample and has no norms: see penalties.scored_by_euler
    shared_fakes: bool = False  # G's first step is judged on the fakes, reals and graph of D's last
    D_of_G: nn.Module | None = None  # D as G's step asks it, if compiled: nothing is differentiated twice there
    processes: Processes = ALONE
    seen: int = 0  # real samples shown to D
    drawn: int = 0  # latents drawn
    levels: Levels = field(default_factory=Levels)
    dealing: Dealing = from_noise
    pool: Pool | NoPool = field(default_factory=NoPool)  # fakes of the past
    perceive: Callable[[Tensor], list[Tensor]] = nothing_seen  # maps of a trained net: of content and given_style

    def step(self, reals: Iterator[Batch]) -> Signals:
        """One round (Algorithm 1): `d_steps` updates of D, then `g_steps` of G."""
        before, knobs = self.seen, self.knobs
        shared = self.shared_fakes and knobs.accumulate == 1
        lost = g_lost = torch.zeros((), dtype=torch.long, device=self.latents.device)
        for left in reversed(range(knobs.d_steps)):
            dealt = self.deal(reals, graph=shared and left == 0)
            last = list(dealt) if shared else []
            beside = self.pace.asked(self) if left == 0 else {}
            d_signals = self.update_D(last or dealt) | beside
            lost = lost + d_signals["d_nonfinite"]
        for i in range(knobs.g_steps):
            g_signals = self.update_G(last if last and i == 0 else self.deal(reals, graph=True))
            g_lost = g_lost + g_signals["g_nonfinite"]
        with span("average of G"):
            self.ema.update(self.G, self.seen - before, self.seen, 1000 * knobs.ema_halflife_kimg, knobs.ema_ramp)
        paced = self.pace.hear(d_signals, self.seen - before, knobs, self.processes)
        return d_signals | g_signals | {"d_nonfinite": lost, "g_nonfinite": g_lost} | paced

    def deal(self, reals: Iterator[Batch], graph: bool) -> Iterator[Hand]:
        """What one update is made on: `accumulate` batches of reals, and fakes of their classes, as they are needed."""
        for _ in range(self.knobs.accumulate):
            with span("real samples"):
                batch = next(reals)
            yield self.hand(batch, graph)

    def hand(self, batch: Batch, graph: bool) -> Hand:
        dealt = self.dealing(self, *batch)
        return Hand(dealt.real, self.made(dealt.z, dealt.y, graph), dealt.y, dealt.z)

    def update_D(self, hands: Iterable[Hand]) -> Signals:
        knobs, told = self.knobs, list[Signals]()
        set_pace(self.d_opt, knobs.d_lr, knobs.beta2)
        keep_statistics(self.D, knobs.frozen_norm, self.processes)
        losses = (self.loss_of_D(hand, told) for hand in hands)
        done = descend(self.d_opt, losses, knobs.clip_norm, knobs.clip_value, self.processes, "D descends")
        if knobs.clip_weights:
            penalties.clip_weights(self.D.parameters(), knobs.clip_weights)
        signals = means(told)
        self.processes.average(level := [signals["real_logit"].clone(), signals["fake_logit"].clone()])
        self.levels.update(*level)
        return signals | detached(d_grad_norm=done.norm, d_nonfinite=nonfinite(*done))

    def loss_of_D(self, hand: Hand, told: list[Signals]) -> Tensor:
        """With its penalties. Its signals are added to `told`."""
        knobs, loss, y = self.knobs, self.adversarial, hand.y
        last = (self.rounds(hand) + 1) % knobs.r1_every == 0
        real = hand.real.clone().requires_grad_(knobs.r1 > 0 and last)
        fake = self.pool.shown(hand.fake.detach(), self.drawn, self.processes).requires_grad_(knobs.r2 > 0)
        with span("D judges, penalties"):
            of_real, real_slope2 = self.scored(real, y, "real")
            of_fake, fake_slope2 = self.scored(fake, y, "fake")
            real_logits, fake_logits = of_real.logits, of_fake.logits
            d_loss = loss.discriminator(real_logits, fake_logits).mean()
            penalty, slopes = self.penalty_D(real, fake, y, real_slope2.mean(), fake_slope2.mean())
            penalty, asked = with_terms(penalty, terms.of_D(self, hand._replace(fake=fake), of_real, of_fake))
        self.seen += len(real) * self.processes.count

        right = (real_logits > 0).float().mean() + (fake_logits < 0).float().mean()
        told.append(slopes | asked | detached(
            d_loss=d_loss, d_penalty=penalty,
            real_logit=real_logits.mean(), fake_logit=fake_logits.mean(),
            d_accuracy=right / 2,  # says nothing about relativistic losses, whose logits may drift together
            paired_sign=(real_logits - fake_logits).sign().mean(),  # of independent pairs, for any loss
        ))  # fmt: skip
        return d_loss + penalty

    def update_G(self, hands: Iterable[Hand]) -> Signals:
        knobs, told = self.knobs, list[Signals]()
        set_pace(self.g_opt, knobs.g_lr, knobs.beta2)
        keep_statistics(self.D, knobs.frozen_norm, self.processes)
        with frozen(self.D):
            losses = (self.loss_of_G(hand, told) for hand in hands)
            done = descend(self.g_opt, losses, knobs.clip_norm, knobs.clip_value, self.processes, "G descends")
        return means(told) | detached(g_grad_norm=done.norm, g_nonfinite=nonfinite(*done))

    def loss_of_G(self, hand: Hand, told: list[Signals]) -> Tensor:
        """With its penalties. Its signals are added to `told`."""
        knobs, loss, y = self.knobs, self.adversarial, hand.y
        D = unrolled(self, hand, knobs.unroll) if knobs.unroll else self.D_of_G
        with span("D judges for G"):
            of_fake = self.ask(hand.fake, y, "fake", D)
            # the real logits matter to relativistic losses alone
            real_logits = self.judge(hand.real, y, "real", D) if loss.relativistic else of_fake.logits
            g_losses = loss.generator(real_logits, of_fake.logits)
            g_loss = terms.mean_of_best(g_losses, of_fake.logits, knobs.top_k, self.processes)
            penalty = weight_penalty(self.G, knobs.g_l1, knobs.g_l2, knobs.g_orthogonal)
            if knobs.adversarial != 1:
                g_loss = knobs.adversarial * g_loss
            penalty, asked = with_terms(penalty, chain(terms.of_G(self, hand, of_fake), likeness.of_G(self, hand)))
        told.append(asked | detached(g_loss=g_loss, g_penalty=penalty))
        return g_loss + penalty

    @property
    def adversarial(self) -> AdversarialLoss:
        return adversarial_loss(self.knobs)

    def generate(self, y: Tensor, graph: bool) -> Tensor:
        """Fakes of classes y [B] -> [B, ...] float32, of new latents; with the graph that G's step needs."""
        return self.made(self.z(len(y)), y, graph)

    def made(self, z: Tensor, y: Tensor, graph: bool) -> Tensor:
        """What G makes of latents [B, z_dim] and classes [B]: [B, ...] float32."""
        with span("G draws fakes"), torch.set_grad_enabled(graph), self.precision():
            fake: Tensor = self.G(z, y)
            return fake.float()

    def ask(self, x: Tensor, y: Tensor, call: Call, D: Judge | None = None) -> Answer:
        """The one door to D: no sample, real or fake, goes around the augmentation."""
        x, y = self.shown(x, y, call)
        with self.precision():
            answer = heard((self.D if D is None else D)(x, y))
        return of_images(answer) if self.adversarial.relativistic else answer

    def judge(self, x: Tensor, y: Tensor, call: Call, D: Judge | None = None) -> Tensor:
        """D's logits, float32."""
        return self.ask(x, y, call, D).logits

    def scored(self, x: Tensor, y: Tensor, call: Call) -> tuple[Answer, Tensor]:
        """What D says and, for samples that require grad, ||grad_x D||^2 [B]: R1 and R2 reuse the graph of D's step."""
        if not x.requires_grad:
            return self.ask(x, y, call), x.new_zeros(len(x))
        if self.homogeneous_D:
            with self.precision():
                logits, slope2 = penalties.scored_by_euler(self.D, lambda x: self.augmented(x, call), x, y)
                return heard(logits), slope2
        answer = self.ask(x, y, call)
        return answer, penalties.zero_centered(x, answer.logits)

    def shown(self, x: Tensor, y: Tensor, call: Call) -> tuple[Tensor, Tensor]:
        """What D sees of samples, and of the pictures that it is told with them, which are augmented alike."""
        return alike(lambda x: self.augmented(x, call), x, y)

    def seen_again(self, x: Tensor, y: Tensor, call: Call) -> tuple[Tensor, Tensor]:
        """What samples turn into when D sees them again, and the pictures that it is told with them."""
        return alike(lambda x: self.vary(x, self.knobs, call, self.drawn), x, y)

    def augmented(self, x: Tensor, call: Call) -> Tensor:
        """Latents are drawn for each batch of fakes, so (drawn, call) is a new index for each; fakes that both players
        share are augmented alike for both."""
        return self.augment(x, self.pace.turned(self.knobs), call, self.drawn)

    def penalty_D(
        self, real: Tensor, fake: Tensor, y: Tensor, real_slope2: Tensor, fake_slope2: Tensor
    ) -> tuple[Tensor, Signals]:
        """All penalties of D with their weights, and the slopes that they measured."""
        knobs, signals = self.knobs, {}
        total = weight_penalty(self.D, knobs.d_l1, knobs.d_l2)
        if real.requires_grad:
            total, signals["real_input_grad"] = total + knobs.r1_every * knobs.r1 / 2 * real_slope2, real_slope2.sqrt()
        if knobs.r2:
            total, signals["fake_input_grad"] = total + knobs.r2 / 2 * fake_slope2, fake_slope2.sqrt()
        if knobs.gp:
            whole = len(real) * self.processes.count // self.pack
            t = self.processes.part(torch.rand(whole, generator=self.chords.at(self.seen), device=real.device))
            t = t.repeat_interleave(self.pack)  # the chord between two packs
            off = penalties.one_centered(lambda x: self.judge(x, y, "mixed"), real, fake, t).mean()
            total, signals["chord_grad_off_one"] = total + knobs.gp * off, off.sqrt()
        return total, detached(**signals)

    def rounds(self, hand: Hand) -> int:
        """How many rounds' reals D has seen: while D descends those before this round, while G does this one's too.

        Lazy penalties are felt in the last of so many rounds, for that is when a multiple of something is passed: then
        a round that is recorded may tell them. By what was seen, which is state.
        """
        a_round = len(hand.y) * self.processes.count * self.knobs.d_steps * self.knobs.accumulate
        return self.seen // a_round

    def z(self, n: int) -> Tensor:
        """Latents N(0, 1) [n, z_dim] of this process, a function of (seed, how many all have drawn before)."""
        generator, whole = self.latents.at(self.drawn), n * self.processes.count
        self.count(n)
        return self.processes.part(torch.randn(whole, self.z_dim, generator=generator, device=generator.device))

    def count(self, n: int) -> None:
        """n fakes more are made: what is drawn for them has a new index."""
        self.drawn += n * self.processes.count

    @torch.no_grad()
    def sampler(self, z: Tensor, y: Tensor) -> Tensor:
        x: Tensor = self.ema.net(z, y)
        return x

    def networks(self) -> dict[str, nn.Module]:
        return {"G": self.G, "D": self.D}

    def averages(self) -> dict[str, nn.Module]:
        return average_of_two(self)

    def state_dict(self) -> dict[str, Any]:
        """All but the knobs, which belong to whoever turns them."""
        own = {"levels": self.levels.state_dict()} | self.pace.state_dict() | self.pool.state_dict()
        return state_of_two(self) | own

    def load_state_dict(self, state: dict[str, Any]) -> None:
        load_state_of_two(self, state)
        self.pace.load_state_dict(state)
        self.pool.load_state_dict(state)
        self.levels.load_state_dict(state["levels"])


def alike(change: Callable[[Tensor], Tensor], x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Samples changed, and the pictures that are told with them by the same draws; classes stay as they are."""
    if y.ndim == 1:
        return change(x), y
    both = change(torch.cat([x, y], 1))
    return both[:, : x.shape[1]], both[:, x.shape[1] :]


def adversarial_loss(knobs: Knobs) -> AdversarialLoss:
    """The pair of losses that these knobs ask for."""
    loss = least_squares(*knobs.ls_targets) if knobs.loss == "least-squares" else LOSSES[knobs.loss]
    return smoothed(loss, knobs.smooth_real, knobs.smooth_fake)


def with_terms(penalty: Tensor, asked: Iterable[terms.Term]) -> tuple[Tensor, Signals]:
    """The penalty with the terms that the knobs ask for, and the signals of these."""
    signals: Signals = {}
    for name, weight, value in asked:
        penalty, signals[name] = penalty + weight * value, value.detach()
    return penalty, signals


def weight_penalty(net: nn.Module, l1: float, l2: float, orthogonal: float = 0.0) -> Tensor:
    """l1 sum |w| + l2 sum w^2 / 2 over the weights of a network, and what its filters overlap."""
    total = torch.zeros((), device=next(net.parameters()).device)
    if l1:
        total = total + l1 * penalties.l1(weights(net))
    if l2:
        total = total + l2 * penalties.l2(weights(net))
    if orthogonal:
        total = total + orthogonal * penalties.orthogonal(filters(net))
    return total
