"""Samples in, figures out: every family of metrics behind one function."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from equipoise.data.hooks import Track, untracked
from equipoise.data.source import Source, everything, to_uint8
from equipoise.encoders.cache import Cache
from equipoise.encoders.encoder import Encoder, Look
from equipoise.encoders.looked import looked, remembered
from equipoise.errors import DataError
from equipoise.metrics import (
    Estimate,
    copy_rate,
    frechet_distance,
    inception_score,
    kernel_distance,
    prdc,
)

Figures = dict[str, Estimate]


@dataclass(frozen=True)
class Samples:
    """Samples, and what an encoder saw in them."""

    look: Look
    pixels: Tensor | None = None  # uint8 [N, C, H, W]; None for points and for features that came as they are

    def __len__(self) -> int:
        return len(self.look.features)

    @property
    def features(self) -> Tensor:
        return self.look.features


@dataclass(frozen=True)
class Reference:
    """What samples are held against."""

    real: Samples  # held out: what the fakes should be like
    train: Samples | None  # what the fakes were learned from and must not copy
    features: Mapping[str, Any]  # protocol of the encoder that saw all of them
    data: Mapping[str, Any] = field(default_factory=dict)  # which set, which part, what was done to its pixels


def seen_by(encoder: Encoder, x: Tensor) -> Samples:
    """uint8 images, images in [-1, 1] (as a file would hold them), or points, as the encoder sees them."""
    if x.ndim != 4:
        return Samples(encoder.look(x))
    pixels = x if x.dtype == torch.uint8 else to_uint8(x)
    return Samples(looked(encoder, pixels), pixels)


def seen(encoder: Encoder, source: Source, cache: Cache, track: Track = untracked) -> Samples:
    """All of a source, as the encoder sees it or saw it before."""
    x, _ = everything(source)
    if x.ndim != 4:
        return Samples(encoder.look(x))
    return Samples(remembered(encoder, source, cache, track=track), to_uint8(x))


Family = Callable[[Samples, Reference], Figures]


def evaluate(fake: Samples, against: Reference, families: Sequence[str]) -> tuple[Figures, dict[str, str]]:
    """Figures by name, each with its protocol; and which families say nothing here, with the reason."""
    figures: Figures = {}
    refused: dict[str, str] = {}
    for family in families:
        try:
            found = FAMILIES[family](fake, against)
        except DataError as error:
            refused[family] = str(error)
        else:
            figures |= {name: stated(estimate, family, against) for name, estimate in found.items()}
    return figures, refused


def stated(estimate: Estimate, family: str, against: Reference) -> Estimate:
    """With all that the figure depends on in its protocol."""
    features = {} if family in OF_PIXELS else {"features": dict(against.features)}
    return replace(estimate, protocol={**estimate.protocol, **features, "data": dict(against.data)})


def frechet(fake: Samples, against: Reference) -> Figures:
    """The name FID is kept for the features of Inception."""
    name = "fid" if against.features["name"] == "inception" else "fd"
    return {name: frechet_distance(against.real.features, fake.features)}


def kernel(fake: Samples, against: Reference) -> Figures:
    return {"kid": kernel_distance(against.real.features, fake.features)}


def inception(fake: Samples, against: Reference) -> Figures:
    return {"is": inception_score(logits(fake, against))}


def neighbours(fake: Samples, against: Reference) -> Figures:
    """Of equal counts, which these figures need."""
    n = min(len(fake), len(against.real))
    return prdc(against.real.features[:n], fake.features[:n])._asdict()


def copies(fake: Samples, against: Reference) -> Figures:
    """Of the training data, by the measure of held-out data."""
    return {"copy_rate": copy_rate(trained_on(against).features, fake.features, against.real.features)}


FAMILIES: Mapping[str, Family] = {
    "fd": frechet, "kid": kernel, "is": inception, "prdc": neighbours, "copies": copies,
}  # fmt: skip
OF_PIXELS: tuple[str, ...] = ()
PAIRED: tuple[str, ...] = ()
LOWER_IS_BETTER = {
    "fd": True, "fid": True, "kid": True, "is": False, "precision": False, "recall": False, "density": False,
    "coverage": False, "vendi_ratio": False, "ndb": True, "jsd": True, "swd": True, "c2st": True, "kl": True,
}  # fmt: skip


def logits(fake: Samples, against: Reference) -> Tensor:
    if fake.look.logits is None:
        raise DataError(
            f"the features '{against.features['name']}' name no classes.\n"
            "Use --features classifier, squeezenet=FILE, mobilenet=FILE or inception."
        )
    return fake.look.logits


def pixels(samples: Samples) -> Tensor:
    if samples.pixels is None:
        raise DataError("these samples are no images.")
    return samples.pixels


def trained_on(against: Reference) -> Samples:
    if against.train is None:
        raise DataError("copies are looked for in training data, and none is known: give --train DATA.")
    return against.train
