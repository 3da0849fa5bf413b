"""How far a game is from equilibrium: what each player could still win, moving alone."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass
from statistics import fmean, stdev

import torch
from torch import Tensor

from equipoise.games.base import Batch, descend, frozen
from equipoise.games.gan import GAN, adversarial_loss
from equipoise.metrics.estimate import Estimate, around

JUDGED = 20  # batches that the value of the game is taken over


@dataclass(frozen=True)
class DualityGap:
    """How much each player could still win by moving alone; both are 0 in equilibrium, and 0 or more elsewhere."""

    gap: Estimate  # max over D' of V(G, D') - min over G' of V(G', D): the sum of the two
    by_D: float  # what D wins in `steps` moves against this G
    by_G: float


def duality_gap(game: GAN, reals: Iterator[Batch], steps: int = 200) -> DualityGap:
    """Grnarova et al. 2019 (arXiv:1811.05512): a bound of how far the game is from equilibrium, in units of D's loss.

    V is minus D's loss. Each worst opponent is looked for in `steps` descents of a copy, from where the player stands
    now, so that the figure is a lower bound of the gap: costly, and comparable only for equal `steps`. The interval is
    of the batches that V is taken over. The game itself is not touched.
    """
    attacker, defender = copy.deepcopy(game), copy.deepcopy(game)
    for _ in range(steps):
        attacker.update_D(attacker.deal(reals, graph=False))
        maximize_d_loss(defender, *next(reals))
    batches = [next(reals) for _ in range(JUDGED)]
    values = {name: v(player, batches) for name, player in (("now", game), ("D", attacker), ("G", defender))}
    gaps = [best - worst for best, worst in zip(values["D"], values["G"], strict=True)]
    interval = around(fmean(gaps), stdev(gaps) / JUDGED**0.5, JUDGED - 1)
    seen = JUDGED * len(batches[0][0])
    protocol = {"metric": "duality_gap", "steps": steps, "value": f"minus D's {game.knobs.loss} loss"}
    return DualityGap(
        Estimate(fmean(gaps), *interval, seen, seen, protocol),
        by_D=fmean(values["D"]) - fmean(values["now"]),
        by_G=fmean(values["now"]) - fmean(values["G"]),
    )


def maximize_d_loss(game: GAN, real: Tensor, y: Tensor) -> None:
    """One step of G against the value itself, whatever its own loss is."""
    fake = game.generate(y, graph=True)
    with frozen(game.D):
        loss = adversarial_loss(game.knobs).discriminator(game.judge(real, y, "real"), game.judge(fake, y, "fake"))
    descend(game.g_opt, [-loss.mean()], game.knobs.clip_norm, game.knobs.clip_value)


@torch.no_grad()
def v(game: GAN, batches: list[Batch]) -> list[float]:
    """The value of the game on each of the batches: minus D's loss, without penalties."""
    player, loss = copy.deepcopy(game), adversarial_loss(game.knobs).discriminator
    player.drawn = 0  # the same latents for all players
    return [
        -loss(player.judge(real, y, "real"), player.judge(player.generate(y, graph=False), y, "fake")).mean().item()
        for real, y in batches
    ]
