"""Figures that need more of a run than its samples: its generator, or the whole game. Costly: only where asked for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from equipoise import build
from equipoise import config as c
from equipoise.data.hooks import Track, Warn
from equipoise.errors import ConfigError
from equipoise.evaluation import Figures
from equipoise.games.gan import GAN
from equipoise.generator import TrainedGenerator
from equipoise.knobs import scheduled
from equipoise.metrics import path_length
from equipoise.probes.duality import duality_gap
from equipoise.runs import checkpoint
from equipoise.runs.folder import RunFolder
from equipoise.training import Standing

PAIRS, MOVES = 2000, 200  # of near latents; of the opponents that are looked for
CPU = torch.device("cpu")


def of_the_generator(run: RunFolder, found: Path, trained: TrainedGenerator, track: Track, warn: Warn) -> Figures:
    """Perceptual path length, by pixels: LPIPS would need weights that are not here."""
    require_latents(run, "path_length")
    labels = trained.labels(PAIRS, None)

    def generate(z: Tensor) -> Tensor:
        return trained.G(z, labels[: len(z)])  # type: ignore[no-any-return]

    def distance(a: Tensor, b: Tensor) -> Tensor:
        return (a.double() - b.double()).square().flatten(1).mean(1)

    estimate = path_length(generate, distance, trained.nets.z_dim, PAIRS)
    return {"path_length": replace(estimate, protocol={**estimate.protocol, "distance": "mean square of -1..1 values"})}


def of_the_game(run: RunFolder, found: Path, trained: TrainedGenerator, track: Track, warn: Warn) -> Figures:
    """The duality gap, from the checkpoint's own players, on the data that they were trained on."""
    require_latents(run, "duality_gap")
    config, data = c.read(run.config), build.splits(c.read(run.config).data, track, warn)
    game = build.game(config, trained.form, CPU)
    assert isinstance(game, GAN), "others are refused above"
    game = restored(config, game, found)
    return {"duality_gap": duality_gap(game, build.batches(config, data, CPU), MOVES).gap}


def require_latents(run: RunFolder, figure: str) -> None:
    if (play := c.read(run.config).play) != "noise":
        raise ConfigError(f"{figure} is a figure of generators that begin with noise, and {run.path} has play={play}.")


def restored(config: c.TrainConfig, game: GAN, found: Path) -> GAN:
    state, manifest = checkpoint.load(found)
    game.load_state_dict(checkpoint.entries(state, "game"))
    standing, seen = Standing(config.knobs), manifest["seen"]
    standing.load_state_dict(checkpoint.entries(state, "loop"))
    game.knobs = scheduled(standing.unscheduled(seen), config.schedules, standing.progress(seen, config.images))
    return game


LIVE: Mapping[str, Callable[[RunFolder, Path, TrainedGenerator, Track, Warn], Figures]] = {
    "path_length": of_the_generator,
    "duality_gap": of_the_game,
}
