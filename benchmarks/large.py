"""python benchmarks/large.py [--case r3gan|stylegan2] [--side N] [--parts N]    large pictures within 12 GB.

One step at 256, 512 and 1024 pixels, and one sample at 1024, each in a process of its own, on one thread: what was told
before the start (memory and time, as `forecast.beforehand` counts them), and beside it what the process held at most
and how long it took. The step has all penalties of its recipe at once, also those that are lazy, so that it is the
costliest of a run. The target is at most 12 GB.

`r3gan` is what `auto` chooses for 5,000 pictures on a CPU. For so many it never chooses StyleGAN2: `stylegan2` is the
recipe, at the batch and in the parts that `auto.parts` gives it. Pictures are noise: a step costs the same on any.
With --parts fewer parts of a step are played, to try it out; the row says so.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from itertools import chain
from resource import RUSAGE_SELF, getrusage
from typing import Any

import torch
from record import Record, Row, table, verdict

from equipoise import auto, build, configuring, forecast
from equipoise.config import TrainConfig, override
from equipoise.data.source import InMemory, Splits
from equipoise.generator import TrainedGenerator

CASES, SIDES, SAMPLED, PICTURES = ("r3gan", "stylegan2"), (256, 512, 1024), 1024, 5_000
LIMIT_GB, CPU = 12, torch.device("cpu")
SETTINGS = ["machine.device=cpu", "machine.threads=1", "machine.precision=fp32", "machine.compile=false"]
EVERY_PENALTY = ["knobs.r1_every=1", "knobs.path_every=1"]


def configured(case: str, side: int) -> TrainConfig:
    if case == "r3gan":
        facts = auto.Facts(PICTURES, side)
        return override(configuring.configured("auto", facts=facts), SETTINGS)
    settings = chain.from_iterable(found for found, _ in auto.parts("stylegan2", side, cuda=False))
    return configuring.configured("stylegan2", settings=[*settings, *SETTINGS])


def noise(config: TrainConfig, side: int) -> Splits:
    """As many as a step shows."""
    x = torch.randint(0, 256, (config.batch, 3, side, side), dtype=torch.uint8)
    part = InMemory(x)
    return Splits(part, part, part)


def step(case: str, side: int, parts: int | None) -> dict[str, Any]:
    config = configured(case, side)
    played = min(parts or config.knobs.accumulate, config.knobs.accumulate)
    config = override(config, [f"knobs.accumulate={played}", *EVERY_PENALTY])
    data = noise(config, side)
    form = build.form(config, data)
    expected = forecast.beforehand(config, form, CPU)
    game, batches = build.game(config, form, CPU), build.batches(config, data, CPU)
    began = time.perf_counter()
    game.step(batches)
    seconds = time.perf_counter() - began
    nets = config.nets.model_dump()
    told = {} if expected is None else {
        "told": expected.told(), "told_gb": round(expected.held / 1e9, 2), "told_seconds": round(expected.seconds or 0),
    }  # fmt: skip
    return told | {
        "seconds": round(seconds, 1), "recipe": config.recipe, "batch": config.batch, "accumulate": played,
        "checkpointing": nets["checkpointing"], "nets": nets, "parameters": parameters(*game.networks().values()),
    }  # fmt: skip


def sample(case: str, side: int) -> dict[str, Any]:
    config, form = configured(case, side), build.Form((3, side, side), 0)
    G, _ = build.networks(config.nets, form, config.seed)
    trained = TrainedGenerator(G.eval().requires_grad_(False), config.nets, form)
    began = time.perf_counter()
    trained.sample(1)
    return {"seconds": round(time.perf_counter() - began, 2), "recipe": config.recipe, "parameters": parameters(G)}


def parameters(*nets: torch.nn.Module) -> list[int]:
    return [sum(p.numel() for p in net.parameters()) for net in nets]


def alone(what: str, case: str, side: int, parts: int | None) -> None:
    """In a process of its own: measures, and prints what it found."""
    torch.set_num_threads(1)
    found = sample(case, side) if what == "sample" else step(case, side, parts)
    print(json.dumps(found | {"peak_gb": round(1024 * getrusage(RUSAGE_SELF).ru_maxrss / 1e9, 2)}))


def measured(what: str, case: str, side: int, parts: int | None) -> dict[str, Any]:
    command = [sys.executable, __file__, "--alone", what, "--case", case, "--side", str(side)]
    command += ["--parts", str(parts)] if parts else []
    done = subprocess.run(
        command, stdout=subprocess.PIPE, text=True, check=True, env=os.environ | {"OMP_NUM_THREADS": "1"}
    )
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--case", choices=CASES, action="append")
    parser.add_argument("--side", type=int, choices=SIDES, action="append")
    parser.add_argument("--parts", type=int, help="plays at most so many parts of a step, to try it out")
    parser.add_argument("--alone", choices=("step", "sample"), help="measures one, as this program asks itself to")
    given = parser.parse_args()
    if given.alone:
        return alone(given.alone, given.case[0], given.side[0], given.parts)
    record, sides = Record("large"), given.side or SIDES
    jobs = [("step", case, side) for side in sides for case in given.case or CASES]
    jobs += [("sample", case, SAMPLED) for case in given.case or CASES if SAMPLED in sides]
    for what, case, side in jobs:
        key = {"what": what, "case": case, "side": side} | ({"parts": given.parts} if given.parts else {})
        if record.has(key):
            continue
        found = measured(what, case, side, given.parts)
        row = record.append(key, **found, limit_gb=LIMIT_GB, passed=found["peak_gb"] <= LIMIT_GB)
        print(key, row.get("told", ""), f"\n    {row['peak_gb']} GB, {row['seconds']} s, {row['passed']}", flush=True)


def report() -> None:
    """What was told before the start, and what it was."""

    def line(r: Row) -> str:
        key, told = r["key"], "told" in r
        parts = f", {key['parts']} parts" if "parts" in key else ""
        return (
            f"{key['what']}, {key['case']}, {key['side']}{parts} | {r['told_gb'] if told else ''} | {r['peak_gb']} "
            f"| {r['told_seconds'] if told else ''} | {r['seconds']:.0f} | {verdict(r)}"
        )

    rows = Record("large").rows()
    header = f"what, case, pixels | told, GB | held, GB | told, s | took, s | at most {LIMIT_GB} GB"
    table("large.py", header, map(line, rows))


if __name__ == "__main__":
    main()
