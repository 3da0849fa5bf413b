"""Labels that are likely to be wrong: those that judges who never saw the image find implausible."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from equipoise.cleaning.crossfit import FOLDS
from equipoise.errors import MachineError

IMPLAUSIBLE = 0.03  # probability of the given label
GOOD = 0.05  # share of labels that good judges contradict; the more they do, the surer they must be
SURE = 0.5  # probability of another
FEWEST = 2 * FOLDS  # images of a class for which its judges can speak


@dataclass(frozen=True)
class Suspect:
    place: int
    given: int
    likely: int
    probability: float  # of the given label


def available() -> bool:
    return importlib.util.find_spec("cleanlab") is not None


def suspects(labels: NDArray[np.int64], probabilities: NDArray[np.float64]) -> list[Suspect]:
    """Labels [N] that out-of-sample probabilities [N, classes] contradict, the least plausible first.

    Scored by cleanlab (Northcutt et al. 2021, arXiv:1911.00068): the probability of the given label. Its own filters
    stop at two thirds to four fifths of the labels planted in MNIST, so that the limit is ours: 3%, and less where the
    judges contradict more than 5% of all labels, which is rather their error. Another class must be likely, and the
    given one have images enough to be known.

    Raises:
        MachineError: without cleanlab.
    """
    if not available():
        raise MachineError("wrong labels are found by cleanlab, which is not installed: pip install equipoise[clean]")
    from cleanlab.rank import get_label_quality_scores

    given = get_label_quality_scores(labels, probabilities, method="self_confidence")
    likely = probabilities.argmax(1)
    limit = IMPLAUSIBLE * min(1.0, GOOD / max(float((likely != labels).mean()), 1e-9))
    known = np.bincount(labels, minlength=probabilities.shape[1])[labels] >= FEWEST
    called = (given < limit) & (probabilities.max(1) > SURE) & known
    places = np.flatnonzero(called & (likely != labels))
    return [Suspect(int(i), int(labels[i]), int(likely[i]), float(given[i])) for i in places[np.argsort(given[places])]]
