"""What a check says: of each kind what was found, what it means for a GAN, and what to do."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

KINDS = {  # kind -> (title, what it means for training a GAN, what to do)
    "unreadable": (
        "Unreadable files",
        "Training leaves them out, and refuses to start when they are more than one in a hundred.",
        "Repair them, or let `data clean` leave them out.",
    ),
    "duplicates": (
        "Exact duplicates",
        "D sees these pictures more often than others and learns them by heart; G is pushed to copy them. Copies in "
        "both the training and the test part make every figure of quality too good.",
        "Keep one of each: `data clean` does.",
    ),
    "near-duplicates": (
        "Near duplicates",
        "Saved again, resized, brightened or shifted, they weigh like duplicates, and their artefacts are learnt, too.",
        "Look at the pairs; `data clean` keeps the first by name of each group.",
    ),
    "constant": (
        "Pictures of one colour",
        "There is nothing in them to learn, but G can reach them with ease: an invitation to collapse.",
        "Remove them, unless they are meant.",
    ),
    "outliers": (
        "Outliers",
        "Pictures like no other: D tells them apart by heart, and G spends capacity on them or never makes them.",
        "Look at each. Strangers to the set: `data clean --drop ...,outliers`. Rare but right: keep them, or add more.",
    ),
    "labels": (
        "Labels that are likely wrong",
        "A generator given a class draws what bears its label: wrong ones are drawn as faithfully as right ones.",
        "Look at each and correct it (move the file), or leave them out: `data clean --drop ...,labels`.",
    ),
    "balance": (
        "Classes of very different size",
        "G makes rare classes rarely, and without labels may drop them altogether.",
        "Add pictures of the small classes, or train with labels.",
    ),
}


@dataclass(frozen=True)
class Item:
    """One thing found: a file, or a group of files of which the first stays."""

    names: list[str]
    score: float
    note: str = ""
    places: list[int] = field(default_factory=list)  # in the arrays; none for what could not be read


@dataclass(frozen=True)
class Finding:
    kind: str
    what: str
    items: list[Item]

    @property
    def title(self) -> str:
        return KINDS[self.kind][0]

    @property
    def meaning(self) -> str:
        return KINDS[self.kind][1]

    @property
    def advice(self) -> str:
        return KINDS[self.kind][2]

    def as_json(self) -> dict[str, Any]:
        items = [{key: value for key, value in asdict(item).items() if key != "places"} for item in self.items]
        return {
            "kind": self.kind, "what": self.what, "count": len(self.items), "meaning": self.meaning,
            "advice": self.advice, "items": items,
        }  # fmt: skip


@dataclass(frozen=True)
class Checked:
    """`findings` ask for something to be done; `notes` only inform."""

    facts: dict[str, Any]
    findings: list[Finding]
    notes: list[str]

    def as_json(self) -> dict[str, Any]:
        found = [finding.as_json() for finding in self.findings]
        return {"clean": not found, "findings": found, "notes": self.notes, "facts": self.facts}
