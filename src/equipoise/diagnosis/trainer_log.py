"""What the log of any trainer tells: columns of numbers in, findings out. Each rule looks at the end of the log."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Literal, NamedTuple

import numpy as np

from equipoise.diagnosis import convergence
from equipoise.diagnosis.finding import RANK, Finding
from equipoise.diagnosis.levels import (
    BLOCK,
    LEAST,
    LOSSES,
    MARGIN,
    NORMS,
    QUALITY,
    SEVERE,
    Log,
    Look,
    Series,
    Values,
    begun,
    rhythm,
)  # fmt: skip

Found = tuple[int, Finding]  # the step at which the sign begins
Severity = Literal["note", "warning", "severe"]

HALF = 2.0  # a diversity that lost half is called collapsing, whatever the precision
EXPLODED = 50.0  # times the median before
VANISHED = 1e-3  # of the median before
WON = 0.05  # of D's first loss, and of 1: chance is 1.39 for a cross entropy, 2 for the hinge, .5 for squares
APART = 2 * float(np.log(0.95 / 0.05))  # D's mean logits, when it says .95 of reals and .05 of fakes
WIDENED = 1.5  # times the gap of D's answers when the samples were best
P_VALUE, SWING = 1e-4, 0.05  # of a rhythm: its chance in white noise; its amplitude in parts of the level


class Remedy(NamedTuple):
    verdict: str
    advice: str
    source: str


BACK = (
    "go back to a checkpoint before that step, with half the learning rates, a larger R1 penalty, or gradients clipped "
    "to norm 1"
)
LET_UP = "give D fewer steps or a lower learning rate, a larger R1 penalty, or augment what it is shown"
MESCHEDER = "Mescheder et al. 2018 (arXiv:1801.04406)"
ARJOVSKY = "Arjovsky and Bottou 2017 (arXiv:1701.04862), section 2"
REMEDIES = {  # causes before effects: of equal severity the first gives its name to the whole
    "not finite": Remedy("diverging", BACK, MESCHEDER),
    "exploding gradients": Remedy("diverging", BACK, MESCHEDER),
    "exploding loss": Remedy("diverging", BACK, MESCHEDER),
    "collapsing": Remedy(
        "collapsing",
        "go back to the checkpoint of the best evaluation; then a relativistic loss with R1 and R2, lower learning "
        "rates, or larger batches",
        "Naeem et al. 2020 (arXiv:2002.09797); Kynkäänniemi et al. 2019 (arXiv:1904.06991)",
    ),
    "D overfitting": Remedy(
        "D overfitting",
        "augment what D is shown (reals and fakes alike), gather more data, or raise R1; use the best checkpoint",
        "Karras et al. 2020 (arXiv:2006.06676), figure 1",
    ),
    "D too strong": Remedy("D too strong", LET_UP, ARJOVSKY),
    "vanishing gradients": Remedy(
        "D too strong", f"{LET_UP}; with the minimax loss, change to the non-saturating one", ARJOVSKY
    ),
    "G too strong": Remedy(
        "G too strong",
        "give D more steps, a higher learning rate or more width, or lower its penalties",
        "Goodfellow 2016 (arXiv:1701.00160), section 4",
    ),
    "cycling": Remedy(
        "cycling",
        "an R1 penalty of D, lower learning rates, and an average of G's weights (EMA) for the samples",
        f"{MESCHEDER}, section 2",
    ),
    "past its best": Remedy(
        "past its best",
        "use the checkpoint of the best evaluation and stop, or go on from it with lower learning rates",
        "Brock et al. 2019 (arXiv:1809.11096), section 4.2",
    ),
    "plateau": Remedy(
        "plateau",
        "stop here and use the best checkpoint; to gain more, lower the learning rates, or enlarge G and D",
        "Prechelt 1998 (Early stopping - but when?)",
    ),
}
WORSENING = frozenset(REMEDIES) - {
    "plateau",
    "G too strong",
}  # what says that a run gets worse, not that it stands still


def findings(log: Log, margin: float = MARGIN) -> list[Found]:
    """Of a log with any of COLUMNS, the worst first. Values that are not finite are evidence themselves."""
    look = Look({name: finite(series) for name, series in log.items()}, margin)
    found = [*not_finite(log), *(each for rule in RULES for each in rule(look))]
    return sorted(found, key=lambda each: (*order(each[1]), each[0]))


def verdict(found: Iterable[Finding]) -> str:
    """One word for all: that of the worst finding. A note names no run, but for the one that it no longer gains."""
    worst = min((each for each in found if names_a_run(each)), key=order, default=None)
    if worst is None:
        return "healthy"
    return REMEDIES[worst.symptom].verdict if worst.symptom in REMEDIES else worst.verdict


def names_a_run(finding: Finding) -> bool:
    return finding.severity != "note" or finding.symptom in ("plateau", "converged")


def order(finding: Finding) -> tuple[int, int]:
    known = list(REMEDIES)
    return RANK.index(finding.severity), known.index(finding.symptom) if finding.symptom in known else len(known)


def unarmed(log: Log) -> list[str]:
    """Which columns hold too few values to be judged, in words."""
    counted = [(name, len(finite(series)[0]), LEAST if name in QUALITY else 2 * BLOCK) for name, series in log.items()]
    return [f"{name} is not judged: {n} values, {needed} are needed" for name, n, needed in counted if n < needed]


def finite(series: Series) -> Series:
    steps, values = series
    kept = np.isfinite(values)
    return steps[kept], values[kept]


def told(step: int, symptom: str, severity: Severity, evidence: Mapping[str, float], meaning: str) -> Found:
    remedy = REMEDIES[symptom]
    return step, Finding(symptom, severity, evidence, meaning, remedy.advice, remedy.source)


def not_finite(log: Log) -> Iterator[Found]:
    for name, (steps, values) in log.items():
        bad = ~np.isfinite(values)
        if bad.any():
            back = "" if bad[-1] else " and came back, as it does where mixed precision skips a step"
            counts = {"values": float(bad.sum()), "of": float(len(bad)), "last_at_step": float(steps[bad][-1])}
            severity: Severity = "warning" if back else "severe"
            yield told(
                int(steps[bad.argmax()]), "not finite", severity, counts, f"{name} left the finite numbers{back}"
            )


def exploding(look: Look) -> Iterator[Found]:
    for name in (*LOSSES, *NORMS):
        steps, levels = look.blocks(name, np.abs)
        at = next((i for i in range(LEAST, len(levels)) if exploded(levels, i)), None)
        if at is not None:
            yield told(
                int(steps[at]), "exploding gradients" if name in NORMS else "exploding loss", "severe",
                {"before": float(np.median(levels[:at])), "then": float(levels[at]), "last": float(levels[-1])},
                f"{name} is more than {EXPLODED:g} times what it was: the players drive each other away",
            )  # fmt: skip


def exploded(levels: Values, at: int) -> bool:
    before = levels[:at]
    limit = EXPLODED * float(np.median(before))
    return bool(levels[at] > max(limit, before.max()) and levels[-1] > limit)


def vanishing(look: Look) -> Iterator[Found]:
    steps, levels = look.blocks("grad_norm_g")
    usual = float(np.median(levels[:-1])) if len(levels) else 0.0
    if len(levels) and levels[-1] < VANISHED * usual:
        yield told(
            begun(steps, levels < VANISHED * usual), "vanishing gradients", "severe",
            {"before": usual, "last": float(levels[-1])},
            "G no longer learns anything from D: a D that is always right has no slope where the fakes are",
        )  # fmt: skip


def d_too_strong(look: Look) -> Iterator[Found]:
    """D makes no errors: by its loss, or by its answers. Severe where the samples or G's gradients tell of it too."""
    if look.is_critic:
        return
    severity: Severity = "severe" if look.quality_fell or any(vanishing(look)) else "warning"
    steps, d = look.blocks("d_loss")
    limit = WON * min(1.0, float(d[0])) if len(d) else 0.0
    if len(d) and d[-1] < limit and not g_fell(look):
        evidence = {"d_loss": float(d[-1]), "at_first": float(d[0]), "limit": limit}
        yield told(
            begun(steps, d < limit), "D too strong", severity, evidence,
            "D makes no errors any more, and so has little left to teach G",
        )  # fmt: skip
    steps, apart = look.gap
    if len(apart) and apart[-1] > APART:
        yield told(
            begun(steps, apart > APART), "D too strong", severity,
            {"logits_apart": float(apart[-1]), "limit": APART}, "D tells nearly every fake from nearly every real",
        )  # fmt: skip


def g_fell(look: Look) -> bool:
    _, g = look.blocks("g_loss")
    return bool(len(g)) and bool(g[-1] < g[0] / HALF)


def g_too_strong(look: Look) -> Iterator[Found]:
    (steps, g), (_, d) = look.blocks("g_loss"), look.blocks("d_loss")
    if not len(g) or not len(d) or look.is_critic:
        return
    if 0 <= g[-1] < WON * g[0] and d[-1] > SEVERE * d[0]:
        firsts = {"g_loss": float(g[-1]), "g_at_first": float(g[0]), "d_loss": float(d[-1]), "d_at_first": float(d[0])}
        since = begun(steps, g < WON * g[0])
        yield told(since, "G too strong", "warning", firsts, "D takes the fakes for real, whatever they are")


def d_overfitting(look: Look) -> Iterator[Found]:
    """D's answers have drifted apart since the samples were best."""
    worse, (steps, apart) = look.quality_fell, look.gap
    if worse is None or look.is_critic or not (steps <= worse.best_step).any():
        return
    then, now = float(apart[steps <= worse.best_step][-1]), float(apart[-1])
    if now > WIDENED * max(then, 0.0):
        yield told(
            worse.step, "D overfitting", worse.severity,
            {"logits_apart": now, "at_the_best": then} | worse.evidence,
            "since the samples were best, D has learnt its training images by heart, not what is real",
        )  # fmt: skip


def cycling(look: Look) -> Iterator[Found]:
    for name in ("fid", *LOSSES):
        steps, values = look.series(name) if name in QUALITY else look.blocks(name)
        found = rhythm(values)
        if found and found.chance < P_VALUE and found.swing > SWING:
            period = found.period * float(steps[-1] - steps[0]) / (len(steps) - 1)
            evidence = {"period_steps": period, "swing": found.swing, "chance": found.chance}
            meaning = f"{name} goes round instead of settling: each player answers the other's last move"
            yield told(int(steps[len(steps) // 4]), "cycling", "warning", evidence, meaning)


def past_its_best(look: Look) -> Iterator[Found]:
    if worse := look.quality_fell:
        agree = [name for name in QUALITY if name != worse.column and look.fell(name)]
        also = f"; worse as well: {', '.join(agree)}" if agree else ""
        meaning = f"{worse.column} is worse than at step {worse.best_step:,}, beyond noise{also}"
        yield told(worse.step, "past its best", worse.severity, worse.evidence, meaning)


def collapsing(look: Look) -> Iterator[Found]:
    """Diversity goes: by half, whatever else happens, or by less while each sample looks as real as before."""
    looks_worse = any(look.fell(name) for name in ("precision", "density"))
    for worse in filter(None, map(look.fell, ("recall", "coverage"))):
        if worse.factor > HALF or not looks_worse:
            meaning = f"{worse.column} fell: parts of the data are no longer drawn"
            also = "" if looks_worse else ", while each sample looks as real as before"
            yield told(worse.step, "collapsing", worse.severity, worse.evidence, meaning + also)


def plateau(look: Look) -> Iterator[Found]:
    """No gain in the last quarter of the log, by the first figure of quality that it has."""
    column = next((name for name in QUALITY if len(look.series(name)[0]) >= LEAST), None)
    if column is None or look.quality_fell:
        return
    steps, values = look.series(column)
    patience = int(steps[-1] - steps[0]) // 4
    found = convergence.plateau(
        [int(s) for s in steps], [float(v) for v in values], patience, lower_is_better=column == "fid"
    )
    if found:
        evidence = {name: found.evidence[name] for name in ("gain", "noise", "best", "last")}
        evidence |= {"patience_steps": float(patience), "best_at_step": 1000 * found.evidence["best_at_kimg"]}
        meaning = f"{column} has not gained, beyond noise, in the last quarter of the log"
        yield told(int(steps[-1]) - patience, "plateau", "note", evidence, meaning)


Rule = Callable[[Look], Iterator[Found]]
RULES: tuple[Rule, ...] = (
    exploding, vanishing, d_too_strong, g_too_strong, d_overfitting, cycling, past_its_best, collapsing, plateau,
)  # fmt: skip
