"""python benchmarks/first_minute.py [--seeds 20]    the tour of `equipoise demo`, as a new user meets it.

Each seed is toured in a process of its own, with an empty cache, on two cores. Targets: at most 90 s; 8 of 8 modes of
the ring; the collapse of the broken game named and mended (at least 50 of 1,000 modes, where the game left alone has
at most 20) in at least 19 of 20 seeds; the killed run at the bits of the whole one; less than 800 MB at any time,
children included; and no connection to anywhere. Time by the clock counts on a quiet machine alone: `cpu_s` is the same
on a busy one.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from record import Record

from equipoise.demo import COLLAPSE, LEFT, SAVED

AT_MOST_S, AT_MOST_MB, SEEDS, ENOUGH = 90.0, 800, 20, 19
POLL_S = 0.25


def toured(seed: int) -> dict[str, Any]:
    """One tour in a fresh process, watched from outside."""
    with tempfile.TemporaryDirectory() as home:
        env = os.environ | {"EQUIPOISE_CACHE": f"{home}/cache"}
        command = [sys.executable, __file__, "--one", str(seed), "--home", home]
        before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
        child = subprocess.Popen(command, env=env, stdout=subprocess.PIPE, text=True)
        most = 0
        while child.poll() is None:
            most = max(most, resident(child.pid))
            time.sleep(POLL_S)
        seconds, after = time.monotonic() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
        if child.returncode:
            raise SystemExit(f"the tour of seed {seed} ended with exit code {child.returncode}")
        cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        assert child.stdout is not None
        told: dict[str, Any] = json.loads(child.stdout.read().splitlines()[-1])
    return told | {"seconds": round(seconds, 1), "cpu_s": round(cpu, 1), "most_mb": most // 1000}


def resident(pid: int) -> int:
    """kB that a process and its children hold now; pages that they share, as the libraries, count once (Linux)."""
    return sum(held(each) for each in (pid, *children(pid)))


def held(pid: int) -> int:
    try:
        rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except OSError:  # it is gone
        return 0
    return next((int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss:")), 0)


def children(pid: int) -> list[int]:
    try:
        own = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return []
    return [int(each) for each in own]


def one(seed: int, home: Path) -> None:
    """The tour itself; connections that anything in this process opens are counted."""
    from equipoise.demo import demo

    connections: list[str] = []
    sys.addaudithook(lambda event, args: connections.append(str(args[1])) if event == "socket.connect" else None)
    said: list[str] = []
    found = demo(said.append, home=home / "runs", seed=seed)
    told = {name: value for name, value in asdict(found).items() if name != "run"}
    print(json.dumps(told | {"kept": found.kept, "connections": connections}))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", type=int, default=SEEDS)
    parser.add_argument("--one", type=int, help="tours with this seed in this process")
    parser.add_argument("--home", type=Path)
    given = parser.parse_args()
    if given.one is not None:
        one(given.one, given.home)
        return
    record = Record("first_minute")
    for seed in range(given.seeds):
        if not record.has({"seed": seed}):
            print(record.append({"seed": seed}, **toured(seed)), flush=True)
    rows = record.rows()
    for name, passed in {
        "8 of 8 modes of the ring": lambda row: row["covered"] == 8,
        "the collapse named": lambda row: set(COLLAPSE) & set(row["named"]),
        "mended": lambda row: row["mended"] >= SAVED and row["broken"] <= LEFT,
        "10 digits": lambda row: row["digits"] == 10,
        "the same bits": lambda row: row["same_bits"],
        f"at most {AT_MOST_S:.0f} s": lambda row: row["seconds"] <= AT_MOST_S,
        f"at most {AT_MOST_MB} MB": lambda row: row["most_mb"] <= AT_MOST_MB,
        "no connection": lambda row: not row["connections"],
    }.items():
        count = sum(bool(passed(row)) for row in rows)
        print(f"{name}: {count} of {len(rows)}{'' if count * SEEDS >= ENOUGH * len(rows) else ', too few'}")


if __name__ == "__main__":
    main()
