"""The runs that the benchmarks of text share: each is trained once, and kept in a folder, where it goes on."""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from equipoise import generator, launch
from equipoise.configuring import configured
from equipoise.generator import TrainedGenerator

RUNS = Path("build/text_runs")
UNSEEN = ("guardian.mode=off", "evaluate.metrics=[]", "machine.threads=1", "machine.device=cpu")
PUNCTUATION = re.compile(r'([.,!?;:"])')
BRIEF = ("data.length=24", "nets.z_dim=24")  # tokens of a caption: one in a hundred has more


@dataclass(frozen=True)
class Arm:
    """A recipe, with a length that leaves the whole of a benchmark within 45 minutes of one core."""

    recipe: str
    kimg: float
    settings: Sequence[str] = field(default=())


CAPTIONS = {
    "mle": Arm("text-mle", 200, BRIEF),
    "relgan": Arm("text-relgan", 90, (*BRIEF, "speech.imitates=0.7")),
    "seqgan": Arm("text-seqgan", 140, (*BRIEF, "speech.imitates=0.7", "speech.alone=0.06", "speech.rollouts=4")),
}
STYLES = {
    "conditional": Arm("text-conditional", 150, ("data.length=20", "nets.z_dim=20")),
    "restyle": Arm("text-restyle", 60),
    "aligned": Arm("text-aligned", 60),
}


def trained(arm: Arm, data: Path, runs: Path, name: str, seed: int = 0, kimg: float | None = None) -> TrainedGenerator:
    """Of a run that is finished, was cut short, or is begun now; of each length and text there is one of its own."""
    folder = runs / f"{name}-{data.stem}-{kimg or arm.kimg:g}-{seed}"
    if not (folder / "model.safetensors").exists():
        if (folder / "config.json").exists():
            launch.resume(folder)
        else:
            settings = [*UNSEEN, *arm.settings]
            launch.start(
                configured(arm.recipe, data=str(data), kimg=kimg or arm.kimg, seed=seed, settings=settings), folder
            )
    return generator.opened(folder)[0]


def captions(data: Path, runs: Path) -> Path:
    """The training captions, their punctuation set apart: as systems that were published wrote it."""
    path = runs / "captions.txt"
    if not path.exists():
        runs.mkdir(parents=True, exist_ok=True)
        path.write_text("\n".join(map(" ".join, tokenised(data / "coco/train.txt"))) + "\n", encoding="utf-8")
    return path


def tokenised(path: Path) -> list[list[str]]:
    """The sentences of a file. COCO's hold "night." and the systems that were published say "night .": an n-gram with a
    full stop would never be the same in both."""
    return [PUNCTUATION.sub(r" \1 ", line).split() for line in lines(path) if line.strip()]


def styles(data: Path, folder: Path, most: int) -> Path:
    """A folder with at most so many Yelp sentences of each style for the recipes to learn from."""
    made = folder / f"yelp-{most}"
    made.mkdir(parents=True, exist_ok=True)
    for s, name in enumerate(("negative", "positive")):
        (made / f"{name}.txt").write_text("\n".join(sentences(data / "yelp", s)[:most]) + "\n", encoding="utf-8")
    return made


def sentences(yelp: Path, style: int) -> list[str]:
    """Those of dev and test, but none of the thousand that systems are scored by, in an order drawn once. (The usual
    training files are not there.) The recipes learn from the first ones, whatever judges them from the last."""
    barred = {row.split("\t")[0].strip() for s in (0, 1) for row in lines(yelp / f"reference.{s}.txt")}
    known = {line.strip() for part in ("dev", "test") for line in lines(yelp / f"{part}.{style}.txt")}
    kept = sorted(known - barred - {""})
    random.Random(0).shuffle(kept)
    return kept


def lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").splitlines()
