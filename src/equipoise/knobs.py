"""Knobs: all that may change while a game runs, and their schedules. No torch: shared by games, diagnosis and page."""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import pairwise
from typing import Annotated, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, model_validator

LABELLED = ("minimax", "nonsaturating", "least-squares")  # losses whose D answers with labels
LossName = Literal["minimax", "nonsaturating", "least-squares", "wasserstein", "hinge", "relativistic"]


class Knobs(BaseModel):
    """Frozen, and replaced whole: `game.knobs = game.knobs.model_copy(update={...})`."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    loss: LossName = "relativistic"
    ls_targets: tuple[float, float, float] = (0.0, 1.0, 1.0)  # a, b, c of least squares
    smooth_real: float = Field(0.0, ge=0, lt=1)  # label smoothing: reals are labelled 1 - smooth_real
    smooth_fake: float = Field(0.0, ge=0, lt=1)  # and fakes smooth_fake

    g_lr: float = Field(2e-4, ge=0)
    d_lr: float = Field(2e-4, ge=0)
    beta2: float = Field(0.0, ge=0, lt=1)  # Adam's memory of squared gradients, for both players; 0: as in optim
    d_steps: int = Field(1, ge=1)  # updates of D per round (n_critic in WGAN)
    g_steps: int = Field(1, ge=1)  # updates of G per round
    accumulate: int = Field(1, ge=1)  # batches whose gradients each update takes the mean of: a larger batch in parts

    r1: float = Field(0.0, ge=0)  # gamma of R1; its half is inside, as the papers write it
    r2: float = Field(0.0, ge=0)  # gamma of R2
    r1_every: int = Field(1, ge=1)  # rounds; R1 is felt in the last of them, as many times over (lazy)
    gp: float = Field(0.0, ge=0)  # lambda of WGAN-GP
    lecam: float = Field(0.0, ge=0)  # D's logits keep near where those of the other kind lie of late
    consistency_real: float = Field(0.0, ge=0)  # D's logits of reals that are seen again, shifted
    consistency_fake: float = Field(0.0, ge=0)
    z_consistency_d: float = Field(0.0, ge=0)  # D's logits of fakes whose latents were nudged
    z_consistency_g: float = Field(0.0, ge=0)  # how far G's samples move then, which is rewarded
    mode_seeking: float = Field(0.0, ge=0)  # G is fined for making the same of different latents
    auxiliary: float = Field(0.0, ge=0)  # the loss of the class, for both players; needs nets.conditioning=auxiliary
    top_k: float = Field(1.0, gt=0, le=1)  # share of the fakes that G learns from: those that D takes for most real
    unroll: int = Field(0, ge=0)  # updates of D that G looks ahead; for small networks
    path_length: float = Field(0.0, ge=0)  # of G with styles: deviation of the lengths of its paths
    path_every: int = Field(1, ge=1)  # rounds, as r1_every
    reconstruction: float = Field(0.0, ge=0)  # of D with decoders: what it draws of reals again
    adversarial: float = Field(1.0, ge=0)  # of G's loss: what D says; 0 leaves the other terms alone
    pixel: float = Field(0.0, ge=0)  # of pairs: mean |fake - real|
    cycle: float = Field(0.0, ge=0)  # of two domains: mean |what came back - what was sent|
    identity: float = Field(0.0, ge=0)  # mean |G(b) - b|: what is of the other domain already stays as it is
    nce: float = Field(0.0, ge=0)  # each patch of a fake is told from the others by the one that it was made from
    nce_identity: float = Field(0.0, ge=0)  # the same of what G makes of reals
    features: float = Field(0.0, ge=0)  # of pairs: mean |D's features of the fake - those of the real|
    style: float = Field(0.0, ge=0)  # means and deviations of D's features are those of the real
    content: float = Field(0.0, ge=0)  # of pairs: squared differences of what a given trained net sees; needs `given`
    given_style: float = Field(0.0, ge=0)  # the same of the products of its channels; needs `given`
    d_l1: float = Field(0.0, ge=0)  # weight decay of D: sum |w|
    d_l2: float = Field(0.0, ge=0)  # sum w^2 / 2
    g_l1: float = Field(0.0, ge=0)
    g_l2: float = Field(0.0, ge=0)
    g_orthogonal: float = Field(0.0, ge=0)  # beta of BigGAN's orthogonal regularization of G's weights
    clip_weights: float = Field(0.0, ge=0)  # D's weights are projected onto [-c, c]; 0 is off

    clip_norm: float = Field(0.0, ge=0)  # gradients of each player, by their total norm; 0 is off
    clip_value: float = Field(0.0, ge=0)  # gradients, each value; 0 is off

    augment_p: float = Field(0.0, ge=0, le=1)  # of each kind of augmentation in front of D, for each sample; 0 is off
    augment_target: float = Field(0.0, ge=0, lt=1)  # p rises above it, sinks below: see augment_hears; 0 at first: off
    augment_speed_kimg: float = Field(500.0, gt=0)  # thousands of real samples that would move p from 0 to 1
    instance_noise: float = Field(0.0, ge=0)  # deviation of normal noise on all that D sees; images lie in -1..1
    frozen_norm: bool = False  # BatchNorm in D keeps its statistics: the samples of a batch no longer mix
    imitation: float = Field(0.0, ge=0)  # of sentences: of G's loss against D, -log p of reals beside it
    temperature: float = Field(
        1.0, gt=0
    )  # of sentences: of soft words; lower keeps more variety (RelGAN's larger beta)
    focus: float = Field(0.0, ge=0, lt=1)  # part of the reals that are taken from some bins of the data alone
    focus_on: tuple[int, ...] = ()  # these bins, as the guardian counts them

    ema_halflife_kimg: float = Field(0.5, ge=0)  # thousands of real samples shown to D; 0: no average
    ema_ramp: float | None = Field(0.05, gt=0)  # early on the half-life is at most ramp * seen; None: no ramp

    @model_validator(mode="after")
    def loss_fits(self) -> Knobs:
        """The rules of losses.py, for those who do not import torch."""
        smoothing = self.smooth_real or self.smooth_fake
        if smoothing and self.loss not in LABELLED:
            raise ValueError(f"label smoothing needs a loss with labels ({', '.join(LABELLED)}), not {self.loss}")
        if self.smooth_real + self.smooth_fake >= 1:
            raise ValueError("smooth_real + smooth_fake must stay below 1, or the labels cross")
        if self.lecam and self.loss == "relativistic":
            raise ValueError(
                "lecam holds D's logits near a level, and those of the relativistic loss have none: set knobs.lecam to "
                "0, or choose another loss"
            )
        if self.r1_every > 1 and self.r2:
            raise ValueError(
                "r1_every > 1 beside r2 is worse than both in each round, and fatal on small sets (Huang et al. 2024, "
                "arXiv:2501.05441): set r1_every to 1, or r2 to 0"
            )
        a, b, c = self.ls_targets
        if a in (b, c):
            raise ValueError(
                "ls_targets a, b, c: a must differ from b, or D has nothing to tell apart, and from c, or G has no "
                "incentive: use 0, 1, 1 or -1, 1, 0"
            )
        return self


class At(NamedTuple):
    """Where a run is when it is asked what to change."""

    step: int
    seen: int  # real samples shown to D
    broken: bool = False  # numbers of the game are no longer finite
    over: bool = False  # it was the last look


class Change(BaseModel):
    """What an intervention does to a running game, and why. Recorded first, then applied."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    knobs: Knobs
    reason: str
    over: int = Field(0, ge=0)  # real samples over which what can be ramped moves to where it shall stand
    back_to: int | None = None  # the step whose snapshot the players go back to; counters and data go on
    stop: bool = False  # the run ends here


RAMPED = ("r1", "r2", "instance_noise", "augment_p")


class Ramp(BaseModel):
    """On its way from where the knobs stood to where they stand: the rest of a change with `over`."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    start: dict[str, float]  # by knob
    since: int  # real samples seen
    until: int

    def at(self, knobs: Knobs, seen: int) -> Knobs:
        """The knobs on the way to `knobs`."""
        gone = min(max((seen - self.since) / (self.until - self.since), 0), 1)
        return knobs.model_copy(update={k: v + (getattr(knobs, k) - v) * gone for k, v in self.start.items()})


def ramp(knobs: Knobs, under_way: Ramp | None, change: Change, seen: int) -> Ramp | None:
    """What moves slowly after a change of `knobs` that is made when so much was seen; None where nothing does.

    A change with `over` takes all that can be ramped from where it stands; one without leaves on its way what it does
    not turn, unless it goes back to another state of the game.
    """
    if change.over:
        before = under_way.at(knobs, seen) if under_way else knobs
        moved = {name: getattr(before, name) for name in RAMPED if getattr(before, name) != getattr(change.knobs, name)}
        return Ramp(start=moved, since=seen, until=seen + change.over) if moved else None
    if under_way is None or under_way.until <= seen or change.back_to is not None:
        return None
    left = {k: v for k, v in under_way.start.items() if getattr(knobs, k) == getattr(change.knobs, k)}
    return under_way.model_copy(update={"start": left}) if left else None


class Constant(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    kind: Literal["constant"] = "constant"
    value: float = 1.0

    def at(self, progress: float) -> float:
        return self.value


class Slope(BaseModel):
    """`start` until the part `after` of the run, `end` from the part `until` on, and the shape in between: a straight
    line, or half a cosine wave (with after = 0 and end = .1 the burn-in of R3GAN)."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    kind: Literal["linear", "cosine"]
    start: float = 1.0
    end: float = 0.0
    after: float = Field(0.0, ge=0, lt=1)
    until: float = Field(1.0, gt=0, le=1)

    @model_validator(mode="after")
    def in_order(self) -> Slope:
        if self.after >= self.until:
            raise ValueError(f"after = {self.after:g} must come before until = {self.until:g}")
        return self

    def at(self, progress: float) -> float:
        gone = min(max((progress - self.after) / (self.until - self.after), 0), 1)
        if self.kind == "cosine":
            gone = (1 - math.cos(math.pi * gone)) / 2
        return self.start + (self.end - self.start) * gone


class Phases(BaseModel):
    """`values[i]` from the part `starts[i]` of the run on; for numbers of steps, whole ones."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    kind: Literal["phases"] = "phases"
    starts: tuple[float, ...]
    values: tuple[float, ...]

    @model_validator(mode="after")
    def in_order(self) -> Phases:
        ordered = all(a < b for a, b in pairwise(self.starts))
        if not self.starts or self.starts[0] != 0 or not ordered or len(self.starts) != len(self.values):
            raise ValueError("phases need as many values as starts, and starts that rise from 0")
        return self

    def at(self, progress: float) -> float:
        return self.values[sum(start <= progress for start in self.starts) - 1]


# A schedule is a factor on a knob over the run: turning the knob, by hand or by an intervention, keeps its shape.
Schedule = Annotated[Constant | Slope | Phases, Field(discriminator="kind")]
WHOLE = frozenset({"d_steps", "g_steps", "accumulate", "unroll", "r1_every", "path_every"})
SCHEDULABLE = frozenset(name for name, field in Knobs.model_fields.items() if field.annotation in (int, float))


def two_phase(switch: float = 0.5, early_g_steps: int = 2, late_d_steps: int = 2) -> dict[str, Schedule]:
    """More steps of G while it catches up, more of D once the samples are fine-grained: factors on the step counts."""
    return {
        "g_steps": Phases(starts=(0, switch), values=(early_g_steps, 1)),
        "d_steps": Phases(starts=(0, switch), values=(1, late_d_steps)),
    }


def annealed(*, lr: float, after: float, penalty: float, until: float) -> dict[str, Schedule]:
    """R1 and R2 sink to `penalty` of their weight by the part `until`, both learning rates to `lr` of theirs from the
    part `after` on: a wide game first, a fine one at the end."""
    rate = Slope(kind="cosine", end=lr, after=after)
    weight = Slope(kind="cosine", end=penalty, until=until)
    return {"g_lr": rate, "d_lr": rate, "r1": weight, "r2": weight}


def scheduled(knobs: Knobs, schedules: Mapping[str, Schedule], progress: float) -> Knobs:
    """The knobs in force at `progress` (0 to 1, in real samples) of a run whose knobs stand at `knobs`."""
    if not schedules:
        return knobs
    values = {name: getattr(knobs, name) * schedule.at(progress) for name, schedule in schedules.items()}
    return knobs.model_copy(update={k: round(v) if k in WHOLE else v for k, v in values.items()})
