"""What lesions are good for: a U-Net that finds them, and how sure it is. Several are trained, which differ by chance;
where they disagree, none of them knows (Lakshminarayanan et al. 2017, arXiv:1612.01474).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn.functional import binary_cross_entropy

from equipoise.augment import Ranges, rows, varied
from equipoise.data.hooks import Track, untracked
from equipoise.encoders.classifier import one_thread
from equipoise.errors import DataError
from equipoise.metrics.estimate import by_mean
from equipoise.nets.translators import UNetGenerator
from equipoise.pictures import Pixels, grid
from equipoise.streams import Stream

SMALLEST = 4  # pixels of the smallest maps
AT_ONCE = 64  # slices
EXACT = 1e-6  # from 0 and 1: what is surer has no logarithm
SURE = 0.5  # a chance above it is taken for a lesion
RED, BLUE = (213, 94, 0), (0, 114, 178)  # told apart by the colour-blind (Okabe and Ito 2008)


class Cases(NamedTuple):
    """Slices, where their lesions are, and whose they are."""

    x: Tensor  # [N, C, H, W] in [-1, 1]
    masks: Tensor  # bool [N, 1, H, W]
    patients: Tensor  # [N]

    def of(self, patients: Tensor) -> Cases:
        own = torch.isin(self.patients, patients)
        return Cases(self.x[own], self.masks[own], self.patients[own])


class Segmented(NamedTuple):
    chance: Tensor  # [N, 1, H, W] of a lesion at each pixel: the mean of all nets
    deviation: Tensor  # [N, 1, H, W] among the nets


class Learning(NamedTuple):
    steps: int = 600
    batch: int = 16
    rate: float = 1e-3
    width: int = 16
    vary: Ranges = Ranges()  # slices and masks alike


def trained(x: Tensor, masks: Tensor, seed: int, how: Learning = Learning(), track: Track = untracked) -> UNetGenerator:  # noqa: B008 - it is frozen
    """A net of x [N, C, H, W] in [-1, 1] and masks [N, 1, H, W] of 0 and 1, a function of (x, masks, seed, how).

    Raises:
        DataError: for masks that do not lie over the slices, or without a lesion.
    """
    if masks.shape != (len(x), 1, *x.shape[2:]):
        raise DataError(f"masks {list(masks.shape)} do not lie over slices {list(x.shape)}: give one of each size.")
    if not masks.any():
        raise DataError("all masks are empty: there is no lesion to be found.")
    with torch.random.fork_rng(devices=[]), one_thread():
        torch.manual_seed(seed)
        net = UNetGenerator(x.shape[1:], (1, *x.shape[2:]), width=how.width, max_width=8 * how.width, smallest=SMALLEST)
        optimizer = torch.optim.AdamW(net.parameters(), how.rate, fused=True)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, how.rate, total_steps=how.steps)
        order, chance = Stream(seed, "segmenting"), Stream(seed, "segmenting/augmentation")
        for step in track(range(how.steps), "training a segmenter", how.steps):
            some = torch.randint(len(x), (how.batch,), generator=order.at(step))
            both = torch.cat([x[some], 2 * masks[some].float() - 1], 1)
            both = varied(both, rows(chance, step * how.batch, how.batch), how.vary)
            loss = off(likely(net, both[:, :-1]), (both[:, -1:] > 0).float())
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            schedule.step()
    return net.eval().requires_grad_(False)


def likely(net: UNetGenerator, x: Tensor) -> Tensor:
    """(1 + tanh h) / 2, which is the logistic function of 2 h."""
    chance: Tensor = (net(x, x) + 1) / 2
    return chance.clamp(EXACT, 1 - EXACT)


def off(chance: Tensor, mask: Tensor) -> Tensor:
    """Cross-entropy, and 1 - Dice of the whole batch, of chances (Milletari et al. 2016, arXiv:1606.04797)."""
    overlap = 2 * (chance * mask).sum() / (chance.square().sum() + mask.sum()).clamp(min=1)
    return binary_cross_entropy(chance, mask) + 1 - overlap


@torch.no_grad()
def segmented(nets: Sequence[UNetGenerator], x: Tensor) -> Segmented:
    said = torch.stack([torch.cat([likely(net, part) for part in torch.split(x, AT_ONCE)]) for net in nets])
    return Segmented(said.mean(0), said.std(0, correction=0))


def dice(found: Tensor, true: Tensor) -> float:
    """2 |A and B| / (|A| + |B|) of boolean masks of any shape, such as all slices of a patient; 1 where both are
    empty."""
    both, each = float((found & true).sum()), float(found.sum() + true.sum())
    return 2 * both / each if each else 1.0


class Judged(NamedTuple):
    """Dice of patients, over all slices of each: the mean over them, with its 95% interval."""

    dice: float
    low: float | None
    high: float | None
    patients: Mapping[int, float]


def judged(found: Segmented, cases: Cases) -> Judged:
    """What was found in cases that no net has learnt from."""
    sure, whose = found.chance > SURE, cases.patients
    each = {int(p): dice(sure[whose == p], cases.masks[whose == p]) for p in torch.unique(whose)}
    values = torch.tensor(list(each.values()), dtype=torch.float64)
    low, high = (None if end is None else min(max(end, 0.0), 1.0) for end in by_mean(values))
    return Judged(float(values.mean()), low, high, each)


def overlaid(x: Tensor, found: Segmented) -> Image.Image:
    """Slices beside each other: as they are, with the chance of a lesion in orange, with disagreement in blue, which is
    full at the most that chances can deviate, 1/2."""
    grey = ((x[:, :1] + 1) * 127.5).clamp(0, 255).movedim(1, 3).expand(-1, -1, -1, 3).numpy()  # [N, H, W, 3]
    sure, unsure = (t.clamp(0, 1).movedim(1, 3).numpy() for t in (found.chance, 2 * found.deviation))
    shown = [grey, *(grey * (1 - a) + np.array(colour) * a for a, colour in ((sure, RED), (unsure, BLUE)))]
    pixels: Pixels = np.stack(shown, 1).reshape(-1, *grey.shape[1:]).round().astype(np.uint8)
    return grid(pixels, 3)
