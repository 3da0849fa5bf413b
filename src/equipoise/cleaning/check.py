"""The whole look at a set of pictures: `equipoise data check`."""

from __future__ import annotations

from collections.abc import Collection, Iterator

import numpy as np

from equipoise.cleaning import duplicates, labels, outliers
from equipoise.cleaning.crossfit import FOLDS, Judged, judged
from equipoise.cleaning.facts import FLAT, counts, facts, spreads
from equipoise.cleaning.findings import KINDS, Checked, Finding, Item
from equipoise.cleaning.mirror import mirror_test
from equipoise.data.gathered import Gathered
from equipoise.data.hooks import Track, untracked

DIM = 64  # grey levels: a quarter of what 16 bits can hold
UNEVEN = 10  # times as many pictures in the largest class as in the smallest


def check(data: Gathered, track: Track = untracked) -> Checked:
    """All findings, most certain first, the facts, and notes that ask for nothing."""
    known = facts(data)
    notes: list[str] = []
    found = list(findings(data, KINDS, track, notes))
    if mirror := mirror_test(data.images, track):
        known["mirror"] = {"accuracy": round(mirror.accuracy, 4), "standard_error": round(mirror.error, 4)}
        told = f"a small net told {mirror.accuracy:.0%} of {mirror.held_out} unseen pictures from their mirror images"
        notes.append(
            f"{told} (chance: 50%): flips would change the data, train without them."
            if mirror.flips_change_the_data
            else f"{told} (chance: 50%): horizontal flips are harmless, and double the data."
        )
    if 0 < known["coloured_share"] < 1 and data.images.shape[3] == 3:
        notes.append(f"{1 - known['coloured_share']:.0%} of the pictures are grey among coloured ones.")
    notes += dim(data)
    if known["aspect"][2] > 2 * known["aspect"][0]:
        notes.append(f"widths are {known['aspect'][0]} to {known['aspect'][2]} of heights: training crops to squares.")
    return Checked(known, found, notes)


def dim(data: Gathered) -> Iterator[str]:
    """Of 16 bits, training takes the upper byte: pictures that hold fewer bits are all but black."""
    deep = [i for i, mode in enumerate(data.modes) if mode.startswith("I")]
    most = int(data.images[deep].max()) if deep else DIM
    if 0 < most < DIM:
        yield (
            f"of {len(deep)} pictures with 16 bits a pixel none is brighter than {most} of 255 once it has 8: it holds "
            f"fewer bits. Multiply all of them by {2 ** (8 - most.bit_length())} first."
        )


def findings(data: Gathered, kinds: Collection[str], track: Track, notes: list[str]) -> Iterator[Finding]:
    """Those of the kinds asked for; what could not be looked at goes to `notes`."""
    notes += data.notes
    yield from unreadable(data)
    copies = duplicates.exact(data.digests)
    if "duplicates" in kinds:
        yield from exact(data, copies)
    if "near-duplicates" in kinds:
        yield from near(data, copies, track)
    if "constant" in kinds:
        yield from constant(data)
    strange: set[int] = set()
    judges = judged_where_labelled(data, kinds, track)
    if "outliers" in kinds or judges:
        for finding in odd(data, judges):
            strange.update(item.places[0] for item in finding.items)
            yield from [finding] if "outliers" in kinds else []
    if "labels" in kinds:
        yield from wrong(data, judges, strange, notes)
    if "balance" in kinds:
        yield from uneven(data)


def judged_where_labelled(data: Gathered, kinds: Collection[str], track: Track) -> Judged | None:
    wanted = "labels" in kinds or "outliers" in kinds
    if not wanted or data.labels is None or len(data.labels) < FOLDS * 2 * len(data.classes):
        return None
    return judged(data.images, data.labels, len(data.classes), track)


def unreadable(data: Gathered) -> Iterator[Finding]:
    if data.bad:
        items = [Item([name], 1.0, why) for name, why in sorted(data.bad.items())]
        yield Finding("unreadable", f"{len(items)} of {len(items) + len(data.names)} files cannot be read", items)


def exact(data: Gathered, groups: list[tuple[int, ...]]) -> Iterator[Finding]:
    if groups:
        more = sum(len(group) - 1 for group in groups)
        items = [grouped(data, group, 0.0) for group in groups]
        yield Finding("duplicates", f"{more} pictures repeat the pixels of another, in {len(groups)} groups", items)


def near(data: Gathered, copies: list[tuple[int, ...]], track: Track) -> Iterator[Finding]:
    repeated = {place for group in copies for place in group[1:]}
    kept = np.array([i for i in range(len(data.names)) if i not in repeated])
    found = duplicates.near(data.images[kept], track)
    groups = [tuple(int(kept[i]) for i in group) for group in found.groups]
    if groups:
        more = sum(len(group) - 1 for group in groups)
        items = [grouped(data, g, distance) for g, distance in zip(groups, found.distances, strict=True)]
        yield Finding("near-duplicates", f"{more} pictures all but repeat another, in {len(groups)} groups", items)


def grouped(data: Gathered, group: tuple[int, ...], distance: float) -> Item:
    """The names in their order, the first to stay; what differs among them besides pixels."""
    places = sorted(group, key=lambda i: data.names[i] if data.sizes.size else i)
    notes = []
    if data.labels is not None and len(given := sorted({data.classes[data.labels[i]] for i in places})) > 1:
        notes.append(f"labels differ: {', '.join(given)}")
    if len(splits := sorted({data.splits[i] for i in places})) > 1:
        notes.append(f"across {', '.join(split or 'no split' for split in splits)}")
    return Item([data.names[i] for i in places], round(distance, 4), "; ".join(notes), places)


def constant(data: Gathered) -> Iterator[Finding]:
    spread = spreads(data)
    places = np.flatnonzero(spread <= FLAT)
    if len(places):
        items = [Item([data.names[i]], round(float(spread[i]), 3), "", [int(i)]) for i in places]
        yield Finding("constant", f"{len(items)} pictures show one colour", items)


def odd(data: Gathered, judges: Judged | None) -> Iterator[Finding]:
    score = outliers.strangeness(data.images, None if judges is None else judges.distances)
    places = np.flatnonzero(score > outliers.limit(len(score)))
    if len(places):
        order = places[np.argsort(-score[places])]
        items = [Item([data.names[i]], round(float(score[i]), 2), "", [int(i)]) for i in order]
        yield Finding("outliers", f"{len(items)} pictures resemble no other", items)


def wrong(data: Gathered, judges: Judged | None, strange: set[int], notes: list[str]) -> Iterator[Finding]:
    """Suspected labels, without pictures that belong to no class."""
    if judges is None or data.labels is None:
        if data.labels is not None:
            notes.append("too few pictures in each class to judge their labels.")
        return
    if not labels.available():
        notes.append("labels were not judged: that needs cleanlab. pip install equipoise[clean]")
        return
    found = [s for s in labels.suspects(data.labels, judges.probabilities) if s.place not in strange]
    if found:
        items = [
            Item(
                [data.names[s.place]], round(s.probability, 4),
                f"{data.classes[s.given]} -> {data.classes[s.likely]}", [s.place],
            )
            for s in found
        ]  # fmt: skip
        yield Finding(
            "labels", f"{len(items)} labels are contradicted by classifiers that never saw the picture", items
        )


def uneven(data: Gathered) -> Iterator[Finding]:
    of_each = dict(zip(data.classes, counts(data), strict=True))
    if not of_each or max(of_each.values()) < UNEVEN * min(of_each.values()):
        return
    largest = max(of_each.values())
    items = [
        Item([name], round(count / largest, 4), f"{count} pictures")
        for name, count in of_each.items()
        if count * UNEVEN <= largest
    ]
    yield Finding("balance", f"{len(items)} classes have less than a tenth of the pictures of the largest", items)
