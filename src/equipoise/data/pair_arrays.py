"""Pairs as two arrays of one .npz file, and whom they belong to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from equipoise.data.arrays import MIB, READING, Held, is_images, require_channels_last
from equipoise.data.blocks import Block, blocks
from equipoise.data.decode import default_size
from equipoise.data.domains import Asked
from equipoise.data.groups import groups_of
from equipoise.data.hooks import Track, untracked
from equipoise.data.layout import Layout
from equipoise.data.sides import Paired
from equipoise.data.source import InMemory, Splits, parted, parted_by_group
from equipoise.errors import DataError

A, B = "a", "b"


def pair_arrays(asked: Asked, track: Track = untracked) -> Splits:
    """`a` and `b`, uint8 [N, H, W] or [N, H, W, C], and `group` or `patient` [N]: numbers or words. Whole groups
    are held out.

    Raises:
        DataError: when the file cannot be read, holds no such arrays, or needs more than `memory_mib`.
    """
    if asked.to is not None:
        raise DataError(f"{asked.path} holds both domains of its pairs: leave out data.to.")
    found = {block.name: block for block in blocks(asked.path)}
    halves = [images_of(asked.path, found, name) for name in ((B, A) if asked.swap else (A, B))]
    require_alike(asked.path, found[A], found[B])
    size = asked.size or default_size([min(halves[0].shape[1:3])])
    channels = [half.shape[3] if len(half.shape) == 4 else 1 for half in halves]
    held = [Held({"train": half}, Layout(), (c, size, size)) for half, c in zip(halves, channels, strict=True)]
    needed = sum(one.nbytes for one in held)
    if needed > asked.memory_mib * MIB:
        raise DataError(f"{asked.path} needs {needed // MIB} MiB, above data.memory_mib={asked.memory_mib}: raise it.")
    source = Paired(*(in_memory(one, track) for one in held))
    groups = groups_of(asked.path, found, len(source))
    splits = parted(source, {"train": torch.arange(len(source))}) if groups is None else parted_by_group(source, groups)
    return replace(splits, given=source.a.shape[0])


def images_of(path: Path, found: Mapping[str, Block], name: str) -> Block:
    if name in found:
        require_channels_last(found[name])
    if name in found and is_images(found[name]):
        return found[name]
    held = ", ".join(f"{name} {block.dtype}{list(block.shape)}" for name, block in found.items())
    raise DataError(
        f"{path} holds no pairs: they are two arrays, a and b, uint8 [N, H, W] or [N, H, W, C].\n"
        f"It holds {held or 'nothing'}."
    )


def require_alike(path: Path, a: Block, b: Block) -> None:
    if a.shape[0] != b.shape[0]:
        raise DataError(f"{path} holds {a.shape[0]} images in a and {b.shape[0]} in b: each needs one partner.")
    if a.shape[1:3] != b.shape[1:3]:
        raise DataError(
            f"the images of {path} have {a.shape[2]} x {a.shape[1]} pixels in a and {b.shape[2]} x {b.shape[1]} in b.\n"
            "They must show the same place by place: bring both to one size."
        )


def in_memory(held: Held, track: Track) -> InMemory:
    x = np.empty((held.count, *held.shape[1:], held.shape[0]), np.uint8)
    for i, square in enumerate(track((row for some in held.squares() for row in some), READING, held.count)):
        x[i] = square
    return InMemory(torch.from_numpy(x).permute(0, 3, 1, 2))
