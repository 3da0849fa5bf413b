"""The eyes of the guardian: a frozen encoder, reals that D never sees, and what the signals are worth on them."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from equipoise.calibrating import (
    NULLS,
    OTHERS,
    SPARE,
    TRIALS,
    VERSION,
    Pool,
    blurred,
    calibrated,
    jittered,
    noisy,
    scrambled,
)
from equipoise.data.hooks import Track, Warn, unheard, untracked
from equipoise.data.source import Part, Source, everything, mixed, to_uint8
from equipoise.data.text import is_text
from equipoise.diagnosis.calibration import Calibration
from equipoise.encoders.cache import Cache, Tensors
from equipoise.encoders.choose import encoder_for
from equipoise.encoders.encoder import Encoder, Look
from equipoise.encoders.looked import kept_as, looked, remembered
from equipoise.encoders.sentences import SentenceEncoder
from equipoise.errors import DataError
from equipoise.probes.samples import ALIKE, FEWEST, ORDER, Ground, Placed, Yardstick, shares

LEARNED = 10_000  # training samples that bins are made of, and that copies are looked for in
READS = 0.25  # of the way from chance to no error: an encoder that is right less often cannot judge labels
MOST_SPARE = 5_000  # reals that take the place of fakes in the calibration; more only for looks at many


class TooFew(DataError):
    """Too few samples to be watched."""


@dataclass(frozen=True)
class Eyes:
    """What looks at samples, always in the same way."""

    encoder: Encoder
    ground: Ground
    yardstick: Yardstick
    calibration: Calibration

    @property
    def n(self) -> int:
        """Samples in a look."""
        return len(self.yardstick.real)

    @property
    def shares_of_reals(self) -> list[float]:
        """In each bin."""
        found: list[float] = shares(self.yardstick.real.bin, self.yardstick.cells).tolist()
        return found

    def place(self, x: Tensor) -> Placed:
        """Images in [-1, 1] (as a file would hold them), uint8 images, or points."""
        return placed(self.ground, seen(self.encoder, x), words(self.encoder, x))

    def see(self, fake: Tensor, asked: Tensor | None = None) -> tuple[dict[str, float], list[float]]:
        """The signals of fakes, and their shares of the bins. `asked` [N] are the classes that they should be of."""
        return self.judge(self.place(fake), asked)

    def judge(self, found: Placed, asked: Tensor | None = None) -> tuple[dict[str, float], list[float]]:
        """The same of samples that were placed."""
        signals = self.yardstick.signals(found)
        if asked is not None and found.classes is not None:
            signals |= self.obeyed(found.classes, asked)
        return signals, shares(found.bin, self.yardstick.cells).tolist()

    def obeyed(self, classes: Tensor, asked: Tensor) -> dict[str, float]:
        """`obeyed`: how often fakes are of the class that was asked for, between chance (0) and how often the encoder
        itself is right about reals (1): GAN-test of Shmelkov et al. 2018 (arXiv:1807.09499)."""
        chance, right = 1 / self.yardstick.classes, float(self.encoder.protocol.get("accuracy", 1.0))
        if right - chance < READS * (1 - chance):
            return {}
        return {"obeyed": (float((classes == asked.cpu()).double().mean()) - chance) / (right - chance)}


def eyes_for(
    train: Source, held_out: Source, features: str | Encoder, n: int, track: Track = untracked, warn: Warn = unheard
) -> Eyes | None:  # fmt: skip
    """Eyes whose encoder goes by a name (`auto` learns without labels where there are none); None where samples are
    too few, which is told to `warn` before anything is learnt.

    Raises:
        ConfigError, DataError: for features that cannot be had for this data.
    """
    try:
        n = enough(len(train), len(held_out), n)
    except TooFew as error:
        warn(str(error))
        return None
    if isinstance(features, str):
        features = encoder_for(train, features, "self-supervised", track, warn)
    return opened(features, train, held_out, n, Cache(warn=warn), track)


def enough(train: int, held_out: int, n: int) -> int:
    """Samples in a look, if n are asked for: somebody must stand in for the fakes.

    Raises:
        TooFew: for fewer than 20 held-out samples, or fewer than 60 for training.
    """
    n = min(n, held_out, max(train // SPARE, held_out // (1 + SPARE)))
    if n < FEWEST or train < SPARE * FEWEST:
        raise TooFew(
            f"{train} training and {held_out} held-out samples are too few to know what is normal:\n"
            f"samples are watched from {SPARE * FEWEST} and {FEWEST} of them on."
        )
    return n


def opened(
    encoder: Encoder, train: Source, held_out: Source, n: int, cache: Cache, track: Track = untracked,
    trials: int = TRIALS,
) -> Eyes:  # fmt: skip
    """Eyes for looks at n samples, or at as many as were held out; calibrated, or as they were calibrated before.

    Raises: as `enough`.
    """
    n = enough(len(train), len(held_out), n)
    train, held_out = mixed(train, LEARNED), mixed(held_out, n + max(min(MOST_SPARE, 20 * n), (1 + SPARE) * n))
    look = seen(encoder, train, cache, track)
    ground = Ground.of(look.features, n, cache)
    reals = Part(held_out, torch.arange(n))
    yardstick = Yardstick(
        placed(ground, seen(encoder, reals, cache, track), words(encoder, reals)), len(ground.bins.centres),
        0 if look.logits is None else look.logits.shape[1],
    )  # fmt: skip

    def make() -> Tensors:
        spare = Part(held_out, torch.arange(n, len(held_out)))
        training = replace(ground.of_itself(look.features, named(look)), tokens=words(encoder, train))
        planted = pool(encoder, ground, training, spare if len(spare) >= SPARE * n else None, train)
        found = calibrated(yardstick, planted, str(encoder.protocol["name"]), trials, track=track)
        return {"json": torch.frombuffer(bytearray(json.dumps(found.to_json()).encode()), dtype=torch.uint8)}

    key = {
        "calibration": [VERSION, NULLS, OTHERS, trials, SPARE, n], "protocol": dict(encoder.protocol),
        "reals": [kept_as(train), kept_as(held_out)],
    } | ({"wording": [ALIKE, ORDER]} if isinstance(encoder, SentenceEncoder) else {})  # fmt: skip
    kept = cache.remembered(key, make)["json"]
    return Eyes(encoder, ground, yardstick, Calibration.from_json(json.loads(kept.numpy().tobytes())))


@torch.no_grad()
def seen(encoder: Encoder, x: Tensor | Source, cache: Cache | None = None, track: Track = untracked) -> Look:
    """Samples as the encoder sees them, or saw them before."""
    if isinstance(x, Tensor):
        return encoder.look(x) if x.ndim != 4 else looked(encoder, x if x.dtype == torch.uint8 else to_uint8(x))
    if len(x.shape) != 3:
        return encoder.look(everything(x)[0])
    return looked(encoder, x, track=track) if cache is None else remembered(encoder, x, cache, track=track)


def placed(ground: Ground, look: Look, tokens: Tensor | None = None) -> Placed:
    return replace(ground.place(look.features, named(look)), tokens=tokens)


def words(encoder: Encoder, x: Tensor | Source) -> Tensor | None:
    """The tokens of what is sentences to this encoder [N, L]."""
    if not isinstance(encoder, SentenceEncoder):
        return None
    return (x if isinstance(x, Tensor) else everything(x)[0]).round().long()


def named(look: Look) -> Tensor | None:
    """The classes that an encoder reads [N], if it reads any."""
    return None if look.logits is None else look.logits.argmax(1)


def pool(encoder: Encoder, ground: Ground, training: Placed, spare: Source | None, train: Source) -> Pool:
    """What takes the place of fakes: other held-out reals, or, where these are too few, training samples, each of
    which is then held against the others."""
    x, y = everything(train if spare is None else spare)
    reals = to_uint8(x) if x.ndim == 4 else x

    def place(x: Tensor) -> Placed:
        look = seen(encoder, x)
        there = (ground.of_itself if spare is None else ground.place)(look.features, named(look))
        return replace(there, tokens=words(encoder, x))

    clean = training if spare is None else place(reals)
    worse = (blurred, noisy) if reals.ndim == 4 else (scrambled,) * 2 if is_text(train) else (jittered,) * 2
    return Pool(
        clean,
        blurred=place(worse[0](reals)),
        noisy=place(worse[1](reals)),
        modes=torch.unique(y if len(torch.unique(y)) > 1 else clean.bin, return_inverse=True)[1],
        training=replace(training, near=torch.zeros_like(training.near)),
    )
