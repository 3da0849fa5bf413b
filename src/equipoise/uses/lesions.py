"""Lesions put into healthy slices, and let grow. Outside the mask nothing changes, not by a bit."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor

from equipoise.config.masks import MaskRules
from equipoise.data.degraded import holed
from equipoise.data.hooks import Track, untracked
from equipoise.data.nifti import is_nifti
from equipoise.data.scan_slices import scan_of
from equipoise.data.scans import Scan, Window, measured, scans_at, shown
from equipoise.data.whole import Whole
from equipoise.errors import ConfigError, DataError
from equipoise.generator import TrainedGenerator
from equipoise.streams import Stream
from equipoise.uses import tiles, translating
from equipoise.uses.mask_rules import Mask, broken

AS_THEY_ARE = MaskRules()
BLACK = 20  # of 255: what is darker lies outside the organ
ATTEMPTS = 100  # at masks that fit, for each slice


def require_lesions(trained: TrainedGenerator) -> None:
    if trained.task != "lesion":
        raise ConfigError("this generator was not trained to make lesions: train one with equipoise train lesion.")


def mask_at(path: Path) -> NDArray[np.bool_]:
    """[D, H, W], D = 1 for a picture: what is not black, of a picture, a NIfTI volume or an .npy array.

    Raises:
        DataError: for what cannot be read.
    """
    if is_nifti(path):
        return np.asarray(scan_of(scans_at(path), path).stored > 0, np.bool_)
    if path.suffix.lower() != ".npy":
        white: NDArray[np.bool_] = (translating.one(path).x.mean(0, keepdim=True) > -1).numpy()
        return white
    try:
        raw = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise DataError(f"{path} is no array that can be read: {' '.join(str(error).split())[:80]}.") from error
    if raw.ndim not in (2, 3) or raw.dtype.kind not in "biuf":
        raise DataError(f"{path} holds {raw.dtype}{list(raw.shape)}, and a mask is [H, W] or [D, H, W].")
    return np.asarray(raw > 0, np.bool_).reshape(-1, *raw.shape[-2:])


def require_mask(mask: NDArray[np.bool_], shape: Sequence[int], name: str) -> None:
    """Raises DataError for a mask of another size than its slices [D, H, W], one that is empty, or one that leaves
    nothing of a slice."""
    if mask.shape != tuple(shape):
        sizes = [" x ".join(map(str, sides)) for sides in (mask.shape, shape)]
        raise DataError(f"the mask {name} has {sizes[0]} pixels (slices, rows, columns), and the scan {sizes[1]}.")
    if not mask.any():
        raise DataError(f"the mask {name} is empty: paint where the lesion shall be.")
    if mask.all((1, 2)).any():
        raise DataError(f"the mask {name} covers a whole slice: leave something that tells what it shows.")


def require_rules(
    rules: MaskRules, mask: NDArray[np.bool_], name: str, organ: NDArray[np.bool_] | None, pixel_mm2: float | None
) -> None:  # fmt: skip
    """Raises DataError for a mask [D, H, W] that an expert would not take for a lesion's, and for an organ that is
    neither of the same size nor one slice [1, H, W] for all."""
    if organ is not None and organ.shape not in (mask.shape, (1, *mask.shape[1:])):
        sizes = [" x ".join(map(str, sides)) for sides in (organ.shape, mask.shape)]
        raise DataError(f"the organ has {sizes[0]} pixels (slices, rows, columns), and the mask {name} {sizes[1]}.")
    for i, one in enumerate(mask):
        inside = None if organ is None else organ[i if len(organ) > 1 else 0]
        if one.any() and (why := list(broken(rules, one, inside, pixel_mm2))):
            where = f"slice {i} of the mask {name}" if len(mask) > 1 else f"the mask {name}"
            raise DataError(f"{where} breaks the rules: {'; '.join(why)}.")


@torch.no_grad()
def added(trained: TrainedGenerator, x: Tensor, mask: Mask, track: Track = untracked) -> Tensor:
    """x [C, H, W] in [-1, 1] with a lesion in the mask, and the same bits outside it."""
    where = torch.from_numpy(mask)

    def net(a: Tensor) -> Tensor:
        made: Tensor = trained.G(a, a)
        return made

    given = holed(x[None], where[None, None].float())[0]
    made = tiles.through(net, given, trained.form.shape[1], track)
    return torch.where(where, made.to(x.dtype), x)


def in_picture(trained: TrainedGenerator, picture: Whole, mask: NDArray[np.bool_], track: Track = untracked) -> Tensor:
    """[C, H, W]. Raises DataError for a picture of other channels than those that were learnt."""
    return added(trained, translating.channelled(picture, trained.form.shape[0]), mask[0], track)


def in_scan(
    trained: TrainedGenerator, scan: Scan, mask: NDArray[np.bool_], window: Window, track: Track = untracked
) -> NDArray[np.generic]:
    """What the scanner would have stored [D, H, W]: outside the mask exactly what it did. Raises DataError where a net
    of several channels is to draw into a grey scan."""
    if trained.form.shape[0] != 1:
        raise DataError(f"{scan.name} is grey, and this run draws {trained.form.shape[0]} channels: train a grey one.")
    made, x = scan.stored.copy(), shown(scan.values(), window)
    touched = np.flatnonzero(mask.any((1, 2))).tolist()
    for i in track(touched, "drawing lesions", len(touched)):
        drawn = added(trained, torch.from_numpy(x[i])[None], mask[i])[0].numpy()
        made[i][mask[i]] = measured(drawn, scan, window)[mask[i]]
    return made


def made_up(
    trained: TrainedGenerator, healthy: Tensor, masks: Tensor, count: int, seed: int, rules: MaskRules = AS_THEY_ARE
) -> Iterator[tuple[Tensor, Tensor]]:  # fmt: skip
    """Healthy slices [N, C, H, W] with a lesion each, and its mask [1, H, W]: that of another slice [M, 1, H, W],
    flipped by chance, where it keeps the rules. The organ is all that is not black, holes and all. As many as `count`,
    or fewer, where few masks fit.

    Raises:
        DataError: without healthy slices, or where no mask fits.
    """
    if not len(healthy):
        raise DataError("there are no healthy slices that lesions could be put into: all masks show one.")
    drawn, chances = 0, Stream(seed, "made up")
    for attempt in range(ATTEMPTS * count):
        chance = chances.at(attempt)
        x = healthy[int(torch.randint(len(healthy), (1,), generator=chance))]
        mask = masks[int(torch.randint(len(masks), (1,), generator=chance))]
        mask = mask.flip(2) if torch.rand((), generator=chance) < 0.5 else mask
        organ = ndimage.binary_fill_holes((x[0] + 1).numpy() * 127.5 > BLACK)
        if not list(broken(rules, mask[0].numpy(), organ)):
            yield added(trained, x, mask[0].numpy()), mask
            if (drawn := drawn + 1) == count:
                return
    if not drawn:
        raise DataError(f"no mask of {len(masks)} fits into a healthy slice by the rules: allow more.")


def grown(trained: TrainedGenerator, picture: Whole, masks: Sequence[NDArray[np.bool_]]) -> Iterator[Tensor]:
    """The healthy slice, then the lesion at each stage, each drawn into the healthy one: [C, H, W]."""
    yield translating.channelled(picture, trained.form.shape[0])
    for mask in masks:
        yield in_picture(trained, picture, mask)
