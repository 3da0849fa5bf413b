"""A trained discriminator on its own: what it makes of pictures."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, assert_never

import torch
from torch import Tensor, nn

from equipoise import build
from equipoise.config import TrainConfig, read
from equipoise.data.hooks import Track, Warn, unheard, untracked
from equipoise.data.source import Source
from equipoise.errors import ConfigError
from equipoise.generator import chosen
from equipoise.knobs import Knobs
from equipoise.runs import checkpoint
from equipoise.runs.folder import RunFolder

CHUNK = 256
Meaning = Literal["probability", "rank"]
TOLD: dict[Meaning, str] = {
    "probability": "D's probability that a picture is real, if it were one of as many real as generated ones",
    "rank": "the share of {n} held-out real pictures that D finds less real: with the loss "
    "{loss}, a logit means nothing by itself",
}


@dataclass(frozen=True)
class TrainedDiscriminator:
    D: nn.Module
    form: build.Form
    knobs: Knobs  # as they stood: they say what a logit means

    @torch.no_grad()
    def logits(self, x: Tensor, label: int | None = None) -> Tensor:
        """Of pictures x [N, *shape], as one class; as the class that D finds most real unless one is named [N].

        Raises:
            ConfigError: for a class that D does not know.
        """
        classes = self.form.classes
        if label is not None and not 0 <= label < classes:
            known = f"classes 0 to {classes - 1}" if classes else "no classes"
            raise ConfigError(f"class {label} was asked for, and this discriminator has {known}.")
        asked = range(max(classes, 1)) if label is None else [label]
        as_each = [
            torch.cat([self.D(part, torch.full((len(part),), y)) for part in torch.split(x, CHUNK)]) for y in asked
        ]
        return torch.stack([logits.flatten(1).mean(1) if logits.ndim > 1 else logits for logits in as_each]).amax(0)

    @property
    def meaning(self) -> Meaning:
        match self.knobs.loss:
            case "minimax" | "nonsaturating" | "least-squares":
                return "probability"
            case "wasserstein" | "hinge" | "relativistic":
                return "rank"
            case other:
                assert_never(other)

    def probability(self, logits: Tensor) -> Tensor:
        """[N] -> [N] in 0..1, for losses with labels.

        The sigmoid (Goodfellow et al. 2014, proposition 1); of least squares, whose best D is
        (b p + a q) / (p + q) for densities p and q (Mao et al. 2017, arXiv:1611.04076, eq. 5), the way from a to b.
        """
        if self.knobs.loss == "least-squares":
            a, b, _ = self.knobs.ls_targets
            return ((logits - a) / (b - a)).clamp(0, 1)
        return logits.sigmoid()


@dataclass(frozen=True)
class Judgment:
    logits: Tensor  # [N]
    real: Tensor  # [N] in 0..1
    meaning: Meaning
    told: str  # what `real` is, in words


def judged(
    D: TrainedDiscriminator, x: Tensor, held_out: Callable[[], Source], label: int | None = None
) -> Judgment:  # fmt: skip
    """What D makes of pictures x [N, *shape]; reals that were held out from it are opened where they are needed.

    Raises:
        ConfigError: for a class that D does not know, or of which no real is held out.
    """
    logits = D.logits(x, label)
    if D.meaning == "probability":
        return Judgment(logits, D.probability(logits), D.meaning, TOLD[D.meaning])
    reals = held_out()
    held, y = reals.take(torch.arange(len(reals)))
    known = D.logits(held if label is None else held[y == label], label).sort().values
    if not len(known):
        raise ConfigError(f"no picture of class {label} is held out of this run, so there is nothing to compare with.")
    told = TOLD[D.meaning].format(n=len(known), loss=D.knobs.loss)
    return Judgment(logits, torch.searchsorted(known, logits) / len(known), D.meaning, told)


def validation(config: TrainConfig, track: Track = untracked, warn: Warn = unheard) -> Source:
    """Reals of a run that D never saw. Raises DataError when its data cannot be read."""
    return build.splits(config.data, track, warn).validation


def from_run(run: RunFolder, which: str = "last") -> tuple[TrainedDiscriminator, list[str]]:
    """D of a checkpoint, and what was wrong with newer ones. Raises as `generator.from_run`."""
    found, complaints = chosen(run, which)
    state, manifest = checkpoint.load(found)
    form = build.Form(tuple(manifest["shape"]), manifest["classes"])
    _, D = build.networks(read(run.config).nets, form, seed=0)
    try:
        D.load_state_dict(state["game.D"])
    except RuntimeError as error:
        raise ConfigError(
            f"{found} does not fit the networks of {run.config}, which was changed. Put it back."
        ) from error
    return TrainedDiscriminator(D.eval().requires_grad_(False), form, Knobs(**state["loop.knobs"])), complaints
