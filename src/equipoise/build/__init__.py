"""From a config to objects: the only place that chooses."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from equipoise import config as c
from equipoise import pictures
from equipoise.build import translating
from equipoise.build.classes import as_in_training as as_in_training
from equipoise.build.classes import class_counts as class_counts
from equipoise.build.classes import in_turns as in_turns
from equipoise.build.data import batches as batches
from equipoise.build.data import held_out as held_out
from equipoise.build.data import splits as splits
from equipoise.build.games import AnyGame as AnyGame
from equipoise.build.games import game as game
from equipoise.build.games import in_front_of_D as in_front_of_D
from equipoise.build.games import require_turnable as require_turnable
from equipoise.build.games import seen_again as seen_again
from equipoise.build.pixels import as_pixels as as_pixels
from equipoise.build.pixels import in_rows as in_rows
from equipoise.build.players import Form as Form
from equipoise.build.players import freeze as freeze
from equipoise.build.players import layout as layout
from equipoise.build.players import networks as networks
from equipoise.build.players import pack as pack
from equipoise.build.translating import dealt_of as dealt_of
from equipoise.build.translating import given_once as given_once
from equipoise.data import sides
from equipoise.data.source import Source, Splits, mixed
from equipoise.errors import ConfigError, MachineError
from equipoise.games.base import Game
from equipoise.pictures import Picture
from equipoise.streams import Stream

FIXED = 64  # samples in a grid
SHOWN = "fixed"  # the purpose of latents that are drawn as pictures


def form(config: c.TrainConfig, data: Splits) -> Form:
    """Raises ConfigError for data that cannot be played so."""
    translating.require_domains(config, data)
    if config.play != "noise":
        return translating.form(config.play, data)
    classes = data.train.classes if config.nets.conditioning != "none" else 0
    if config.nets.conditioning != "none" and not classes:
        raise ConfigError("nets.conditioning needs labels, and this data has none: set nets.conditioning=none.")
    counts = class_counts(data.train) if classes else ()
    return Form(data.train.shape, classes, vocabulary=data.vocabulary, class_counts=counts)


def reals(config: c.TrainConfig, form: Form, data: Splits, way: str = "") -> Splits:
    """What the samples of one way should be like: of two domains one, each of its pictures once."""
    if config.play in ("noise", "restyle"):
        return data
    made = translating.made_by(form, way)
    parts = (sides.domain(part, made) for part in (data.train, data.validation, data.test))
    return Splits(*parts, held_out=data.held_out)


class Begins(NamedTuple):
    """What G begins with, and what the players are told."""

    z: Tensor
    y: Tensor


def places(config: c.TrainConfig, form: Form, part: Source, indices: Tensor, way: str = "") -> Tensor:
    """A sample of a part for each of these of its `reals`."""
    if config.play in ("noise", "restyle"):
        return indices
    return sides.samples_with(part, translating.made_by(form, way), indices)


def begins(
    config: c.TrainConfig, form: Form, part: Source, n: int, purpose: str, device: torch.device, way: str = ""
) -> Begins:  # fmt: skip
    """The same n for each run with this seed: latents, with classes as often as in training, in turns where they are
    shown to people; or pictures of a part of the data, each once, as many as it has; or sentences of it, with another
    style for each."""
    if config.play == "noise":
        z = torch.randn(n, config.nets.z_dim, generator=Stream(config.seed, purpose).at(0))
        y = in_turns(n, form) if purpose == SHOWN else as_in_training(n, form)
        return Begins(z.to(device), y.to(device))
    if config.play == "restyle":
        x, y, _ = translating.dealt_of(config.play, form, mixed(part, n))
        return Begins(x.to(device), translating.others(y, form.classes).to(device))
    dealt = translating.dealt_of(config.play, form, mixed(translating.given_once(form, part, way), n), way)
    return Begins(dealt.z.to(device), dealt.y.to(device))


def directions(config: c.TrainConfig, z: Tensor) -> Tensor:
    """N(0, 1), as many and as long as z: ways in which it can be moved."""
    return torch.randn(z.shape, generator=Stream(config.seed, "watching/step").at(0)).to(z.device)


def device(machine: c.Machine) -> torch.device:
    """Raises MachineError when the device that was asked for is not there."""
    if machine.device == "cuda" and not torch.cuda.is_available():
        raise MachineError("machine.device=cuda, but torch finds no CUDA device here: set machine.device=cpu.")
    if machine.device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return torch.device(machine.device)


def drawing(config: c.TrainConfig, form: Form, data: Splits, device: torch.device) -> Callable[[Game], Picture]:
    """A function that draws the samples of latents, or of pictures, that stay the same for the whole run."""
    if config.play == "restyle":
        return translating.restyling_drawn(form, data.validation, device)
    if config.play != "noise":
        return translating.drawing(config.play, form, data.validation, device)
    if form.vocabulary is not None:
        begun, vocabulary = begins(config, form, data.validation, FIXED, SHOWN, device), form.vocabulary
        return lambda game: pictures.Lines(vocabulary.lines(game.sampler(*begun)))
    n = FIXED if form.is_images else 2500
    z, y = begins(config, form, data.validation, n, SHOWN, device)
    if form.is_images:
        parts = list(zip(torch.split(z, form.at_once), torch.split(y, form.at_once), strict=True))
        return lambda game: pictures.grid(as_pixels(torch.cat([game.sampler(*part) for part in parts])))
    reals, _ = data.validation.take(torch.arange(min(n, len(data.validation))))
    if form.shape != (2,):  # of more numbers their means: on the diagonal they are as in the data
        means = reals.mean(0)
        return lambda game: pictures.scatter(beside(means, game.sampler(z, y).cpu().mean(0)), beside(means, means))
    return lambda game: pictures.scatter(game.sampler(z, y).cpu().numpy(), reals.numpy())


def drawn_reals(config: c.TrainConfig, form: Form, data: Splits) -> Picture | None:
    """As many held-out reals as `drawing` draws samples, shown alike; None where samples are no pictures of noise."""
    if config.play != "noise" or form.vocabulary is not None or not (form.is_images or form.shape == (2,)):
        return None
    n = min(FIXED if form.is_images else 2500, len(data.validation))
    x, _ = data.validation.take(torch.arange(n))
    if not form.is_images:
        return pictures.scatter(x.numpy(), x.numpy())
    return pictures.grid(in_rows(x) if x.dtype == torch.uint8 else as_pixels(x))


def beside(x: Tensor, y: Tensor) -> NDArray[np.float32]:
    """Points [d, 2]."""
    points: NDArray[np.float32] = torch.stack([x, y], 1).numpy()
    return points
