"""The recipe `auto`: what to begin with, chosen by a few facts of the data.

The rules are judgment, taken from published settings: R3GAN's table 9 (Huang et al. 2024, arXiv:2501.05441), and
augmentation where there is little data (Zhao et al. 2020, arXiv:2006.10738; Karras et al. 2020, arXiv:2006.06676). Not
measured against each other here. Each reason says what to change.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass

from equipoise.recipes import recipe  # and nothing that imports torch

NAME, SMALL = "auto", "small-diffaugment"
FEW, MANY = 1_000, 50_000  # pictures
FLAT, NARROW = 8, 16  # pixels a side, up to which nets may be fully connected, or narrow
LEAST_A_CLASS = 20
PASSES, LEAST_KIMG = 200, 300  # over the data, unless the recipe is shorter; and at least
SCARCE = MANY // 5  # pictures: fewer could be learnt by heart
P_OF_FEWER, P_OF_MANY = 0.3, 0.15  # of the augmentation in front of D
GAMMA, GAMMA_SIDE = 0.5, 32  # of R1 and R2 at 32 pixels; the papers' .05 to 1 there, 2 at 64, 150 at 256
AVERAGED = 50  # the average of G remembers this part of a run
WHOLE = ("digits", SMALL)  # recipes that are taken as they are, but for the labels and the memory
# MiB that a step holds for each picture, over the pixels of its side less 12, as `reckoning` counts them
HELD_MIB = {"r3gan-xs": 2.1, "r3gan-s": 4.2, "stylegan2": 2.4, SMALL: 0.7}
CPU_MIB, CUDA_MIB = 9_000, 16_000  # that the pictures of one part of a step may hold
AREA = 2**15  # pixels of the sides of all pictures of a step: 64 of 512 pixels, 32 of 1024, as in R3GAN's presets


@dataclass(frozen=True)
class Facts:
    """Of a set; None where it is drawn without end, or has no sides."""

    samples: int | None
    side: int | None  # pixels, as it will be trained on
    classes: int = 0  # 0 without labels
    recipe: str = ""  # of a built-in set: its own
    why: str = "this set has a recipe of its own, and it was measured"


@dataclass(frozen=True)
class Choice:
    recipe: str
    settings: tuple[str, ...]
    reasons: tuple[str, ...]

    def command(self, data: str | None) -> str:
        """What it is short for."""
        where = ["--data", data] if data else []
        sets = [word for setting in self.settings for word in ("--set", setting)]
        return shlex.join(["equipoise", "train", self.recipe, *where, *sets])


def chosen(facts: Facts, cuda: bool) -> Choice:
    """For a machine with a CUDA device, or without."""
    if facts.recipe:
        return Choice(facts.recipe, (), (f"{facts.recipe}: {facts.why}.",))
    assert facts.samples is not None and facts.side is not None, "only built-in sets have no size"
    name, why = nets(facts.samples, facts.side, cuda)
    settings, reasons = list[str](), [why]
    rules = (labels(facts), *([] if name in WHOLE else [penalties(facts), augmentation(facts), length(facts, name)]))
    for found, reason in (*rules, *parts(name, facts.side, cuda)):
        settings += found
        reasons += [reason]
    return Choice(name, tuple(settings), tuple(reasons))


def rules() -> list[tuple[str, str]]:
    """What is chosen, and by what: of the first six the first that fits, and then what stands below it. In words."""
    of_r3gan = f"for all but {' and '.join(WHOLE)}"
    return [
        ("a built-in set", "its own recipe, which was measured, and nothing else"),
        ("sentences", "text-mle: imitation, which games of sentences must beat; not measured yet"),
        (f"pictures of at most {FLAT} pixels a side", "digits: fully connected nets"),
        (f"fewer than {FEW:,} pictures", f"{SMALL}: narrow nets, and D sees each picture varied"),
        (f"at most {NARROW} pixels, or no CUDA device", "r3gan-xs: narrow nets"),
        ("anything else", "r3gan-s"),
        (f"{LEAST_A_CLASS} pictures a class or more", "nets.conditioning=projection: samples of each can be asked for"),
        (
            f"area of a picture, {of_r3gan}",
            f"knobs.r1 and r2: {GAMMA:g} at {GAMMA_SIDE} pixels, twice that for fewer than {SCARCE:,} pictures",
        ),
        (
            f"number of pictures, {of_r3gan}",
            f"knobs.augment_p: {P_OF_FEWER:g}, from {MANY:,} pictures on {P_OF_MANY:g}",
        ),
        (
            f"number of pictures, {of_r3gan}",
            f"kimg: {PASSES} passes, at least {LEAST_KIMG}, at most what the recipe has; "
            f"knobs.ema_halflife_kimg: a {AVERAGED}th of it",
        ),
        (
            "memory that a step on such pictures would hold",
            f"batch and knobs.accumulate: in parts of {CPU_MIB // 1024} GiB, or {CUDA_MIB // 1024} on CUDA",
        ),
    ]


def nets(samples: int, side: int, cuda: bool) -> tuple[str, str]:
    """The recipe that the others change, and why."""
    if side <= FLAT:
        return "digits", f"digits: pictures of {side} pixels are small enough for fully connected nets."
    if samples < FEW:
        return SMALL, f"{SMALL}: {samples:,} pictures are few: narrow nets, and D sees each of them varied."
    if side <= NARROW:
        return "r3gan-xs", f"r3gan-xs: narrow nets are enough for pictures of {side} pixels."
    if not cuda:
        return "r3gan-xs", "r3gan-xs: there is no CUDA device here, and wider nets take days on a processor."
    return "r3gan-s", f"r3gan-s: {samples:,} pictures of {side} pixels, and a CUDA device."


def parts(name: str, side: int, cuda: bool) -> list[tuple[list[str], str]]:
    """A step in parts that fit into the memory of most machines, for a recipe in HELD_MIB; none where it fits as it is.

    The gradients of the parts are added, so that only norms over a batch see fewer pictures.
    """
    whole = recipe(name).batch
    if name not in HELD_MIB:
        return []
    images, each = min(whole, AREA // side), HELD_MIB[name] * (side - 12)
    part = images
    while part > 2 and part * each > (CUDA_MIB if cuda else CPU_MIB):
        part //= 2
    if part == whole:
        return []
    return [([f"batch={part}", f"knobs.accumulate={images // part}"], (
        f"batch={part}, {images // part} times for each step: {images} pictures of {side} pixels at once would hold "
        f"about {images * each / 1024:.0f} GiB."
    ))]  # fmt: skip


def labels(facts: Facts) -> tuple[list[str], str]:
    assert facts.samples is not None
    if facts.classes < 2:
        return [], "no classes: the pictures lie in one folder, or have no labels."
    if facts.samples < LEAST_A_CLASS * facts.classes:
        return [], (
            f"no classes, though there are {facts.classes}: {facts.samples / facts.classes:.0f} pictures each, and "
            f"fewer than {LEAST_A_CLASS} do not teach a class (nets.conditioning=projection uses them all the same)."
        )
    return ["nets.conditioning=projection"], (
        f"nets.conditioning=projection: {facts.classes} classes, so that samples of each can be asked for."
    )


def penalties(facts: Facts) -> tuple[list[str], str]:
    """By area, as a penalty of a slope in pixels should; more where D could learn the pictures by heart."""
    assert facts.samples is not None and facts.side is not None
    scarce = 2 if facts.samples < SCARCE else 1
    gamma = GAMMA * scarce * (facts.side / GAMMA_SIDE) ** 2
    return [f"knobs.r1={gamma:g}", f"knobs.r2={gamma:g}"], (
        f"knobs.r1 and r2={gamma:g}: {GAMMA:g} at 32 pixels, by area, times {scarce} for {facts.samples:,} pictures; "
        "try a tenth where samples stay blurred, ten times as much where they become alike."
    )


def augmentation(facts: Facts) -> tuple[list[str], str]:
    assert facts.samples is not None
    p, many = (P_OF_FEWER, "not many") if facts.samples < MANY else (P_OF_MANY, "many")
    return [f"knobs.augment_p={p:g}"], (
        f"knobs.augment_p={p:g}: {facts.samples:,} pictures are {many}; in front of D, G does not copy it."
    )


def length(facts: Facts, name: str) -> tuple[list[str], str]:
    assert facts.samples is not None
    usual = recipe(name).kimg
    kimg = min(max(PASSES * facts.samples / 1000, LEAST_KIMG), usual)
    return [f"kimg={kimg:g}", f"knobs.ema_halflife_kimg={kimg / AVERAGED:g}"], (
        f"kimg={kimg:g}: about {1000 * kimg / facts.samples:.0f} passes over the data; "
        "--time says how long it may take on this machine."
    )
