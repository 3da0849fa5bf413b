"""python benchmarks/lesion.py --mri lgg_128_60patients.npz [--part k/n] [--record NAME]    do made-up lesions help?

FLAIR slices at 64 pixels. Of twelve patients the GAN learns from ten (one each is held out for its judge); a segmenter
learns from the same ten, in four arms of equal steps: their slices; with as many made-up ones; with ordinary
augmentation (flips, turns, shifts, sizes); with both. A made-up slice is a healthy one of the ten patients with a
lesion in the mask of another of them, flipped by chance, where that keeps the rules: inside the head, in one piece.
Dice over all slices of each of the other patients, whom nobody saw; mean and interval over these. Whatever lies outside
a mask is compared with the healthy slice: it must be equal, always.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from record import Record
from torch import Tensor

from equipoise import build, configuring, generator, launch
from equipoise.augment import Ranges
from equipoise.config.masks import MaskRules
from equipoise.data.lesions import Asked, masked
from equipoise.data.source import scaled, whose
from equipoise.generator import TrainedGenerator
from equipoise.streams import Stream
from equipoise.uses import lesions
from equipoise.uses.segmenting import Cases, Learning, judged, segmented, trained

SEEDS, PATIENTS, SIDE, FLAIR = 5, 12, 64, 1
VARIED = Ranges(turn_degrees=15, shift=0.1, scale=0.1, flip_x=True)
ARMS = {"real": (False, False), "real + synthetic": (True, False), "real + augmentation": (False, True),
        "real + both": (True, True)}  # fmt: skip
RULES = MaskRules(inside=1.0, parts=1, area_pixels=(8, 600))


def chosen(mri: Path, path: Path, seed: int) -> None:
    """Twelve patients with lesions, drawn by the seed, as a file for the GAN."""
    with np.load(mri, allow_pickle=False) as raw:
        x, masks, patient = raw["images"], raw["masks"], raw["patient"].reshape(-1)
    ill = np.unique(patient[masks.any((1, 2))])
    drawn = ill[torch.randperm(len(ill), generator=Stream(seed, "patients").at(0))[:PATIENTS].numpy()]
    own = np.isin(patient, drawn)
    np.savez(path, images=x[own], masks=masks[own], patient=patient[own])


def made_up(G: TrainedGenerator, real: Cases, count: int, seed: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Healthy slices with a lesion each, and the masks. Every pixel outside is compared."""
    ill = real.masks.flatten(1).any(1)
    healthy = real.x[~ill]
    for y, mask in lesions.made_up(G, healthy, real.masks[ill], count, seed, RULES):
        outside = torch.where(mask, 0, y)
        assert any(torch.equal(outside, torch.where(mask, 0, x)) for x in healthy), "a pixel outside has changed"
        yield y, mask


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--mri", type=Path, required=True)
    parser.add_argument("--kimg", type=float, default=60)
    parser.add_argument("--steps", type=int, default=1500, help="of each segmenter")
    parser.add_argument("--part", default="0/1", help="k/n: every n-th seed, from the k-th on")
    parser.add_argument("--record", default="lesion")
    given = parser.parse_args()
    torch.set_num_threads(1)
    record, (k, n) = Record(given.record), map(int, given.part.split("/"))
    found = masked(Asked(given.mri, SIDE, FLAIR, 4096))
    everybody = Cases(scaled(found.x), found.masks, found.patients)
    for seed in range(SEEDS)[k::n]:
        if not all(record.has({"arm": arm, "seed": seed}) for arm in ARMS):
            played(record, given, everybody, seed)


def played(record: Record, given: argparse.Namespace, everybody: Cases, seed: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "twelve.npz"
        chosen(given.mri, path, seed)
        config = configuring.configured("lesion", seed=seed, settings=[
            f"data.path={path}", f"data.size={SIDE}", f"data.channel={FLAIR}", "data.augment.flip_x=true",
            "machine.threads=1", "machine.precision=fp32", "guardian.mode=off", "evaluate.metrics=[]",
            f"kimg={given.kimg}", "nets.g_width=16", "nets.d_width=32", "nets.d_layers=2", "batch=8",
        ])  # fmt: skip
        data = build.splits(config.data)
        G = generator.from_file(launch.start(config, Path(folder) / "run").model)
        with np.load(path, allow_pickle=False) as raw:
            names = np.unique(raw["patient"])
    with np.load(given.mri, allow_pickle=False) as raw:
        all_names = np.unique(raw["patient"])
    places = torch.from_numpy(np.searchsorted(all_names, names))  # among all patients, who are numbered by name
    groups = whose(data.train)
    assert groups is not None
    learnt = places[torch.unique(groups)]
    real = everybody.of(learnt)
    unseen = torch.tensor([p for p in torch.unique(everybody.patients).tolist() if p not in places.tolist()])
    test = everybody.of(unseen)
    extra = list(made_up(G, real, len(real.x), seed))
    synthetic = Cases(torch.stack([x for x, _ in extra]), torch.stack([m for _, m in extra]), torch.empty(0))
    for arm in ARMS:
        if not record.has(key := {"arm": arm, "seed": seed}):
            print(key, figures(record, key, arm, real, synthetic, test, given, seed), flush=True)


def figures(
    record: Record, key: dict[str, object], arm: str, real: Cases, synthetic: Cases, test: Cases,
    given: argparse.Namespace, seed: int,
) -> list[float | None]:  # fmt: skip
    """Trains one arm, and notes its Dice, patient by patient."""
    more, vary = ARMS[arm]
    x, masks = (torch.cat(t) if more else t[0] for t in ((real.x, synthetic.x), (real.masks, synthetic.masks)))
    net = trained(x, masks, seed, Learning(steps=given.steps, vary=VARIED if vary else Ranges()))
    found = judged(segmented([net], test.x), test)
    mean = [found.dice, found.low, found.high]
    record.append(
        key, dice=mean, patients=found.patients, slices=len(x), synthetic=len(synthetic.x), outside_equal=True
    )
    return mean


if __name__ == "__main__":
    main()
