"""python benchmarks/guardian_power.py --mnist mnist.npz [--trials 50]    what each signal of the guardian sees.

The calibration that comes before a run, with more trials: reals with a planted defect in place of fakes, limits from
100 draws of reals against reals at a rate of false alarms of 5%, measured on 40 others. On the digits, MNIST and
`stacked-digits`, in the features of a classifier of their labels, self-supervised ones, and random convolutions. A mode
is a class: of 1,000 classes, 1,000 samples are one of each.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import torch
from record import Record, table

from equipoise import build
from equipoise.config import Arrays, Data, Digits, StackedDigits
from equipoise.encoders.cache import Cache
from equipoise.encoders.choose import chosen
from equipoise.sight import opened

ENCODERS = ("classifier", "self-supervised", "random")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--mnist", type=Path)
    parser.add_argument("--trials", type=int, default=50)
    given = parser.parse_args()
    torch.set_num_threads(1)
    record = Record("guardian_power")
    sets: list[tuple[str, Data, int]] = [("digits", Digits(), 1000)]
    if given.mnist:
        sets.append(("MNIST", Arrays(path=str(given.mnist), size=28), 1000))
    sets += [("stacked-digits", StackedDigits(), 1000), ("stacked-digits", StackedDigits(), 4000)]
    for name, data, n in sets:
        for features in ENCODERS if n == 1000 else ENCODERS[:1]:
            key = {"set": name, "features": features, "n": n, "trials": given.trials}
            if record.has(key):
                continue
            splits, began = build.splits(data), time.perf_counter()
            encoder, learned = chosen(features, train=splits.train), time.perf_counter()
            eyes = opened(encoder, splits.train, splits.validation, n, Cache(), trials=given.trials)
            found = eyes.calibration
            spent = {"encoder_s": round(learned - began, 1), "calibration_s": round(time.perf_counter() - learned, 1)}
            row = record.append(
                key, looks_at=eyes.n, **spent, power=found.power, armed=found.armed, unarmed=found.unarmed,
                false_alarms={name: null.false_alarms for name, null in found.nulls.items()},
            )  # fmt: skip
            print(row, flush=True)


def report() -> None:
    """Power of each signal, in percent."""
    for r in Record("guardian_power").rows():
        key, signals = r["key"], list(r["false_alarms"])
        lines = {"false alarms": r["false_alarms"], **r["power"]}
        table(
            f"guardian_power.py: {key['set']}, {key['features']}, {r['looks_at']} samples a look "
            f"(encoder {r['encoder_s']:.0f} s, calibration {r['calibration_s']:.0f} s)",
            " | ".join(["planted", *signals]),
            (" | ".join([name, *(f"{rates.get(s, 0):.0%}" for s in signals)]) for name, rates in lines.items()),
        )


if __name__ == "__main__":
    main()
