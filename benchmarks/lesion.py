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
from statistics import fmean
from typing import NamedTuple

import numpy as np
import torch
from record import Record
from scipy import ndimage
from torch import Tensor

from equipoise import build, configuring, generator, launch
from equipoise.augment import Ranges
from equipoise.config.masks import MaskRules
from equipoise.data.lesions import Asked, Masked, masked
from equipoise.data.source import scaled, whose
from equipoise.generator import TrainedGenerator
from equipoise.metrics.estimate import by_mean
from equipoise.streams import Stream
from equipoise.uses import lesions
from equipoise.uses.mask_rules import broken
from equipoise.uses.segmenting import Learning, dice, segmented, trained

SEEDS, PATIENTS, SIDE, FLAIR, HEAD = 5, 12, 64, 1, 20
VARIED = Ranges(turn_degrees=15, shift=0.1, scale=0.1, flip_x=True)
ARMS = {"real": (False, False), "real + synthetic": (True, False), "real + augmentation": (False, True),
        "real + both": (True, True)}  # fmt: skip
RULES = MaskRules(inside=1.0, parts=1, area_pixels=(8, 600))


class Cases(NamedTuple):
    """Slices in [-1, 1], masks, and whose they are."""

    x: Tensor
    masks: Tensor
    patient: Tensor


def cases(found: Masked, patients: Tensor) -> Cases:
    own = torch.isin(found.patients, patients)
    return Cases(scaled(found.x[own]), found.masks[own], found.patients[own])


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
    healthy, ill = (real.masks.flatten(1).any(1) == found for found in (False, True))
    slices, masks, drawn = real.x[healthy], real.masks[ill], 0
    for attempt in range(100 * count):
        chance = Stream(seed, "made up").at(attempt)
        x = slices[int(torch.randint(len(slices), (1,), generator=chance))]
        mask = masks[int(torch.randint(len(masks), (1,), generator=chance))]
        mask = mask.flip(2) if torch.rand((), generator=chance) < 0.5 else mask
        head = ndimage.binary_fill_holes((x[0] + 1).numpy() * 127.5 > HEAD)
        if list(broken(RULES, mask[0].numpy(), head)):
            continue
        y = lesions.added(G, x, mask[0].numpy())
        assert torch.equal(y[~mask], x[~mask]), "a pixel outside the mask has changed"
        yield y, mask
        if (drawn := drawn + 1) == count:
            return


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
    everybody = masked(Asked(given.mri, SIDE, FLAIR, 4096))
    for seed in range(SEEDS)[k::n]:
        if not all(record.has({"arm": arm, "seed": seed}) for arm in ARMS):
            played(record, given, everybody, seed)


def played(record: Record, given: argparse.Namespace, everybody: Masked, seed: int) -> None:
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
    real = cases(everybody, learnt)
    unseen = torch.tensor([p for p in torch.unique(everybody.patients).tolist() if p not in places.tolist()])
    test = cases(everybody, unseen)
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
    found = segmented([net], test.x).chance > 0.5
    each = {int(p): dice(found[test.patient == p], test.masks[test.patient == p]) for p in torch.unique(test.patient)}
    low, high = by_mean(torch.tensor(list(each.values()), dtype=torch.float64))
    mean = [fmean(each.values()), low, high]
    record.append(key, dice=mean, patients=each, slices=len(x), synthetic=len(synthetic.x), outside_equal=True)
    return mean


if __name__ == "__main__":
    main()
