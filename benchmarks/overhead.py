"""python benchmarks/overhead.py    what a run costs beside its steps, and how soon --help answers.

Targets: everything that is not `game.step` at most 3% of the loop's time over 10,000 steps of `digits`; --help under
.3 s, the median of 20 calls.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from record import Record

from equipoise import configuring, launch
from equipoise.runs.folder import rows

STEPS, CALLS = 10_000, 20


def main() -> None:
    record = Record("overhead")
    seconds = statistics.median(help_seconds() for _ in range(CALLS))
    print(record.append({"what": "help", "calls": CALLS}, median_seconds=round(seconds, 3)), flush=True)
    with tempfile.TemporaryDirectory() as folder:
        config = configuring.configured("digits", steps=STEPS)
        run = launch.start(config, Path(folder) / "run")
        clock = rows(run.clock)[-1]
    share = 1 - clock["seconds_in_steps"] / clock["seconds"]
    print(record.append({"what": "loop", "steps": STEPS}, share_outside_steps=round(share, 4), clock=clock), flush=True)


def help_seconds() -> float:
    began = time.perf_counter()
    subprocess.run([Path(sys.executable).parent / "equipoise", "--help"], check=True, capture_output=True)
    return time.perf_counter() - began


def report() -> None:
    for row in Record("overhead").rows():
        print(f"\n{ {k: v for k, v in row.items() if k not in ('date', 'commit', 'hardware', 'torch')} }")


if __name__ == "__main__":
    main()
