"""python benchmarks/stacked.py    the recipe that keeps the modes and the one that loses them, on one thread.

Targets: `stacked-digits` at least 950 of 1,000 modes and KL at most .3 within 5 minutes, five seeds;
`stacked-digits-ns` below 100 modes in at least 8 of 10 seeds at its pinned config. Then both, at equal lengths, over
learning rate, beta1 and initialisation. 26,000 samples of the averaged generator, read by a classifier of one digit.
"""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from judge import Judge, samples_of
from record import Record, Row, table

from equipoise import configuring, launch
from equipoise.runs.folder import rows

SAMPLES = 26_000
RATES, BETA1S, INITS = (1e-4, 2e-4, 1e-3), (0.0, 0.5), ("torch", "orthogonal", "normal02")
DEEP = ["nets.g_widths=[256, 256, 256]", "nets.d_widths=[256, 256, 256]"]
SWEEP_KIMG = 320  # 2,500 steps of 128


def plan() -> Iterator[tuple[dict[str, Any], list[str]]]:
    """(key, settings) of every run."""
    for seed in range(5):
        yield {"recipe": "stacked-digits", "seed": seed}, []
    for seed in range(10):
        yield {"recipe": "stacked-digits-ns", "seed": seed}, []
    yield {"recipe": "stacked-digits", "nets": "of stacked-digits-ns", "seed": 0}, DEEP
    for recipe in ("stacked-digits-ns", "stacked-digits"):
        for lr, beta1, init in itertools.product(RATES, BETA1S, INITS):
            settings = [
                f"optim.g.lr={lr}", f"optim.g.betas=[{beta1}, .99]", f"nets.init={init}",
                f"optim.d.lr={lr}", f"optim.d.betas=[{beta1}, .99]", f"kimg={SWEEP_KIMG}",
            ]  # fmt: skip
            yield {"recipe": recipe, "sweep": {"lr": lr, "beta1": beta1, "init": init}, "seed": 0}, settings


def main() -> None:
    torch.set_num_threads(1)
    record, judge = Record("stacked"), Judge()
    for key, settings in plan():
        if record.has(key):
            continue
        with tempfile.TemporaryDirectory() as folder:
            config = configuring.configured(key["recipe"], seed=key["seed"], settings=["machine.threads=1", *settings])
            run = launch.start(config, Path(folder) / "run")
            figures = judge.stacks(samples_of(run, SAMPLES))
            print(record.append(key, **figures, clock=rows(run.clock)[-1]), flush=True)


def report() -> None:
    rows = Record("stacked").rows()
    recipes = [r for r in rows if "sweep" not in r["key"]]
    table(
        "stacked.py, the recipes",
        "recipe, seed | modes | KL | s",
        (
            f"{r['key']['recipe']}{' on the nets ' + r['key']['nets'] if 'nets' in r['key'] else ''}, "
            f"{r['key']['seed']} | {r['modes']} | {r['kl']:.3f} | {r['clock']['seconds']:.0f}"
            for r in recipes
        ),
    )
    swept = {(r["key"]["recipe"], *r["key"]["sweep"].values()): r for r in rows if "sweep" in r["key"]}
    settings = sorted({key[1:] for key in swept}, key=str)
    names = ("stacked-digits", "stacked-digits-ns")
    table(
        "stacked.py, the sweep: modes (KL) after 2,500 steps, seed 0",
        "lr | beta1 | init | stacked-digits | stacked-digits-ns",
        (
            f"{lr:g} | {beta1:g} | {init} | "
            + " | ".join(cell(swept.get((name, lr, beta1, init))) for name in names)
            for lr, beta1, init in settings
        ),
    )  # fmt: skip


def cell(row: Row | None) -> str:
    return f"{row['modes']} ({row['kl']:.2f})" if row else "not run"


if __name__ == "__main__":
    main()
