"""Records: rows of flags or counts, from a file or made up with marginals and correlations that are known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from equipoise.data.blocks import blocks
from equipoise.data.groups import groups_of
from equipoise.data.source import InMemory, Splits, parted, parted_by_group
from equipoise.errors import DataError
from equipoise.streams import Stream

LARGEST = 2**24  # whole numbers up to it are exact in float32
MADE_UP, HELD_OUT = 8000, 2000  # records
COLUMNS, CLUSTER, TIED = 40, 4, 0.6  # of those: columns, how many go together, and the correlation behind them
RAREST, COMMONEST = 0.02, 0.6


def records(path: Path) -> Splits:
    """Floats [d] of an .npz with `x` [N, d], whole numbers from 0, and, if there are patients, `patient` [N].

    Raises:
        DataError: for a file that cannot be read or holds something else.
    """
    if not path.is_file():
        raise DataError(f"{path} is not there: records are an .npz with x [N, d] and, if there are patients, patient.")
    found = {block.name: block for block in blocks(path)}
    if "x" not in found or len(found["x"].shape) != 2 or 0 in found["x"].shape or found["x"].dtype.kind not in "biuf":
        held = ", ".join(f"{name} {block.dtype}{list(block.shape)}" for name, block in found.items())
        raise DataError(f"{path} holds no records: they are numbers x [N, d]. It holds {held or 'nothing'}.")
    x = found["x"].whole().astype(np.float64)
    if not (np.isfinite(x).all() and (x == x.round()).all() and x.min() >= 0 and x.max() <= LARGEST):
        raise DataError(f"x of {path} holds other numbers than whole ones from 0: records are flags or counts.")
    source, whose = InMemory(torch.from_numpy(x.astype(np.float32))), groups_of(path, found, len(x))
    return parted(source, {"train": torch.arange(len(x))}) if whose is None else parted_by_group(source, whose)


def made_up(seed: int = 0) -> Splits:
    """Flags that are known: see `flags`."""
    draws = Stream(seed, "records")
    sizes = (MADE_UP, HELD_OUT, HELD_OUT)
    return Splits(*(InMemory(flags(n, draws.at(i))) for i, n in enumerate(sizes)))


def flags(n: int, generator: torch.Generator) -> Tensor:
    """[n, COLUMNS]: flag i is set where a normal number lies below a threshold, so that it occurs as often as
    `prevalences` says; the numbers of CLUSTER columns have the correlation TIED, those of others none."""
    shared = torch.randn(n, COLUMNS // CLUSTER, generator=generator).repeat_interleave(CLUSTER, 1)
    own = torch.randn(n, COLUMNS, generator=generator)
    normal = TIED**0.5 * shared + (1 - TIED) ** 0.5 * own
    thresholds: Tensor = torch.special.ndtri(prevalences())
    found: Tensor = (normal < thresholds).float()
    return found


def prevalences() -> Tensor:
    """Most are rare, as of diseases. [COLUMNS], in an order in which rare and common ones go together."""
    share = torch.logspace(np.log10(RAREST), np.log10(COMMONEST), COLUMNS)
    return share.view(CLUSTER, -1).T.flatten()
