"""Slices with lesions and their masks as pairs: what is given is the slice without what lies under the mask."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from equipoise.data.arrays import MIB, is_images, require_channels_last, squared
from equipoise.data.blocks import Block, blocks
from equipoise.data.decode import default_size
from equipoise.data.degraded import holed
from equipoise.data.groups import groups_of
from equipoise.data.hooks import Track, untracked
from equipoise.data.source import InMemory, Splits, parted_by_group, scaled, whose
from equipoise.errors import DataError

IMAGES, MASKS = "images", "masks"
GROUPS = 3  # patients, at least: one for each part


@dataclass(frozen=True)
class Asked:
    path: Path
    size: int | None
    channel: int | None
    memory_mib: int


@dataclass(frozen=True)
class Masked:
    """Slices, where their lesions are, and whose they are."""

    x: Tensor  # uint8 [N, C, size, size]
    masks: Tensor  # bool [N, 1, size, size]
    patients: Tensor  # [N], from 0


def lesions(asked: Asked, track: Track = untracked) -> Splits:
    """Samples [2 C + 1, size, size]: the slice with the mean colour of the rest under the mask, the mask, the slice.
    Slices without a lesion are left out, as are those that one fills; whole patients are held out.

    Raises:
        DataError: as `masked`, and where fewer than three patients have a lesion.
    """
    found = masked(asked)
    kept = with_lesions(found)
    _, patients = torch.unique(found.patients[kept], return_inverse=True)
    require_patients(asked.path, 0 if not len(kept) else int(patients.max()) + 1)
    x = scaled(found.x[kept])
    pairs = torch.cat((holed(x, found.masks[kept].float()), x), 1)
    return replace(parted_by_group(InMemory(pairs), patients), given=x.shape[1] + 1)


def with_lesions(found: Masked) -> Tensor:
    """The places of the slices with a lesion that does not fill them."""
    share = found.masks.flatten(1).double().mean(1)
    return ((share > 0) & (share < 1)).nonzero().flatten()


def held_out(found: Masked, path: Path) -> Tensor:
    """The patients whom `lesions` holds out, for validation or test: no generator of this file has learnt from them.

    Raises:
        DataError: where fewer than three patients have a lesion.
    """
    names, patients = torch.unique(found.patients[with_lesions(found)], return_inverse=True)
    require_patients(path, len(names))
    parts = parted_by_group(InMemory(patients[:, None].float()), patients)
    groups = [whose(part) for part in (parts.validation, parts.test)]
    held: Tensor = names[torch.cat([torch.unique(group) for group in groups if group is not None])]
    return held


def masked(asked: Asked) -> Masked:
    """`images` uint8 [N, H, W] or [N, H, W, C], `masks` [N, H, W] whole numbers or bool (0: healthy), `patient` [N].

    Raises:
        DataError: when the file cannot be read, arrays are missing, masks have another size, all are empty, it is not
            said whose the slices are, or they need more than `memory_mib`.
    """
    found = {block.name: block for block in blocks(asked.path)}
    images = require_arrays(asked.path, found)
    whose = groups_of(asked.path, found, images.shape[0])
    if whose is None:
        raise DataError(
            f"{asked.path} does not say whose its slices are: add an array patient [{images.shape[0]}].\n"
            "Slices of a patient are alike, and must not be in two parts."
        )
    size = asked.size or default_size([min(images.shape[1:3])])
    channels = images.shape[3] if len(images.shape) == 4 else 1
    if (needed := images.shape[0] * (2 * channels + 1) * size * size * 4) > asked.memory_mib * MIB:
        raise DataError(f"{asked.path} needs {needed // MIB} MiB, above data.memory_mib={asked.memory_mib}: raise it.")
    pixels = np.concatenate([squared(p[..., None] if p.ndim == 3 else p, size) for p in images.pieces()])
    pixels = pixels[..., one_of(asked, channels)]
    masks = [squared((p > 0).astype(np.uint8)[..., None] * 255, size) > 127 for p in found[MASKS].pieces()]
    where = torch.from_numpy(np.concatenate(masks)).permute(0, 3, 1, 2)
    if not where.any():
        raise DataError(f"all masks of {asked.path} are empty at {size} pixels: there is no lesion to learn from.")
    return Masked(torch.from_numpy(pixels).permute(0, 3, 1, 2).contiguous(), where, whose)


def one_of(asked: Asked, channels: int) -> slice:
    if asked.channel is None:
        return slice(None)
    if asked.channel >= channels:
        raise DataError(f"data.channel={asked.channel}: images of {asked.path} have channels 0 to {channels - 1}.")
    return slice(asked.channel, asked.channel + 1)


def require_arrays(path: Path, found: Mapping[str, Block]) -> Block:
    """The images. Raises DataError where there are none, or masks that do not lie over them."""
    held = ", ".join(f"{name} {block.dtype}{list(block.shape)}" for name, block in found.items())
    if IMAGES in found:
        require_channels_last(found[IMAGES])
    if IMAGES not in found or not is_images(found[IMAGES]) or MASKS not in found:
        raise DataError(
            f"{path} holds no slices with masks: they are arrays images, uint8 [N, H, W] or [N, H, W, C], masks "
            f"[N, H, W] and patient [N].\nIt holds {held or 'nothing'}."
        )
    images, masks = found[IMAGES], found[MASKS]
    if masks.dtype.kind not in "biu" or masks.shape != images.shape[:3]:
        raise DataError(
            f"the masks of {path} are {masks.dtype}{list(masks.shape)}, and its images {list(images.shape)}.\n"
            "Each image needs one mask of its own size, of whole numbers (0: healthy)."
        )
    return images


def require_patients(path: Path, count: int) -> None:
    if count < GROUPS:
        raise DataError(
            f"{path} has lesions of {count} patient(s): training, validation and test need one each, for no patient "
            "may be in two of them.\nAdd slices of others."
        )
