"""python benchmarks/least_samples.py --mnist mnist.npz    how many samples a look needs, by signals of the guardian.

The calibration that comes before a run (20 trials), for looks at COUNTS samples: a signal that sees what it is there
for in fewer than 80% of the trials is not armed. On the digits and MNIST, in the features of a classifier of their
labels, self-supervised ones, and random convolutions. The least count of a signal is that from which on it is armed.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from record import Record, table

from equipoise import build
from equipoise.config import Arrays, Data, Digits
from equipoise.encoders.cache import Cache
from equipoise.encoders.choose import chosen
from equipoise.sight import opened

ENCODERS = ("classifier", "self-supervised", "random")
COUNTS = (20, 50, 100, 170, 500, 1000)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--mnist", type=Path)
    given = parser.parse_args()
    torch.set_num_threads(1)
    record = Record("least_samples")
    sets: list[tuple[str, Data, tuple[int, ...]]] = [("digits", Digits(), COUNTS[:4])]  # 179 are held out
    if given.mnist:
        sets.append(("MNIST", Arrays(path=str(given.mnist), size=28), COUNTS))
    for name, data, counts in sets:
        splits = build.splits(data)
        for features in ENCODERS:
            encoder = chosen(features, train=splits.train)
            for n in counts:
                key = {"set": name, "features": features, "n": n}
                if record.has(key):
                    continue
                found = opened(encoder, splits.train, splits.validation, n, Cache()).calibration
                sight = {signal: found.sight(signal) for signal in found.nulls}
                print(record.append(key, sight=sight, armed=found.armed), flush=True)


def report() -> None:
    """From how many samples on each signal is armed, by the counts that were tried."""
    if not (rows := Record("least_samples").rows()):
        return
    cases = list(dict.fromkeys((r["key"]["set"], r["key"]["features"]) for r in rows))

    def cell(signal: str, case: tuple[str, str]) -> str:
        of_case = sorted(
            (r for r in rows if (r["key"]["set"], r["key"]["features"]) == case), key=lambda r: r["key"]["n"]
        )
        if all(signal not in r["sight"] for r in of_case):
            return "-"
        blind = [i for i, r in enumerate(of_case) if signal not in r["armed"]]
        first = blind[-1] + 1 if blind else 0
        return str(of_case[first]["key"]["n"]) if first < len(of_case) else f"more than {of_case[-1]['key']['n']}"

    signals = list(dict.fromkeys(signal for r in rows for signal in r["sight"]))
    table(
        "least_samples.py: samples in a look from which on a signal is armed",
        " | ".join(["signal", *(f"{name}, {features}" for name, features in cases)]),
        (" | ".join([signal, *(cell(signal, case) for case in cases)]) for signal in signals),
    )


if __name__ == "__main__":
    main()
