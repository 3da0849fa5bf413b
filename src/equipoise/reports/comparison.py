"""Runs against runs: what differs beyond the chance of a seed. No torch.

A run is one draw of its settings, so settings are compared over seeds: paired where two arms share seeds, which takes
out what a seed does to both, otherwise by Welch's t.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean, variance
from typing import Any

from equipoise.config import TrainConfig, nearest, read
from equipoise.errors import ConfigError
from equipoise.figures import Figure, Measured, final, flat, meaning, net, newest
from equipoise.reports.settings import departures, settings, spelled
from equipoise.runs.folder import RunFolder

SURE = 0.975  # of each side, for an interval of 95%
ALIKE = "not distinguishable"


@dataclass(frozen=True)
class Mean:
    """Over runs, with the 95% interval of what another run would be like on average; without one for one run."""

    value: float
    low: float | None
    high: float | None
    runs: int


@dataclass(frozen=True)
class Difference:
    """Of an arm's figure from that of the first arm, with its 95% interval; without one for single runs."""

    value: float
    low: float | None
    high: float | None
    by: str  # how the interval was got, or why there is none
    verdict: str
    samples_differ: bool | None = (
        None  # of single runs, by the figures' own intervals: about samples, not about settings
    )


@dataclass(frozen=True)
class Arm:
    """Runs that differ in their seed only."""

    name: str
    runs: Mapping[int, RunFolder]  # by seed


@dataclass(frozen=True)
class Compared:
    """One figure in all arms; the first arm is what the others are held against."""

    means: Sequence[Mean]
    differences: Sequence[Difference]  # of the second arm and those after it


@dataclass(frozen=True)
class Comparison:
    arms: Sequence[Arm]
    figures: Mapping[str, Compared]
    notes: Sequence[str]

    def as_json(self) -> dict[str, Any]:
        arms = [{"name": arm.name, "runs": {str(s): str(run.path) for s, run in arm.runs.items()}} for arm in self.arms]
        found = {name: {"better": meaning(name).better or None, **asdict(c)} for name, c in self.figures.items()}
        return {"arms": arms, "metrics": found, "notes": list(self.notes)}


def compare(runs: Sequence[RunFolder], metric: str | None = None) -> Comparison:
    """The final figures of runs, by arms; all figures that every run has, or one.

    Raises:
        ConfigError: for fewer than two runs, a run without figures or given twice, and figures whose protocols differ.
    """
    if len(runs) < 2:
        raise ConfigError("compare what with what? Give at least two runs: equipoise compare RUN RUN...")
    arms = grouped(runs)
    measured, names, notes = alike(runs, metric)
    sources = {one.source for one in measured.values()}
    notes += [f"not all figures are of the same generator: {', '.join(sorted(sources))}."] if len(sources) > 1 else []
    found: dict[str, Compared] = {}
    for name in names:
        by_arm = [{seed: measured[run.path].figures[name] for seed, run in arm.runs.items()} for arm in arms]
        found[name] = Compared([mean(one) for one in by_arm], [difference(name, by_arm[0], one) for one in by_arm[1:]])
    return Comparison(arms, found, [*notes, *asides(arms, found)])


def grouped(runs: Sequence[RunFolder]) -> list[Arm]:
    """Arms in the order of their first run, each named by its recipe and what sets it apart."""
    configs = {run.path: read(run.config) for run in runs}
    groups: dict[str, dict[int, RunFolder]] = {}
    for run in runs:
        config = configs[run.path]
        group = groups.setdefault(json.dumps(settings(config), sort_keys=True), {})
        if twin := group.get(config.seed):
            raise ConfigError(
                f"{twin.path} and {run.path} have the same settings and the same seed: one run, played twice.\n"
                "Compare runs that differ in a setting or in their seed."
            )
        group[config.seed] = run
    names = named([configs[next(iter(group.values())).path] for group in groups.values()])
    return [Arm(name, dict(sorted(group.items()))) for name, group in zip(names, groups.values(), strict=True)]


def named(configs: Sequence[TrainConfig]) -> list[str]:
    """Recipes with the settings in which they depart from them, but for those that all share."""
    changed = [departures(config) for config in configs]
    apart = [{k: v for k, v in one.items() if any(k not in o or o[k] != v for o in changed)} for one in changed]
    return [" ".join([config.recipe, spelled(own)]).strip() for config, own in zip(configs, apart, strict=True)]


def alike(runs: Sequence[RunFolder], metric: str | None) -> tuple[dict[Path, Measured], list[str], list[str]]:
    """What was measured of each run, and the figures that compare: the final ones, or those evaluated alike later."""
    measured = {run.path: measures(run) for run in runs}
    try:
        return measured, *comparable(measured, metric)
    except ConfigError:
        later = {run.path: found for run in runs if (found := newest(run))}
        if len(later) < len(runs):
            raise
        return later, *comparable(later, metric)


def measures(run: RunFolder) -> Measured:
    found = final(run)
    if found is None:
        raise ConfigError(f"{run.path} has no final figures. Measure it first: equipoise evaluate {run.path}")
    return found


def comparable(measured: Mapping[Path, Measured], metric: str | None) -> tuple[list[str], list[str]]:
    """The figures that all runs have, as numbers and by the same protocol; and which are left out, and why."""
    names, notes = shared(measured, metric)
    first, *others = measured.items()
    for name in names:
        for other in others:
            require_comparable(name, first, other)
    return names, notes


def shared(measured: Mapping[Path, Measured], metric: str | None) -> tuple[list[str], list[str]]:
    """The figures that all runs have, as numbers; and which are left out, and why."""
    kept, notes = [], []
    for name in dict.fromkeys(name for one in measured.values() for name in one.figures):
        missing = [str(path) for path, one in measured.items() if name not in one.figures]
        odd = [
            str(path)
            for path, one in measured.items()
            if name in one.figures and not math.isfinite(one.figures[name].value)
        ]
        if missing:
            notes.append(f"{name} is left out: {missing[0]} does not have it.")
        elif odd:
            notes.append(f"{name} is left out: it is not a finite number in {odd[0]}.")
        else:
            kept.append(name)
    if metric is not None and metric not in kept:
        why = next((note for note in notes if note.startswith(f"{metric} ")), f"no run has it{nearest(metric, kept)}")
        raise ConfigError(f"{metric} cannot be compared: {why}")
    if not kept:
        raise ConfigError("these runs share no figure. Measure them alike: equipoise evaluate RUN --metrics fd,prdc")
    return ([metric], []) if metric else (kept, notes)


def require_comparable(name: str, one: tuple[Path, Measured], other: tuple[Path, Measured]) -> None:
    """Raises ConfigError with the first thing that two figures depend on and do not share."""
    a, b = one[1].figures[name], other[1].figures[name]
    which = f"{name} of {one[0]} and {other[0]}"
    mine, others = a.protocol.get("features"), b.protocol.get("features")
    if mine != others:
        raise ConfigError(
            f"{which}: features: {net(mine)} against {net(others)}: a number from one feature net is never compared\n"
            "with another's. Evaluate both alike: equipoise evaluate RUN --features NAME"
        )
    mine, others = ({"n_fake": each.n_fake, "n_real": each.n_real, **flat(each.protocol)} for each in (a, b))
    for key in dict.fromkeys([*mine, *others]):
        if mine.get(key) != others.get(key):
            raise ConfigError(
                f"{which}: {key}: {mine.get(key)} against {others.get(key)}: figures compare only where all that\n"
                "they depend on is equal. Evaluate both alike: equipoise evaluate RUN --against DATA -n N"
            )


def mean(figures: Mapping[int, Figure]) -> Mean:
    values = [figure.value for figure in figures.values()]
    return Mean(fmean(values), *around(values), len(values))


def difference(name: str, base: Mapping[int, Figure], arm: Mapping[int, Figure]) -> Difference:
    """Paired over the seeds that both have, if there are two of them; else by Welch; else of single runs."""
    common = sorted(base.keys() & arm.keys())
    a, b = ([figure.value for figure in arm.values()] for arm in (base, arm))
    if len(common) >= 2:
        apart = [arm[seed].value - base[seed].value for seed in common]
        return judged(name, fmean(apart), around(apart), f"paired over {len(common)} seeds")
    if min(len(a), len(b)) >= 2:
        return judged(name, fmean(b) - fmean(a), welch(a, b), "unpaired (Welch), as the seeds differ")
    single = (len(a), len(b)) == (1, 1)
    return Difference(
        fmean(b) - fmean(a),
        None,
        None,
        "one seed",
        ALIKE,
        apart_alone(*base.values(), *arm.values()) if single else None,
    )


def apart_alone(a: Figure, b: Figure) -> bool | None:
    """Whether the own intervals of two figures leave a gap between them; None where one has no interval."""
    if a.low is None or a.high is None or b.low is None or b.high is None:
        return None
    return a.high < b.low or b.high < a.low


def judged(name: str, value: float, ends: tuple[float | None, float | None], by: str) -> Difference:
    low, high = ends
    if low is None or high is None or low <= 0 <= high:
        return Difference(value, low, high, by, ALIKE)
    sign = "lower" if value < 0 else "higher"
    better = meaning(name).better
    return Difference(value, low, high, by, ("better" if sign == better else "worse") if better else sign)


def around(values: Sequence[float]) -> tuple[float | None, float | None]:
    """95% interval of the mean by Student's t."""
    n = len(values)
    if n < 2:
        return None, None
    half = quantile(n - 1) * math.sqrt(variance(values) / n)
    return fmean(values) - half, fmean(values) + half


def quantile(freedom: float) -> float:
    """Of Student's t."""
    from scipy.special import stdtrit  # 15 MB that the page needs for this alone; scipy.stats would be 65

    return float(stdtrit(freedom, SURE))


def welch(a: Sequence[float], b: Sequence[float]) -> tuple[float, float]:
    """95% interval of mean(b) - mean(a) for variances that may differ (Welch 1947; freedom after Satterthwaite)."""
    va, vb = variance(a) / len(a), variance(b) / len(b)
    apart, both = fmean(b) - fmean(a), va + vb
    if both == 0:
        return apart, apart
    freedom = both**2 / (va**2 / (len(a) - 1) + vb**2 / (len(b) - 1))
    half = quantile(freedom) * math.sqrt(both)
    return apart - half, apart + half


def asides(arms: Sequence[Arm], found: Mapping[str, Compared]) -> list[str]:
    """What a reader of the table should know."""
    if len(arms) == 1:
        return ["all runs have the same settings: there are seeds to average, and nothing to compare."]
    notes = [f"arm {i + 2} against arm 1: {how(arms[0], arm, i, found)}" for i, arm in enumerate(arms[1:])]
    if sum(len(compared.differences) for compared in found.values()) > 1:
        notes.append("each interval holds 95% by itself: of twenty, one misses.")
    return notes


def how(base: Arm, arm: Arm, i: int, found: Mapping[str, Compared]) -> str:
    """How an arm was held against the first."""
    differences = {name: compared.differences[i] for name, compared in found.items()}
    by = next(iter(differences.values())).by
    common, alone = base.runs.keys() & arm.runs.keys(), sorted(base.runs.keys() ^ arm.runs.keys())
    if len(common) >= 2 and alone:
        return f"{by}; without a counterpart: {', '.join(map(str, alone))}."
    if by != "one seed":
        return f"{by}."
    differ = [name for name, difference in differences.items() if difference.samples_differ]
    samples = f" By their own intervals the samples of these two runs differ in {', '.join(differ)}." if differ else ""
    return f"one seed: not distinguishable by itself.{samples}"
