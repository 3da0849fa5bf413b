"""python benchmarks/ring.py    `ring` on one thread, ten seeds; and two generators that must fail.

Targets: within 20 s, 8 modes with at least 5% of their fair share each and at least half of 2,500 points within 3 sigma
of a mode, in 9 of 10 seeds. `grid` is measured beside it, within 60 s and with three seeds.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import torch
from record import Record, Row, table, verdict

from equipoise import configuring, generator, launch
from equipoise.data.toy import MIXTURES
from equipoise.metrics.modes import captured
from equipoise.runs.folder import rows

POINTS = 2500
PLAN = [("ring", 20.0, range(10)), ("grid", 60.0, range(3))]  # recipe, seconds allowed, seeds


def figures(points: torch.Tensor, name: str) -> dict[str, float | bool]:
    mixture = MIXTURES[name]()
    found = captured(points, mixture.centres, mixture.sigma)
    covered = found.covered()
    return {
        "modes": covered, "high_quality": found.high_quality, "spread": found.spread,
        "smallest_share_of_fair": float(found.shares.min()) * len(mixture.centres),
        "passed": covered == len(mixture.centres) and found.high_quality >= 0.5,
    }  # fmt: skip


def main() -> None:
    torch.set_num_threads(1)
    record = Record("ring")
    for name, seconds, seeds in PLAN:
        for seed in seeds:
            key = {"recipe": name, "seed": seed}
            if not record.has(key):
                print(record.append(key, **trained(name, seed, ["machine.threads=1"], seconds)), flush=True)
    key = {"recipe": "ring", "control": "untrained"}
    if not record.has(key):
        still = ["machine.threads=1", "knobs.g_lr=0", "kimg=0.064", "knobs.ema_halflife_kimg=0"]
        print(record.append(key, **trained("ring", 0, still, 20.0)), flush=True)
    key = {"recipe": "ring", "control": "constant"}
    if not record.has(key):
        print(record.append(key, **figures(MIXTURES["ring"]().centres[:1].repeat(POINTS, 1), "ring")), flush=True)


def trained(name: str, seed: int, settings: list[str], seconds: float) -> dict[str, object]:
    with tempfile.TemporaryDirectory() as folder:
        config = configuring.configured(name, seed=seed, settings=settings)
        run = launch.start(config, Path(folder) / "run")
        points = torch.from_numpy(generator.from_file(run.model).sample(POINTS))
        clock, found = rows(run.clock)[-1], figures(points, name)
        return found | {"passed": found["passed"] and clock["seconds"] <= seconds, "clock": clock}


def report() -> None:
    def line(r: Row) -> str:
        key = r["key"]
        name = f"{key['recipe']}, {key.get('control', key.get('seed'))}"
        seconds = f"{r['clock']['seconds']:.1f}" if "clock" in r else ""
        return (
            f"{name} | {r['modes']} | {r['high_quality']:.3f} | {r['smallest_share_of_fair']:.2f} | {r['spread']:.2f} "
            f"| {seconds} | {verdict(r)}"
        )

    header = (
        "recipe, seed or control | modes | within 3 sigma | smallest share of fair | spread (1 is right) | s | passed"
    )
    table("ring.py", header, map(line, Record("ring").rows()))


if __name__ == "__main__":
    main()
