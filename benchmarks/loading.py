"""python benchmarks/loading.py FOLDER ZIP    how soon pictures are there, in how much memory, how fast batches come.

FOLDER and ZIP hold the same pictures. Targets, for 50,000 JPEG files of 32 pixels on 2 cores: the first step of
`equipoise train dcgan --data FOLDER` within 15 s of the command, at most 1,500 MiB; flat memory for sets of four times
their budget; the loader alone gives at least 3 times the images that a recipe eats. Each has its own process.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch
from record import Record, table

from equipoise import build
from equipoise.data.arrays import arrays
from equipoise.data.batches import Batches
from equipoise.data.convert import convert_pictures
from equipoise.data.images import pictures
from equipoise.data.source import Splits
from equipoise.recipes import recipe

MIB = 2**20
BATCH, SECONDS, LOOKS = 64, 10.0, 10
ALONE = ("--guardian", "off", "--set", "evaluate.metrics=[]")


def main() -> None:
    folder, archive = (Path(argument).resolve() for argument in sys.argv[1:3])
    record = Record("loading")
    for place in (folder, archive):
        show(record, "load", place.name, measured("load", place))
    with tempfile.TemporaryDirectory() as cache:
        show(record, "first step, not judged or watched", folder.name, first_step(folder, Path(cache), *ALONE))
        show(record, "first step, new data", folder.name, first_step(folder, Path(cache)))
        show(record, "first step", folder.name, first_step(folder, Path(cache)))
    for name in ("digits", "stacked-digits", "dcgan", "r3gan-xs"):
        show(record, "fed", name, measured("fed", name))
    with tempfile.TemporaryDirectory() as home:
        convert_pictures(folder, Path(home) / "set")
        for where, path in (("memory", folder), ("streamed", folder), ("disk", Path(home) / "set")):
            show(record, "batches", where, measured("batches", path, where))


def show(record: Record, what: str, place: str, figures: dict[str, object]) -> None:
    print(record.append({"what": what, "place": place}, **figures), flush=True)


def measured(*arguments: object) -> dict[str, object]:
    command = [sys.executable, __file__, "--one", *map(str, arguments)]
    figures: dict[str, object] = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    return figures


def load(path: Path) -> dict[str, object]:
    began = time.perf_counter()
    splits = pictures(path, None)
    seconds = time.perf_counter() - began
    count = sum(len(part) for part in (splits.train, splits.validation, splits.test))
    return {"pictures": count, "seconds": round(seconds, 2), "peak_mib": memory("VmHWM")}


def first_step(folder: Path, cache: Path, *settings: str) -> dict[str, object]:
    """Seconds from the command to the first recorded step, and the most that the whole run held. What the judge and
    the guardian learn is remembered in `cache`."""
    with tempfile.TemporaryDirectory() as home:
        run = Path(home) / "run"
        command = [sys.executable, "-m", "equipoise.cli.main", "train", "dcgan", "--data", str(folder), "--steps", "5"]
        began = time.perf_counter()
        process = subprocess.Popen(
            [*command, "--out", str(run), *settings], stderr=subprocess.DEVNULL,
            env=os.environ | {"EQUIPOISE_CACHE": str(cache)},
        )  # fmt: skip
        while not (run / "events.jsonl").exists() or not (run / "events.jsonl").read_bytes().count(b"signals"):
            assert process.poll() is None, "the run ended before its first step"
            time.sleep(0.02)
        seconds = time.perf_counter() - began
        _, status, usage = os.wait4(process.pid, 0)
        assert status == 0
    return {"seconds": round(seconds, 2), "peak_mib": usage.ru_maxrss // 1024}


def fed(name: str) -> dict[str, object]:
    """Images a second that a recipe takes, both players together, and that its loader alone could give."""
    torch.set_num_threads(1)
    config, device = recipe(name), torch.device("cpu")
    data = build.splits(config.data)
    game, taken = build.game(config, build.form(config, data), device), build.batches(config, data, device)
    rates = []
    for step in (lambda: game.step(taken), lambda: next(taken)):
        step()
        before, began = taken.position, time.perf_counter()
        while time.perf_counter() - began < SECONDS / 2:
            step()
        rates.append((taken.position - before) / (time.perf_counter() - began))
    return {"eaten_per_s": round(rates[0]), "loaded_per_s": round(rates[1]), "times": round(rates[1] / rates[0], 1)}


def batches(path: Path, where: str) -> dict[str, object]:
    """Images a second of the loader alone, and the resident MiB, LOOKS times in SECONDS."""
    splits = opened(path, where)
    source = Batches(splits.train, BATCH, 0)
    for _ in range(20):
        next(source)
    held, taken, began = [memory("VmRSS")], 0, time.perf_counter()
    for look in range(1, LOOKS + 1):
        while time.perf_counter() - began < SECONDS * look / LOOKS:
            next(source)
            taken += BATCH
        held.append(memory("VmRSS"))
    return {"images_per_s": round(taken / (time.perf_counter() - began)), "taken": taken, "resident_mib": held}


def opened(path: Path, where: str) -> Splits:
    """Where it is streamed, the budget is a quarter of the set."""
    match where:
        case "memory":
            return pictures(path, None)
        case "streamed":
            count = sum(1 for file in path.rglob("*") if file.is_file())
            return pictures(path, 32, memory_mib=count * 32 * 32 * 3 // 4 // MIB)
        case _:
            return arrays(path, None)


def memory(field: str) -> int:
    """MiB: VmHWM is the peak of this process, VmRSS what it holds now."""
    found = re.search(rf"{field}:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert found
    return int(found[1]) // 1024


def report() -> None:
    rows = Record("loading").rows()
    table(
        "loading.py",
        "what | figures",
        (
            f"{r['key']['what']}, {r['key']['place']} | "
            + ", ".join(f"{k} {v}" for k, v in r.items() if k not in ("key", "date", "commit", "hardware", "torch"))
            for r in rows
        ),
    )


if __name__ == "__main__":
    if sys.argv[1] == "--one":
        what, path, *rest = sys.argv[2:]
        match what:
            case "load":
                figures = load(Path(path))
            case "fed":
                figures = fed(path)
            case _:
                figures = batches(Path(path), *rest)
        print(json.dumps(figures))
    else:
        main()
