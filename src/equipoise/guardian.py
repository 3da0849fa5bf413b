"""The guardian: it looks at the samples and the players of a game, says what is wrong with them, and changes nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from equipoise.diagnosis.watch import Watch
from equipoise.games.gan import GAN
from equipoise.knobs import Change
from equipoise.probes.players import Bench, at_rest, standing
from equipoise.sight import Eyes
from equipoise.training import Sight

CHUNK = 256  # samples drawn at a time


class OfGame:
    """Watches a game of our own: the controller of a run under `--guardian watch`."""

    def __init__(self, eyes: Eyes | None, bench: Bench, z: Tensor, y: Tensor, watch: Watch):
        self.eyes, self.bench, self.z, self.y, self.watch = eyes, bench, z, y, watch
        self.before: Tensor | None = None  # features of G's samples at the look before, of the same latents

    def observe(self, seen: int, signals: Mapping[str, float]) -> Change | None:
        self.watch.heed(signals)
        return None

    @torch.no_grad()
    def look(self, game: GAN) -> Sight:
        """At the samples of the average of G, at those of G itself, and at the players."""
        told: list[float] = []
        found = standing(game, self.bench)
        if self.eyes is not None:
            signals, told = self.eyes.see(drawn(game.sampler, self.z, self.y))
            found |= signals | self.moved(game)
        news = self.watch.add(game.seen, found, told)
        return Sight(self.watch.history[-1].signals, told, news)

    def moved(self, game: GAN) -> dict[str, float]:
        """`motion`: how far the samples of the same latents went since the look before, over how far reals lie apart;
        `g_jsd`: the divergence of G's own samples, without the average."""
        assert self.eyes is not None
        with at_rest(game.G):
            now = self.eyes.place(drawn(game.G, self.bench.z, self.bench.y))
        real, before, self.before = self.eyes.yardstick.real, self.before, now.features
        if before is None:
            return {}
        apart = (real.features - real.features.roll(1, 0)).norm(dim=1).mean()
        return {"motion": float((now.features - before).norm(dim=1).mean() / apart)}

    def state_dict(self) -> dict[str, Any]:
        return self.watch.state_dict() | {"before": self.before}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.watch.load_state_dict(state)
        self.before = state["before"]


def drawn(G: Any, z: Tensor, y: Tensor) -> Tensor:
    pairs = zip(torch.split(z, CHUNK), torch.split(y, CHUNK), strict=True)
    return torch.cat([G(z, y).float() for z, y in pairs]).cpu()
