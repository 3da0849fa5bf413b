"""Samples in, figures out: every family of metrics behind one function."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cached_property
from math import inf, log
from typing import Any

import torch
from torch import Tensor

from equipoise.data.hooks import Track, untracked
from equipoise.data.source import Source, everything, to_uint8
from equipoise.encoders.cache import Cache
from equipoise.encoders.cells import cells
from equipoise.encoders.encoder import Encoder, Look
from equipoise.encoders.looked import blocks, looked, remembered
from equipoise.encoders.sentences import SentenceEncoder
from equipoise.errors import DataError
from equipoise.metrics import (
    Binned,
    Bins,
    Estimate,
    binned,
    birthday,
    bleu,
    class_modes,
    copy_rate,
    copying_test,
    distinct,
    effective_rank,
    frechet_distance,
    inception_score,
    kernel_distance,
    ms_ssim,
    ms_ssim_of_pairs,
    perplexities,
    prdc,
    psnr,
    repeats,
    self_bleu,
    sliced_patches,
    ssim,
    two_sample_test,
    vendi_score,
    verbatim,
)
from equipoise.metrics.bleu import ORDERS
from equipoise.metrics.estimate import by_mean
from equipoise.metrics.privacy import People, Privacy, privacy
from equipoise.metrics.records import Likeness, Usefulness, likeness, usefulness
from equipoise.metrics.styles import FIGURES as OF_STYLES
from equipoise.metrics.styles import Restyled, restyled
from equipoise.streams import Stream

Figures = dict[str, Estimate]
BINS, TO_A_BIN = 100, 10  # at most so many bins, and at least so many reals for each


@dataclass(frozen=True)
class Samples:
    """Samples, and what an encoder saw in them."""

    look: Look
    pixels: Tensor | None = None  # uint8 [N, C, H, W]; None for points and for features that came as they are
    tokens: Tensor | None = None  # [N, L] of sentences

    def __len__(self) -> int:
        return len(self.look.features)

    @property
    def features(self) -> Tensor:
        return self.look.features

    def at(self, places: Tensor) -> Samples:
        logits = None if self.look.logits is None else self.look.logits[places]
        pixels = None if self.pixels is None else self.pixels[places]
        tokens = None if self.tokens is None else self.tokens[places]
        return Samples(Look(self.features[places], logits), pixels, tokens)


@dataclass(frozen=True)
class Reference:
    """What samples are held against."""

    real: Samples  # held out: what the fakes should be like
    train: Samples | None  # what the fakes were learned from and must not copy
    features: Mapping[str, Any]  # protocol of the encoder that saw all of them
    data: Mapping[str, Any] = field(default_factory=dict)  # which set, which part, what was done to its pixels
    cache: Cache | None = None  # remembers what is fitted on the reals
    people: tuple[Tensor | None, Tensor | None] = (None, None)  # whose each of `train` and of `real` is
    restyled: Restyled | None = None  # of sentences that were told in other styles: what they were, and which

    @cached_property
    def bins(self) -> tuple[Bins, Samples]:
        """Cells of k-means, and the reals to compare in them. Without training data a half of the reals makes them."""
        if self.train is not None:
            made, compared = self.train, self.real
        else:
            order = torch.randperm(len(self.real), generator=Stream(0, "halves").at(0))
            made, compared = (self.real.at(half) for half in order.tensor_split(2))
        count = min(BINS, len(compared) // TO_A_BIN, len(made) // TO_A_BIN)
        if count < 2:
            raise DataError(f"bins need at least {2 * TO_A_BIN} reals to be compared in, and as many to be made from.")
        return cells(made.features, count, self.cache), compared


def seen_by(encoder: Encoder, x: Tensor) -> Samples:
    """uint8 images, images in [-1, 1] (as a file would hold them), points or sentences, as the encoder sees them."""
    if isinstance(encoder, SentenceEncoder):
        return Samples(encoder.look(x), tokens=x.long())
    if x.ndim != 4:
        return Samples(encoder.look(x))
    pixels = x if x.dtype == torch.uint8 else to_uint8(x)
    return Samples(looked(encoder, pixels), pixels)


def seen(encoder: Encoder, source: Source, cache: Cache, track: Track = untracked) -> Samples:
    """All of a source, as the encoder sees it or saw it before."""
    if len(source.shape) != 3:
        return seen_by(encoder, everything(source)[0])
    return Samples(remembered(encoder, source, cache, track=track), torch.cat(list(blocks(source))))


def features_of(encoder: Encoder, source: Source, cache: Cache, track: Track = untracked) -> Samples:
    """The same without the pixels of pictures: thousands of large ones would fill the memory."""
    if len(source.shape) != 3:
        return seen(encoder, source, cache, track)
    return Samples(remembered(encoder, source, cache, track=track))


Family = Callable[[Samples, Reference], Figures]


def evaluate(
    fake: Samples, against: Reference, families: Sequence[str], track: Track = untracked
) -> tuple[Figures, dict[str, str]]:
    """Figures by name, each with its protocol; and which families say nothing here, with the reason."""
    figures: Figures = {}
    refused: dict[str, str] = {}
    for family in track(families, "scoring", len(families)):
        try:
            found = FAMILIES[family](fake, against)
        except DataError as error:
            refused[family] = str(error)
        else:
            figures |= {name: within(name, stated(estimate, family, against)) for name, estimate in found.items()}
    return figures, refused


def within(name: str, estimate: Estimate) -> Estimate:
    """With an interval that ends where the figure does: what cannot be is not likely."""
    least, most = BOUNDS.get(name, (-inf, inf))
    low, high = (None if end is None else min(max(end, least), most) for end in (estimate.low, estimate.high))
    return replace(estimate, value=min(max(estimate.value, least), most), low=low, high=high)


def stated(estimate: Estimate, family: str, against: Reference) -> Estimate:
    """With all that the figure depends on in its protocol."""
    features = {} if family in (*OF_PIXELS, *OF_TEXT) else {"features": dict(against.features)}
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
    return prdc(some(against.real.features, n), some(fake.features, n))._asdict()


def some(features: Tensor, n: int) -> Tensor:
    """n rows, the same each time: drawn at random, for samples may lie in the order of their classes."""
    if len(features) == n:
        return features
    return features[torch.randperm(len(features), generator=Stream(0, "some").at(0))[:n]]


def vendi(fake: Samples, against: Reference) -> Figures:
    """Of equal counts; each also over that of the reals: below 1, the fakes are less diverse."""
    n = min(len(fake), len(against.real))
    found: Figures = {}
    for name, figure in (("vendi", vendi_score), ("effective_rank", effective_rank)):
        of_fakes, of_reals = figure(some(fake.features, n)), figure(some(against.real.features, n), groups=0)
        found[name] = of_fakes
        found[f"{name}_ratio"] = over(of_fakes, of_reals.value)
    return found


def over(estimate: Estimate, reals: float) -> Estimate:
    """Raises DataError where reals have none of it."""
    if not reals:
        raise DataError("the reals are all alike: their variety is no measure of that of samples. Look at the data.")
    low, high = (None if end is None else end / reals for end in (estimate.low, estimate.high))
    return replace(estimate, value=estimate.value / reals, low=low, high=high, n_real=estimate.n_fake)


def bins(fake: Samples, against: Reference) -> Figures:
    found = in_bins(fake, against)
    return {"ndb": found.ndb, "jsd": found.jsd}


def in_bins(fake: Samples, against: Reference) -> Binned:
    """Shares of the cells of k-means, which were fitted on other reals than those that are compared."""
    partition, real = against.bins
    return binned(partition, real.features, fake.features)


def classes(fake: Samples, against: Reference) -> Figures:
    """By the encoder's own classes: how many occur, how evenly, and how unlike their frequency among the reals."""
    count = logits(fake, against).shape[1]
    found = class_modes(logits(fake, against).argmax(1), count, logits(against.real, against).argmax(1))
    return {"classes": found.covered, "effective_classes": found.effective, "reverse_kl": found.reverse_kl}


def copies(fake: Samples, against: Reference) -> Figures:
    """Of the training data, by the measure of held-out data."""
    if against.train is None:
        raise DataError("copies are looked for in training data, and none is known: give --train DATA.")
    sets = against.train.features, fake.features, against.real.features
    return {"copy_rate": copy_rate(*sets), "c_t": copying_test(*sets)}


def secrets(fake: Samples, against: Reference) -> Figures:
    """What fakes give away of the people learnt from. Of samples that are nobody's, each is a person."""
    if against.train is None:
        raise DataError("privacy is that of training data, and none is known: give --train DATA.")
    sides = zip((against.train, against.real), against.people, strict=True)
    train, held_out = (
        People(side.features, torch.arange(len(side)) if whose is None else whose) for side, whose in sides
    )
    return privacy(train, held_out, fake.features)._asdict()


def of_records(fake: Samples, against: Reference) -> Figures:
    """Column by column; and what can be learned from them, where it is known what they were learned from."""
    found: Figures = likeness(against.real.features, fake.features)._asdict()
    if against.train is None:
        return found
    with suppress(DataError):  # too few of a kind to learn from
        found |= usefulness(against.train.features, fake.features, against.real.features)._asdict()
    return found


def birthdays(fake: Samples, against: Reference) -> Figures:
    found = birthday(against.real.features, fake.features)
    return {"repeat_chance": found.chance, "repeat_chance_of_reals": found.real}


def two_sample(fake: Samples, against: Reference) -> Figures:
    return {"two_sample": two_sample_test(against.real.features, fake.features).accuracy}


def sliced(fake: Samples, against: Reference) -> Figures:
    return {"swd": sliced_patches(pixels(against.real), pixels(fake)).mean}


def pairwise(fake: Samples, against: Reference) -> Figures:
    """Of random pairs of fakes: high where samples are alike, in pixels."""
    return {"pairwise_ms_ssim": ms_ssim_of_pairs(pixels(fake))}


def paired(name: str, figure: Callable[[Tensor, Tensor], Tensor]) -> Family:
    """The mean over pairs (sample i, real i)."""

    def family(fake: Samples, against: Reference) -> Figures:
        values = figure(pixels(fake), pixels(against.real)).double()
        finite = values[values.isfinite()]  # of equal pictures, the signal is infinitely above the noise
        mean = float(finite.mean()) if len(finite) else float("inf")
        interval = by_mean(finite) if len(finite) > 1 else (None, None)
        protocol = {"metric": name, "range": "0..255", "pairs": "in order", "equal_pairs": len(values) - len(finite)}
        return {name: Estimate(mean, *interval, len(fake), len(against.real), protocol)}

    return family


def of_sentences(fake: Samples, against: Reference) -> Figures:
    return bleu(tokens(against.real), tokens(fake))


def among_sentences(fake: Samples, against: Reference) -> Figures:
    """Also of the reals, to compare with."""
    of_reals = self_bleu(tokens(against.real))
    return self_bleu(tokens(fake)) | {f"{name}_of_reals": estimate for name, estimate in of_reals.items()}


def variety(fake: Samples, against: Reference) -> Figures:
    """Also of the reals; and, where training data is known, how much of it is repeated."""
    found = distinct(tokens(fake)) | {
        "repeats": repeats(tokens(fake)),
        "repeats_of_reals": repeats(tokens(against.real)),
    }
    if against.train is not None:
        found["verbatim"] = verbatim(tokens(against.train), tokens(fake))
        found["verbatim_of_reals"] = verbatim(tokens(against.train), tokens(against.real))
    return found


def of_language_models(fake: Samples, against: Reference) -> Figures:
    return perplexities(tokens(against.real), tokens(fake))


def of_styles(fake: Samples, against: Reference) -> Figures:
    if against.restyled is None:
        raise DataError("these are no sentences that were told in other styles.")
    return restyled(tokens(fake), against.restyled)


FAMILIES: Mapping[str, Family] = {
    "fd": frechet, "kid": kernel, "is": inception, "prdc": neighbours, "vendi": vendi, "bins": bins,
    "classes": classes, "copies": copies, "privacy": secrets, "records": of_records, "birthday": birthdays,
    "two_sample": two_sample, "swd": sliced, "pairwise": pairwise,
    "ssim": paired("ssim", ssim), "ms_ssim": paired("ms_ssim", ms_ssim), "psnr": paired("psnr", psnr),
    "bleu": of_sentences, "self_bleu": among_sentences, "variety": variety, "language_model": of_language_models,
    "style": of_styles,
}  # fmt: skip
FIGURES: Mapping[str, tuple[str, ...]] = {  # of each family; the name FID is kept for the features of Inception
    "fd": ("fd", "fid"), "kid": ("kid",), "is": ("is",), "prdc": ("precision", "recall", "density", "coverage"),
    "vendi": ("vendi", "vendi_ratio", "effective_rank", "effective_rank_ratio"), "bins": ("ndb", "jsd"),
    "classes": ("classes", "effective_classes", "reverse_kl"), "copies": ("copy_rate", "c_t"),
    "birthday": ("repeat_chance", "repeat_chance_of_reals"), "two_sample": ("two_sample",), "swd": ("swd",),
    "privacy": Privacy._fields, "records": (*Likeness._fields, *Usefulness._fields),
    "pairwise": ("pairwise_ms_ssim",), "ssim": ("ssim",), "ms_ssim": ("ms_ssim",), "psnr": ("psnr",),
    "bleu": tuple(f"{way}bleu_{n}" for way in ("", "back_") for n in ORDERS),
    "self_bleu": tuple(f"self_bleu_{n}{of}" for of in ("", "_of_reals") for n in ORDERS),
    "variety": (
        *(f"distinct_{n}" for n in range(1, 5)), "repeats", "repeats_of_reals", "verbatim", "verbatim_of_reals",
    ),
    "language_model": ("lm_perplexity", "reverse_lm_perplexity"), "style": OF_STYLES,
}  # fmt: skip
PAIRED = ("ssim", "ms_ssim", "psnr")  # compare sample i with real i: for restoration and translation
OF_PIXELS = (*PAIRED, "swd", "pairwise")
OF_TEXT = ("bleu", "self_bleu", "variety", "language_model")


BOUNDS: Mapping[str, tuple[float, float]] = {  # what each figure can be
    **dict.fromkeys(("precision", "recall", "coverage", "ndb", "copy_rate", "two_sample"), (0, 1)),
    **dict.fromkeys(("copied", "membership"), (0, 1)),
    **dict.fromkeys(("tstr_auc", "trtr_auc"), (0, 1)),
    **dict.fromkeys(("nearest_person", "correlation_error"), (0, inf)),
    "prevalence_r2": (-inf, 1),
    **dict.fromkeys(("repeat_chance", "repeat_chance_of_reals"), (0, 1)),
    **dict.fromkeys(("ssim", "ms_ssim", "pairwise_ms_ssim"), (-1, 1)),
    **dict.fromkeys(("fd", "fid", "density", "vendi_ratio", "effective_rank_ratio", "reverse_kl", "swd"), (0, inf)),
    **dict.fromkeys(("is", "vendi", "effective_rank", "effective_classes"), (1, inf)),
    "jsd": (0, log(2)),
    **dict.fromkeys(("style_accuracy", "style_accuracy_of_copies", "style_kept", "style_score"), (0, 1)),
    **dict.fromkeys((f"{way}bleu_{n}" for way in ("", "back_", "self_") for n in ORDERS), (0, 1)),
}


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


def tokens(samples: Samples) -> Tensor:
    if samples.tokens is None:
        raise DataError("these samples are no sentences.")
    return samples.tokens
