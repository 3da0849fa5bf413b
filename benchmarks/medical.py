"""python benchmarks/medical.py --pneumonia FILE.npz --mri FILE.npz [--kimg K] [--part k/n] [--record NAME]

`medical-image` told the class of each slice: chest X-rays at 32 pixels (normal, pneumonia; the set's own parts), and
FLAIR slices of the brain at 64 (without a tumour, with one; patients apart). Three seeds each, of as many samples as
there are training images, each class as often as there: kernel distance, coverage and copies in features that were
learned without labels on the training images; and what they teach. A classifier learns from the samples alone, from
the training images alone, and from both, in equally many pictures; it is judged by the test images: the share that it
gets right, beside the share of the more frequent class, with an interval over patients where these are known. Controls:
the training images themselves, which are all copies; and these with their classes shuffled, which must teach nothing.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from examiner import Figure, figure
from record import Record, table, with_interval
from torch import Tensor

from equipoise import build, configuring, generator, launch
from equipoise.config import Arrays
from equipoise.data.source import InMemory, Splits, everything, to_uint8, whose
from equipoise.encoders.choose import chosen
from equipoise.encoders.classifier import Small, trained_classifier
from equipoise.encoders.looked import looked
from equipoise.metrics import copy_rate, kernel_distance, prdc
from equipoise.metrics.estimate import by_count, by_mean
from equipoise.runs.folder import rows

SEEDS, FLAIR = 3, 1
PRACTICE = 20_000  # pictures that a classifier is shown
SETTINGS = [
    "machine.threads=1", "machine.device=cpu", "machine.precision=fp32", "guardian.mode=off", "evaluate.metrics=[]",
    "nets.conditioning=projection",
]  # fmt: skip


class Case(NamedTuple):
    size: int
    kimg: float


CASES = {"pneumonia": Case(32, 80), "mri": Case(64, 20)}


class Slices(NamedTuple):
    x: Tensor  # uint8 [N, C, H, W]
    y: Tensor  # [N] classes


def with_tumours(mri: Path, work: Path) -> Path:
    """FLAIR slices, whether each has a tumour, and whose it is."""
    path = work / "flair.npz"
    if not path.exists():
        with np.load(mri, allow_pickle=False) as raw:
            x, y, patient = raw["images"][..., FLAIR], raw["masks"].any((1, 2)), raw["patient"].reshape(-1)
        work.mkdir(parents=True, exist_ok=True)
        np.savez(path, images=x, labels=y.astype(np.uint8), patient=patient)
    return path


class Examiner:
    """The parts of a set, and the figures of some samples with their classes."""

    def __init__(self, data: Splits):
        self.train, self.test = (Slices(to_uint8(x), y) for x, y in map(everything, (data.train, data.test)))
        self.encoder = chosen("self-supervised", train=data.train)
        self.of_train, self.of_test = (looked(self.encoder, part.x).features for part in (self.train, self.test))
        self.patients = whose(data.test)
        self.chance = float(torch.bincount(self.test.y).max() / len(self.test.y))

    def figures(self, fake: Slices, seed: int) -> dict[str, Figure]:
        seen, real = looked(self.encoder, fake.x).features, self.of_test
        n = min(len(seen), len(real))  # coverage needs equal counts
        some = seen[torch.randperm(len(seen), generator=torch.Generator().manual_seed(seed))[:n]]
        return {
            "kid": figure(kernel_distance(real, seen)),
            "coverage": figure(prdc(real[:n], some).coverage),
            "copies": figure(copy_rate(self.of_train, seen, real)),
            "tstr": self.taught(fake, seed),
            "both": self.taught(Slices(torch.cat([self.train.x, fake.x]), torch.cat([self.train.y, fake.y])), seed),
        }

    def taught(self, slices: Slices, seed: int) -> Figure:
        """The share of test images that a classifier gets right which has learned from these."""
        source = Small(InMemory(*slices, classes=2))
        net = trained_classifier(source, seed, epochs=PRACTICE / len(slices.y), width=16)
        x, y = everything(Small(InMemory(*self.test, classes=2)))
        right = (net.classify(x) == y).double()
        if self.patients is None:
            return float(right.mean()), *by_count(float(right.mean()), len(right))
        each = torch.stack([right[self.patients == p].mean() for p in torch.unique(self.patients)])
        return float(each.mean()), *by_mean(each)


def drawn(run: Path, like: Tensor, seed: int) -> Slices:
    """Samples, each class as often as among these."""
    trained, counts = generator.from_file(run), torch.bincount(like).tolist()
    x = [trained.sample(count, 100 * seed + label, label) for label, count in enumerate(counts)]  # latents of its own
    pixels = torch.from_numpy(np.concatenate(x)).permute(0, 3, 1, 2).contiguous()
    return Slices(pixels, torch.arange(len(counts)).repeat_interleave(torch.tensor(counts)))


def controls(train: Slices) -> dict[str, Slices]:
    order = torch.randperm(len(train.y), generator=torch.Generator().manual_seed(12345))
    return {"training images": train, "classes shuffled": Slices(train.x, train.y[order])}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--pneumonia", type=Path, required=True)
    parser.add_argument("--mri", type=Path, required=True)
    parser.add_argument("--work", type=Path, default=Path("runs/medical"))
    parser.add_argument("--kimg", type=float, help="thousands of images shown to D [80 of pneumonia, 20 of mri]")
    parser.add_argument("--seeds", type=int, default=SEEDS)
    parser.add_argument("--part", default="0/1", help="k/n: every n-th row, from the k-th on")
    parser.add_argument("--record", default="medical")
    given = parser.parse_args()
    torch.set_num_threads(1)
    record, (k, n) = Record(given.record), map(int, given.part.split("/"))
    files = {"pneumonia": given.pneumonia, "mri": with_tumours(given.mri, given.work)}
    for name, case in CASES.items():
        path = files[name].resolve()
        keys: list[dict[str, object]] = [{"set": name, "arm": arm} for arm in ("training images", "classes shuffled")]
        keys += [{"set": name, "seed": seed, "kimg": given.kimg or case.kimg} for seed in range(given.seeds)]
        todo = [key for key in keys[k::n] if not record.has(key)]
        if not todo:
            continue
        examiner = Examiner(build.splits(Arrays(path=str(path), size=case.size)))
        for key in todo:
            print(played(record, key, path, case.size, examiner), flush=True)


def played(record: Record, key: dict[str, object], path: Path, size: int, examiner: Examiner) -> dict[str, object]:
    """A control, or a run of a seed."""
    beside = {"chance": examiner.chance, "train": len(examiner.train.y), "test": len(examiner.test.y)}
    if "arm" in key:
        fake = controls(examiner.train)[str(key["arm"])]
        return record.append(key, **examiner.figures(fake, 0), **beside)
    seed = int(str(key["seed"]))
    settings = [*SETTINGS, f"data.size={size}", f"kimg={key['kimg']}"]
    config = configuring.configured("medical-image", data=str(path), seed=seed, settings=settings)
    with tempfile.TemporaryDirectory() as folder:
        run = launch.start(config, Path(folder) / "run")
        fake = drawn(run.model, examiner.train.y, seed)
        found = examiner.figures(fake, seed) | {"trtr": examiner.taught(examiner.train, seed)}
        return record.append(key, **found, **beside, clock=rows(run.clock)[-1])


def report() -> None:
    """`both` and `tstr` beside `trtr`, which is that of the training images."""
    if not (found := Record("medical").rows()):
        return
    names = ("kid", "coverage", "copies", "tstr", "both")
    table(
        "medical.py: medical-image",
        "set, seed or control | kid | coverage | copies | right, taught by samples | by both | by training images "
        "| of the more frequent class",
        (
            f"{r['key']['set']}, {r['key'].get('arm', r['key'].get('seed'))} | "
            + " | ".join(with_interval(r[name]) for name in names)
            + f" | {with_interval(r.get('trtr') or r['tstr'])} | {r['chance']:.3f}"
            for r in found
        ),
    )


if __name__ == "__main__":
    main()
