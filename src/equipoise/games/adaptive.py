"""How often D's samples are augmented: as the knobs say, or adapted to how D stands to what it learns from.

Karras et al. 2020 (arXiv:2006.06676), section 3: p rises while a figure r is above a target, and sinks below it, once
every four batches, at a speed that takes p from 0 to 1 in 500,000 real samples. The paper has two figures (eq. 1).
Written from it; no code was copied.

r_t = E[sign D(real)] says how easily D tells what it learns from. A relativistic D has no absolute level, so its sign
says nothing. `Pairs` takes E[sign(D(real) - D(fake))] of independent pairs, which means the same for any loss: where
both kinds of logits are normal, equally wide and on either side of 0, r_t = .6 is r = .77.

r_v = (E[D(real)] - E[D(held out)]) / (E[D(real)] - E[D(fake)]) says how much of that is learnt by heart: 0 for nothing,
1 for all. It is the same however logits are moved or stretched, so it needs no level. `AgainstHeldOut` takes it, .5
being the target that its authors take: D is asked about one batch of held-out reals in four rounds. While
`knobs.focus` draws some reals oftener, the two kinds differ by more than that: nothing is heard, and p stays.

Pairs see that D wins, not why. Measured on 2026-11-25 with narrow DCGANs under the relativistic loss with R1 and R2,
one seed each: r = .74 and sinking where D had 18,000 digits (r_v = .04), .96 where it had 270 (r_v = .57), but .69 and
sinking where it had 180 X-rays (r_v = .59). No target tells the first from the third. At .6, p rose to .16 on these
X-rays, and sank to .03 as G caught up: r_v = .44.

Measured on 2026-11-26, narrow DCGANs on digits of 8 pixels, 800 rounds of 32, one seed each: with 1,437 digits r_v was
-.2 to .05 all the time; by held-out reals p stayed at 0, by pairs it rose to .28 and came back. With 60, held-out reals
let p begin when r_v passed .5 and held r_v at .49 to .56; by pairs p rose to .31 while r_v was below .2, and sank as
r_v rose. To ask D costs 1.5% of a step of `small-ada`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch import Tensor

from equipoise.games import unrolling
from equipoise.games.base import Batch, Signals
from equipoise.knobs import Knobs
from equipoise.processes import Processes

if TYPE_CHECKING:
    from equipoise.games.gan import GAN

ROUNDS = 4  # that are heard before p is moved
P_MOST = 0.8  # above this, augmentation leaks into samples (section 2.2)

HeldOut = Callable[[int], Batch]  # latents drawn so far -> reals that nobody learns from: this process's share


class Figure(Protocol):
    """What the rule hears: the sum of some numbers over the sum of others, a pair a round."""

    def target(self, knobs: Knobs) -> float:
        """What it is held against; 0 where it tells nothing."""
        ...

    def asked(self, game: GAN) -> Signals:
        """What D has to be asked beside the game, in the last of `ROUNDS` rounds, before it descends."""
        ...

    def of(self, told: Signals, processes: Processes) -> Tensor:
        """[2] of a round, the same in all processes."""
        ...


class Pairs:
    """How much oftener D is right about a pair of a real and a fake than wrong."""

    def target(self, knobs: Knobs) -> float:
        return knobs.augment_target

    def asked(self, game: GAN) -> Signals:
        return {}

    def of(self, told: Signals, processes: Processes) -> Tensor:
        processes.average([whole := told["paired_sign"].detach().clone()])
        return torch.stack([whole, torch.ones_like(whole)])


@dataclass(frozen=True)
class AgainstHeldOut:
    """r_v; of a round in which D was not asked, nothing."""

    held_out: HeldOut

    def target(self, knobs: Knobs) -> float:
        return 0 if knobs.focus else knobs.augment_target

    @torch.no_grad()
    def asked(self, game: GAN) -> Signals:
        """D answers with copies of its buffers: norms gather nothing from what is held out."""
        x, y = self.held_out(game.drawn)
        D = unrolling.asked(game.D, {name: b.clone() for name, b in game.D.named_buffers()})
        return {"held_out_logit": game.judge(x, y, "held out", D).mean()}

    def of(self, told: Signals, processes: Processes) -> Tensor:
        if "held_out_logit" not in told:
            return torch.zeros(2)
        means = torch.stack([told["real_logit"], told["held_out_logit"], told["fake_logit"]])
        processes.average([means])
        return means[0] - means[1:]


class Steady:
    """The knobs as they are."""

    def turned(self, knobs: Knobs) -> Knobs:
        return knobs

    def asked(self, game: GAN) -> Signals:
        return {}

    def hear(self, told: Signals, shown: int, knobs: Knobs, processes: Processes) -> Signals:
        return {}

    def state_dict(self) -> dict[str, Any]:
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        pass


@dataclass
class Adaptive:
    """p is `knobs.augment_p`, schedules and all, and what the rule has added to it. The same in all processes."""

    figure: Figure = field(default_factory=Pairs)
    added: float = 0.0
    shown: int = 0  # real samples since p was moved
    heard: list[Tensor | list[float]] = field(default_factory=list)  # [2] of each round since then

    def turned(self, knobs: Knobs) -> Knobs:
        """The knobs that D's samples are augmented by."""
        return knobs.model_copy(update={"augment_p": bounded(knobs.augment_p + self.added)})

    def asked(self, game: GAN) -> Signals:
        """What D says beside the game in this round."""
        return self.figure.asked(game) if self.figure.target(game.knobs) and len(self.heard) == ROUNDS - 1 else {}

    def hear(self, told: Signals, shown: int, knobs: Knobs, processes: Processes) -> Signals:
        """Takes note of a round in which `shown` reals were shown to D, and tells its p. Waits for the device once in
        `ROUNDS` rounds. With a target of 0 what was added stays."""
        played: Signals = {"augment_p": told["paired_sign"].new_tensor(self.turned(knobs).augment_p)}
        self.heard.append(self.figure.of(told, processes))
        self.shown += shown
        if len(self.heard) == ROUNDS:
            r, target = quotient(self.heard), self.figure.target(knobs)
            way = ((r > target) - (r < target)) if target else 0  # 0 too where r is not a number
            p = bounded(knobs.augment_p + self.added + way * self.shown / (1000 * knobs.augment_speed_kimg))
            self.added, self.shown, self.heard = p - knobs.augment_p, 0, []
        return played

    def state_dict(self) -> dict[str, Any]:
        heard = [[float(number) for number in pair] for pair in self.heard]
        return {"augment": {"added": self.added, "shown": self.shown, "heard": heard}}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        own = state["augment"]
        self.added, self.shown, self.heard = own["added"], own["shown"], list(own["heard"])


def quotient(pairs: list[Tensor | list[float]]) -> float:
    """0 where the divisor is not above 0: a D that takes fakes for more real than its reals knows nothing by heart."""
    above, below = (sum(float(pair[i]) for pair in pairs) for i in range(2))
    return above / below if below > 0 else 0 * below  # not a number stays so


def bounded(p: float) -> float:
    return min(max(p, 0.0), P_MOST)
