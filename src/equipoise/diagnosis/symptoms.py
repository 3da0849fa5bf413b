"""From the history of a run to findings: what is wrong at its last look."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from equipoise.diagnosis.calibration import Calibration
from equipoise.diagnosis.causes import found
from equipoise.diagnosis.change import AGREE, OF, Worse, worse
from equipoise.diagnosis.finding import RANK, Finding
from equipoise.diagnosis.history import History, values
from equipoise.diagnosis.signs import OF_SAMPLES

ALIKE = 0.25  # distance of fakes to each other over that of reals, below which they are as good as the same
GONE = 0.3  # of the reals' part: what is left of coverage where almost all modes are missing
HALF = 0.5  # of the reals' coverage: samples that are good enough to be told apart by class
KEEN = 0.7  # of the reals' density: fakes so deep among the reals are good enough to count what is missing
ABSENT = 0.15  # share of the data that is not drawn by a run that is otherwise good
FEW = 0.25  # divergence of the classes, in nats, above that of reals: about two in five are never drawn
BURST, EXPLODED, VANISHED = 50.0, 10.0, 1e-3  # gradient norms over what they were
DEAD = 0.9
KNOWS, BY_HEART = 0.65, 0.85  # chance that D scores a training image above another real one; .5 is none
BLIND = 0.5  # chance that D scores another real above a fake, when it knows its training images and nothing else
SURE, ALWAYS = 0.99, 0.96  # how D tells fakes from reals, and the mean sign of its differences
CHANCE, EVEN, LONG = 0.6, 0.15, 5  # the same of a D that guesses; .5 and 0 are mere chance
MAYBE_ALIKE = "D does not tell fakes from reals: they are alike, or it learns nothing. Nobody has looked at the samples"
FOOLED = 0.35  # chance that D scores a real above a fake, when G leads it by the nose
RESTLESS, SWAPPED = 0.6, 0.45  # movement between looks, over the distance of reals; share of samples in other bins
IGNORED = 0.3  # of the way from chance to all labels obeyed
WORDING = {"repeats": "repeated sentences", "vocabulary": "shrinking vocabulary", "self_bleu": "rising self-BLEU"}
REPEATED = 0.5  # share of sentences that are another one, above that of reals, which needs no better time before
COPIES = ("copy_rate", "c_t")
SHRUNK = 0.6  # of the spread of reals: samples so near to the middle are nearer to everything, and no copies
COPYING, SIGNIFICANT = 0.15, -3.0  # copy rate (.05 by chance), and Meehan's C_T


def symptoms(history: History, calibration: Calibration | None, burn_in: int) -> list[Finding]:
    """All that is wrong now, the worst first. Until `burn_in` only what is beyond doubt."""
    if not history:
        return []
    named = list(gradients(history))
    if history[-1].seen >= burn_in:
        settled = [look for look in history if look.seen >= burn_in]
        ill = [] if calibration is None else list(samples(settled, calibration))
        named += [*ill, *players(settled, calibration, harmed=bool(ill))]
    return sorted(named, key=lambda finding: RANK.index(finding.severity))


def lasting(history: History, name: str, least: float = -np.inf, most: float = np.inf) -> bool:
    """Whether the signal lay beyond its bounds at AGREE of the last OF looks, and at the last one."""
    last = values(history[-OF:], name)
    beyond = (last > least) & (last < most)
    return len(last) >= AGREE and bool(beyond[-1]) and int(beyond.sum()) >= AGREE


def last(history: History, *names: str) -> dict[str, float]:
    """Of the signals that the last look has."""
    return {name: history[-1].signals[name] for name in names if name in history[-1].signals}


# -- of the samples


def samples(history: History, calibration: Calibration) -> Iterator[Finding]:
    collapsed = total_collapse(history, calibration)
    if collapsed:
        yield collapsed
    alarms = {name: alarm for name in OF_SAMPLES if name not in COPIES and (alarm := worse(history, name, calibration))}
    yield from of_wording(history, calibration, alarms)
    if not collapsed:
        yield from modes(history, calibration, alarms)
    nearer = lasting(history, "copy_rate", least=COPYING) and lasting(history, "c_t", most=SIGNIFICANT)
    if nearer and not lasting(history, "spread", most=SHRUNK):
        yield found("memorising", last(history, "copy_rate", "c_t"))
    good = lasting(history, "coverage", least=HALF * calibration.nulls["coverage"].mean)
    if good and lasting(history, "obeyed", most=IGNORED):
        yield found("labels ignored", last(history, "obeyed"))


def of_wording(history: History, calibration: Calibration, alarms: dict[str, Worse]) -> Iterator[Finding]:
    """Of sentences, whose words tell more than their features."""
    for name, symptom in WORDING.items():
        if name in alarms:
            yield found(symptom, alarms[name].evidence())
    told = "repeats" in calibration.armed and "repeats" not in alarms
    if told and lasting(history, "repeats", least=REPEATED + calibration.nulls["repeats"].mean):
        yield found(WORDING["repeats"], last(history, *WORDING))


def total_collapse(history: History, calibration: Calibration) -> Finding | None:
    """Fakes that lie upon each other, on a small part of the data; it needs no better time before."""
    ill_spread = lasting(history, "apart", most=ALIKE)
    narrow = lasting(history, "coverage", most=GONE * calibration.nulls["coverage"].mean)
    if not (ill_spread and narrow and calibration.sight("apart")):
        return None
    return found("total collapse", last(history, "apart", "coverage", "missing", "class_jsd", "rank"))


def modes(history: History, calibration: Calibration, alarms: dict[str, Worse]) -> Iterator[Finding]:
    """Which of the ways for samples to become worse: by modes, within them, or by their looks."""
    evidence = {key: value for alarm in alarms.values() for key, value in alarm.evidence().items()}
    of_modes = {"class_jsd"} if "class_jsd" in calibration.armed else {"jsd", "missing"}
    lost, narrower = of_modes & alarms.keys(), {"apart", "spread"} & alarms.keys()
    varied = {"vendi", "rank"} & alarms.keys()
    if (lost and ({"coverage", "missing"} & alarms.keys() or varied)) or absent(history, calibration):
        yield found("partial collapse", evidence or last(history, "missing", "class_jsd", "coverage"))
    elif lost and "precision" not in alarms:
        yield found("imbalance", evidence)
    elif {"precision", "coverage"} & alarms.keys():
        yield found("shrinkage" if narrower and "precision" not in alarms else "quality loss", evidence)
    elif narrower and varied:
        yield found("shrinkage", evidence)


def absent(history: History, calibration: Calibration) -> bool:
    """Whether modes are missing that were never there: of a generator that is good enough to count them, and no longer
    learns them."""
    if "class_jsd" in calibration.armed and lasting(history, "class_jsd", FEW + calibration.nulls["class_jsd"].mean):
        return still(history, "class_jsd")
    many = "missing" in calibration.armed and lasting(history, "missing", least=ABSENT)
    return many and lasting(history, "density", least=KEEN) and still(history, "missing")


def still(history: History, name: str, looks: int = 5) -> bool:
    """Whether the signal, of which less is better, did not sink in the last looks, by a tenth of itself."""
    series = values(history, name)
    series = series[~np.isnan(series)]
    if len(series) < 2 * looks:
        return False
    now, before = np.median(series[-looks:]), np.median(series[-2 * looks : -looks])
    return bool(now > 0.9 * before)


# -- of the players


def players(history: History, calibration: Calibration | None, harmed: bool) -> Iterator[Finding]:
    unlike = calibration is None or lasting(history, "coverage", most=0.8 * calibration.nulls["coverage"].mean)
    if lasting(history, "d_auc", least=KNOWS):
        finding = found("D overfitting", last(history, "d_auc", "d_gap"))
        by_heart = lasting(history, "d_auc", least=BY_HEART)
        blind = calibration is None or lasting(history, "d_tells", most=BLIND)  # other reals look like fakes to it
        yield finding if harmed or (by_heart and blind) else replace(finding, severity="note")
    elif lasting(history, "d_tells", most=FOOLED) or (unlike and guessing(history)):
        finding = found("D too weak", last(history, "d_tells", "paired_sign"))
        alike = calibration is None and not lasting(history, "d_tells", most=FOOLED)  # they may be: nobody has looked
        yield replace(finding, severity="note", meaning=MAYBE_ALIKE) if alike else finding
    if lasting(history, "d_tells", least=SURE) and lasting(history, "paired_sign", least=ALWAYS) and unlike:
        yield found("D too strong", last(history, "d_tells", "paired_sign", "g_grad_norm"))
    if lasting(history, "motion", least=RESTLESS) and swapped(history) > SWAPPED:
        yield found("cycling", {**last(history, "motion"), "swapped": swapped(history)})
    for net in ("g", "d"):
        if lasting(history, f"{net}_dead", least=DEAD):
            yield found("dead units", last(history, f"{net}_dead"))


def guessing(history: History) -> bool:
    """Whether D told fakes from reals no better than chance, at rest and while it learned, in LONG looks but one."""
    told = values(history[-LONG:], "d_tells"), values(history[-LONG:], "paired_sign")
    beyond = (told[0] < CHANCE) & (told[1] < EVEN)
    return len(history) >= LONG and bool(beyond[-1]) and int(beyond.sum()) >= LONG - 1


def swapped(history: History) -> float:
    """Share of samples that lie in other bins than one look before: the middle of the last looks."""
    shares = [np.array(look.shares) for look in history[-OF - 1 :] if look.shares]
    if len(shares) <= OF:
        return 0.0
    return float(np.median([np.abs(b - a).sum() / 2 for a, b in pairwise(shares)]))


def gradients(history: History) -> Iterator[Finding]:
    """Against what they were since the game was changed last: norms have no scale of their own."""
    if lost := {name: value for name, value in history[-1].signals.items() if name.endswith("_nonfinite") and value}:
        yield found("divergence", lost, "numbers of the game are no longer finite")
    turns = [i for i, look in enumerate(history[:-1]) if look.turned]
    history = history[turns[-1] + 1 :] if turns else history
    for net in ("d", "g"):
        norm, peak = values(history, f"{net}_grad_norm"), values(history, f"{net}_grad_norm_peak")
        known = ~np.isnan(norm) & ~np.isnan(peak)
        if not known[-1] or known.sum() < 2 * OF:
            continue
        norm, peak = norm[known], peak[known]
        if not (usual := float(np.median(norm[:-OF]))):
            continue  # it was not played: nothing to be compared with
        evidence = {f"{net}_grad_norm": float(norm[-1]), f"{net}_grad_norm_before": usual}
        if peak[-1] > BURST * usual:
            yield found("divergence", {f"{net}_grad_norm_peak": float(peak[-1]), f"{net}_grad_norm_before": usual})
        elif all_of(norm[-OF:] > EXPLODED * usual):
            yield found("exploding gradients", evidence)
        elif net == "g" and all_of(norm[-OF:] < VANISHED * usual):
            yield found("vanishing gradients", evidence)


def all_of(beyond: NDArray[np.bool_]) -> bool:
    return bool(beyond.sum() >= AGREE and beyond[-1])
