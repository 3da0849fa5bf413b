"""What a set of samples is to the rest of Equipoise, and how one is kept apart for looking and judging."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import torch
from torch import Tensor

from equipoise.data.layout import PARTS_IN_ORDER, PartName
from equipoise.data.vocabulary import Vocabulary
from equipoise.errors import DataError
from equipoise.streams import Stream

Shape = tuple[int, ...]
HASHED = 4096  # samples at a time
HELD_OUT: tuple[PartName, ...] = ("validation", "test")


class Source(Protocol):
    """Samples addressed by index."""

    @property
    def shape(self) -> Shape:
        """Of one sample: (C, H, W) for images, (d,) for points and for sentences of d tokens."""
        ...

    @property
    def classes(self) -> int:
        """0 where there are no labels."""
        ...

    def __len__(self) -> int: ...

    def expect(self, indices: Tensor) -> None:
        """These will be taken soon, together: whatever takes time may begin."""
        ...

    def take(self, indices: Tensor) -> tuple[Tensor, Tensor]:
        """x [B, *shape] float, images in [-1, 1], sentences long; and y [B] (zeros without classes)."""
        ...

    def identity(self, indices: Tensor) -> Iterator[bytes]:
        """What these samples are made of, in pieces: what tells one set from another."""
        ...


class InMemory:
    """x [N, *shape]: uint8 images, or floats or tokens taken as they are; y [N] in 0 .. classes - 1, or None.

    Images may be a permuted view of [N, H, W, C]: a sample is then copied in one piece.
    """

    def __init__(self, x: Tensor, y: Tensor | None = None, classes: int = 0):
        self.x = x
        self.y = torch.zeros(len(x), dtype=torch.long) if y is None else y.long()
        self.classes = classes
        self._last = x.ndim == 4 and not x.is_contiguous()  # channels lie last

    @property
    def shape(self) -> Shape:
        return tuple(self.x.shape[1:])

    def __len__(self) -> int:
        return len(self.x)

    def expect(self, indices: Tensor) -> None: ...

    def take(self, indices: Tensor) -> tuple[Tensor, Tensor]:
        indices = indices.to(self.x.device)
        x = self.rows(indices)
        return (scaled(x) if x.dtype == torch.uint8 else x), self.y[indices]

    def rows(self, indices: Tensor) -> Tensor:
        """[B, *shape] as stored. index_select is many times faster than x[indices]."""
        if not self._last:
            return self.x.index_select(0, indices)
        return self.x.permute(0, 2, 3, 1).index_select(0, indices).permute(0, 3, 1, 2)

    def identity(self, indices: Tensor) -> Iterator[bytes]:
        yield f"{self.x.dtype}{[len(indices), *self.shape]}".encode()
        for start in range(0, len(indices), HASHED):
            some = indices[start : start + HASHED]
            yield self.rows(some).contiguous().numpy().tobytes()
            yield self.y[some].numpy().tobytes()

    def on(self, device: torch.device) -> InMemory:
        """The same samples in the memory of a device."""
        return InMemory(self.x.to(device), self.y.to(device), self.classes)


class View:
    """All samples of a source, each in its place, in another form."""

    def __init__(self, source: Source):
        self.source = source

    def __len__(self) -> int:
        return len(self.source)

    def expect(self, indices: Tensor) -> None:
        self.source.expect(indices)


class Part:
    """Some samples of a source, in an order of their own: a view, not a copy. `groups` says whose each sample of the
    source is, [len(source)], where that is known."""

    def __init__(self, source: Source, indices: Tensor, groups: Tensor | None = None):
        self.source, self.indices, self.groups = source, indices, groups

    @property
    def shape(self) -> Shape:
        return self.source.shape

    @property
    def classes(self) -> int:
        return self.source.classes

    def __len__(self) -> int:
        return len(self.indices)

    def expect(self, indices: Tensor) -> None:
        self.source.expect(self.indices[indices])

    def take(self, indices: Tensor) -> tuple[Tensor, Tensor]:
        return self.source.take(self.indices[indices])

    def identity(self, indices: Tensor) -> Iterator[bytes]:
        return self.source.identity(self.indices[indices])


def mixed(source: Source, most: int) -> Source:
    """At most so many, the same each time, in a random order: sets may lie in the order of their classes."""
    return Part(source, order_of(len(source), most))


def order_of(count: int, most: int) -> Tensor:
    """The indices that `mixed` takes of so many."""
    return torch.randperm(count, generator=Stream(0, "mixed").at(0))[:most]


@dataclass(frozen=True)
class Splits:
    """Training data for D; validation for the guardian and the metrics; test for final figures only."""

    train: Source
    validation: Source
    test: Source
    class_names: Sequence[str] = field(default=(), kw_only=True)
    held_out: Sequence[PartName] = field(default=(), kw_only=True)  # of train, where the set itself has no such part
    left_out: Mapping[str, str] = field(default_factory=dict, kw_only=True)  # pictures that cannot be read -> why
    given: int = field(default=0, kw_only=True)  # of a translation: so many channels are what G is given, the first
    vocabulary: Vocabulary | None = field(default=None, kw_only=True)  # of sentences

    def sha256(self) -> str:
        """The same for the same samples in the same parts and order, and for no others."""
        digest = hashlib.sha256()
        for part in (self.train, self.validation, self.test):
            digest.update(f"{len(part)}".encode())
            for piece in part.identity(torch.arange(len(part))):
                digest.update(piece)
        return digest.hexdigest()


def split(x: Tensor, y: Tensor | None, *, seed: int = 0, held_out: float = 0.1) -> Splits:
    """Splits samples in memory at random. Raises DataError for fewer than three."""
    classes = 0 if y is None else int(y.max()) + 1 if len(y) else 0  # of all: a rare class may be missing from a part
    return parted(InMemory(x, y, classes), {"train": torch.arange(len(x))}, seed=seed, held_out=held_out)


def parted(source: Source, parts: Mapping[PartName, Tensor], *, seed: int = 0, held_out: float = 0.1) -> Splits:
    """Views of a source. Official parts (indices under "train", and "validation" and "test" if there are any) are
    kept. What is missing is held out of train, by a seed of its own so that every run holds out the same samples:
    the share `held_out` each, and at least one sample.

    Raises:
        DataError: when some part would have no sample.
    """
    train = parts["train"]
    missing = missing_in(parts)
    if len(train) < 1 + len(missing):
        raise DataError(f"only {len(train)} sample(s): training, validation and test need at least one each.")
    held = max(1, int(len(train) * held_out))
    order = torch.randperm(len(train), generator=Stream(seed, "split").at(0))
    found = {name: train[order[i * held : (i + 1) * held]] for i, name in enumerate(missing)}
    found = dict(parts) | found
    kept = train[order[len(missing) * held :]] if missing else train
    return Splits(
        Part(source, kept), Part(source, found["validation"]), Part(source, found["test"]), held_out=tuple(missing)
    )


def parted_by_group(
    source: Source, groups: Tensor, parts: Mapping[PartName, Tensor] | None = None, *, seed: int = 0,
    held_out: float = 0.1,
) -> Splits:  # fmt: skip
    """Views of a source whose samples come in groups [N], such as the scans of a patient: whole groups are held out, so
    that none is in two parts. As many for each as `parted` would take of samples; official parts are kept as there.

    Raises:
        DataError: for fewer than three groups, or than one for training and one for each part that is missing.
    """
    parts = parts or {"train": torch.arange(len(source))}
    train, missing = parts["train"], missing_in(parts)
    names, whose = torch.unique(groups[train], return_inverse=True)
    count = len(names)
    if count < 1 + len(missing):
        needed = " and ".join(", ".join(["training", *missing]).rsplit(", ", 1))
        raise DataError(f"only {count} group(s): {needed} need one each, for no group may be in two of them.")
    held = max(1, int(count * held_out))
    order = torch.randperm(count, generator=Stream(seed, "split").at(0))
    some: dict[PartName, Tensor] = {name: order[i * held : (i + 1) * held] for i, name in enumerate(missing)}
    some["train"] = order[len(missing) * held :]
    found = dict(parts) | {name: train[torch.isin(whose, taken)] for name, taken in some.items()}
    return Splits(*(Part(source, found[name], groups) for name in PARTS_IN_ORDER), held_out=tuple(missing))


def missing_in(parts: Mapping[PartName, Tensor]) -> list[PartName]:
    return [name for name in HELD_OUT if name not in parts or not len(parts[name])]


def whose(source: Source) -> Tensor | None:
    """The group of each sample [N], such as its patient; None where nobody said."""
    match source:
        case Part(groups=Tensor() as groups, indices=indices):
            return groups[indices]
        case Part(source=whole, indices=indices):
            inner = whose(whole)
            return None if inner is None else inner[indices]
        case View(source=whole):
            return whose(whole)
        case _:
            return None


def near(source: Source, device: torch.device, room: int) -> Source:
    """The same samples in the device's memory, if they are in this machine's and take at most `room` bytes there."""
    match source:
        case Part(source=InMemory() as whole) if whole.x.nbytes <= room:
            return Part(whole.on(device), source.indices)
        case _:
            return source


def everything(source: Source) -> tuple[Tensor, Tensor]:
    """All samples of a source, for sets that fit in memory."""
    return source.take(torch.arange(len(source)))


def scaled(x: Tensor) -> Tensor:
    """uint8 0..255 -> float -1..1, contiguous: the layout of its memory must not steer the convolutions."""
    return x.to(torch.float32, memory_format=torch.contiguous_format) / 127.5 - 1


def to_uint8(x: Tensor) -> Tensor:
    """float -1..1 -> uint8 0..255, rounded and clamped: what a picture file can hold."""
    return (x + 1).mul_(127.5).round_().clamp_(0, 255).to(torch.uint8)  # one copy of floats: pictures may be large
