"""How often D's samples are augmented: as the knobs say, or adapted to how easily D tells its reals from fakes.

Karras et al. 2020 (arXiv:2006.06676), section 3: p rises while r_t = E[sign D(real)] (eq. 1) is above a target, .6 in
the paper, and sinks below it, once every four batches, at a speed that takes p from 0 to 1 in 500,000 real samples. A
relativistic D has no absolute level, so its sign says nothing. Here r is E[sign(D(real) - D(fake))] of independent
pairs, which means the same for any loss: where both kinds of logits are normal, equally wide and on either side of 0,
r_t = .6 is r = .77. Written from the paper; no code was copied.

r sees that D wins, not why. Measured on 2026-11-25 with narrow DCGANs under the relativistic loss with R1 and R2, one
seed each, beside r_v (the paper's other figure, which asks D about held-out reals; 0: no overfitting, 1: nothing else):
r = .74 and sinking where D had 18,000 digits (r_v = .04), .96 where it had 270 (r_v = .57), but .69 and sinking where
it had 180 X-rays (r_v = .59). So a target of .6 is wiser than .77. With it p rose to .16 on these X-rays, and sank to
.03 as G caught up: r_v = .44. Held-out data would tell the rule better; the game has none.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from equipoise.games.base import Signals
from equipoise.knobs import Knobs
from equipoise.processes import Processes

ROUNDS = 4  # that are heard before p is moved
P_MOST = 0.8  # above this, augmentation leaks into samples (section 2.2)


class Steady:
    """The knobs as they are."""

    def turned(self, knobs: Knobs) -> Knobs:
        return knobs

    def hear(self, paired_sign: Tensor, shown: int, knobs: Knobs, processes: Processes) -> Signals:
        return {}

    def state_dict(self) -> dict[str, Any]:
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        pass


@dataclass
class Adaptive:
    """p is `knobs.augment_p`, schedules and all, and what the rule has added to it. The same in all processes."""

    added: float = 0.0
    shown: int = 0  # real samples since p was moved
    heard: list[Tensor | float] = field(default_factory=list)  # of each round since then

    def turned(self, knobs: Knobs) -> Knobs:
        """The knobs that D's samples are augmented by."""
        return knobs.model_copy(update={"augment_p": bounded(knobs.augment_p + self.added)})

    def hear(self, paired_sign: Tensor, shown: int, knobs: Knobs, processes: Processes) -> Signals:
        """Takes note of a round in which `shown` reals were shown to D, and tells its p. Waits for the device once in
        `ROUNDS` rounds. With `knobs.augment_target` at 0 what was added stays."""
        played: Signals = {"augment_p": paired_sign.new_tensor(self.turned(knobs).augment_p)}
        processes.average([whole := paired_sign.detach().clone()])
        self.heard.append(whole)
        self.shown += shown
        if len(self.heard) == ROUNDS:
            r, target = sum(map(float, self.heard)) / ROUNDS, knobs.augment_target
            way = ((r > target) - (r < target)) if target else 0  # 0 too where r is not a number
            p = bounded(knobs.augment_p + self.added + way * self.shown / (1000 * knobs.augment_speed_kimg))
            self.added, self.shown, self.heard = p - knobs.augment_p, 0, []
        return played

    def state_dict(self) -> dict[str, Any]:
        return {"augment": {"added": self.added, "shown": self.shown, "heard": [float(r) for r in self.heard]}}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        own = state["augment"]
        self.added, self.shown, self.heard = own["added"], own["shown"], list(own["heard"])


def bounded(p: float) -> float:
    return min(max(p, 0.0), P_MOST)
