"""python benchmarks/verdicts.py --shared DATA [--part k/n] [--only NAME]    is the verdict of the page right?

Twelve scripted failures, five seeds each, and fifteen healthy runs, five each of three recipes; every run is watched
and left alone. The verdict is that which `equipoise diagnose`, the report and the page share (`reports.diagnosis`),
asked at every look, of the rows that were written until then. A failure is told when at a look after it began a warning
or worse names one of the accepted symptoms, which are written down in FAILURES. A healthy run is a false alarm when any
of its looks shows a warning or worse. Targets: .9 of the failures told, and at most one false alarm.

Seven failures are faults that are planted in a running game (benchmarks/injection.py), at a random time between 20 and
50% of it; five are games that go wrong by themselves, from the start. A run takes one to three minutes of one core. The
seeds of the record are 300 to 304: no rule was chosen on them.
"""

from __future__ import annotations

import argparse
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from guardian import grid_ns, healthy, injected, mnist_ns, pinned, pneumonia, stacked_ns
from injection import FAULTS, planted_at
from record import Record

from equipoise import build, configuring, launch
from equipoise.config import TrainConfig, override
from equipoise.errors import Diverged
from equipoise.onlookers import Onlookers
from equipoise.reports import diagnosis
from equipoise.runs import folder
from equipoise.training import train

FIRST, SEEDS, LOOKS = 300, 5, 50
RECALL, FALSE_ALARMS = 0.9, 1
COLLAPSE = ("total collapse", "partial collapse")
HEALTHY = ("digits", "hinge", "stacked-digits")

Configured = Callable[[Path, int], TrainConfig]


@dataclass(frozen=True)
class Failure:
    configured: Configured  # (folder of data, seed) -> all of it pinned
    accepted: tuple[str, ...]
    fault: str = ""  # of benchmarks/injection.py; none: the game goes wrong by itself


def eager_ring(shared: Path, seed: int) -> TrainConfig:
    """No penalty, and five updates of G for each of D: G runs after each mode in turn."""
    return pinned(
        configuring.configured("ring"), seed, "kimg=64", "knobs.loss=nonsaturating", "knobs.r1=0", "knobs.r2=0",
        "schedules={}", "knobs.g_lr=1e-3", "knobs.d_lr=1e-3", "knobs.g_steps=5",
    )  # fmt: skip


FAILURES = {
    **{name: Failure(injected, fault.accepted, name) for name, fault in FAULTS.items()},
    "a ring with an eager G": Failure(eager_ring, (*COLLAPSE, "cycling", "D too weak")),
    "a grid without penalties": Failure(grid_ns, (*COLLAPSE, "cycling", "quality loss")),
    "stacked digits without penalties": Failure(stacked_ns, COLLAPSE),
    "a DCGAN without norms": Failure(mnist_ns, (*COLLAPSE, "quality loss", "D too strong", "vanishing gradients")),
    "200 X-rays": Failure(pneumonia, ("D overfitting", "memorising", *COLLAPSE, "D too strong", "quality loss")),
}


def played(config: TrainConfig, fault: str, out: Path) -> dict[str, Any]:
    """One run, watched: when it broke, and each change of what the page says, with what it names."""
    shutil.rmtree(out, ignore_errors=True)  # of a benchmark that was killed
    config = override(config, [
        "guardian.mode=watch", f"guardian.every_kimg={config.kimg / LOOKS}", "evaluate.metrics=[]",
        f"evaluate.every_kimg={config.kimg}",
    ])  # fmt: skip
    data, run_folder = build.splits(config.data), folder.create(config.recipe, out)
    launch.describe(run_folder, config)
    at = planted_at(config.seed, config.images) if fault else 0
    with launch.assembled(config, run_folder, Onlookers(config, data, torch.device("cpu"))) as run:
        run.events.append("calibration", **run.controller.facts())
        if fault:
            FAULTS[fault].act(run, at)
        with suppress(Diverged):  # the record says so
            train(run)
    shown = list(shown_by(folder.rows(run_folder.events)))
    return {"at": at, "shown": [each for i, each in enumerate(shown) if not i or each[1:] != shown[i - 1][1:]]}


def shown_by(events: Sequence[dict[str, Any]]) -> Iterator[list[Any]]:
    """[images seen, verdict, symptoms of a warning or worse] at each look, and at the end."""
    for i, row in enumerate(events):
        is_last_of_look = row["kind"] in ("look", "finding", "diverged") and (
            i + 1 == len(events) or events[i + 1]["kind"] != "finding"
        )
        if is_last_of_look and row.get("seen"):
            found = diagnosis.of_events(events[: i + 1])
            yield [row["seen"], found.verdict, [f.symptom for _, f in found.findings if f.severity != "note"]]


def is_told(row: dict[str, Any], accepted: Sequence[str]) -> bool:
    return any(set(symptoms) & set(accepted) for seen, _, symptoms in row["shown"] if seen > row["at"])


def is_alarmed(row: dict[str, Any]) -> bool:
    return any(symptoms for _, _, symptoms in row["shown"])


def plan() -> Iterator[tuple[dict[str, Any], Configured, str]]:
    for seed in range(FIRST, FIRST + SEEDS):
        for name, failure in FAILURES.items():
            yield {"failure": name, "seed": seed}, failure.configured, failure.fault
        for recipe in HEALTHY:
            yield {"healthy": recipe, "seed": seed}, partial(healthy, recipe), ""


def summary(rows: Sequence[dict[str, Any]]) -> Iterator[str]:
    found = {name: [row for row in rows if row["key"].get("failure") == name] for name in FAILURES}
    for name, runs in found.items():
        if runs:
            yield f"{name}: {sum(is_told(row, FAILURES[name].accepted) for row in runs)} of {len(runs)} told"
    every = [is_told(row, FAILURES[name].accepted) for name, runs in found.items() for row in runs]
    if every:
        yield f"recall {sum(every) / len(every):.2f} of {len(every)} (target {RECALL})"
    well = [row for row in rows if "healthy" in row["key"]]
    yield f"false alarms {sum(map(is_alarmed, well))} of {len(well)} (target: at most {FALSE_ALARMS} of 15)"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--shared", type=Path, required=True, help="holds mnist/ and pneumonia/")
    parser.add_argument("--part", default="0/1", help="k/n: every n-th run, from the k-th on")
    parser.add_argument("--only", default="", help="failures or recipes whose names begin so")
    parser.add_argument("--work", type=Path, default=Path("runs/verdicts"))
    given = parser.parse_args()
    torch.set_num_threads(1)
    record, (k, n) = Record("verdicts"), map(int, given.part.split("/"))
    for i, (key, configured, fault) in enumerate(plan()):
        name = key.get("failure") or key["healthy"]
        if i % n != k or record.has(key) or not name.startswith(given.only):
            continue
        out = given.work / f"{i:03d}"
        found = record.append(key, **played(configured(given.shared, key["seed"]), fault, out))
        print(key, found["shown"][-1], flush=True)
    print(*summary(record.rows()), sep="\n")


if __name__ == "__main__":
    main()
