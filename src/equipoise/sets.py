"""Sets of samples by name: the data of a run, pictures, an array of images, features, a built-in set; or a part of one.

A part is written behind its set: mnist.npz#test.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, get_args

import numpy as np
import torch
from torch import Tensor

from equipoise import build
from equipoise import config as c
from equipoise.configuring import data_at
from equipoise.data import arrays, images
from equipoise.data.blocks import Block, blocks
from equipoise.data.digits import SIDE
from equipoise.data.hooks import Track, Warn
from equipoise.data.source import InMemory, Part, Shape, Source, Splits
from equipoise.errors import ConfigError, DataError
from equipoise.runs.folder import RunFolder
from equipoise.runs.folder import is_run as is_config

ARRAYS, GENERATOR = (".npz", ".npy"), ".safetensors"
FEATURES = ("features", "x")
PartOrAll = Literal["train", "validation", "test", "all"]
PARTS: tuple[PartOrAll, ...] = get_args(PartOrAll)


@dataclass(frozen=True)
class Set:
    """Samples, and the set that they are a part of."""

    name: str
    part: PartOrAll
    samples: Source
    learned: Source  # the training part, without these samples where they are held out
    splits: Splits  # of the whole set, as a run would have them


def opened(text: str, side: int | None, track: Track, warn: Warn) -> Set:
    """The set behind a name, its pictures with `side` pixels: all of it unless a part is named, of a run's own data
    the test part.

    Raises:
        ConfigError: for a part that there is not.
        DataError: for samples that cannot be found, read or used.
    """
    name, part = parted(text)
    if is_run(name):
        return of_run(name, part, track, warn)
    if (features := features_at(Path(name))) is not None:
        if part:
            raise ConfigError(f"{name} holds features, which are one set without parts: leave out #{part}.")
        source = InMemory(features)
        return Set(name, "all", source, source, Splits(source, source, source))
    data = data_of(name)
    if isinstance(data, c.Pictures | c.Arrays | c.Scans):
        data = data.model_copy(update={"size": side})
    elif (own := usual_side(text, warn)) and side not in (None, own):
        raise DataError(f"{name} is built in, with {own} pixels, and is not resized to {side}.")
    return part_of(name, build.splits(data, track, warn), part or "all")


def data_of(name: str) -> c.Data:
    if name.lower().endswith(GENERATOR):
        raise DataError(f"{name} is a generator, which holds no data.\nGive a run, pictures or an array.")
    return data_at(name)


def parted(text: str) -> tuple[str, PartOrAll | None]:
    """The name of a set and the part of it. A file whose own name has a # is a whole set."""
    name, mark, part = text.rpartition("#")
    if not mark or Path(text).exists():
        return text, None
    for known in PARTS:
        if part == known:
            return name, known
    raise ConfigError(f"{name} has no part '{part}'{c.nearest(part, PARTS)}\nParts are {', '.join(PARTS)}.")


def part_of(name: str, splits: Splits, part: PartOrAll) -> Set:
    learned = official(splits)
    match part, splits:
        case "all", Splits(train=Part() as train, validation=Part() as validation, test=Part() as test):
            return Set(name, part, joined(train, validation, test), learned, splits)
        case "test", _:
            return Set(name, part, splits.test, learned, splits)
        case "validation", _:  # which may be held out of the set's own training part
            return Set(name, part, splits.validation, splits.train, splits)
        case _:  # of a set that is drawn there is no whole
            return Set(name, "train", learned, learned, splits)


def official(splits: Splits) -> Source:
    """The training part of the set itself: beside an official test part, a run holds validation data out of it."""
    match splits:
        case Splits(train=Part() as train, validation=Part() as validation, held_out=("validation",)):
            return joined(train, validation)
        case _:
            return splits.train


def joined(*parts: Part) -> Part:
    """Parts of one source as one, in the order of the source."""
    return Part(parts[0].source, torch.cat([part.indices for part in parts]).sort().values, parts[0].groups)


def is_run(text: str) -> bool:
    """Whether this is a run's folder; a folder of pictures may hold some other config.json."""
    return is_config(RunFolder(Path(text)).config)


def of_run(path: str, part: PartOrAll | None, track: Track, warn: Warn, way: str = "") -> Set:
    """What a run was trained on, as it was; the part that nothing was chosen by unless another is named. Of two domains
    that which is made, with `way` as in `games.cyclegan` on the way back."""
    config = c.read(RunFolder(Path(path)).config)
    data = config.data
    name = data.path if isinstance(data, c.Pictures | c.Arrays | c.Scans) else data.kind
    whole = build.splits(data, track, warn)
    form = build.form(config, whole)
    reals = build.reals(config, form.back if way else form, whole, way)
    splits = replace(reals, held_out=())  # D did not see its validation data
    return part_of(name, splits, part or "test")


def own_data(path: str) -> c.Data:
    return c.read(RunFolder(Path(path)).config).data


def same(text: str, data: c.Data) -> bool:
    """Whether a name means this set."""
    if is_run(text):
        return False
    meant = data_of(text)
    if isinstance(meant, c.Pictures | c.Arrays | c.Scans) and isinstance(data, c.Pictures | c.Arrays | c.Scans):
        return Path(meant.path).resolve() == Path(data.path).resolve()
    return meant.kind == data.kind


def features_at(path: Path) -> Tensor | None:
    """Floats [N, d] of an .npy or .npz file, of several those of a name in FEATURES; None for other content.

    Raises:
        DataError: for several arrays of floats without such a name, floats of another shape, which may be images in an
            unknown range, for no rows, and for rows that are not finite.
    """
    if path.suffix.lower() not in ARRAYS or not path.is_file():
        return None
    found = blocks(path)
    floats = [block for block in found if block.dtype.kind == "f"]
    if not floats or any(block.dtype == "u1" and len(block.shape) > 2 for block in found):
        return None
    held = {block.name: block for block in floats}
    taken = floats[0] if len(floats) == 1 else next((held[name] for name in FEATURES if name in held), None)
    if taken is None:
        raise DataError(
            f"{path} holds {len(held)} arrays of floats, {', '.join(held)}: which are the features?\n"
            "Save them as `features`: np.savez(FILE, features=...)."
        )
    shape = list(taken.shape)
    if 0 in shape:
        raise DataError(f"{path} holds no samples: it is an empty array {shape}.")
    if len(shape) != 2:
        raise DataError(f"{path} holds floats {shape}, {images_as_floats(taken)}")
    with np.errstate(over="ignore"):  # beyond float32 is infinity, which is told below
        features = torch.from_numpy(taken.whole().astype("f4"))
    if bad := int((~features.isfinite()).any(1).sum()):
        raise DataError(
            f"{bad} of {len(features)} rows of {path} hold NaN or infinity.\n"
            "The net that made them, or the samples that it saw, left the finite numbers: mend that first."
        )
    return features


def images_as_floats(block: Block) -> str:
    """Why floats are not taken for images, and how to make images of these."""
    ends = [(piece.min(), piece.max()) for piece in block.pieces()]
    low, high = float(min(low for low, _ in ends)), float(max(high for _, high in ends))
    ranges = {"x * 255": (0, 1), "(x + 1) * 127.5": (-1, 1), "x": (0, 255)}
    fitting = [scaled for scaled, (least, most) in ranges.items() if least <= low and high <= most]
    if not fitting or len(block.shape) not in (3, 4):
        why = f"from {low:g} to {high:g}: neither features [N, d] nor images in a range that is known."
        return f"{why}\nImages are uint8 [N, H, W, C]: scale these to 0..255, round them, and clip what is outside."
    least, most = ranges[fitting[0]]
    return (
        f"from {low:g} to {high:g}. Only features [N, d] are floats; images are uint8 [N, H, W, C], as in a file.\n"
        f"If {least} is black and {most} is white: np.save(FILE, ({fitting[0]}).round().astype('uint8'))"
    )


def usual_side(text: str, warn: Warn) -> int | None:
    """Pixels of the smaller side of most pictures of a set; None for what holds no pictures. That pictures differ in
    their sides is told to `warn`: all are brought to this one.
    """
    name, _ = parted(text)
    if is_run(name) or features_at(Path(name)) is not None:
        return None
    match data_of(name):
        case c.Pictures(path=path):
            sides = images.sides_at(Path(path))
            side = sides[len(sides) // 2]
            if sides[0] != sides[-1]:
                warn(f"{name} has pictures of {sides[0]} to {sides[-1]} pixels: they are compared at {side}.")
            return side
        case c.Arrays(path=path):
            return arrays.usual_side(Path(path))
        case c.Digits() | c.StackedDigits():
            return SIDE
        case _:
            return None


def side_of(shape: Shape) -> int | None:
    return shape[-1] if len(shape) == 3 else None
