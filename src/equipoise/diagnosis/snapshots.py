"""The states of a run that can be gone back to: which count as healthy, and which are kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

CONFIRMED = 2  # looks without a finding, after which a snapshot counts as healthy


@dataclass(frozen=True)
class Snapshot:
    """The state of a run after a look."""

    step: int
    seen: int
    look: int
    shortfall: float
    healthy: bool  # as far as the looks up to now tell


def kept(newest_first: Sequence[Snapshot]) -> list[Snapshot]:
    """The newest ones; of the healthy ones that are older, the oldest of each doubling of the age, in looks: 2 to 3, 4
    to 7, 8 to 15, ..."""
    now = newest_first[0].look
    oldest = {(now - s.look).bit_length(): s for s in newest_first if s.healthy}
    return [s for i, s in enumerate(newest_first) if i <= CONFIRMED or s in oldest.values()]
