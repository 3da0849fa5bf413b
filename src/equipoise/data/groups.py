"""Whose the samples of an .npz file are: those of a patient are never in two parts."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from equipoise.data.blocks import Block
from equipoise.errors import DataError

GROUPS = ("group", "patient")  # the names of such an array, the first that is there


def groups_of(path: Path, found: Mapping[str, Block], count: int, what: str = "samples") -> Tensor | None:
    """[count], numbered by their names; None where there are none.

    Raises:
        DataError: for an array that does not say of each sample whose it is.
    """
    name = next((name for name in GROUPS if name in found), None)
    if name is None:
        return None
    block = found[name]
    if block.dtype.kind not in "iuUS" or block.shape not in ((count,), (count, 1)):
        raise DataError(
            f"{name} of {path} is {block.dtype}{list(block.shape)}: {count} {what} need whole numbers or words, one "
            "each."
        )
    return numbered(block.whole().reshape(-1).tolist())


def numbered(names: list[str] | list[int]) -> Tensor:
    """Groups [N] from 0 without gaps, in the order of their names."""
    return torch.from_numpy(np.unique(np.array(names), return_inverse=True)[1].reshape(-1))
