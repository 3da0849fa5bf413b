"""Two domains as one set: a sample x [Ca + Cb, H, W] is a picture of A and one of B, channels behind one another."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from equipoise.data import source as alone
from equipoise.data.batches import Vary
from equipoise.data.source import InMemory, Part, Shape, Source, View
from equipoise.errors import DataError
from equipoise.streams import Stream


class Paired:
    """Sample i is a[i] with b[i].

    Raises:
        DataError: when there are not as many of one as of the other, or their sizes differ.
    """

    def __init__(self, a: Source, b: Source):
        if len(a) != len(b):
            raise DataError(f"{len(a)} pictures of A and {len(b)} of B are no pairs: each needs one partner.")
        self.a, self.b, self.shape = a, b, stacked(a.shape, b.shape)
        self.classes = 0

    def __len__(self) -> int:
        return len(self.a)

    def expect(self, indices: Tensor) -> None:
        self.a.expect(indices)
        self.b.expect(indices)

    def take(self, indices: Tensor) -> tuple[Tensor, Tensor]:
        return beside(self.a.take(indices)[0], self.b.take(indices)[0])

    def identity(self, indices: Tensor) -> Iterator[bytes]:
        yield b"pairs"
        yield from self.a.identity(indices)
        yield from self.b.identity(indices)


class Unpaired:
    """As many samples as the larger domain has; the smaller goes round. B is in a fixed shuffled order, so that neither
    the order of the files nor their names pair them. Index i + k len(self) is sample i of epoch k: the same picture of
    A beside the next one of B.

    Raises:
        DataError: when their sizes differ.
    """

    def __init__(self, a: Source, b: Source):
        self.a, self.b, self.shape = a, b, stacked(a.shape, b.shape)
        self.classes = 0
        self._order = torch.randperm(len(b), generator=Stream(0, "unpaired").at(0))

    def __len__(self) -> int:
        return max(len(self.a), len(self.b))

    def expect(self, indices: Tensor) -> None:
        in_a, in_b = self.places(indices)
        self.a.expect(in_a)
        self.b.expect(in_b)

    def take(self, indices: Tensor) -> tuple[Tensor, Tensor]:
        in_a, in_b = self.places(indices)
        return beside(self.a.take(in_a)[0], self.b.take(in_b)[0])

    def identity(self, indices: Tensor) -> Iterator[bytes]:
        in_a, in_b = self.places(indices)
        yield b"domains"
        yield from self.a.identity(in_a)
        yield from self.b.identity(in_b)

    def places(self, indices: Tensor) -> tuple[Tensor, Tensor]:
        """In A and in B. [B] each."""
        epoch, sample = indices // len(self), indices % len(self)
        return sample % len(self.a), self._order[(sample + epoch) % len(self.b)]

    def samples_with(self, in_b: Tensor) -> Tensor:
        """The first samples that hold these pictures of B; those of A are the first of their own number. [B]."""
        return self._order.argsort()[in_b]


class Side(View):
    """One domain of such a set: some of its channels. It is told from the whole and from the other domain, so that what
    was seen in one is never remembered for another."""

    def __init__(self, source: Source, channels: slice):
        super().__init__(source)
        self.classes = source.classes
        self.channels = slice(*channels.indices(source.shape[0]))
        self.shape: Shape = (len(range(source.shape[0])[self.channels]), *source.shape[1:])

    def take(self, indices: Tensor) -> tuple[Tensor, Tensor]:
        x, y = self.source.take(indices)
        return x[:, self.channels].contiguous(), y

    def identity(self, indices: Tensor) -> Iterator[bytes]:
        yield f"channels {self.channels}".encode()
        yield from self.source.identity(indices)


class Coloured(View):
    """Grey pictures with three equal channels."""

    def __init__(self, source: Source):
        super().__init__(source)
        self.classes = source.classes
        self.shape: Shape = (3, *source.shape[1:])

    def take(self, indices: Tensor) -> tuple[Tensor, Tensor]:
        x, y = self.source.take(indices)
        return x.expand(-1, 3, -1, -1), y

    def identity(self, indices: Tensor) -> Iterator[bytes]:
        yield b"coloured"
        yield from self.source.identity(indices)


def domain(source: Source, channels: slice) -> Source:
    """One domain of a set, each of its pictures once: in a set without pairs the smaller one goes round."""
    match source:
        case Unpaired(a=a, b=b):
            return b if channels.start else a
        case _:
            return Side(source, channels)


def once(source: Source, channels: slice) -> Source:
    """The samples of a set that hold each picture of one domain once."""
    match source:
        case Unpaired():
            return Part(source, torch.arange(len(domain(source, channels))))
        case _:
            return source


def samples_with(source: Source, channels: slice, indices: Tensor) -> Tensor:
    """A sample of the set for each of these pictures of one domain. [B]."""
    match source:
        case Unpaired() if channels.start:
            return source.samples_with(indices)
        case _:
            return indices


def given_and_wanted(source: Source, given: int) -> tuple[Side, Side]:
    """The two domains of a set whose first `given` channels are what G is given."""
    return Side(source, slice(given)), Side(source, slice(given, None))


def alike(a: Source, b: Source) -> tuple[Source, Source]:
    """Grey pictures made three channels where the other domain is in colour.

    Raises:
        DataError: for other numbers of channels that differ.
    """
    channels = a.shape[0], b.shape[0]
    if channels[0] == channels[1]:
        return a, b
    if sorted(channels) != [1, 3]:
        raise DataError(f"A has {channels[0]} channels and B has {channels[1]}: they are no pictures of one kind.")
    return (Coloured(a), b) if channels[0] == 1 else (a, Coloured(b))


def each_side(vary_a: Vary, vary_b: Vary, given: int) -> Vary:
    """The two domains of a batch, each varied on its own."""

    def vary(x: Tensor, position: int) -> Tensor:
        return torch.cat((vary_a(x[:, :given], position), vary_b(x[:, given:], position)), 1)

    return vary


def stacked(a: Shape, b: Shape) -> Shape:
    if a[1:] != b[1:] or len(a) != 3:
        raise DataError(f"samples of shape {list(a)} and {list(b)} cannot be stacked: pictures of one size can be.")
    return (a[0] + b[0], *a[1:])


def beside(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """[B, Ca, H, W] and [B, Cb, H, W] -> [B, Ca + Cb, H, W], and zeros for the labels that pairs do not have."""
    return torch.cat((a, b), 1), torch.zeros(len(a), dtype=torch.long, device=a.device)


def near(source: Source, device: torch.device, room: int) -> Source:
    """As `source.near`, and of two domains both or none: half of the room is for each."""
    match source:
        case Part(source=Paired(a=InMemory() as a, b=InMemory() as b)) if max(a.x.nbytes, b.x.nbytes) <= room // 2:
            return Part(Paired(a.on(device), b.on(device)), source.indices)
        case Unpaired():
            moved = [near_side(side, device, room // 2) for side in (source.a, source.b)]
            return source if moved[0] is source.a or moved[1] is source.b else Unpaired(*moved)
        case _:
            return alone.near(source, device, room)


def near_side(source: Source, device: torch.device, room: int) -> Source:
    match source:
        case Coloured(source=grey):
            moved = alone.near(grey, device, room)
            return source if moved is grey else Coloured(moved)
        case _:
            return alone.near(source, device, room)
