"""python benchmarks/speed.py [--case dcgan|r3gan-xs|r3gan-s] [--steps N] [--device cuda]    a step against a plain one.

Same nets, batch and data; the arms take turns, step by step, in one process on one thread, so that a busy moment of the
machine meets all of them. The ratio is of the medians; its interval of the middle half of the pairs. Targets: dcgan at
most .95 of the tutorial's time at fp32 and .65 with bf16 where the CPU has the units; r3gan at most .80.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Iterator
from functools import partial

import plain
import torch
from record import Record, table
from torch import Tensor

from equipoise import build, forecast
from equipoise.config import TrainConfig, override
from equipoise.data.source import InMemory, Splits
from equipoise.recipes import recipe

CASES = {  # recipe, settings, rounds
    "dcgan": ("dcgan", ["batch=64"], 30),
    "r3gan-xs": ("r3gan-xs", ["batch=16", "knobs.augment_p=0"], 5),
    "r3gan-s": ("r3gan-s", ["batch=16", "knobs.augment_p=0"], 3),
}
ON_CUDA = (["batch=256"], 50)  # more work a step, and more steps


def noise(n: int = 2048) -> Splits:
    """Images of noise: a step costs the same on any."""
    x = torch.randint(0, 256, (n, 32, 32, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    part = InMemory(x.permute(0, 3, 1, 2))
    return Splits(part, part, part)


def ours(config: TrainConfig, form: build.Form, data: Splits, device: torch.device) -> Callable[[], object]:
    game, batches = build.game(config, form, device), build.batches(config, data, device)
    return lambda: game.step(batches)


def theirs(
    config: TrainConfig, form: build.Form, data: Splits, device: torch.device, step: Callable[..., object]
) -> Callable[[], object]:
    players = plain.Plain(config, form, device)
    x = data.train.take(torch.arange(len(data.train)))[0].contiguous().to(device)
    y = torch.zeros(config.batch, dtype=torch.long, device=device)
    batches: Iterator[Tensor] = iter(())

    def one() -> object:
        nonlocal batches
        index = next(batches, None)
        if index is None or len(index) < config.batch:
            batches = iter(torch.randperm(len(x)).split(config.batch))
            index = next(batches)
        return step(players, x[index], y)

    return one


def arms(config: TrainConfig, device: torch.device) -> dict[str, Callable[[], object]]:
    data = noise()
    form = build.form(config, data)
    step = plain.dcgan if config.nets.kind == "dcgan" else plain.r3gan_step
    found = {"plain": theirs(config, form, data, device, step)}
    if step is plain.r3gan_step:
        found["plain, D frozen"] = theirs(config, form, data, device, partial(step, frozen=True))
    choices: dict[str, list[str]] = {"": []}
    if forecast.has_bf16_units(device):
        choices[" bf16"] = ["machine.precision=bf16"]
    if device.type == "cuda":
        choices |= {f"{name} compiled": [*settings, "machine.compile=true"] for name, settings in choices.items()}
    return found | {
        f"equipoise{name}": ours(override(config, settings), form, data, device) for name, settings in choices.items()
    }


def timed(step: Callable[[], object], device: torch.device) -> float:
    began = time.perf_counter()
    step()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--case", choices=CASES, action="append")
    parser.add_argument("--steps", type=int)
    parser.add_argument("--device", default="cpu")
    given = parser.parse_args()
    torch.set_num_threads(1)
    device = torch.device(given.device)
    for case in given.case or CASES:
        name, settings, rounds = CASES[case]
        more, rounds = ON_CUDA if device.type == "cuda" else ([], rounds)
        config = override(recipe(name), [*settings, *more, "machine.precision=fp32", "machine.compile=false"])
        measure(Record("speed" if device.type == "cpu" else "gpu"), case, config, given.steps or rounds, device)


def measure(record: Record, case: str, config: TrainConfig, steps: int, device: torch.device) -> None:
    players = arms(config, device)
    for step in players.values():
        for _ in range(2):
            timed(step, device)  # the first one allocates, and compiles
    seconds: dict[str, list[float]] = {name: [] for name in players}
    for done in range(steps):
        for name, step in players.items():
            seconds[name].append(timed(step, device))
        print(f"\r{case}: {done + 1} of {steps} rounds", end="", flush=True)
    print()
    for name in players:
        pairs = sorted(a / b for a, b in zip(seconds[name], seconds["plain"], strict=True))
        row = record.append(
            {"case": case, "arm": name, "batch": config.batch},
            ms=round(1000 * statistics.median(seconds[name]), 1),
            of_plain=round(statistics.median(seconds[name]) / statistics.median(seconds["plain"]), 3),
            middle_half=[round(pairs[len(pairs) // 4], 3), round(pairs[-1 - len(pairs) // 4], 3)], rounds=steps,
        )  # fmt: skip
        print(f"{case:9s} {name:16s} {row['ms']:9.1f} ms a step, {row['of_plain']:.3f} of plain {row['middle_half']}")


def report() -> None:
    """Of plain: the ratio of medians, and the middle half of the ratios of single rounds."""
    table(
        "speed.py",
        "case, batch | arm | ms a step | of plain | middle half | rounds",
        (
            f"{r['key']['case']}, {r['key']['batch']} | {r['key']['arm']} | {r['ms']:.0f} | {r['of_plain']:.2f} "
            f"| {r['middle_half'][0]:.2f} to {r['middle_half'][1]:.2f} | {r['rounds']}"
            for r in Record("speed").rows()
        ),
    )


if __name__ == "__main__":
    main()
