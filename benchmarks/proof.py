"""python benchmarks/proof.py [--record guardian]    what the rows of guardian.py say: tables and tests.

Success is compared by McNemar's exact test on pairs of equal seed, one-sided, with Holm's correction over the tasks.
Endpoints of one game are compared by the Hodges-Lehmann estimate of the median difference of logarithms, with the exact
95% interval of the signed-rank test; those of several faults together, whose differences are not symmetric about their
median, by the median and the interval of the sign test. T7 is told twice, the second time without the NaN: of a run
that it ends, the players as they are in memory are judged, and `off`, `random` and `yoked` cannot answer it, so that
their failures there are by construction.
"""

from __future__ import annotations

import argparse
import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from statistics import median

import numpy as np
import standalone
from arms import ABLATIONS
from guardian import LOOKS, TASKS, Endpoint, Task
from record import Record, Row, table
from scipy.stats import binomtest

from equipoise import charts
from equipoise.charts import Line

Runs = Mapping[tuple[str, int], Row]  # by (arm, seed)
GROUPS = ("T2", "T3", "T4", "T5", "T7")  # that success is compared on
NAN, REST = "T7 NaN in a gradient", "T7 without NaN"
PATIENCE, WORSE = 3, 1.25  # looks in a row above so many times the best: then the run is stopped


def by_task(rows: Iterable[Row]) -> dict[str, Runs]:
    found: dict[str, dict[tuple[str, int], Row]] = defaultdict(dict)
    for row in rows:
        found[row["key"]["task"]][row["key"]["arm"], row["key"]["seed"]] = row
    return dict(found)


def best_look(task: Task, looks: Sequence[tuple[int, Endpoint]]) -> Endpoint:
    pick = max if task.value == "modes" else min
    return pick((end for _, end in looks), key=lambda end: end[task.value])


def outcome(task: Task, runs: Runs, arm: str, seed: int) -> bool:
    """Success of a run, against the best look of the run of that seed that was left alone."""
    return task.succeeded(runs[arm, seed]["end"], best_look(task, runs["off", seed]["looks"]))


def stopped_by_patience(looks: Sequence[tuple[int, Endpoint]]) -> Endpoint:
    """The endpoint of the checkpoint that patience would have kept."""
    best, bad = looks[0][1], 0
    for _, end in looks[1:]:
        bad = bad + 1 if end["fid"] > WORSE * best["fid"] else 0
        if bad >= PATIENCE:
            break
        best = min(best, end, key=lambda end: end["fid"])
    return best


def mcnemar(pairs: Sequence[tuple[bool, bool]]) -> float:
    """One-sided p of the first being better, from the pairs that differ."""
    wins, losses = sum(a and not b for a, b in pairs), sum(b and not a for a, b in pairs)
    return float(binomtest(wins, wins + losses, alternative="greater").pvalue) if wins + losses else 1.0


def holm(values: Mapping[str, float]) -> dict[str, float]:
    found, largest = {}, 0.0
    for i, (name, p) in enumerate(sorted(values.items(), key=lambda item: item[1])):
        largest = max(largest, min(1.0, (len(values) - i) * p))
        found[name] = largest
    return found


def hodges_lehmann(differences: Sequence[float]) -> tuple[float, float, float]:
    """The median of the Walsh averages, and the interval that the signed-rank test does not reject at 5%."""
    d = np.asarray(differences, float)
    i, j = np.triu_indices(len(d))
    walsh = np.sort((d[i] + d[j]) / 2)
    rejected = largest_rejected(len(d))
    if rejected is None:
        return float(np.median(walsh)), math.nan, math.nan
    return float(np.median(walsh)), float(walsh[rejected]), float(walsh[-rejected - 1])


def largest_rejected(n: int, alpha: float = 0.05) -> int | None:
    """How many of the lowest Walsh averages (and of the highest) lie outside: the largest k for which the signed rank
    sum W of n pairs has P(W <= k) <= alpha / 2; None where there is none."""
    counts = np.ones(1)
    for rank in range(1, n + 1):
        counts = np.concatenate([counts, np.zeros(rank)]) + np.concatenate([np.zeros(rank), counts])
    below = np.cumsum(counts) / 2**n
    inside = np.flatnonzero(below <= alpha / 2)
    return int(inside[-1]) if len(inside) else None


def grouped(found: Mapping[str, Runs]) -> dict[str, list[str]]:
    """T7's tasks are pooled, and once more without the NaN."""
    groups: dict[str, list[str]] = defaultdict(list)
    for name in found:
        groups[name.split()[0]].append(name)
    rest = [name for name in groups.get("T7", []) if name != NAN]
    return dict(groups) | ({REST: rest} if rest else {})


OTHERS = ("off", "random", "yoked", "patience", "patience, of both", "always-on", "rollback-only", "crossed")


def ends(task: Task, runs: Runs, other: str) -> list[tuple[Endpoint, Endpoint, Endpoint]]:
    """(endpoint of `on`, of another arm, best look of `off`) of all seeds that have them; `patience` is what it would
    have kept of `off`; of both, and of `on`, too: what people have who take a run's best checkpoint in any case."""
    made = []
    for arm, seed in runs:
        if arm != "on" or ("off", seed) not in runs:
            continue
        looks, mine = runs["off", seed]["looks"], runs["on", seed]["end"]
        if other.startswith("patience"):
            theirs = stopped_by_patience(looks)
            mine = stopped_by_patience(runs["on", seed]["looks"]) if other == "patience, of both" else mine
        elif (other, seed) in runs:
            theirs = runs[other, seed]["end"]
        else:
            continue
        made.append((mine, theirs, best_look(task, looks)))
    return made


def pairs(found: Mapping[str, Runs], names: Sequence[str], other: str) -> list[tuple[bool, bool]]:
    """(success of `on`, of another arm)."""
    return [
        (TASKS[name].succeeded(end, best), TASKS[name].succeeded(theirs, best))
        for name in names
        for end, theirs, best in ends(TASKS[name], found[name], other)
    ]


def successes(found: Mapping[str, Runs]) -> None:
    arms = ("off", "on", "yoked", "random", "always-on", "rollback-only", "crossed", *ABLATIONS)

    def line(name: str) -> str:
        task, runs = TASKS[name], found[name]
        cells = []
        for arm in arms:
            seeds = [seed for other, seed in runs if other == arm and ("off", seed) in runs]
            good = sum(outcome(task, runs, arm, seed) for seed in seeds)
            middle = median(runs[arm, seed]["end"][task.value] for seed in seeds) if seeds else math.nan
            cells.append(f"{good} of {len(seeds)} ({middle:.3g})" if seeds else "")
        return " | ".join([name, task.value, *cells])

    header = f"task | (median of) | {' | '.join(arms)}"
    table("guardian.py: successes, and the median endpoint", header, map(line, sorted(found)))


def tests(found: Mapping[str, Runs]) -> None:
    groups = grouped(found)
    for other in OTHERS:
        made = {g: pairs(found, groups[g], other) for g in (*GROUPS, REST) if g in groups}
        made = {g: some for g, some in made.items() if some}
        if not made:
            continue
        p = {g: mcnemar(some) for g, some in made.items()}
        corrected = holm({g: p[g] for g in GROUPS if g in p})
        if REST in p:  # in the place of T7
            corrected[REST] = holm({g: p[g] for g in (*GROUPS[:-1], REST) if g in p})[REST]

        def line(g: str, made=made, p=p, corrected=corrected) -> str:  # type: ignore[no-untyped-def]
            wins, losses = (sum(a and not b for a, b in made[g]), sum(b and not a for a, b in made[g]))
            return f"{g} | {len(made[g])} | {wins} | {losses} | {p[g]:.4f} | {corrected[g]:.4f}"

        header = "task | pairs | on alone succeeds | the other alone | p | p after Holm"
        table(f"on against {other}: McNemar, exact, one-sided", header, map(line, made))


def signs(differences: Sequence[float]) -> tuple[float, float, float]:
    """The median, and the interval of the values that the sign test does not reject at 5%."""
    d = np.sort(np.asarray(differences, float))
    rejected = max((k for k in range(len(d) // 2) if binomtest(k, len(d)).pvalue <= 0.05), default=None)
    if rejected is None:
        return float(np.median(d)), math.nan, math.nan
    return float(np.median(d)), float(d[rejected + 1]), float(d[-rejected - 2])


def differences(found: Mapping[str, Runs]) -> None:
    """Of log endpoints, on minus another arm: below 0 is better for distances, above for modes."""
    for other in OTHERS:
        lines = []
        for group, names in sorted((grouped(found) | {name: [name] for name in found}).items()):
            if other == "patience" and any(TASKS[name].at_looks for name in names):
                continue  # its looks count modes among fewer samples than the end
            made = [(TASKS[name].value, each) for name in names for each in ends(TASKS[name], found[name], other)]
            logs = [math.log((on[value] + 1e-9) / (theirs[value] + 1e-9)) for value, (on, theirs, _) in made]
            pooled = group not in found
            if not logs or (pooled and (len(names) == 1 or len({value for value, _ in made}) > 1)):
                continue
            middle, low, high = (math.exp(each) for each in (signs if pooled else hodges_lehmann)(logs))
            by = "median" if pooled else "Hodges-Lehmann"
            lines.append(f"{group} | {made[0][0]} | {len(logs)} | {middle:.3g} | {low:.3g} to {high:.3g} | {by}")
        if lines:
            header = "task | endpoint | pairs | on over the other | 95% | by"
            table(f"endpoints, on over {other}, of the same seeds", header, lines)


def costs(found: Mapping[str, Runs]) -> None:
    """Of the runs of `on` in which something was changed."""

    def line(name: str) -> str:
        task, runs = TASKS[name], found[name]
        seeds = [seed for arm, seed in runs if arm == "on" and ("off", seed) in runs and runs["on", seed]["changes"]]
        if not seeds:
            return f"{name} | 0 | | | | | "
        times = [recovery(task, runs, seed) for seed in seeds]
        reached = [t for t in times if t is not None]
        again = [replayed(runs["on", seed]) for seed in seeds]
        slower = [runs["on", s]["seconds"] / runs["off", s]["seconds"] for s in seeds if runs["off", s]["seconds"]]
        first = median(runs["on", seed]["changes"][0]["seen"] / runs["off", seed]["seen"] for seed in seeds)
        made = sum(len(runs["on", seed]["changes"]) for seed in seeds)
        cells = [f"{made}", f"{first:.0%}", f"{median(reached):.0%} ({len(reached)})" if reached else "never"]
        return " | ".join([name, f"{len(seeds)}", *cells, f"{median(again):.1%}", f"{median(slower):.2f}"])

    columns = ("runs changed", "changes made", "first change", "from it to success (runs)", "played again")
    header = " | ".join(["task", *columns, "time, on over off"])
    table("guardian.py: medians, parts of a run", header, map(line, sorted(found)))


def recovery(task: Task, runs: Runs, seed: int) -> float | None:
    """From the first change to the first look that succeeds, as a part of the run; None where none does."""
    best, first = best_look(task, runs["off", seed]["looks"]), runs["on", seed]["changes"][0]["seen"]
    good = [seen for seen, end in runs["on", seed]["looks"] if seen > first and task.succeeded(end, best)]
    return (good[0] - first) / runs["off", seed]["seen"] if good else None


def replayed(run: Row) -> float:
    """Images that were given up by going back and playing on, as a part of the run as it was planned: as
    `Treatment.behind` counts them, so that what was given up already is not given up again."""
    backs, given = list[tuple[float, float]](), 0.0

    def behind(seen: float) -> float:
        return seen - next((lost for back, lost in reversed(backs) if back <= seen), 0.0)

    for row in run["changes"]:
        if "back_to" in row and row["seen"] < run["seen"]:
            given += behind(row["seen"]) - behind(row["back_to"] * row["seen"] / row["step"])
            backs.append((row["seen"], given))
    return given / (LOOKS * run["looks"][0][0])


SHOWN = ("off", "on", "always-on", "random")


def plot(found: Mapping[str, Runs], name: str) -> str:
    """The endpoint over the run, of each arm: the median of the seeds, and its middle half. An SVG."""
    task, runs = TASKS[name], found[name]
    lines = []
    for shown in SHOWN:
        looks = [row["looks"] for (arm, _), row in runs.items() if arm == shown and len(row["looks"]) == LOOKS]
        if looks:
            values = np.array([[end[task.value] for _, end in row] for row in looks])
            low, middle, high = np.quantile(values, (0.25, 0.5, 0.75), axis=0).tolist()
            seen = [seen / 1000 for seen, _ in looks[0]]
            lines.append(Line(f"{shown} ({len(looks)})", seen, middle, low, high))
    return charts.curves(f"{name}: {task.value}", lines)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--record", default="guardian")
    parser.add_argument("--plots", type=Path, help="folder for an SVG of each task")
    given = parser.parse_args()
    found = by_task(Record(given.record).rows())
    for part in (successes, tests, differences, costs):
        part(found)
    pictured = [name for name in found if given.plots and not TASKS[name].fault]
    for name in pictured:
        standalone.write(plot(found, name), given.plots / f"guardian_{name.lower().replace(' ', '_')}.svg")


if __name__ == "__main__":
    main()
