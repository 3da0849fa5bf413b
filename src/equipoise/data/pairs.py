"""Pairs of pictures: each of A with its own of B, in two folders with equal names, or side by side in one file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from equipoise.data.decode import Cut, Unreadable, default_size, stored_size
from equipoise.data.domains import SHOWN, Asked, Named, all_named, everyone, matched, of_domain, parts_of
from equipoise.data.hooks import Track, Warn, unheard, untracked
from equipoise.data.images import MIB, kept, listed, opened, shared, sides
from equipoise.data.layout import only
from equipoise.data.pair_arrays import pair_arrays
from equipoise.data.places import Listing, Place, place_at
from equipoise.data.sides import Paired
from equipoise.data.source import Splits, parted
from equipoise.data.survey import Surveyor, left_out, refuse_many, shown
from equipoise.errors import DataError

LOOKED_AT = 20  # pictures that tell whether a folder holds pairs side by side


@dataclass(frozen=True)
class Half:
    """Where the pictures of one domain are."""

    place: Place
    path: Path
    cut: Cut = "whole"
    prefix: str = ""  # what tells their names from those of the other half

    def name(self, each: Named) -> str:
        return self.prefix + each.name


@dataclass(frozen=True)
class Found:
    """Pairs, before a picture is opened."""

    halves: tuple[Half, Half]
    couples: Sequence[tuple[Named, Named]]
    bad: Mapping[str, str]  # pictures that will not be opened -> why

    @property
    def openable(self) -> list[tuple[Named, Named]]:
        return [couple for couple in self.couples if not {*self.names(couple)} & self.bad.keys()]

    def names(self, couple: tuple[Named, Named]) -> tuple[str, str]:
        return self.halves[0].name(couple[0]), self.halves[1].name(couple[1])


def pairs(asked: Asked, track: Track = untracked, warn: Warn = unheard) -> Splits:
    """Samples [Ca + Cb, size, size]. Official parts (train, val and test folders) are kept; of an .npz with `group`,
    whole groups are held out. Up to one bad pair in a hundred is left out, and told to `warn`.

    Raises:
        DataError: when there are no pairs, a picture has no partner or one of another size, or too many cannot be read.
    """
    if asked.path.suffix.lower() == ".npz":
        return pair_arrays(asked, track)
    found = found_at(asked)
    if asked.swap:
        found = Found((found.halves[1], found.halves[0]), [(b, a) for a, b in found.couples], found.bad)
    couples = found.openable
    source, looks = read(found, couples, asked, track, warn)
    parts = only(parts_of([a for a, _ in couples]), looks[0].good & looks[1].good)
    splits = parted(source, {name: torch.from_numpy(indices) for name, indices in parts.items()})
    bad, others = unreadable(found, looks)
    return replace(splits, left_out=bad | others, given=source.a.shape[0])


def found_at(asked: Asked) -> Found:
    """Raises DataError when there are no pairs."""
    place = place_at(asked.path)
    listing = listed(place, asked.path)
    names = all_named(everyone(listing))
    if asked.to is not None:
        a = Half(place, asked.path, prefix=f"{asked.path}/")
        b = Half(place_at(asked.to), asked.to, prefix=f"{asked.to}/")
        beside = listed(b.place, b.path)
        bad = {half.prefix + name: why for half, one in ((a, listing), (b, beside)) for name, why in one.bad.items()}
        return Found((a, b), matched(names, all_named(everyone(beside)), asked.path), bad)
    if any(each.domain for each in names):
        whole = Half(place, asked.path)
        in_a, in_b = (of_domain(names, domain, asked.path) for domain in ("A", "B"))
        return Found((whole, whole), matched(in_a, in_b, asked.path), listing.bad)
    require_side_by_side(place, asked.path, listing.names)
    halves = Half(place, asked.path, "left"), Half(place, asked.path, "right")
    return Found(halves, [(each, each) for each in names], listing.bad)


def require_side_by_side(place: Place, path: Path, names: Sequence[str]) -> None:
    """Raises DataError when none of some pictures is twice as wide as high: then they are not meant so."""
    some = names[:: -(-len(names) // LOOKED_AT) or 1]
    sizes = [(name, size) for name in some if (size := size_at(place, name)) is not None]
    if not sizes or any(max(size) == 2 * min(size) for _, size in sizes):
        return  # the survey will name the others
    name, (width, height) = sizes[0]
    raise DataError(
        f"no pairs in {path}: it has no folders A and B, and its pictures are not twice as wide as high "
        f"({shown(name)} has {width} x {height} pixels).\n"
        "Give folders A and B with equal names, two pictures side by side in each file, or B apart by data.to."
    )


def size_at(place: Place, name: str) -> tuple[int, int] | None:
    try:
        return stored_size(place.read(name))
    except Unreadable:
        return None


def read(
    found: Found, couples: Sequence[tuple[Named, Named]], asked: Asked, track: Track, warn: Warn
) -> tuple[Paired, tuple[Surveyor, Surveyor]]:
    """The pairs, and what was seen of each half."""
    (a, b), names = found.halves, ([a.name for a, _ in couples], [b.name for _, b in couples])
    size = asked.size or default_size(
        side for half, some in zip((a, b), names, strict=True) for side in sides(half.place, Listing(some))
    )
    workers = shared(asked.workers, len(couples))
    budget = asked.memory_mib * MIB // 2
    looks = Surveyor(names[0], size, budget), Surveyor(names[1], size, budget)
    with (
        opened(a.place, a.path, names[0], size, workers, a.cut) as (of_a, count),
        opened(b.place, b.path, names[1], size, workers, b.cut) as (of_b, _),
    ):
        for look, readers in zip(looks, (of_a, of_b), strict=True):
            look.go(readers, 2 * count + 1, track)
        bad, _ = unreadable(found, looks)
        refuse_many(bad, len(found.couples), asked.path, "pairs")
        if bad:
            warn(left_out(bad, len(found.couples), asked.path, "pairs"))
        require_same_sizes(found, couples, looks)
        source = Paired(kept(looks[0], None, of_a, count, a.place), kept(looks[1], None, of_b, count, b.place))
    return source, looks


def unreadable(found: Found, looks: tuple[Surveyor, Surveyor]) -> tuple[dict[str, str], dict[str, str]]:
    """Why a pair is left out: by the first of its pictures that cannot be read; and the other picture of each."""
    bad, others = dict[str, str](), dict[str, str]()
    for couple in found.couples:
        names = found.names(couple)
        whys = [
            found.bad.get(name) or look.bad.get(each.name)
            for name, look, each in zip(names, looks, couple, strict=True)
        ]
        if not any(whys):
            continue
        first = 0 if whys[0] else 1
        bad[names[first]] = str(whys[first])
        if names[0] != names[1]:
            others[names[1 - first]] = whys[1 - first] or f"its partner {names[first]} cannot be read"
    return bad, others


def require_same_sizes(found: Found, couples: Sequence[tuple[Named, Named]], looks: tuple[Surveyor, Surveyor]) -> None:
    """Raises DataError where the pictures of a pair would not lie over each other."""
    a, b = looks[0].sizes, looks[1].sizes
    differ = ((a != b).any(1) & looks[0].good & looks[1].good).nonzero()[0].tolist()
    if not differ:
        return
    first = "; ".join(
        " and ".join(f"{shown(name)} {width} x {height}" for name, (width, height) in zip(names, sizes, strict=True))
        for i in differ[:SHOWN]
        for names, sizes in [(found.names(couples[i]), (a[i], b[i]))]
    )
    more = f", and {len(differ) - SHOWN} more" if len(differ) > SHOWN else ""
    raise DataError(
        f"{len(differ)} of {len(couples)} pairs have pictures of different sizes in pixels: {first}{more}.\n"
        "They must show the same place by place: bring both to one size."
    )
