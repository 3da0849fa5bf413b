"""What can be told of a run before its first step, from its data and its settings."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from equipoise.diagnosis.causes import found
from equipoise.diagnosis.finding import Finding

SPARSE, SPARSE_CLASS = 500, 50  # images in all, and of one class
UNEVEN, COUNTABLE = 10, 30  # times as many of the most frequent class as of the rarest; counted, for that, of each


def beforehand(images: int, counts: Sequence[int], batch: int) -> Iterator[Finding]:
    """Of so many training images, with `counts` of each class (none where there are no labels), in batches."""
    each = [count for count in counts if count]
    if images < SPARSE or (each and images / len(each) < SPARSE_CLASS):
        yield found("data too sparse", {"images": images, "classes": len(each)})
    if len(each) > 1 and sum(each) >= COUNTABLE * len(each) and max(each) > UNEVEN * min(each):
        yield found("data imbalanced", {"most frequent": max(each), "rarest": min(each)})
    if len(each) > batch:
        yield found("batch too small", {"batch": batch, "classes": len(each)})
