"""Weights that come from files: read without running anything, checked, and named by their SHA-256."""

from __future__ import annotations

import hashlib
import io
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from equipoise.errors import DataError

SHOWN = 3  # names in a message


def digest(tensors: Mapping[str, Tensor]) -> str:
    """SHA-256 of names, types, shapes and values, in the order of the names."""
    total = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name].detach().cpu().contiguous()
        total.update(f"{name} {tensor.dtype} {list(tensor.shape)}\n".encode())
        total.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return total.hexdigest()


def content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}.") from error


@dataclass(frozen=True)
class Weights:
    """The arrays of a file by name, and the SHA-256 of the file."""

    path: Path
    tensors: Mapping[str, Tensor]
    sha256: str


def read(path: Path) -> Weights:
    """The arrays of floats of an .npz. Raises DataError when it is none, or a damaged one."""
    raw = content(path)
    try:
        with np.load(io.BytesIO(raw), allow_pickle=False) as archive:
            found = {name: archive[name] for name in archive.files}
    except (ValueError, OSError, EOFError, AttributeError, TypeError, zipfile.BadZipFile, zlib.error) as error:
        raise DataError(f"{path} is no .npz of plain arrays, or a damaged one: {error}.") from error
    tensors = {name: torch.from_numpy(a.astype(np.float32)) for name, a in found.items() if a.dtype.kind == "f"}
    return Weights(path, tensors, hashlib.sha256(raw).hexdigest())


def loaded(net: nn.Module, weights: Weights, name: str) -> None:
    """Gives `net` the arrays of its parameters' names, and freezes it.

    Raises:
        DataError: when one is missing, has another shape, or is not finite.
    """
    wanted, found = net.state_dict(), weights.tensors
    if missing := [key for key in wanted if key not in found]:
        raise DataError(
            f"{weights.path} does not hold the weights of {name}: {len(missing)} of {len(wanted)} arrays are missing "
            f"({shown(missing)})."
        )
    if odd := [key for key, value in wanted.items() if found[key].shape != value.shape]:
        there, here = list(found[odd[0]].shape), list(wanted[odd[0]].shape)
        raise DataError(
            f"{weights.path} does not hold the weights of {name}: {len(odd)} of {len(wanted)} arrays differ in shape.\n"
            f"{odd[0]} is {there} in the file and {here} in the net."
        )
    if odd := [key for key in wanted if not found[key].isfinite().all()]:
        raise DataError(f"{weights.path} is damaged: {shown(odd)} hold numbers that are not finite.")
    net.load_state_dict({key: found[key] for key in wanted}, assign=True)
    net.eval().requires_grad_(False)


def shown(names: list[str]) -> str:
    return ", ".join(names[:SHOWN]) + (", ..." if len(names) > SHOWN else "")
