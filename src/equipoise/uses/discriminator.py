"""A trained discriminator on its own: what it makes of pictures."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, assert_never

import torch
from torch import Tensor, nn

from equipoise import build
from equipoise.config import (
    DCGAN,
    MLP,
    R3GAN,
    FastGAN,
    Language,
    Nets,
    RecordNets,
    ResNet,
    Restyler,
    StyleGAN2,
    TrainConfig,
    Translation,
    read,
)
from equipoise.data.hooks import Track, Warn, unheard, untracked
from equipoise.data.source import Source, everything
from equipoise.errors import ConfigError
from equipoise.games.answers import heard
from equipoise.generator import chosen
from equipoise.knobs import Knobs
from equipoise.runs import checkpoint
from equipoise.runs.folder import RunFolder

BATCH = 16  # samples that a D sees at once which compares all of a batch
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
    company: int = 0  # how many others it must see beside a sample

    @torch.no_grad()
    def logits(self, x: Tensor, label: int | None = None, company: Tensor | None = None) -> Tensor:
        """Of pictures x [N, *shape], as one class; as the class that D finds most real unless one is named [N].

        A D that compares samples is asked about each of them in the same `company`.
        """
        asked = range(max(self.form.classes, 1)) if label is None else [label]
        return torch.stack([self.logits_as(y, x, company) for y in asked]).amax(0)

    def require_class(self, label: int | None) -> None:
        """Raises ConfigError for one that D does not know."""
        classes = self.form.classes
        if label is not None and not 0 <= label < classes:
            known = f"classes 0 to {classes - 1}" if classes else "no classes"
            raise ConfigError(f"class {label} was asked for, and this discriminator has {known}.")

    def logits_as(self, y: int, x: Tensor, company: Tensor | None) -> Tensor:
        if company is None or not len(company):
            return torch.cat([self.said(part, y) for part in torch.split(x, self.form.at_once)])
        return torch.stack([self.said(torch.cat([one[None], company]), y)[0] for one in x])

    def said(self, x: Tensor, y: int) -> Tensor:
        logits = heard(self.D(x, torch.full((len(x),), y))).logits
        return logits.flatten(1).mean(1) if logits.ndim > 1 else logits

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
    D.require_class(label)
    reals, y = everything(held_out()) if D.company or D.meaning == "rank" else (x[:0], torch.zeros(0))
    company, reals, y = reals[: D.company], reals[D.company :], y[D.company :]
    logits = D.logits(x, label, company)
    if D.meaning == "probability":
        return Judgment(logits, D.probability(logits), D.meaning, TOLD[D.meaning])
    known = D.logits(reals if label is None else reals[y == label], label, company).sort().values
    if not len(known):
        which = "no picture" if label is None else f"no picture of class {label}"
        raise ConfigError(f"{which} is held out of this run, so there is nothing to compare with.")
    told = TOLD[D.meaning].format(n=len(known), loss=D.knobs.loss)
    return Judgment(logits, torch.searchsorted(known, logits) / len(known), D.meaning, told)


def company(nets: Nets) -> int:
    """How many other samples D must see beside one: what compares samples takes one that is alone for a collapse."""
    match nets:
        case MLP() | DCGAN():
            return max(nets.pack, 1 if nets.minibatch == "none" else BATCH) - 1
        case StyleGAN2():
            return nets.group - 1
        case RecordNets():
            return BATCH - 1  # it sees the mean of its batch
        case R3GAN() | ResNet() | FastGAN() | Translation() | Language() | Restyler():
            return 0
        case other:
            assert_never(other)


def validation(config: TrainConfig, track: Track = untracked, warn: Warn = unheard) -> Source:
    """Reals of a run that D never saw. Raises DataError when its data cannot be read."""
    data = build.splits(config.data, track, warn)
    return build.reals(config, build.form(config, data), data).validation


def from_run(run: RunFolder, which: str = "last") -> tuple[TrainedDiscriminator, list[str]]:
    """D of a checkpoint (of a game that goes both ways, of the way there), and what was wrong with newer ones.

    Raises as `generator.from_run`, and ConfigError for a D that is told a picture.
    """
    found, complaints = chosen(run, which)
    state, manifest = checkpoint.load(found)
    form, config = build.Form.of(manifest), read(run.config)
    if config.play == "pairs":
        raise ConfigError(
            f"the discriminator of {run.path} judges pictures beside those that they were made of, not alone.\n"
            f"What its generator is worth is told by equipoise evaluate {run.path}."
        )
    nets = config.nets
    _, D = build.networks(nets, form, seed=0)
    try:
        D.load_state_dict(state["game.D"])
    except RuntimeError as error:
        raise ConfigError(
            f"{found} does not fit the networks of {run.config}, which was changed. Put it back."
        ) from error
    knobs = Knobs(**state["loop.knobs"])
    return TrainedDiscriminator(D.eval().requires_grad_(False), form, knobs, company(nets)), complaints
