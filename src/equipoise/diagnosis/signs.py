"""The signals of a run: which side of each is bad, what change of it matters, and which defect it is there to see."""

from __future__ import annotations

from typing import Literal, NamedTuple


class Sign(NamedTuple):
    bad: Literal["low", "high"]
    matters: float  # least change that is worth a finding, on the signal's own scale
    sees: tuple[str, ...]  # the defects of which it must detect one before it is trusted
    about: str


OF_WORDING = {  # of sentences alone
    "repeats": Sign("high", 0.10, ("duplicates",), "share of sentences that are word for word another one"),
    "vocabulary": Sign("low", 0.15, ("duplicates",), "different words in sentences, over those in reals"),
    "self_bleu": Sign("high", 0.10, ("duplicates",), "self-BLEU-3 of sentences, less that of reals"),
}
OF_SAMPLES = {
    "coverage": Sign("low", 0.12, ("drop 25%",), "share of held-out reals with a fake nearby"),
    "jsd": Sign("high", 0.05, ("drop 25%",), "divergence between the bins of reals and of fakes, in nats"),
    "missing": Sign("high", 0.10, ("drop 25%",), "share of the reals whose bin is as good as never drawn"),
    "class_jsd": Sign("high", 0.05, ("drop 25%",), "divergence between the classes of reals and of fakes, in nats"),
    "vendi": Sign("low", 0.12, ("drop 50%",), "effective number of different samples, over that of reals"),
    "rank": Sign("low", 0.10, ("drop 50%",), "effective number of directions of variation, over that of reals"),
    "precision": Sign("low", 0.15, ("blur", "noise"), "share of fakes that lie among reals"),
    "apart": Sign("low", 0.20, ("duplicates",), "distance of a fake to the nearest other one, over that of reals"),
    "spread": Sign("low", 0.20, ("shrink",), "mean squared distance of fakes to the middle of their bin, over reals'"),
    "copy_rate": Sign("high", 0.15, ("copies",), "share of fakes nearer to training data than 5% of other reals"),
    "c_t": Sign("low", 3.0, ("copies",), "how much farther from training data than other reals, in deviations"),
    **OF_WORDING,
}  # fmt: skip


def badness(name: str, value: float) -> float:
    """The signal turned so that more is worse."""
    return value if OF_SAMPLES[name].bad == "high" else -value
