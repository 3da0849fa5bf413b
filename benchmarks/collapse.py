"""python benchmarks/collapse.py [--part k/n]    seven methods against a collapse: `stacked-digits`, 1,000 modes.

The nets, batch, learning rates and length of `stacked-digits-ns` (a collapse in 10 of 10 seeds), and only the method
differs: its loss, its penalties, packing, or batch norm, each after its paper. Ten seeds, one thread. 26,000 samples of
the averaged generator, read by a classifier of one digit: modes, and KL above that of real test stacks (the excess KL).
The order of published figures is in the table of benchmarks/README.md.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import torch
from judge import Judge, samples_of
from record import Record, grouped, middle, table

from equipoise import configuring, launch
from equipoise.data.digits import stacked_digits
from equipoise.data.source import everything
from equipoise.runs.folder import rows

SEEDS, SAMPLES, RECIPE = 10, 26_000, "stacked-digits-ns"
SETTINGS = [
    "machine.threads=1", "machine.precision=fp32", "guardian.mode=off", "evaluate.metrics=[]",
    "knobs.ema_halflife_kimg=5",
]  # fmt: skip
ZERO_CENTERED = ["knobs.r1=1", "knobs.r2=1"]
METHODS: dict[str, list[str]] = {
    "non-saturating": [],
    "DCGAN-like": ["nets.g_norm=batch", "nets.d_norm=batch", "nets.init=normal02"],
    "PacGAN-2": ["nets.pack=2"],
    "PacGAN-4": ["nets.pack=4"],
    "WGAN-GP": ["loss=wasserstein", "knobs.gp=10", "knobs.d_steps=5", "optim.g.betas=[0,.9]", "optim.d.betas=[0,.9]"],
    "GAN + R1 + R2": ZERO_CENTERED,
    "relativistic + R1 + R2": ["loss=relativistic", *ZERO_CENTERED],
}
LONG = {"relativistic + R1 + R2, as the recipe": "stacked-digits"}  # its own length and schedules: all 1,000 modes?


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--part", default="0/1", help="k/n: every n-th run, from the k-th on")
    given = parser.parse_args()
    torch.set_num_threads(1)
    record, judge, (k, n) = Record("collapse"), Judge(), map(int, given.part.split("/"))
    real = judge.stacks(everything(stacked_digits().test)[0])["kl"]
    jobs = [(seed, name) for seed in range(SEEDS) for name in (*METHODS, *LONG)]
    for seed, name in jobs[k::n]:
        key = {"method": name, "seed": seed}
        if record.has(key):
            continue
        settings = [*SETTINGS, *METHODS.get(name, [])] if name in METHODS else SETTINGS[:-1]
        with tempfile.TemporaryDirectory() as folder:
            config = configuring.configured(LONG.get(name, RECIPE), seed=seed, settings=settings)
            run = launch.start(config, Path(folder) / "run")
            found = judge.stacks(samples_of(run, SAMPLES))
            row = record.append(key, **found, excess_kl=found["kl"] - real, clock=rows(run.clock)[-1])
        print(key, row["modes"], round(row["excess_kl"], 3), f"{row['clock']['seconds']:.0f} s", flush=True)


def report() -> None:
    """Medians over the seeds, with the least and the most."""
    table(
        f"collapse.py: {SAMPLES:,} samples of 1,000 modes",
        "method, runs | modes | excess KL | s",
        (
            f"{name}, {len(rows)} | {middle((r['modes'] for r in rows), '.0f')} "
            f"| {middle(r['excess_kl'] for r in rows)} | {middle((r['clock']['seconds'] for r in rows), '.0f')}"
            for (name,), rows in grouped(Record("collapse").rows(), "method").items()
        ),
    )


if __name__ == "__main__":
    main()
