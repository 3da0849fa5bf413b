"""Whether a run still gains."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from equipoise.diagnosis.finding import Finding

LEAST = 5  # evaluations within the patience: fewer do not tell gain from noise
NOISES = 2.0  # standard deviations of an evaluation that a gain must exceed


def plateau(seen: Sequence[int], values: Sequence[float], patience: int, *, lower_is_better: bool) -> Finding | None:
    """No gain beyond noise in the last `patience` images: of evaluations `values` after `seen` images.

    The gain is the best of the last against the best of those before. The noise is what the last ones scatter about
    their own line: a steady slope is no noise. Of looks at curves that gain 3, 4, 5 and 6 of these standard deviations
    in the patience, 12, 4, .7 and .2% are false alarms (5 looks in the patience; measured); of flat ones 78% are seen.
    """
    at, quality = np.array(seen), np.array(values) * (-1 if lower_is_better else 1)
    last = at > at[-1] - patience if len(at) else np.zeros(0, bool)
    if last.sum() < LEAST or last.all():
        return None
    gain = quality[last].max() - quality[~last].max()
    noise = NOISES * scatter(at[last], quality[last])
    if gain > noise:
        return None
    best = int(quality.argmax())
    worse = gain < -2 * noise  # which flat noise is in 6% of looks with 5 within the patience, in 1% with 10
    return Finding(
        symptom="past its best" if worse else "converged",
        severity="warning" if worse else "note",
        evidence={"gain": float(gain), "noise": float(noise), "patience_kimg": patience / 1000,
                  "best": float(values[best]), "best_at_kimg": seen[best] / 1000, "last": float(values[-1])},
        meaning="the samples have not become better, beyond noise, for that long"
        + (", and are worse than they were" if worse else ""),
        advice="stop here and use the best checkpoint (--checkpoint best); --stop-when-converged does so by itself",
    )  # fmt: skip


def scatter(x: NDArray[np.int64], y: NDArray[np.float64]) -> float:
    """Standard deviation of y about its line in x."""
    rest = y - np.polyval(np.polyfit(x - x.mean(), y, 1), x - x.mean())
    return float(np.sqrt((rest**2).sum() / (len(y) - 2)))
