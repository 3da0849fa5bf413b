"""What was seen of a run so far: numbers only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Look:
    """One look at a run."""

    seen: int  # real samples shown to D; steps, in somebody else's loop
    signals: Mapping[str, float]  # of samples, of the players, and of the steps since the look before
    shares: Sequence[float] = ()  # of the samples in each bin of the data
    turned: bool = False  # after it the game was changed: norms before and after do not compare

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


History = Sequence[Look]


def values(history: History, name: str) -> NDArray[np.float64]:
    """A signal over time; NaN where a look has none."""
    return np.array([look.signals.get(name, np.nan) for look in history], float)


def of_steps(rows: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """The signals of the recorded steps between two looks, as one number each: the middle one; of gradient norms
    (`..._norm_peak`) the largest, too; of counts of what is not finite, their sum."""
    found: dict[str, float] = {}
    for name in dict.fromkeys(name for row in rows for name in row):
        column = np.array([row[name] for row in rows if name in row], float)
        if bad := int((~np.isfinite(column)).sum()):
            found[f"{name}_nonfinite"] = bad
            continue
        found[name] = float(column.sum() if name.endswith("_nonfinite") else np.median(column))
        if name.endswith("_grad_norm"):
            found[f"{name}_peak"] = float(column.max())
    return found
