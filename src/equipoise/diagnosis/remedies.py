"""What can be done about each symptom: pure functions of the knobs, and the order in which they are tried."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from equipoise.knobs import LABELLED, Knobs

# The weight of R1 and R2, over the mean squared distance of two reals: D's slope times that distance is a difference of
# logits, so this makes the penalty a few hundredths where D's logits differ by a few units. The recipes of the house
# have .067 (digits), .007 (stacked-digits) and .05 (ring).
GAMMA = 0.01
SLOWER, SLOWEST = 1 / 3, 1 / 30  # of a learning rate at a time, and in all
FIRMER, FIRMEST = 3.0, 30.0  # the same of R1 and R2
SOFTEST = 0.1  # of R1 and R2 that a remedy brought
TRACE = 0.05  # of noise or focus: less is none
P_STEP, P_MOST = 0.2, 0.8  # augmentation in front of D leaks into samples above (Karras et al. 2020)
NOISE = 0.25  # of the deviation of reals about their mean
SMOOTHING = 0.1  # Salimans et al. 2016 (arXiv:1606.03498): reals are labelled .9
BATCHES = 8  # whose gradients are gathered at most
STEPS = 5  # of D in a round at most
IMITATION = 1.0  # weight of likelihood beside the game
COLDER, COLDEST = 1 / 3, 1 / 30  # of the temperature of soft words at a time, and in all
HEAVIER, HALF = 4.0, 0.5  # a sample of a missing bin is drawn so much more often at most; they are so much of all


@dataclass(frozen=True)
class Setting:
    """What a remedy must know of a game beside its knobs."""

    start: Knobs  # as the run began
    images: bool  # they can be augmented
    batch_norm: bool  # in D: it mixes the samples of a batch, which breaks R1, R2 and pairs
    apart2: float  # mean squared distance of two reals
    deviation: float  # of reals about their mean, of one number of a sample
    imitates: int | None = None  # of sentences: so many G imitates, or waits, before it plays; else None
    plays: bool = True  # it plays at all: a language model imitates to its end
    soft: bool = False  # of sentences: D is told soft words, which have a temperature
    shares: Sequence[float] = ()  # of reals in each bin; none where whoever deals them out knows of no bins


class Case(NamedTuple):
    """A game that is to be treated."""

    knobs: Knobs
    setting: Setting
    drawn: Sequence[float]  # shares of its samples in each bin
    seen: float = math.inf

    @property
    def has_begun(self) -> bool:
        """G plays against D: while it imitates, the knobs of that game do nothing."""
        return self.setting.plays and self.seen > (self.setting.imitates or 0)


def paired(case: Case) -> Knobs | None:
    """The relativistic loss with R1 and R2, under which no collapsed game is at rest (Huang et al. 2024,
    arXiv:2501.05441). BatchNorm in D keeps its statistics from now on; LeCam has no level to hold, and top-k would hand
    G the samples of few modes."""
    knobs, gamma = case.knobs, GAMMA * case.setting.apart2
    return turned(
        knobs, loss="relativistic", smooth_real=0.0, smooth_fake=0.0, gp=0.0, clip_weights=0.0, lecam=0.0, top_k=1.0,
        r1=knobs.r1 or gamma, r2=knobs.r2 or gamma, r1_every=1, frozen_norm=case.setting.batch_norm,
    )  # fmt: skip


def firmer(case: Case) -> Knobs | None:
    knobs, most = case.knobs, FIRMEST * GAMMA * case.setting.apart2
    return turned(knobs, r1=up_to(most, knobs.r1, FIRMER), r2=up_to(most, knobs.r2, FIRMER))


def softer(case: Case) -> Knobs | None:
    return turned(case.knobs, r1=case.knobs.r1 / FIRMER, r2=case.knobs.r2 / FIRMER)


def slower(case: Case) -> Knobs | None:
    """Both players."""
    return turned(case.knobs, g_lr=slowed(case, "g_lr"), d_lr=slowed(case, "d_lr"))


def slower_D(case: Case) -> Knobs | None:
    return turned(case.knobs, d_lr=slowed(case, "d_lr"))


def slower_G(case: Case) -> Knobs | None:
    return turned(case.knobs, g_lr=slowed(case, "g_lr"))


def more_D(case: Case) -> Knobs | None:
    """One update of D more in each round."""
    return turned(case.knobs, d_steps=min(case.knobs.d_steps + 1, STEPS))


def augmented(case: Case) -> Knobs | None:
    """In front of D, a step more often (Zhao et al. 2020, arXiv:2006.10738)."""
    if not case.setting.images:
        return None
    return turned(case.knobs, augment_p=max(case.knobs.augment_p, min(case.knobs.augment_p + P_STEP, P_MOST)))


def noisy(case: Case) -> Knobs | None:
    """Instance noise (Sonderby et al. 2017, arXiv:1610.04490)."""
    return turned(case.knobs, instance_noise=max(case.knobs.instance_noise, NOISE * case.setting.deviation))


def smoothed(case: Case) -> Knobs | None:
    if case.knobs.loss not in LABELLED:
        return None
    return turned(case.knobs, smooth_real=max(case.knobs.smooth_real, SMOOTHING))


def larger(case: Case) -> Knobs | None:
    """Twice the batch, in parts: D meets more modes at a time."""
    return turned(case.knobs, accumulate=min(2 * case.knobs.accumulate, BATCHES))


def balanced(case: Case) -> Knobs | None:
    """More reals of the bins that are not drawn."""
    bins = missing(case.setting.shares, case.drawn)
    share = sum(case.setting.shares[i] for i in bins)
    if not share or share > HALF:
        return None
    return turned(case.knobs, focus=min((HEAVIER - 1) * share, HALF), focus_on=tuple(bins))


def imitating(case: Case) -> Knobs | None:
    """What G no longer says costs it likelihood. Who imitates to the end pays that already."""
    if not case.has_begun:
        return None
    return turned(case.knobs, imitation=max(case.knobs.imitation, IMITATION))


def colder(case: Case) -> Knobs | None:
    """Sharper soft words, with which RelGAN kept more variety (Nie et al. 2019, section 4.4)."""
    if not (case.setting.soft and case.has_begun):
        return None
    least = COLDEST * case.setting.start.temperature
    now = case.knobs.temperature
    return turned(case.knobs, temperature=min(now, max(COLDER * now, least)))


def as_it_is(case: Case) -> Knobs | None:
    return case.knobs


def turned(knobs: Knobs, **changes: object) -> Knobs | None:
    """None where nothing would change."""
    new = Knobs(**{**knobs.model_dump(), **changes})
    return None if new == knobs else new


def up_to(most: float, value: float, factor: float) -> float:
    return max(value, min(factor * value, most))


def slowed(case: Case, rate: str) -> float:
    now, start = float(getattr(case.knobs, rate)), float(getattr(case.setting.start, rate))
    return min(now, max(SLOWER * now, SLOWEST * start))


def missing(real: Sequence[float], drawn: Sequence[float]) -> list[int]:
    """The bins whose share of the samples is less than a quarter of the reals'."""
    return [i for i, (p, q) in enumerate(zip(real, drawn, strict=False)) if q < p / 4]


class Remedy(NamedTuple):
    words: str  # what is done
    turn: Callable[[Case], Knobs | None]  # the new knobs; None where it does not fit, or is done already


REMEDIES: Mapping[str, Remedy] = {
    "paired": Remedy("the relativistic loss with R1 and R2", paired),
    "firmer": Remedy("more weight on R1 and R2", firmer),
    "softer": Remedy("less weight on R1 and R2", softer),
    "slower": Remedy("lower learning rates", slower),
    "slower G": Remedy("a lower learning rate of G", slower_G),
    "slower D": Remedy("a lower learning rate of D", slower_D),
    "more D": Remedy("one more update of D a round", more_D),
    "augmented": Remedy("augmentation in front of D", augmented),
    "noisy": Remedy("noise on all that D sees", noisy),
    "smoothed": Remedy("smoother labels", smoothed),
    "larger": Remedy("a larger batch, in parts", larger),
    "balanced": Remedy("more reals of the bins that are not drawn", balanced),
    "imitating": Remedy("imitation beside the game", imitating),
    "colder": Remedy("a lower temperature of soft words", colder),
    "as it is": Remedy("other data and latents", as_it_is),
}


class Passing(NamedTuple):
    """Knobs that are turned for a time only: they go back together once the game is well."""

    knobs: tuple[str, ...]
    remedies: tuple[str, ...]  # that turn them: one that must be begun again has come to stay


PASSING: Sequence[Passing] = (  # first what bends the data, then what slows the game
    Passing(("focus",), ("balanced",)),
    Passing(("g_lr", "d_lr"), ("slower", "slower G", "slower D")),
    Passing(("accumulate",), ("larger",)),
    Passing(("d_steps",), ("more D",)),
    Passing(("r1", "r2"), ("firmer",)),
    Passing(("augment_p",), ("augmented",)),
    Passing(("instance_noise",), ("noisy",)),
    Passing(("smooth_real",), ("smoothed",)),
    Passing(("imitation",), ("imitating",)),
    Passing(("temperature",), ("colder",)),
)


def eased(setting: Setting, knobs: Knobs, names: Sequence[str]) -> Knobs | None:
    """Half of the way back to the start. R1 and R2 that a remedy brought keep a tenth of their weight: while modes are
    lost they must be strong; later they blur (Huang et al. 2024, arXiv:2501.05441, lower them on a schedule)."""
    floor = SOFTEST * GAMMA * setting.apart2
    changes: dict[str, float] = {}
    for name in names:
        now, start = getattr(knobs, name), getattr(setting.start, name)
        if name in ("g_lr", "d_lr", "temperature"):
            changes[name] = max(now, min(2 * now, start))
        elif name in ("r1", "r2"):
            changes[name] = min(now, max(now / 2, start, floor))
        elif name in ("accumulate", "d_steps"):
            changes[name] = min(now, max(now // 2, start))
        else:
            changes[name] = min(now, max(now / 2 if now > TRACE else 0.0, start))
    return turned(knobs, **changes)


class Rung(NamedTuple):
    remedy: str  # key of REMEDIES
    back: bool = False  # after going back to the last healthy snapshot
    to_imitation: bool = False  # further back: to the end of imitation

    @property
    def name(self) -> str:
        return f"back, {self.remedy}" if self.back else self.remedy

    @property
    def words(self) -> str:
        then = "the end of imitation" if self.to_imitation else "the last healthy snapshot"
        return (f"back to {then}, then " if self.back else "") + REMEDIES[self.remedy].words


def rungs(*names: str) -> tuple[Rung, ...]:
    """A name after '<' is played after going back, after '<<' after going back to the end of imitation."""
    return tuple(Rung(name.lstrip("<"), name.startswith("<"), name.startswith("<<")) for name in names)


LADDER: Mapping[str, Sequence[Rung]] = {
    "divergence": rungs("<slower", "<paired", "<as it is"),
    "exploding gradients": rungs("slower", "paired", "firmer", "<slower"),
    "total collapse": rungs("paired", "firmer", "noisy", "augmented", "<slower", "<paired"),
    "partial collapse": rungs("paired", "balanced", "firmer", "larger", "slower", "<slower", "<as it is"),
    "imbalance": rungs("paired", "balanced", "larger"),
    "shrinkage": rungs("paired", "firmer", "slower G"),
    "quality loss": rungs("paired", "slower", "firmer", "<slower", "<as it is"),
    "D overfitting": rungs("augmented", "paired", "firmer", "smoothed", "<augmented"),
    "memorising": rungs("augmented", "firmer", "<augmented"),
    "D too strong": rungs("firmer", "paired", "noisy", "smoothed", "slower D"),
    "D too weak": rungs("slower G", "more D", "softer", "<slower G"),
    "cycling": rungs("paired", "slower", "firmer"),
    "vanishing gradients": rungs("paired", "slower D"),
    "dead units": rungs("slower", "<slower"),
}

OF_VARIETY = rungs("colder", "imitating", "slower G", "<imitating", "<<slower G")
LADDER_OF_TEXT: Mapping[str, Sequence[Rung]] = {
    "divergence": rungs("<slower", "<<slower"),
    "exploding gradients": rungs("slower", "<slower"),
    **dict.fromkeys(("repeated sentences", "total collapse", "partial collapse", "shrinking vocabulary"), OF_VARIETY),
    **dict.fromkeys(("rising self-BLEU", "shrinkage", "imbalance"), OF_VARIETY),
    "quality loss": rungs("imitating", "slower", "<slower", "<<slower G"),
}


def ladder_of(setting: Setting) -> Mapping[str, Sequence[Rung]]:
    return LADDER if setting.imitates is None else LADDER_OF_TEXT
