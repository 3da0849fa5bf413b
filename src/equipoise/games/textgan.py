"""The game of sentences: G first imitates, by maximum likelihood, and may then play against D.

Against D by Gumbel-softmax (RelGAN, Nie et al. 2019) or by policy gradient with rollouts (SeqGAN, Yu et al. 2017,
arXiv:1609.05473). A file of its own because tokens have no slope, and because the players take turns otherwise. One
that imitates to its end is a language model, the baseline of every text GAN. Written from the papers; no code copied.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, log_softmax
from torch.optim import Optimizer

from equipoise.ema import EMA
from equipoise.games.base import (
    Batch,
    Descent,
    Signals,
    average_of_two,
    descend,
    detached,
    frozen,
    load_state_of_two,
    nonfinite,
    set_pace,
    state_of_two,
)
from equipoise.knobs import Knobs
from equipoise.losses import LOSSES
from equipoise.processes import ALONE, Processes
from equipoise.streams import Stream

Against = Literal["gumbel", "policy"]  # how G learns from D


class Speaker(Protocol):
    """What the game asks of G: see `nets.language`."""

    words: int
    length: int

    def __call__(self, z: Tensor, y: Tensor, begun: Tensor | None = None) -> Tensor: ...

    def logits(self, tokens: Tensor, y: Tensor) -> Tensor: ...

    def states(self, tokens: Tensor, y: Tensor) -> Tensor: ...

    def out(self, states: Tensor) -> Tensor: ...

    def soft(self, noise: Tensor, y: Tensor, beta: float) -> Tensor: ...


@dataclass
class TextGAN:
    """Sentences are tokens [B, L] with zeros behind; `seen` counts real ones, shown to G first and then to D."""

    G: Any  # a Speaker, and a network
    D: nn.Module
    g_opt: Optimizer
    d_opt: Optimizer
    ema: EMA
    latents: Stream
    knobs: Knobs
    imitates: int  # real sentences, before D comes into play
    sentences: int  # of the whole run
    against: Against = "gumbel"
    beta: float = 1.0  # of Gumbel-softmax at the end of the run: the inverse of its temperature
    rollouts: int = 16  # that a sentence which is begun is completed by
    alone: int = 0  # real sentences behind those of imitation, in which D learns and G waits
    haste: float = 1.0  # how many times as fast G learns while it imitates
    processes: Processes = ALONE
    seen: int = 0
    drawn: int = 0

    def step(self, reals: Iterator[Batch]) -> Signals:
        """One round: `d_steps` updates of G that imitates; or as many of D, and then, once D was alone for long enough,
        `g_steps` of G."""
        before, knobs = self.seen, self.knobs
        signals = self.imitate(reals) if self.seen < self.imitates else self.compete(reals)
        self.ema.update(self.G, self.seen - before, self.seen, 1000 * knobs.ema_halflife_kimg, knobs.ema_ramp)
        return signals

    def imitate(self, reals: Iterator[Batch]) -> Signals:
        """Maximum likelihood."""
        set_pace(self.g_opt, self.haste * self.knobs.g_lr, self.knobs.beta2)
        lost = torch.zeros((), dtype=torch.long, device=self.latents.device)
        for _ in range(self.knobs.d_steps):
            self.count(real := next(reals))
            nats = surprise(self.G, *real)
            done = self.descend(self.g_opt, nats.sum() / self.shared(len(nats)), "G imitates")
            lost = lost + nonfinite(*done)
        return detached(g_loss=done.loss, nll=done.loss, g_grad_norm=done.norm, g_nonfinite=lost)

    def compete(self, reals: Iterator[Batch]) -> Signals:
        signals, waits = dict[str, Tensor](), self.seen < self.imitates + self.alone
        lost = g_lost = torch.zeros((), dtype=torch.long, device=self.latents.device)
        for _ in range(self.knobs.d_steps):
            signals = self.update_D(next(reals))
            lost = lost + signals["d_nonfinite"]
        if waits:
            return signals | {"d_nonfinite": lost}
        update = self.update_G if self.against == "gumbel" else self.update_G_by_policy
        for _ in range(self.knobs.g_steps):
            signals |= update(next(reals))
            g_lost = g_lost + signals["g_nonfinite"]
        return signals | {"d_nonfinite": lost, "g_nonfinite": g_lost}

    def update_D(self, real: Batch) -> Signals:
        set_pace(self.d_opt, self.knobs.d_lr, self.knobs.beta2)
        self.count(real)
        x, y = real
        with torch.no_grad():
            fake = self.soft(y) if self.against == "gumbel" else self.G(self.noise(len(y)), y)
        real_logits, fake_logits = self.D(x, y), self.D(fake, y)
        loss = LOSSES[self.knobs.loss].discriminator(real_logits, fake_logits).mean()
        done = self.descend(self.d_opt, loss, "D descends")
        return detached(
            d_loss=done.loss, d_grad_norm=done.norm, d_real=real_logits.mean(), d_fake=fake_logits.mean(),
            d_nonfinite=nonfinite(*done),
        )  # fmt: skip

    def update_G(self, real: Batch) -> Signals:
        """By the slope that Gumbel-softmax gives; the reals are those of a relativistic loss, and do not count."""
        set_pace(self.g_opt, self.knobs.g_lr, self.knobs.beta2)
        x, y = real
        with frozen(self.D):
            loss = LOSSES[self.knobs.loss].generator(self.D(x, y), self.D(self.soft(y), y)).mean()
            loss = loss + self.imitation(real)
            done = self.descend(self.g_opt, loss, "G descends")
        return detached(g_loss=done.loss, g_grad_norm=done.norm, g_nonfinite=nonfinite(*done))

    def update_G_by_policy(self, real: Batch) -> Signals:
        """REINFORCE (Williams 1992): each token is rewarded by what D says of the sentences that it leads to. SeqGAN,
        equations 4 and 8, less a baseline."""
        set_pace(self.g_opt, self.knobs.g_lr, self.knobs.beta2)
        y = real[1]
        fake = self.G(self.noise(len(y)), y)
        reward = self.rewards(fake, y)
        chances = log_softmax(self.G.logits(fake, y), -1).gather(-1, fake[..., None])[..., 0]
        said = spoken(fake)
        gain = (reward - self.baseline(reward, said)) * said
        loss = -(gain * chances).sum() / self.shared(said.sum()) + self.imitation(real)
        done = self.descend(self.g_opt, loss, "G descends")
        return detached(
            g_loss=done.loss, reward=reward[:, -1].mean(), g_grad_norm=done.norm, g_nonfinite=nonfinite(*done)
        )

    def imitation(self, real: Batch) -> Tensor | float:
        """-log p of reals a token, beside the game."""
        if not self.knobs.imitation:
            return 0.0
        nats = surprise(self.G, *real)
        loss: Tensor = self.knobs.imitation * nats.sum() / self.shared(len(nats))
        return loss

    def baseline(self, reward: Tensor, said: Tensor) -> Tensor:
        """The mean reward of all other sentences that say something at a place: what does not depend on a token leaves
        its slope without bias (Kool et al. 2019). 0 where there is no other. [B, L]."""
        own = torch.stack([reward * said, said])  # [2, B, L]
        self.processes.average([whole := own.sum(1)])
        rest = whole[:, None] * self.processes.count - own
        return rest[0] / rest[1].clamp(min=1)

    def shared(self, count: Tensor | int) -> Tensor:
        """A count of this process as its mean over all, so that each token weighs the same in whichever it is."""
        self.processes.average(
            [mean := torch.as_tensor(count, dtype=torch.float32, device=self.latents.device).clone()]
        )
        return mean

    @torch.no_grad()
    def rewards(self, fake: Tensor, y: Tensor) -> Tensor:
        """D's probability of real, of each sentence as far as it goes, over its completions by the average of G; of one
        that is over, its own. [B, L]."""
        found = self.reality(fake, y)[:, None].repeat(1, fake.shape[1])
        for t in range(1, fake.shape[1]):
            # for all, those that are over too: each process must draw as often as the others
            z = torch.stack([self.noise(len(y)) for _ in range(self.rollouts)])
            on = (fake[:, :t] != 0).all(1).nonzero()[:, 0]  # those that go on
            if len(on):
                told, begun = y[on].repeat(self.rollouts), fake[on, :t].repeat(self.rollouts, 1)
                whole = self.ema.net(z[:, on].flatten(0, 1), told, begun)
                found[on, t - 1] = self.reality(whole, told).view(self.rollouts, -1).mean(0)
        return found

    def reality(self, x: Tensor, y: Tensor) -> Tensor:
        """D's probability that sentences are real; of several views their mean. [B]."""
        chances: Tensor = self.D(x, y).sigmoid()
        return chances if chances.ndim == 1 else chances.mean(1)

    def soft(self, y: Tensor) -> Tensor:
        """Fakes with a slope, the sharper the later: RelGAN, section 2.2, beta^(part of the run)."""
        begun = self.imitates + self.alone
        part = (self.seen - begun) / max(1, self.sentences - begun)
        beta = self.beta ** min(max(part, 0.0), 1.0) / self.knobs.temperature
        fake: Tensor = self.G.soft(self.gumbel(len(y)), y, beta)
        return fake

    def noise(self, n: int) -> Tensor:
        """z of this process. [n, length]."""
        return self.draw(n, lambda shape, g: torch.randn(shape, generator=g, device=g.device), self.G.length)

    def gumbel(self, n: int) -> Tensor:
        """-log(-log u) of uniform u. [n, length, words]."""

        def make(shape: tuple[int, ...], g: torch.Generator) -> Tensor:
            u = torch.rand(shape, generator=g, device=g.device)
            return u.clamp_(min=1e-20).log_().neg_().log_().neg_()

        return self.draw(n, make, self.G.length, self.G.words)

    def draw(self, n: int, make: Any, *shape: int) -> Tensor:
        """Of the whole batch, of which this process keeps its part."""
        whole = make((n * self.processes.count, *shape), self.latents.at(self.drawn))
        self.drawn += len(whole)
        return self.processes.part(whole)

    def descend(self, optimizer: Optimizer, loss: Tensor, name: str) -> Descent:
        return descend(optimizer, [loss], self.knobs.clip_norm, self.knobs.clip_value, self.processes, name)

    def count(self, real: Batch) -> None:
        self.seen += len(real[0]) * self.processes.count

    def sampler(self, z: Tensor, y: Tensor) -> Tensor:
        """Tokens [B, L] of the averaged generator."""
        found: Tensor = self.ema.net(z, y)
        return found

    def networks(self) -> dict[str, nn.Module]:
        """Those that play: without a game against D, G alone."""
        return {"G": self.G} | ({"D": self.D} if self.imitates < self.sentences else {})

    def averages(self) -> dict[str, nn.Module]:
        return average_of_two(self)

    def state_dict(self) -> dict[str, Any]:
        return state_of_two(self)

    def load_state_dict(self, state: dict[str, Any]) -> None:
        load_state_of_two(self, state)


def surprise(G: Speaker, tokens: Tensor, y: Tensor) -> Tensor:
    """-log p in nats of each token that is said, the end included, as a list over all sentences [B, L]. [T]. What is
    behind the ends is not worked out: most of the time goes into logits."""
    tokens = tokens[:, : 1 + int((tokens != 0).sum(1).max())]
    said = spoken(tokens) > 0
    return cross_entropy(G.out(G.states(tokens, y)[said]), tokens[said], reduction="none")


def spoken(tokens: Tensor) -> Tensor:
    """1 for each token up to the first end, which is included; 0 behind. [B, L] float."""
    before = torch.cat([torch.ones_like(tokens[:, :1]), tokens[:, :-1]], 1)
    return (before != 0).float()
