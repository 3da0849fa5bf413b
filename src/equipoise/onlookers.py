"""Who looks on at a run, the judge and the guardian, and what they learn of the data before its first step."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from equipoise import build, pictures
from equipoise import config as c
from equipoise.controller import Controller, HandsOff
from equipoise.data.hooks import Track, Warn, unheard, untracked
from equipoise.data.layout import PartName
from equipoise.data.source import Source, Splits, mixed, order_of
from equipoise.diagnosis.beforehand import beforehand
from equipoise.diagnosis.remedies import Setting
from equipoise.encoders.cache import Cache
from equipoise.encoders.choose import encoder_for, named
from equipoise.encoders.encoder import Encoder
from equipoise.encoders.looked import identity
from equipoise.evaluation import Reference, seen
from equipoise.guardian import Beside, OfGame, spread
from equipoise.judging import Judge, Nobody, OfSamples
from equipoise.metrics import nearest
from equipoise.probes.players import Bench
from equipoise.sight import LEARNED, Eyes, eyes_for
from equipoise.streams import Stream

FEWEST = 10  # held-out samples that a run is judged by
ENOUGH = 100  # test samples for final figures
BENCH = 256  # samples that the players are asked about in a look


@dataclass(frozen=True)
class Onlookers:
    """What they learn takes up to minutes on new data: it is learnt when it is first asked for, and once.

    Nothing of it depends on the length of the run, which may be chosen by how long a look of theirs takes.
    """

    config: c.TrainConfig
    data: Splits
    device: torch.device
    lead: bool = True  # the process that they are of leads; beside it, nobody looks
    track: Track = untracked
    warn: Warn = unheard

    def require_known_features(self) -> None:
        """Raises ConfigError for features without a meaning, before anything is learnt."""
        for features in (self.config.evaluate.features, self.config.guardian.features):
            if features != "auto":
                named(features)

    def judge(self, patience_kimg: float) -> Judge:
        """Whoever judges the samples of a run that gives up after so long without a gain.

        Raises:
            ConfigError, DataError: for features that cannot be had for this data.
        """
        return replace(self.of_samples, patience=round(1000 * patience_kimg)) if self.judges else Nobody()

    def guardian(self, images: int) -> Controller:
        """Whoever watches a run of so many images, and has seen nothing of it yet.

        Raises:
            ConfigError, DataError: for features that cannot be had for this data.
        """
        if self.config.guardian.mode == "off":
            return HandsOff()
        return self.of_game(images) if self.lead else Beside(self.mends)

    @cached_property
    def judges(self) -> bool:
        """Whether somebody judges the run. Where held-out samples are too few, that is said."""
        if not (self.lead and self.config.evaluate.metrics):
            return False
        if (held_out := len(self.data.validation)) < FEWEST:
            self.warn(
                f"too few samples are held out to judge a run by ({held_out}; {FEWEST} at least, which sets of "
                f"{10 * FEWEST} have):\nits last checkpoint is taken for its best."
            )
            return False
        return True

    @property
    def mends(self) -> bool:
        return self.config.guardian.mode == "on"

    def bins(self) -> dict[int, list[int]]:
        """The training samples of each bin, as far as the guardian knows them; none where it may not change a run."""
        if not (self.lead and self.mends) or self.eyes is None:
            return {}
        _, cell = nearest(self.eyes.ground.train, self.eyes.ground.bins.centres)
        order = order_of(len(self.data.train), LEARNED)
        return {i: order[cell == i].tolist() for i in range(len(self.eyes.ground.bins.centres))}

    @cached_property
    def form(self) -> build.Form:
        return build.form(self.config, self.data)

    @cached_property
    def of_samples(self) -> OfSamples:
        asked = self.config.evaluate
        encoder = encoder_for(self.data.train, asked.features, "random", self.track, self.warn)
        z, y = self.latents(min(asked.n, len(self.data.validation)), "evaluation")
        return OfSamples(
            validation=self.held_against(encoder, "validation"),
            test=lambda: self.held_against(encoder, "test") if len(self.data.test) >= ENOUGH else None,
            encoder=encoder, families=asked.metrics, best_by=asked.best_by, patience=0, z=z, y=y,
        )  # fmt: skip

    def held_against(self, encoder: Encoder, part: PartName) -> Reference:
        """Reals of a part, and up to LEARNED of what was learned from, which must not be copied."""
        cache = Cache(warn=self.warn)
        real, train = mixed(getattr(self.data, part), self.config.evaluate.n), mixed(self.data.train, LEARNED)
        return Reference(
            real=seen(encoder, real, cache, self.track), train=seen(encoder, train, cache, self.track),
            features=encoder.protocol, data={"sha256": identity(real), "part": part}, cache=cache,
        )  # fmt: skip

    @cached_property
    def eyes(self) -> Eyes | None:
        asked = self.config.guardian
        return eyes_for(self.data.train, self.data.validation, asked.features, asked.n, self.track, self.warn)

    @cached_property
    def of_game(self) -> Callable[[int], OfGame]:
        """Of a length. Where samples are too few, the players alone are watched, and that is said."""
        eyes, train = self.eyes, self.data.train
        z, y = self.latents(self.config.guardian.n, "watching")
        n = 0 if eyes is None else eyes.n
        images = self.form.is_images
        return partial(
            OfGame, eyes, self.bench(z[:BENCH], y[:BENCH]), z[:n], y[:n],
            first=tuple(beforehand(len(train), class_counts(train), self.config.batch)) if images else (),
            draw=drawing_of_modes(eyes, train) if images and eyes else None, conditional=self.form.classes > 1,
            setting=self.setting() if self.mends else None,
        )  # fmt: skip

    def setting(self) -> Setting:
        """What a remedy must know of the game."""
        apart2, deviation = spread(self.data.train)
        nets = self.config.nets
        return Setting(
            start=self.config.knobs, images=self.form.is_images,
            batch_norm=not isinstance(nets, c.R3GAN) and nets.d_norm == "batch",
            apart2=apart2, deviation=deviation,
            shares=() if self.eyes is None else self.eyes.shares_of_reals,
        )  # fmt: skip

    def bench(self, z: Tensor, y: Tensor) -> Bench:
        """What the players are asked about."""
        n = min(BENCH, len(self.data.train), len(self.data.validation))

        def sides(part: Source) -> tuple[Tensor, Tensor]:
            x, labels = mixed(part, n).take(torch.arange(n))
            return x.to(self.device), labels.to(self.device)

        step, _ = self.latents(len(z), "watching/step")
        return Bench(train=sides(self.data.train), held_out=sides(self.data.validation), z=z, y=y, step=step)

    def latents(self, n: int, purpose: str) -> tuple[Tensor, Tensor]:
        """The same n of each run with this seed, and their classes in turns."""
        z = torch.randn(n, self.config.nets.z_dim, generator=Stream(self.config.seed, purpose).at(0))
        return z.to(self.device), build.class_cycle(n, self.form.classes).to(self.device)


def class_counts(source: Source) -> list[int]:
    """How many there are of each class, among at most LEARNED samples; none without classes."""
    if not source.classes:
        return []
    part = mixed(source, LEARNED)
    return torch.bincount(part.take(torch.arange(len(part)))[1], minlength=source.classes).tolist()


def drawing_of_modes(eyes: Eyes, train: Source) -> Callable[[Sequence[float], Sequence[float]], Image.Image]:
    """A function that draws the shares of reals and of fakes; each mode by the training image in its middle."""
    _, middle = nearest(eyes.ground.bins.centres.float(), eyes.ground.train)
    examples = mixed(train, LEARNED).take(middle)[0]

    def draw(real: Sequence[float], fake: Sequence[float]) -> Image.Image:
        return pictures.modes(np.array(real), np.array(fake), build.as_pixels(examples))

    return draw
