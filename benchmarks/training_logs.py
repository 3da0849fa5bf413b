"""python benchmarks/training_logs.py --logs DIR      how well `diagnose` tells, from its log, that a run gets worse.

DIR holds metrics.csv.gz (dataset, run, step, metric, reference, value) and losses.csv.gz (dataset, run, step, d_loss,
g_loss, ada_p): 32 training logs that PyTorch-StudioGAN published. A run has one FID, against the moments of its test
images (CIFAR-10), validation images (Tiny ImageNet, ImageNet) or training images (the StyleGAN2s); of a step that is
there twice the last row counts. A run is degraded when its last FID is above 1.25 times its best.

Each rule is asked after every evaluation, with what the log held by then. A degraded run is caught when it is called
worse at or after its best evaluation; before that it had still to gain, and the call is early. In other runs any call
is false. The form of the rules was chosen with these logs in sight; the margin is fitted, once to all of them and once
with the run in question left out. PRD's F8 and F1/8 stand in for recall and precision where those were not logged.
Several runs are of one model on two data sets, or of kin, so that they are fewer than 32 independent ones.
"""

from __future__ import annotations

import argparse
import csv
import gzip
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from record import Record, table
from scipy.stats import binomtest

from equipoise.diagnosis.levels import LOSSES, MARGIN, QUALITY, SEVERE, Log, Series
from equipoise.diagnosis.trainer_log import WORSENING, findings

FACTOR, PATIENCE = 1.25, 3  # the baseline: so many evaluations in a row above so many times the best so far
MARGINS = tuple(round(1.04 + 0.02 * i, 2) for i in range(14))  # 1.04 to 1.30
NAMES = {
    "FID score": "fid", "Inception score": "is", "Improved Precision": "precision", "Improved Recall": "recall",
    "Density": "density", "Coverage": "coverage", "F_8 score": "recall", "F_1/8 score": "precision",
}  # fmt: skip


@dataclass(frozen=True, eq=False)
class Run:
    name: str
    log: Log

    @property
    def fid(self) -> Series:
        return self.log["fid"]

    @property
    def best(self) -> int:
        return int(self.fid[0][self.fid[1].argmin()])

    @property
    def degraded(self) -> bool:
        return bool(self.fid[1][-1] > FACTOR * self.fid[1].min())

    def up_to(self, step: int, columns: Sequence[str]) -> Log:
        return {name: (at[at <= step], y[at <= step]) for name, (at, y) in self.log.items() if name in columns}


Alarms = Callable[[Run], Sequence[int]]  # the steps at which a run is called worse, ascending


def runs(logs: Path) -> list[Run]:
    values: dict[str, dict[str, dict[int, float]]] = defaultdict(lambda: defaultdict(dict))
    for row in rows(logs / "metrics.csv.gz"):
        values[f"{row['dataset']}/{row['run']}"][NAMES[row["metric"]]][int(row["step"])] = float(row["value"])
    for row in rows(logs / "losses.csv.gz"):
        for name in LOSSES:
            if row[name]:
                values[f"{row['dataset']}/{row['run']}"][name][int(row["step"])] = float(row[name])
    return [Run(name, {key: series(each) for key, each in log.items()}) for name, log in sorted(values.items())]


def rows(path: Path) -> Iterator[dict[str, str]]:
    with gzip.open(path, "rt") as file:
        yield from csv.DictReader(file)


def series(values: Mapping[int, float]) -> Series:
    steps = sorted(values)
    return np.array(steps, np.int64), np.array([values[step] for step in steps])


def patience(run: Run) -> list[int]:
    steps, fid = run.fid
    above = fid > FACTOR * np.minimum.accumulate(fid)
    return [int(steps[i]) for i in range(PATIENCE - 1, len(fid)) if above[i - PATIENCE + 1 : i + 1].all()]


@cache
def called_worse(run: Run, columns: tuple[str, ...], margin: float, severities: tuple[str, ...]) -> list[int]:
    return [int(step) for step in run.fid[0] if worse(run.up_to(int(step), columns), margin, severities)]


def worse(log: Log, margin: float, severities: tuple[str, ...]) -> bool:
    return any(each.symptom in WORSENING and each.severity in severities for _, each in findings(log, margin))


def by_rules(
    columns: Sequence[str], margin: float = MARGIN, severities: Sequence[str] = ("warning", "severe")
) -> Alarms:
    return lambda run: called_worse(run, tuple(columns), margin, tuple(severities))


def apart(columns: Sequence[str], margin: float) -> Alarms:
    """The same warnings, sooner had for many margins: losses are asked once, as no margin matters to them."""
    losses, quality = ([name for name in columns if name in some] for some in (LOSSES, QUALITY))
    return lambda run: sorted({*by_rules(losses)(run), *by_rules(quality, margin)(run)})


def left_out(everyone: Sequence[Run], columns: Sequence[str]) -> tuple[Alarms, dict[str, float]]:
    """The rules, for each run with the margin that fits the others."""
    margins = {run.name: fitted([other for other in everyone if other is not run], columns) for run in everyone}
    return lambda run: apart(columns, margins[run.name])(run), margins


def fitted(some: Sequence[Run], columns: Sequence[str]) -> float:
    """The margin with the most runs caught, less false and early calls; the middle one of equals."""
    scores = {margin: score(judged(some, apart(columns, margin))) for margin in MARGINS}
    best = [margin for margin in MARGINS if scores[margin] == max(scores.values())]
    return best[len(best) // 2]


def score(found: Mapping[str, Any]) -> int:
    return int(found["caught"] - found["false"] - found["early"])


def judged(some: Sequence[Run], alarms: Alarms) -> dict[str, Any]:
    degraded = [run for run in some if run.degraded]
    first = {run: [step for step in alarms(run) if step >= run.best][:1] for run in degraded}
    caught = {run: steps[0] for run, steps in first.items() if steps}
    false = [run.name for run in some if not run.degraded and alarms(run)]
    healthy = len(some) - len(degraded)
    return {
        "caught": len(caught), "degraded": len(degraded), "caught_95": exact(len(caught), len(degraded)),
        "false": len(false), "healthy": healthy, "false_95": exact(len(false), healthy),
        "early": sum(any(step < run.best for step in alarms(run)) for run in degraded),
        "steps_before_end": {run.name: int(run.fid[0][-1]) - step for run, step in caught.items()},
        "steps_after_best": {run.name: step - run.best for run, step in caught.items()},
        "called_falsely": false,
    }  # fmt: skip


def exact(k: int, n: int) -> list[float]:
    """Clopper and Pearson's 95% interval of a rate."""
    found = binomtest(k, n).proportion_ci(method="exact")
    return [round(found.low, 3), round(found.high, 3)]


def against(baseline: Mapping[str, Any], found: Mapping[str, Any]) -> str:
    """In words; runs that both catch are compared step by step."""
    ends = baseline["steps_before_end"]
    earlier = [steps - ends[name] for name, steps in found["steps_before_end"].items() if name in ends]
    more = f"{found['caught'] - baseline['caught']:+d} caught, {found['false'] - baseline['false']:+d} false alarms"
    return f"{more}; {median(earlier):+,.0f} steps earlier in the median of {len(earlier)}" if earlier else more


def beats(baseline: Mapping[str, Any], found: Mapping[str, Any]) -> str:
    """By counts; how much earlier it is another question."""
    better = found["caught"] - baseline["caught"], baseline["false"] - found["false"]
    return "beats patience" if min(better) >= 0 < max(better) else "does not beat patience in what it catches"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--logs", type=Path, required=True)
    everyone, record = runs(parser.parse_args().logs), Record("training_logs")
    every, others = (*QUALITY, *LOSSES), tuple(name for name in QUALITY if name != "fid")
    one_out, margins = left_out(everyone, every)
    arms: dict[str, Alarms] = {
        "FID patience": patience,
        "all columns, margin fitted with the run left out": one_out,
        f"all columns, margin {MARGIN} fitted to all runs": by_rules(every),
        f"all columns, severe findings only ({SEVERE}, not fitted)": by_rules(every, severities=["severe"]),
        "quality without FID": by_rules(others),
        "losses alone": by_rules(LOSSES),
    }
    baseline = judged(everyone, patience)
    for name, alarms in arms.items():
        found = judged(everyone, alarms) | {"against_patience": against(baseline, judged(everyone, alarms))}
        print(f"{name}: {beats(baseline, found)}: {found}", flush=True)
        if not record.has({"rule": name}):
            record.append({"rule": name}, **found, **({"margins": margins} if alarms is one_out else {}))
    print(f"fitted to all: {fitted(everyone, every)}; with one left out: {sorted(margins.values())}")


def report() -> None:
    """Rates with exact 95% intervals; steps are medians over the runs caught."""

    def rate(k: int, n: int, low: float, high: float) -> str:
        return f"{k} of {n} ({low:.2f} to {high:.2f})"

    def steps(found: dict[str, int]) -> str:
        return f"{median(found.values()):,.0f}" if found else ""

    table(
        "training_logs.py",
        "rule | degraded runs caught | other runs called worse | called early | steps before the end "
        "| steps after the best | against FID patience",
        (
            f"{r['key']['rule']} | {rate(r['caught'], r['degraded'], *r['caught_95'])} "
            f"| {rate(r['false'], r['healthy'], *r['false_95'])} | {r['early']} | {steps(r['steps_before_end'])} "
            f"| {steps(r['steps_after_best'])} | {r['against_patience']}"
            for r in Record("training_logs").rows()
        ),
    )


if __name__ == "__main__":
    main()
