"""python benchmarks/metric_speed.py [--case frechet|prdc] [--rounds N]    metrics against the usual code.

Each arm in a process of its own, in turns, on one thread; the ratio is of the fastest rounds, which a busy neighbour
slows least; the memory is the peak of the process, features and all. Targets: the Frechet distance of 10,000 x 2,048
features, covariances included, in 1/3 of the time of scipy.linalg.sqrtm; precision, recall, density and coverage of
20,000 x 512 in .4 of the time of scikit-learn's pairwise distances, and in less than 700 MB.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from resource import RUSAGE_SELF, getrusage
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from record import Record, table

Features = NDArray[np.float32]
SHAPES = {"frechet": (10_000, 2048), "prdc": (20_000, 512)}
K = 5
INTERVAL = "equipoise with interval"  # takes long, and is measured once


def usual_frechet(real: Features, fake: Features) -> list[float]:
    """As published implementations of FID have it."""
    from scipy.linalg import sqrtm

    cov1, cov2 = np.cov(real, rowvar=False), np.cov(fake, rowvar=False)
    root = sqrtm(cov1 @ cov2).real
    shift = real.mean(0, dtype=np.float64) - fake.mean(0, dtype=np.float64)
    return [float(shift @ shift + np.trace(cov1) + np.trace(cov2) - 2 * np.trace(root))]


def usual_prdc(real: Features, fake: Features) -> list[float]:
    """As published implementations have it: whole matrices of distances, and argpartition."""
    from sklearn.metrics import pairwise_distances

    def radii(x: Features) -> NDArray[np.float64]:
        distances = pairwise_distances(x)
        nearest = np.argpartition(distances, K + 1, axis=-1)[..., : K + 1]
        return np.take_along_axis(distances, nearest, axis=-1).max(axis=-1)

    real_radii, fake_radii = radii(real), radii(fake)
    distances = pairwise_distances(real, fake)
    in_real, in_fake = distances < real_radii[:, None], distances < fake_radii[None]
    return [
        float(in_real.any(0).mean()), float(in_fake.any(1).mean()),
        float(in_real.sum(0).mean() / K), float((distances.min(1) < real_radii).mean()),
    ]  # fmt: skip


def our_frechet(groups: int) -> Callable[[Features, Features], list[float]]:
    from equipoise.metrics import frechet_distance

    return lambda real, fake: [frechet_distance(torch.from_numpy(real), torch.from_numpy(fake), groups).value]


def our_prdc(subsamples: int) -> Callable[[Features, Features], list[float]]:
    from equipoise.metrics import prdc

    return lambda real, fake: [
        figure.value for figure in prdc(torch.from_numpy(real), torch.from_numpy(fake), K, subsamples)
    ]


ARMS: dict[str, dict[str, Callable[[], Callable[[Features, Features], list[float]]]]] = {
    "frechet": {
        "usual": lambda: usual_frechet,
        "equipoise": lambda: our_frechet(0),
        INTERVAL: lambda: our_frechet(10),
    },
    "prdc": {
        "usual": lambda: usual_prdc,
        "equipoise": lambda: our_prdc(0),
        INTERVAL: lambda: our_prdc(10),
    },
}


def arm(case: str, name: str, seed: int) -> None:
    """Runs in a process of its own, and prints what it found."""
    torch.set_num_threads(1)
    compute, rng = ARMS[case][name](), np.random.default_rng(seed)
    real, fake = (rng.standard_normal(SHAPES[case], dtype=np.float32) for _ in range(2))
    fake *= 1.1
    began = time.perf_counter()
    values = compute(real, fake)
    seconds = time.perf_counter() - began
    print(json.dumps({"seconds": seconds, "mb": getrusage(RUSAGE_SELF).ru_maxrss / 1024, "values": values}))


def measured(case: str, name: str, seed: int) -> dict[str, Any]:
    one_thread = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, __file__, "--case", case, "--arm", name, "--seed", str(seed)],
        capture_output=True, text=True, check=True, env=os.environ | one_thread,
    )  # fmt: skip
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def measure(record: Record, case: str, rounds: int) -> None:
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in ARMS[case]}
    for done in range(rounds):
        for name in found:
            if done == 0 or name != INTERVAL:
                found[name].append(measured(case, name, seed=done))
        print(f"\r{case}: {done + 1} of {rounds} rounds", end="", flush=True)
    print()
    usual = min(one["seconds"] for one in found["usual"])
    for name, runs in found.items():
        differences = [
            abs(a - b) for run, other in zip(runs, found["usual"], strict=False)
            for a, b in zip(run["values"], other["values"], strict=True)
        ]  # fmt: skip
        seconds = min(one["seconds"] for one in runs)
        row = record.append(
            {"case": case, "arm": name, "features": list(SHAPES[case])},
            seconds=round(seconds, 2), of_usual=round(seconds / usual, 3), peak_mb=round(max(r["mb"] for r in runs)),
            values=[round(v, 6) for v in runs[0]["values"]], largest_difference=float(f"{max(differences):.2g}"),
            rounds=len(runs),
        )  # fmt: skip
        print(f"{case:8s} {name:24s} {row['seconds']:7.2f} s, {row['of_usual']:.3f} of usual, {row['peak_mb']} MB")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--case", choices=ARMS, action="append")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--arm", help="runs one arm and prints its figures, as this program does to itself")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    if given.arm:
        return arm(given.case[0], given.arm, given.seed)
    for case in given.case or ARMS:
        measure(Record("metric_speed"), case, given.rounds)


def report() -> None:
    table(
        "metric_speed.py",
        "case | arm | s | of the usual | peak MB | largest difference",
        (
            f"{r['key']['case']} of {' x '.join(map(str, r['key']['features']))} | {r['key']['arm']} | {r['seconds']} "
            f"| {r['of_usual']:.2f} | {r['peak_mb']} | {r['largest_difference']:.1g}"
            for r in Record("metric_speed").rows()
        ),
    )


if __name__ == "__main__":
    main()
