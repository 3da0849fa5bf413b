"""Scores whatever is asked for, made by Equipoise or by anyone: from names and paths to figures.

WHAT and DATA are a run, a saved generator, pictures (folder, .zip, .parquet), an array of uint8 images, features
[N, d] as floats, or a built-in set. A part of a set is written behind it: mnist.npz#test.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, get_args

import torch
from torch import Tensor

from equipoise import build, generator
from equipoise import config as c
from equipoise.data import arrays, images
from equipoise.data.blocks import blocks
from equipoise.data.hooks import Track, Warn, unheard, untracked
from equipoise.data.layout import PartName
from equipoise.data.source import InMemory, Part, Source, Splits
from equipoise.encoders.cache import Cache
from equipoise.encoders.looked import identity
from equipoise.errors import ConfigError, DataError
from equipoise.evaluation import FAMILIES, PAIRED, Figures, Reference, Samples, evaluate, seen
from equipoise.launch import data_at
from equipoise.runs.events import Log
from equipoise.runs.folder import RunFolder, existing

SAMPLES = 10_000
ARRAYS = (".npz", ".npy")
DEFAULT = tuple(name for name in FAMILIES if name not in PAIRED)


@dataclass(frozen=True)
class Score:
    what: str
    against: str
    checkpoint: str | None
    figures: Figures
    refused: Mapping[str, str]  # families that say nothing here -> why
    fake: Samples
    reference: Reference

    def as_json(self) -> dict[str, Any]:
        return {
            "what": self.what, "against": self.against, "checkpoint": self.checkpoint,
            "metrics": {name: asdict(estimate) for name, estimate in self.figures.items()},
            "refused": dict(self.refused),
        }  # fmt: skip


@dataclass(frozen=True)
class Asked:
    """What `equipoise evaluate` is asked."""

    what: str
    against: str | None = None  # None: the data of the run itself, the part that nothing was chosen by
    train: str | None = None  # where copies are looked for; None: the training part of `against`, if it has one
    metrics: Sequence[str] = ()  # families; none: all that say something here
    features: str = "auto"
    n: int = SAMPLES
    size: int | None = None
    checkpoint: str = "best"
    seed: int = 0


@dataclass(frozen=True)
class Set:
    """Samples, and the set that they are a part of."""

    name: str
    part: str
    samples: Source
    splits: Splits  # of the whole set


def score(asked: Asked, track: Track = untracked, warn: Warn = unheard) -> Score:
    """Figures of `asked.what`, with their protocols. Those of a run are noted in its folder.

    Raises:
        ConfigError: for a metric, features or a checkpoint that do not exist.
        DataError: for samples that cannot be read or compared, or a metric that was asked for and cannot be had.
    """
    require_known(asked.metrics)
    if makes(asked.what):
        fake: Source = drawn(asked)
        real = held_against(asked, side_of(fake.shape), track, warn)
    else:
        if asked.against is None:
            raise ConfigError(f"against which data? {asked.what} is no run: give --against DATA.")
        side = asked.size or usual_side(asked.against)
        real = opened(asked.against, side, track, warn)
        require_side(asked, side)
        fake = opened(asked.what, side, track, warn).samples
    require_alike(asked, fake, real.samples)
    reals, form = build.some(real.samples, asked.n), build.Form(real.samples.shape, real.splits.train.classes)
    encoder, cache = build.judge_of(asked.features, form, real.splits, track, warn), Cache(warn=warn)
    learned = learned_from(asked, real, track, warn)
    against = Reference(
        real=seen(encoder, reals, cache, track),
        train=None if learned is None else seen(encoder, learned, cache, track),
        features=encoder.protocol,
        data={"sha256": identity(reals), "part": real.part, "size": asked.size},
    )
    samples = seen(encoder, build.some(fake, asked.n), cache, track)
    figures, refused = evaluate(samples, against, asked.metrics or DEFAULT)
    require_had(asked.metrics, refused)
    found = Score(asked.what, real.name, asked.checkpoint, figures, refused, samples, against)
    if is_run(asked.what):
        note(found)
    return found


def require_known(metrics: Sequence[str]) -> None:
    for name in metrics:
        if name not in FAMILIES:
            raise ConfigError(
                f"there is no metric '{name}'{c.nearest(name, FAMILIES)} There are: {', '.join(FAMILIES)}."
            )


def require_had(metrics: Sequence[str], refused: Mapping[str, str]) -> None:
    if missing := [f"{name}: {refused[name]}" for name in metrics if name in refused]:
        raise DataError("\n".join(missing[:3]))


def is_run(what: str) -> bool:
    return RunFolder(Path(what)).config.exists()


def makes(what: str) -> bool:
    """Whether samples must be drawn first."""
    return is_run(what) or Path(what).suffix == ".safetensors"


def drawn(asked: Asked) -> Source:
    """Samples of a generator, as many as there are reals to compare with would need."""
    which = asked.checkpoint if is_run(asked.what) else "last"
    trained, _ = generator.opened(Path(asked.what), which)
    samples = torch.from_numpy(trained.sample(asked.n, asked.seed))
    return InMemory(samples.permute(0, 3, 1, 2) if trained.form.is_images else samples)


def held_against(asked: Asked, side: int | None, track: Track, warn: Warn) -> Set:
    """What the samples of a generator are compared with: by default its own data, the part that nothing saw."""
    own = c.read(RunFolder(Path(asked.what)).config).data if is_run(asked.what) else None
    if asked.against is None:
        if own is None:
            raise ConfigError(
                f"against which data? {asked.what} does not know what it was trained on: give --against DATA."
            )
        return part_of(own.kind, build.splits(own, track, warn), None, "test")
    name, part = parted(asked.against)
    if own is not None and same(own, data_at(name)):
        return part_of(name, build.splits(own, track, warn), part, "test")
    return opened(asked.against, side, track, warn)


def same(a: c.Data, b: c.Data) -> bool:
    """Whether two names mean the same set."""
    if isinstance(a, c.Pictures | c.Arrays) and isinstance(b, c.Pictures | c.Arrays):
        return Path(a.path).resolve() == Path(b.path).resolve()
    return a.kind == b.kind


def opened(text: str, side: int | None, track: Track, warn: Warn) -> Set:
    """A set, or a part of it as in mnist.npz#test. All of it unless a part is named."""
    name, part = parted(text)
    if (features := features_at(Path(name))) is not None:
        source = InMemory(features)
        return part_of(name, Splits(source, source, source), None, "all")
    data = data_at(name)
    if isinstance(data, c.Pictures | c.Arrays):
        data = data.model_copy(update={"size": side})
    return part_of(name, build.splits(data, track, warn), part, "all")


def parted(text: str) -> tuple[str, str | None]:
    name, mark, part = text.rpartition("#")
    if mark and part in get_args(PartName):
        return name, part
    return text, None


def part_of(name: str, splits: Splits, part: str | None, default: str) -> Set:
    part = part or default
    return Set(name, part, whole(splits) if part == "all" else getattr(splits, part), splits)


def whole(splits: Splits) -> Source:
    """All samples in the order of the set."""
    match splits:
        case Splits(train=Part() as train, validation=Part() as validation, test=Part() as test):
            return Part(train.source, torch.cat([train.indices, validation.indices, test.indices]).sort().values)
        case _:
            return splits.train  # sets that are drawn have no whole


def features_at(path: Path) -> Tensor | None:
    """Floats [N, d] of an .npy or .npz file; None for other content.

    Raises:
        DataError: for floats of another shape, which may be images in an unknown range.
    """
    if path.suffix not in ARRAYS or not path.is_file():
        return None
    found = blocks(path)
    floats = [block for block in found if block.dtype.kind == "f"]
    if not floats or any(block.dtype == "u1" and len(block.shape) > 2 for block in found):
        return None
    if len(floats[0].shape) != 2:
        raise DataError(
            f"{path} holds floats {list(floats[0].shape)}: images must be uint8 [N, H, W, C], whose range is known.\n"
            "Only features [N, d] are floats. Round the images to 0..255 first."
        )
    return torch.from_numpy(floats[0].whole()).float()


def usual_side(text: str) -> int | None:
    """Pixels of the smaller side of most pictures of a set; None for what holds no pictures."""
    name, _ = parted(text)
    if features_at(Path(name)) is not None:
        return None
    match data_at(name):
        case c.Pictures(path=path):
            return images.usual_side(Path(path))
        case c.Arrays(path=path):
            return arrays.usual_side(Path(path))
        case _:
            return None


def require_side(asked: Asked, side: int | None) -> None:
    """Resizing moves every figure, so nobody is resized without being asked."""
    if asked.size is None and (own := usual_side(asked.what)) not in (side, None) and side is not None:
        raise DataError(
            f"{asked.what} has pictures of {own} pixels and {asked.against} of {side}: resizing moves every figure.\n"
            f"Give --size {min(own or side, side)} to bring both to that size, which is then part of the protocol."
        )


def require_alike(asked: Asked, fake: Source, real: Source) -> None:
    """Raises DataError where the two cannot be compared."""
    if fake.shape == real.shape:
        return
    against = asked.against or "its data"
    if len(fake.shape) == len(real.shape) == 3:
        what = f"{asked.what} has {told(fake.shape)} and {against} {told(real.shape)}"
        mend = "Give both in grey, or both in colour." if fake.shape[0] != real.shape[0] else "Give --size N."
        raise DataError(f"{what}: pictures of different shapes are not compared.\n{mend}")
    raise DataError(
        f"{asked.what} holds samples of shape {list(fake.shape)} and {against} of {list(real.shape)}.\n"
        "Images are compared with images, features [N, d] with features of as many dimensions."
    )


def told(shape: Sequence[int]) -> str:
    channels, height, width = shape
    return f"{width}x{height} pixels in {'grey' if channels == 1 else f'{channels} channels'}"


def learned_from(asked: Asked, real: Set, track: Track, warn: Warn) -> Source | None:
    """Where copies are looked for: what was named, or the training part beside held-out reals."""
    if asked.train is not None:
        learned = opened(asked.train, side_of(real.samples.shape), track, warn).samples
        require_alike(asked, learned, real.samples)
        return learned
    return real.splits.train if real.part in ("validation", "test") else None


def side_of(shape: Sequence[int]) -> int | None:
    return shape[-1] if len(shape) == 3 else None


def note(found: Score) -> None:
    """Keeps the figures in the folder of the run."""
    log = Log(existing(Path(found.what)).evaluations)
    log.append("evaluation", date=datetime.now().isoformat(timespec="seconds"), **found.as_json())
    log.close()
