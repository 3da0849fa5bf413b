"""What judge and guardian see of one way of a game: reals that its samples should be like, and what G begins with.

Most games have one way. A game between two domains that goes there and back has two: see `ways`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Any, NamedTuple

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from equipoise import build, pictures
from equipoise import config as c
from equipoise.data.hooks import Track, Warn
from equipoise.data.labels import counted
from equipoise.data.layout import PartName
from equipoise.data.source import Source, Splits, everything, mixed, order_of
from equipoise.diagnosis.beforehand import beforehand
from equipoise.diagnosis.remedies import Setting
from equipoise.encoders.cache import Cache
from equipoise.encoders.choose import encoder_for
from equipoise.encoders.encoder import Encoder
from equipoise.encoders.looked import identity
from equipoise.evaluation import OF_PIXELS, Reference, features_of, seen
from equipoise.guardian import OfGame, spread
from equipoise.judging import Held, OfSamples
from equipoise.metrics import nearest
from equipoise.metrics.styles import Known, Restyled, known_styles
from equipoise.probes.players import Bench, standing
from equipoise.probes.samples import FEWEST
from equipoise.sight import LEARNED, Eyes, eyes_for

ENOUGH = 100  # test samples for final figures
BENCH, LEAST_BENCH, BENCH_PIXELS = 256, 32, 2**24  # samples that the players are asked about in a look
GROUP = 4  # of them at a time, at least: some D compare so many


class Sides(NamedTuple):
    """Reals, and what the players are told of them."""

    x: Tensor
    y: Tensor


@dataclass(frozen=True)
class Viewpoint:
    """What it learns takes up to minutes on new data: it is learnt when it is first asked for, and once."""

    config: c.TrainConfig
    form: build.Form
    data: Splits  # as the game is dealt them
    reals: Splits  # what its samples should be like: the same, or one of two domains
    way: str
    device: torch.device
    track: Track
    warn: Warn

    @cached_property
    def of_samples(self) -> OfSamples:
        """Whoever judges, and never gives up."""
        asked = self.config.evaluate
        encoder = encoder_for(self.reals.train, asked.features, "random", self.track, self.warn)
        return OfSamples(
            validation=self.held_against(encoder, "validation"),
            test=lambda: self.held_against(encoder, "test") if len(self.reals.test) >= ENOUGH else None,
            encoder=encoder, families=asked.metrics, best_by=asked.best_by, patience=0, at_once=self.form.at_once,
        )  # fmt: skip

    def held_against(self, encoder: Encoder, part: PartName) -> Held:
        """Reals of a part, and up to LEARNED of what was learned from, which must not be copied; and what as many fakes
        begin with."""
        cache = Cache(warn=self.warn)
        real, train = mixed(getattr(self.reals, part), self.config.evaluate.n), mixed(self.reals.train, LEARNED)
        of_pixels = not set(OF_PIXELS).isdisjoint(self.config.evaluate.metrics)
        reference = Reference(
            real=(seen if of_pixels else features_of)(encoder, real, cache, self.track),
            train=features_of(encoder, train, cache, self.track),
            features=encoder.protocol, data={"sha256": identity(real), "part": part} | self.classes_asked, cache=cache,
        )  # fmt: skip
        n = self.config.evaluate.n  # of pictures, as many as there are: each of a pair has its own real
        n = min(n, len(self.reals.validation)) if self.config.play == "noise" else n
        begun = self.begins(n, "evaluation", part)
        if self.config.play == "restyle":
            reference = replace(reference, restyled=Restyled(begun.z.cpu(), begun.y.cpu(), self.known_styles))
        return Held(reference, *begun)

    @property
    def classes_asked(self) -> dict[str, str]:
        """For the protocol: that fakes have the classes of the reals that they were learned from, as often."""
        return {"classes": "as in training"} if self.form.class_counts else {}

    @cached_property
    def known_styles(self) -> Known:
        """What is known of the styles, learned from the training part."""
        return known_styles(*everything(mixed(self.reals.train, LEARNED)), self.form.classes)

    @property
    def most(self) -> int:
        """Samples in a look, where one is held against each held-out real, and each picture that is given is translated
        once."""
        reals = len(self.reals.validation)
        if self.config.play in ("noise", "restyle"):
            return reals
        return min(reals, len(build.given_once(self.form, self.data.validation, self.way)))

    def begins(self, n: int, purpose: str, part: PartName = "validation") -> build.Begins:
        """The same n of each run with this seed."""
        return build.begins(self.config, self.form, getattr(self.data, part), n, purpose, self.device, self.way)

    @cached_property
    def eyes(self) -> Eyes | None:
        asked, n = self.config.guardian, min(self.config.guardian.n, self.most)
        if self.most < min(FEWEST, len(self.reals.validation)):
            self.warn(f"{self.most} held-out pictures are too few to watch what becomes of them: {FEWEST} are needed.")
            return None
        return eyes_for(self.reals.train, self.reals.validation, asked.features, n, self.track, self.warn)

    @cached_property
    def of_game(self) -> Callable[..., OfGame]:
        """Whoever watches a game of a length. Where samples are too few, the players alone are watched, and that is
        said."""
        eyes, train, images = self.eyes, self.reals.train, self.form.is_images
        z, y = self.begins(self.config.guardian.n, "watching")
        n = 0 if eyes is None else eyes.n
        return partial(
            OfGame, eyes, self.bench(z[: self.asked], y[: self.asked]), z[:n], y[:n],
            first=tuple(beforehand(len(train), counted(train), self.config.batch)) if images else (),
            draw=drawing_of_modes(eyes, train) if images and eyes else None, conditional=self.form.classes > 1,
            ask=standing if self.form.vocabulary is None else unasked,
            strip=strip_of_bins(eyes, train) if images and eyes else None, turns=self.imitates,
        )  # fmt: skip

    @property
    def imitates(self) -> int | None:
        """So many sentences G imitates, or waits, before it plays; None for other games."""
        speech = self.config.speech
        return None if self.form.vocabulary is None else round((speech.imitates + speech.alone) * self.config.images)

    @property
    def shares(self) -> Sequence[float]:
        """Of reals in each bin; none where samples are not watched."""
        return () if self.eyes is None else self.eyes.shares_of_reals

    def members(self) -> list[list[int]]:
        """The training samples of each bin, as the game is dealt them, as far as the guardian knows them."""
        if self.eyes is None:
            return []
        ground = self.eyes.ground
        _, cell = nearest(ground.train, ground.bins.centres)
        order = order_of(len(self.reals.train), LEARNED)
        order = build.places(self.config, self.form, self.data.train, order, self.way)
        return [order[cell == i].tolist() for i in range(len(ground.bins.centres))]

    def setting(self) -> Setting:
        """What a remedy must know of the game."""
        apart2, deviation = spread(self.reals.train)
        nets, speech = self.config.nets, self.config.speech
        speaks = self.form.vocabulary is not None
        return Setting(
            start=self.config.knobs, images=self.form.is_images,
            batch_norm=not isinstance(nets, c.R3GAN) and nets.d_norm == "batch",
            apart2=apart2, deviation=deviation,
            imitates=self.imitates,
            plays=not speaks or speech.imitates < 1, soft=speaks and speech.imitates < 1 and speech.against == "gumbel",
            shares=self.shares,
        )  # fmt: skip

    def bench(self, z: Tensor, y: Tensor) -> Bench:
        """What the players are asked about."""
        n = min(self.asked, len(self.reals.train), len(self.reals.validation))

        def sides(part: Source) -> Sides:
            real, told, _ = build.dealt_of(self.config.play, self.form, mixed(part, n), self.way)
            return Sides(real.to(self.device), told.to(self.device))

        step = build.directions(self.config, z)
        train, held_out = sides(self.data.train), sides(self.data.validation)
        at_once = max(GROUP, self.form.at_once)
        return Bench(train=train, held_out=held_out, z=z, y=y, step=step, at_once=at_once)

    @property
    def asked(self) -> int:
        """Samples that the players are asked about in a look: fewer large pictures, which must lie in memory."""
        if not self.form.is_images:
            return BENCH
        return min(BENCH, max(LEAST_BENCH, BENCH_PIXELS // (self.form.shape[1] * self.form.shape[2])))


def unasked(game: Any, bench: Bench) -> dict[str, float]:
    """Of players whose samples have no slope, and no way between two of them."""
    return {}


def strip_of_bins(eyes: Eyes, train: Source) -> Callable[[], Image.Image]:
    """A function that draws one square for each bin, in a row: the training image in its middle."""

    def draw() -> Image.Image:
        _, middle = nearest(eyes.ground.bins.centres.float(), eyes.ground.train)
        return pictures.strip(build.as_pixels(mixed(train, LEARNED).take(middle)[0]))

    return draw


def drawing_of_modes(eyes: Eyes, train: Source) -> Callable[[Sequence[float], Sequence[float]], Image.Image]:
    """A function that draws the shares of reals and of fakes; each mode by the training image in its middle."""
    _, middle = nearest(eyes.ground.bins.centres.float(), eyes.ground.train)
    examples = build.as_pixels(mixed(train, LEARNED).take(middle)[0])

    def draw(real: Sequence[float], fake: Sequence[float]) -> Image.Image:
        return pictures.modes(np.array(real), np.array(fake), examples)

    return draw
