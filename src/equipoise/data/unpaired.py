"""Domains without pairs: pictures of A and pictures of B, as many as there are of each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import torch

from equipoise.data import arrays, images
from equipoise.data.decode import default_size
from equipoise.data.domains import Asked, Named, all_named, everyone, of_domain, parts_of
from equipoise.data.hooks import Track, Warn, unheard, untracked
from equipoise.data.layout import only
from equipoise.data.ondisk import is_set
from equipoise.data.places import Listing, Place, place_at
from equipoise.data.sides import Unpaired, alike
from equipoise.data.source import HELD_OUT, Splits, parted
from equipoise.data.survey import Surveyor, left_out, refuse_many
from equipoise.errors import DataError


def domains(asked: Asked, track: Track = untracked, warn: Warn = unheard) -> Splits:
    """Samples [2 C, size, size]: a picture of A and one of B, which have nothing to do with each other. Each domain has
    parts of its own: official ones are kept, others held out.

    Raises:
        DataError: when a domain has too few pictures, or too many that cannot be read.
    """
    a, b = in_one_place(asked, track, warn) if asked.to is None else in_two(asked, asked.to, track, warn)
    if asked.swap:
        a, b = b, a
    parts = [
        Unpaired(*alike(of_a, of_b))
        for of_a, of_b in ((a.train, b.train), (a.validation, b.validation), (a.test, b.test))
    ]
    held_out = tuple(name for name in HELD_OUT if name in {*a.held_out, *b.held_out})
    return Splits(*parts, held_out=held_out, left_out={**a.left_out, **b.left_out}, given=parts[0].a.shape[0])


def in_one_place(asked: Asked, track: Track, warn: Warn) -> tuple[Splits, Splits]:
    """Folders A and B, or trainA, trainB, testA and testB."""
    if arrays.is_arrays(asked.path):
        raise DataError(f"{asked.path} holds one domain: say where pictures of the other are, by data.to.")
    place = place_at(asked.path)
    listing = images.listed(place, asked.path)
    names = all_named(everyone(listing))
    if not any(each.domain for each in names):
        raise DataError(
            f"{asked.path} holds one domain, for it has no folders A and B.\n"
            "Say where pictures of the other are, by data.to; or make folders A and B, or trainA, trainB, testA, testB."
        )
    in_a, in_b = (of_domain(names, domain, asked.path) for domain in ("A", "B"))
    openable = [each.name for each in (*in_a, *in_b) if each.name not in listing.bad]
    asked = replace(asked, size=asked.size or default_size(images.sides(place, Listing(openable))))
    return read(place, in_a, listing.bad, asked, track, warn), read(place, in_b, listing.bad, asked, track, warn)


def read(
    place: Place, some: Sequence[Named], bad: Mapping[str, str], asked: Asked, track: Track, warn: Warn
) -> Splits:  # fmt: skip
    """One domain; those of its pictures that are `bad` will not be opened."""
    good = [each for each in some if each.name not in bad]
    names, size = [each.name for each in good], asked.size
    assert size is not None, "in_one_place gives both domains one size"
    workers = images.shared(asked.workers, len(names))
    with images.opened(place, asked.path, names, size, workers) as (readers, count):
        look = Surveyor(names, size, asked.memory_mib * images.MIB // 2)
        look.go(readers, 2 * count + 1, track)
        found = {each.name: bad[each.name] for each in some if each.name in bad} | look.bad
        refuse_many(found, len(some), asked.path)
        if found:
            warn(left_out(found, len(some), asked.path))
        source = images.kept(look, None, readers, count, place)
    parts = only(parts_of(good), look.good)
    splits = parted(source, {name: torch.from_numpy(indices) for name, indices in parts.items()})
    return replace(splits, left_out=found)


def in_two(asked: Asked, to: Path, track: Track, warn: Warn) -> list[Splits]:
    """Each place a set of its own, with its own parts, at one size: the smaller of theirs, unless one is asked for."""
    paths = asked.path, to
    fixed = [arrays.usual_side(path) for path in paths if is_set(path)]  # converted sets are as they are
    size = asked.size or (fixed[0] if fixed else min(usual_size(path) for path in paths))
    found = [set_at(path, replace(asked, size=size), track, warn) for path in paths]
    return [
        replace(splits, left_out={f"{path}/{name}": why for name, why in splits.left_out.items()})
        for path, splits in zip(paths, found, strict=True)
    ]


def usual_size(path: Path) -> int:
    """Pixels, as a set on its own would have them."""
    return default_size([arrays.usual_side(path)] if arrays.is_arrays(path) else images.sides_at(path))


def set_at(path: Path, asked: Asked, track: Track, warn: Warn) -> Splits:
    memory_mib = asked.memory_mib // 2
    if arrays.is_arrays(path):
        return arrays.arrays(path, asked.size, memory_mib, track)
    return images.pictures(path, asked.size, memory_mib, asked.workers, track, warn)
