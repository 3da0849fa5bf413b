"""python benchmarks/detection.py [--part k/n]    does the guardian see a collapse, and leave healthy runs alone?

`collapse`: `stacked-digits-ns`, 20 seeds, LOOKS looks in a run. At each look the modes of 1,000 samples are counted by
the digits' judge (a classifier of one digit that the guardian never uses). Detected: "total collapse" or "partial
collapse" is told. The delay is in looks, from the first at which the count is below half of the most so far.

`healthy`: `digits`, `stacked-digits`, and MNIST at 16 pixels with the hinge loss and spectral norm, ten seeds each, all
of full length, with the looks that a run gets by itself. An alarm is a warning or worse.

`stream`: real images in place of samples, STREAM looks one after another on each of SPLITS splits of the data: how
often each signal is beyond its limit (nominal: 5%), and how many alarms are told.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from typing import Any

import torch
from judge import Judge
from record import Record, table, within
from replay import Found, replayed
from torch import nn

from equipoise import build, configuring, launch
from equipoise.config import Arrays, TrainConfig, override
from equipoise.data.source import Part, Splits, everything, scaled, to_uint8
from equipoise.diagnosis.calibration import RATE
from equipoise.diagnosis.signs import badness
from equipoise.diagnosis.watch import Watch
from equipoise.encoders.cache import Cache
from equipoise.encoders.choose import chosen
from equipoise.evaluation import Figures
from equipoise.games.base import Game
from equipoise.judging import History, Verdict
from equipoise.onlookers import Onlookers
from equipoise.runs import folder
from equipoise.sight import opened
from equipoise.streams import Stream
from equipoise.training import train

LOOKS, COUNTED = 50, 1000
SPLITS, STREAM = 5, 100  # of the reals; looks on each
# MNIST at 16 pixels, hinge and spectral norm, on narrow nets
HINGE = ["kimg=160", "data.size=16", "nets.g_width=16", "nets.d_width=16", "optim.g.lr=6e-4", "optim.d.lr=6e-4"]
COLLAPSE = ("total collapse", "partial collapse")


class Counting:
    """Counts modes at each look of the guardian, and tells nobody."""

    def __init__(self, judge: Judge, z_dim: int):
        self.judge_of_digits = judge
        self.z = torch.randn(COUNTED, z_dim, generator=Stream(0, "counted").at(0))
        self.modes: list[tuple[int, float]] = []

    def judge(self, game: Game, history: History) -> Verdict:
        fake = game.sampler(self.z, torch.zeros(COUNTED, dtype=torch.long))
        self.modes.append((game.seen, self.judge_of_digits.stacks(scaled(to_uint8(fake)))["modes"]))
        return Verdict()

    def converged(self, history: History) -> bool:
        return False

    def final(self, best: Mapping[str, nn.Module]) -> Mapping[str, Figures]:
        return {}


def collapsing(seed: int, judge: Judge, out: Path) -> dict[str, Any]:
    config = configuring.configured("stacked-digits-ns", seed=seed, settings=["machine.threads=1"])
    every = config.kimg / LOOKS
    settings = [f"{name}.every_kimg={every}" for name in ("guardian", "evaluate", "record")]
    config = override(config, [*settings, "save.every_kimg=1000", "samples.every_kimg=1000"])
    config = override(config, ["machine.device=cpu", "machine.precision=fp32", "evaluate.patience_kimg=1000"])
    run_folder, data = folder.create(config.recipe, out), build.splits(config.data)
    launch.describe(run_folder, config)
    with launch.assembled(config, run_folder, Onlookers(config, data, torch.device("cpu"))) as run:
        counting = Counting(judge, config.nets.z_dim)
        run.events.append("calibration", **run.controller.facts())
        train(replace(run, judge=counting))
    found = replayed(out)
    return {"modes": counting.modes, "found": found, **delays(counting.modes, found)}


def delays(modes: list[tuple[int, float]], found: Found) -> dict[str, Any]:
    """Looks between the first count below half of the most so far, and the finding; None without one of the two."""
    most, fell = 0.0, None
    for i, (_, count) in enumerate(modes):
        most = max(most, count)
        if fell is None and count < most / 2:
            fell = i
    at = [seen for seen, symptom, _ in found if symptom in COLLAPSE]
    named = next((i for i, (seen, _) in enumerate(modes) if at and seen >= at[0]), None)
    return {
        "detected": bool(at),
        "fell": fell,
        "named": named,
        "delay": None if fell is None or named is None else named - fell,
    }


def healthy(recipe: str, seed: int, out: Path, mnist: Path | None) -> dict[str, Any]:
    data, settings = (str(mnist), HINGE) if recipe == "hinge" else (None, [])
    config: TrainConfig = configuring.configured(
        recipe, data=data, seed=seed, settings=["machine.threads=1", *settings]
    )
    run = launch.start(config, out)
    looks = sum(row["kind"] == "look" for row in folder.rows(run.events))
    return {"looks": looks, "clock": folder.rows(run.clock)[-1], **alarmed(replayed(out))}


def alarmed(found: Found) -> dict[str, Any]:
    return {"found": found, "alarms": sum(severity != "note" for _, _, severity in found)}


def streamed(data: Any, features: str) -> dict[str, Any]:
    """Of each split the rates; a split is a draw of its own, and what is odd in its reals is odd in all its looks."""
    splits = build.splits(data)
    found = [of_one_split(splits, features, split) for split in range(SPLITS)]
    signals = {name: [beyond[name] for _, beyond, _ in found] for name in found[0][1]}
    alarms = [(split, *alarm) for split, (_, _, alarms) in enumerate(found) for alarm in alarms]
    return {"n": found[0][0], "looks": SPLITS * STREAM, "nominal": RATE, "beyond": signals, "alarms": alarms}


def of_one_split(
    splits: Splits, features: str, split: int
) -> tuple[int, dict[str, float], list[tuple[int, str, str]]]:  # fmt: skip
    """Reals that neither the yardstick nor the encoder knows, drawn anew for each look: a half of the training images,
    which the guardian is not given. (MNIST's test images were written by other people, and it sees that.) The
    yardstick and what stands in for fakes are drawn from the other half, too. (n, rate of each signal, alarms)."""
    order = torch.randperm(len(splits.train), generator=Stream(split, "halves").at(0))
    held_out = len(splits.validation)
    held, known, unknown = (
        Part(splits.train, part) for part in order.split([held_out, *halves(len(order) - held_out)])
    )
    encoder = chosen(features, train=known)
    eyes = opened(encoder, known, held, 1000, Cache())
    others = eyes.place(everything(unknown)[0])
    watch = Watch(eyes.calibration, burn_in=0)
    beyond = dict.fromkeys(eyes.calibration.nulls, 0)
    alarms: list[tuple[int, str, str]] = []
    for i in range(STREAM):
        places = torch.randperm(len(others), generator=Stream(split, "stream").at(i))[: eyes.n]
        signals = eyes.yardstick.signals(others.at(places))
        for signal, null in eyes.calibration.nulls.items():
            beyond[signal] += badness(signal, signals[signal]) > badness(signal, null.limit)
        alarms += [(i, f.symptom, f.severity) for f in watch.add(i, signals)]
    return eyes.n, {signal: count / STREAM for signal, count in beyond.items()}, alarms


def halves(n: int) -> tuple[int, int]:
    return n // 2, n - n // 2


def plan(mnist: Path | None) -> Iterator[dict[str, Any]]:
    if mnist:
        yield {"stream": "MNIST", "splits": SPLITS}
    for seed in range(100, 120):
        yield {"collapse": "stacked-digits-ns", "seed": seed}
    for seed in range(100, 110):
        for recipe in ("digits", *(["hinge"] if mnist else []), "stacked-digits"):
            yield {"healthy": recipe, "seed": seed}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--mnist", type=Path)
    parser.add_argument("--part", default="0/1", help="k/n: every n-th run, from the k-th on")
    parser.add_argument("--work", type=Path, default=Path("runs/detection"), help="where the runs are kept")
    given = parser.parse_args()
    torch.set_num_threads(1)
    record, judge = Record("detection"), Judge()
    k, n = map(int, given.part.split("/"))
    for key in list(plan(given.mnist))[k::n]:
        if record.has(key):
            continue
        if "stream" in key:
            found = streamed(Arrays(path=str(given.mnist), size=28), "classifier")
        elif "collapse" in key:
            found = collapsing(key["seed"], judge, given.work / f"collapse-{key['seed']}")
        else:
            found = healthy(key["healthy"], key["seed"], given.work / f"{key['healthy']}-{key['seed']}", given.mnist)
        record.append(key, **found)
        print(key, {name: found[name] for name in found if name not in ("modes", "looks")}, flush=True)


def report() -> None:
    if not (rows := Record("detection").rows()):
        return
    table(
        "detection.py: runs that collapse",
        "seed | told | most modes, last modes | below half of the most at look | told at look | delay, looks",
        (
            f"{r['key']['seed']} | {', '.join(symptom for _, symptom, _ in r['found'][:2])} "
            f"| {max(n for _, n in r['modes'])}, {r['modes'][-1][1]} | {r['fell']} | {r['named']} | {r['delay']}"
            for r in rows
            if "collapse" in r["key"]
        ),
    )
    table(
        "detection.py: healthy runs",
        "recipe, seed | looks | alarms | told | s | watching",
        (
            f"{r['key']['healthy']}, {r['key']['seed']} | {r['looks']} | {r['alarms']} "
            f"| {', '.join(f'{symptom} ({severity})' for _, symptom, severity in r['found'])} "
            f"| {r['clock']['seconds']:.0f} | {r['clock'].get('seconds_watching', 0) / r['clock']['seconds']:.1%}"
            for r in rows
            if "healthy" in r["key"]
        ),
    )
    well = [r for r in rows if "healthy" in r["key"]]
    told = sum(r["alarms"] > 0 for r in well)
    print(f"\nHealthy runs with an alarm: {told} of {len(well)}, {within(told, len(well))}.")
    for r in rows:
        if "splits" in r["key"]:
            rates = ", ".join(
                f"{name} {fmean(each):.0%} ({min(each):.0%} to {max(each):.0%})" for name, each in r["beyond"].items()
            )
            print(
                f"\n{r['looks']} looks at real {r['key']['stream']} images on {r['key']['splits']} splits, beyond the "
                f"5% limits: {rates}; alarms: {r['alarms']}."
            )


if __name__ == "__main__":
    main()
