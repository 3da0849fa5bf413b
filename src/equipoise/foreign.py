"""Generators of StyleGAN2 that others trained, from files that hold weights and no code.

The names are those of NVIDIA's PyTorch version (`G_ema.state_dict()` of training/networks_stylegan2.py, architecture
`skip`, filter [1, 3, 3, 1]), which is not free: nothing of it is here. The numbers were not compared with its own.
"""

from __future__ import annotations

import math
import re
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple
from zipfile import is_zipfile

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from equipoise.errors import StorageError

HALF = r"synthesis\.b(?P<side>\d+)\."
NAMES = (  # theirs -> ours; {i} is the number of the doublings before, less one
    (r"mapping\.fc(\d+)\.(weight|bias)", r"to_w.maps.\1.\2"),
    (r"mapping\.w_avg", "w_mean"),
    (r"synthesis\.b4\.const", "start.constant"),
    (r"synthesis\.b4\.conv1\.(.+)", r"start.conv.\1"),
    (r"synthesis\.b4\.torgb\.(.+)", r"start.to_image.\1"),
    (HALF + r"conv0\.(.+)", r"up.{i}.grow.\2"),
    (HALF + r"conv1\.(.+)", r"up.{i}.conv.\2"),
    (HALF + r"torgb\.(.+)", r"up.{i}.to_image.\2"),
)
PARTS = {"affine.": "style.", "noise_const": "noise.tile", "noise_strength": "noise.strength"}
OF_CLASSES = ("mapping.embed.weight", "mapping.embed.bias")
IGNORED = "resample_filter"
COUNTED = ("path_mean",)  # what ours has besides, and starts anew


class Foreign(NamedTuple):
    nets: dict[str, Any]  # a section of a config
    shape: tuple[int, int, int]
    classes: int
    state: dict[str, Tensor]  # by our names


def loaded(path: Path) -> Any:
    """What torch finds in a file of its own; what it thinks of other files is told by `weights`."""
    with warnings.catch_warnings(action="ignore"):
        return torch.load(path, "cpu", weights_only=True)


def weights(path: Path) -> dict[str, Tensor]:
    """The tensors of a .safetensors file, or of a state_dict that torch saved. Nothing in it is run.

    Raises:
        StorageError: for a pickle of anything else, and what cannot be read.
    """
    try:
        held = load_file(path) if path.suffix.lower() == ".safetensors" else loaded(path)
    except OSError as error:
        raise StorageError(f"{path} cannot be read: {error.strerror or error}.") from error
    except SafetensorError as error:
        raise StorageError(f"{path} cannot be read: {error}.") from error
    except Exception as error:  # whatever torch meets in a pickle
        if not (is_zipfile(path) or path.read_bytes()[:1] == b"\x80"):  # a zip of torch's, or a bare pickle
            raise StorageError(f"{path} is neither a .safetensors file nor a state_dict that torch saved.") from error
        raise StorageError(
            f"{path} is a pickle of more than weights, which could run anything: it is not opened.\n"
            "Convert it once, where you trust it, with the code that made it: torch.save(G_ema.state_dict(), 'g.pt')."
        ) from error
    if not isinstance(held, dict) or not all(isinstance(value, Tensor) for value in held.values()):
        raise StorageError(f"{path} holds no state_dict, names and tensors: save G_ema.state_dict() alone.")
    return held


def stylegan2(path: Path) -> Foreign:
    """A generator in a file of `weights`.

    Raises:
        StorageError: for files that cannot be read, or hold something else.
    """
    theirs = weights(path)
    try:
        return understood(theirs)
    except (KeyError, ValueError, IndexError) as error:
        raise StorageError(
            f"{path} holds no generator of StyleGAN2 that we know: {error} is missing or odd."
        ) from error


def understood(theirs: Mapping[str, Tensor]) -> Foreign:
    """Raises KeyError and ValueError for names or shapes that do not fit."""
    sides = sorted(int(found[1]) for name in theirs if (found := re.fullmatch(HALF + r"torgb\.weight", name)))
    layers = sum(bool(re.fullmatch(r"mapping\.fc\d+\.weight", name)) for name in theirs)
    classes = theirs[OF_CLASSES[0]].shape[1] if OF_CLASSES[0] in theirs else 0
    w_dim, inputs = theirs["mapping.fc0.weight"].shape
    channels, widest, *_ = theirs["synthesis.b4.torgb.weight"].shape
    narrowest = theirs[f"synthesis.b{sides[-1]}.torgb.weight"].shape[1]
    nets = {
        "kind": "stylegan2", "z_dim": inputs - (w_dim if classes else 0), "w_dim": w_dim, "mapping_layers": layers,
        "capacity": narrowest * sides[-1], "max_width": widest,
        "conditioning": "projection" if classes else "none",
    }  # fmt: skip
    state = {renamed(name): value for name, value in theirs.items() if IGNORED not in name and name not in OF_CLASSES}
    state["start.constant"] = state["start.constant"][None]  # [1, W, 4, 4]
    state |= {name: torch.zeros(()) for name in COUNTED}
    if classes:  # a linear map of one-hot classes as a table: each row is what it makes of one
        table, bias = (theirs[name] for name in OF_CLASSES)
        state["to_w.label.weight"] = table.T / math.sqrt(classes) + bias
    return Foreign(nets, (channels, sides[-1], sides[-1]), classes, state)


def renamed(name: str) -> str:
    """Raises ValueError for a name that is not in the table."""
    for theirs, ours in NAMES:
        if found := re.fullmatch(theirs, name):
            text = found.expand(ours)
            for part, own in PARTS.items():
                text = text.replace(part, own)
            return text.format(i=int(found["side"]).bit_length() - 4) if "{i}" in text else text
    raise ValueError(name)
