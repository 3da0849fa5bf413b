"""python benchmarks/dashboard.py [paint] [memory] [clients]    what the page costs, and how soon it is there.

Targets: first paint under 1 s and a page under 300 kB, with a run of 100,000 events; the server's memory flat below
150 MB over 1,000,000 events; five clients and a stalled one change no bit of a training, and slow it by at most 5%.
Chromium is needed for the first. Figures taken beside other work are upper bounds: see `load` in each row.
"""

from __future__ import annotations

import json
import math
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path
from statistics import fmean, stdev
from urllib.parse import urlsplit

from record import Record
from scipy.stats import t

from equipoise.config import override
from equipoise.dashboard.catalogue import key_of
from equipoise.recipes import recipe
from equipoise.runs.folder import RunFolder, rows

NAMES = ("d_loss", "g_loss", "real_logit", "fake_logit", "d_accuracy", "paired_sign", "d_grad_norm", "g_grad_norm",
         "d_update_ratio", "g_update_ratio", "d_penalty", "d_nonfinite", "g_nonfinite", "d_dead", "g_dead")  # fmt: skip
Figures = dict[str, float]
PAINTED = "performance.getEntriesByName('first-contentful-paint')[0]?.startTime"
SHOWN = "document.querySelectorAll('#panels canvas').length > 0"
BYTES = "performance.getEntries().reduce((sum, each) => sum + (each.transferSize || 0), 0)"


def main() -> None:
    record, asked = Record("dashboard"), sys.argv[1:] or ["paint", "memory", "clients"]
    with tempfile.TemporaryDirectory() as folder:
        for what in asked:
            figures = {"paint": paint, "memory": memory, "clients": clients}[what](Path(folder) / what)
            print(record.append({"what": what}, **figures, load=round(os.getloadavg()[0], 1)), flush=True)


def run_of(home: Path, events: int) -> RunFolder:
    run = RunFolder(home / "long")
    run.samples.mkdir(parents=True)
    run.config.write_text(recipe("digits").model_dump_json())
    grow(run, 1, events)
    return run


def grow(run: RunFolder, first: int, last: int) -> None:
    with run.events.open("a") as file:
        for i in range(first, last + 1):
            signals = {name: (i * (k + 3) % 977) / 977 for k, name in enumerate(NAMES)}
            file.write(json.dumps({"kind": "signals", "step": i, "seen": 64 * i, **signals}) + "\n")


@contextmanager
def served(home: Path) -> Iterator[tuple[str, int]]:
    """The printed address, and the server's process id."""
    command = [sys.executable, "-u", "-m", "equipoise.cli.main", "dashboard", str(home), "--port", "0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert process.stdout is not None
    try:
        yield process.stdout.readline().strip(), process.pid
    finally:
        process.terminate()
        process.wait(20)


def paint(home: Path) -> dict[str, object]:
    from playwright.sync_api import sync_playwright

    run = run_of(home, 100_000)
    with served(home) as (address, _), sync_playwright() as started:
        here = f"http://{urlsplit(address).netloc}/runs/{key_of(run.path)}"
        browser = started.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
        browser.new_page().goto(address)  # Chromium's own start is not the page's
        page = browser.new_page()
        began = time.perf_counter()
        page.goto(here)
        while not page.evaluate(SHOWN):
            page.wait_for_timeout(50)
        curves = time.perf_counter() - began
        page.wait_for_timeout(3000)
        found = {
            "events": 100_000, "first_paint_s": round(page.evaluate(PAINTED) / 1000, 3), "curves_s": round(curves, 2),
            "page_kB": round(page.evaluate(BYTES) / 1000), "stream_kB": round(stream_bytes(here) / 1000),
        }  # fmt: skip
        browser.close()
    return found


def stream_bytes(here: str) -> int:
    """Of all curves and words that a page is told at first: they are not compressed."""
    where = urlsplit(here)
    connection = HTTPConnection(where.hostname or "", where.port or 80, timeout=60)
    connection.request("GET", f"{where.path}/live")
    answer, total, got = connection.getresponse(), 0, set[bytes]()
    while len(got) < 2:
        line = answer.readline()
        total += len(line)
        if line.startswith(b"event: "):
            got.add(line)
    total += len(answer.readline())
    connection.close()
    return total


def memory(home: Path) -> dict[str, object]:
    """Resident, while a page is open and a record grows to 1,000,000 events."""
    run = run_of(home, 1)
    found: dict[str, float] = {}
    with served(home) as (address, pid):
        where = urlsplit(address)
        listener = Listener(where.hostname or "", where.port or 80, f"/runs/{key_of(run.path)}/live")
        listener.start()
        for thousands in (10, 100, 250, 500, 750, 1000):
            grow(run, 2 if thousands == 10 else 1000 * max(map(int, found)) + 1, thousands * 1000)
            while listener.step < thousands * 1000:
                time.sleep(0.5)
            found[str(thousands)] = round(resident(pid), 1)
        listener.stop()
    return {"resident_MB_by_thousands_of_events": found}


def resident(pid: int) -> float:
    (line,) = [line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmRSS")]
    return int(line.split()[1]) / 1000


class Listener(threading.Thread):
    """A client that reads all that it is told."""

    def __init__(self, host: str, port: int, path: str):
        super().__init__(daemon=True)
        self.connection, self.path, self.step, self.over = HTTPConnection(host, port, timeout=600), path, 0, False

    def run(self) -> None:
        self.connection.request("GET", self.path)
        answer, kind = self.connection.getresponse(), b""
        while not self.over and (line := answer.readline()):
            kind = line if line.startswith(b"event: ") else kind
            if line.startswith(b"data: ") and kind == b"event: state\n":
                self.step = json.loads(line[6:])["step"]

    def stop(self) -> None:
        self.over = True


def clients(home: Path, steps: int = 3000, pairs: int = 16) -> dict[str, object]:
    """The same run alone and with six clients, in pairs, the second of which goes first every other time: its bits, and
    by how much the clients slow it, as a bound that is exceeded by chance in one of twenty such measurements."""
    home.mkdir(parents=True)
    alone, beside = list[Figures](), list[Figures]()
    for i in range(pairs):
        for watched in (False, True) if i % 2 else (True, False):
            (beside if watched else alone).append(play(home / f"{watched}-{i}", steps, watched=watched))
    records = {(run.events.read_bytes(), run.model.read_bytes()) for run in map(RunFolder, home.glob("*-*/run"))}
    slower = {key: slower_by([each[key] for each in alone], [each[key] for each in beside]) for key in alone[0]}
    return {"steps": steps, "pairs": pairs, "same_bits": len(records) == 1, "slower_by": slower}


def slower_by(alone: Sequence[float], beside: Sequence[float]) -> dict[str, float]:
    """The mean of the pairs' log ratios, and its upper 95% bound by Student's t, as parts."""
    logs = [math.log(b / a) for a, b in zip(alone, beside, strict=True)]
    bound = fmean(logs) + t.ppf(0.95, len(logs) - 1) * stdev(logs) / math.sqrt(len(logs))
    return {"mean": round(math.expm1(fmean(logs)), 4), "upper": round(math.expm1(bound), 4)}


def play(home: Path, steps: int, *, watched: bool) -> Figures:
    home.mkdir()
    config = override(recipe("digits"), [
        f"kimg={steps * 64 / 1000}", "batch=64", "machine.threads=1", "machine.precision=fp32", "machine.device=cpu",
        "guardian.mode=off", "evaluate.metrics=[]", "record.every_kimg=0.64", "samples.every_kimg=20",
        "save.every_kimg=50",
        "guardian.every_kimg=20", "evaluate.every_kimg=50", "evaluate.patience_kimg=1000",
    ])  # fmt: skip
    file = home / "config.json"
    file.write_text(config.model_dump_json())
    command = [sys.executable, "-m", "equipoise.cli.main", "train", "--config", str(file), "--out", str(home / "run")]
    run = RunFolder(home / "run")
    with served(home) as (address, _):
        process = subprocess.Popen(command, stderr=subprocess.DEVNULL, env={**os.environ, "OMP_NUM_THREADS": "1"})
        stalled = watch(address, run) if watched else None
        _, _, usage = os.wait4(process.pid, 0)
        if stalled:
            stalled.close()
    clock = rows(run.clock)[-1]
    return {"seconds": clock["seconds"], "cpu_s": usage.ru_utime + usage.ru_stime}


def watch(address: str, run: RunFolder) -> socket.socket:
    """Five that listen, and one that asks and never reads."""
    while not run.events.exists():
        time.sleep(0.05)
    where, path = urlsplit(address), f"/runs/{key_of(run.path)}/live"
    for _ in range(5):
        Listener(where.hostname or "", where.port or 80, path).start()
    stalled = socket.create_connection((where.hostname or "", where.port or 80))
    stalled.sendall(f"GET {path} HTTP/1.1\r\nHost: {where.netloc}\r\n\r\n".encode())
    return stalled


if __name__ == "__main__":
    main()
