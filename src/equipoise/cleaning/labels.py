"""Labels that are likely to be wrong: those that judges who never saw the image find implausible."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from equipoise.cleaning.crossfit import FOLDS
from equipoise.errors import MachineError

IMPLAUSIBLE = 0.05  # probability of the given label
SURE = 0.5  # probability of another, so that judges of a hard set do not call whatever they cannot tell
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

    Candidates are cleanlab's (confident learning: Northcutt et al. 2021, arXiv:1911.00068) and those under 5%; in both
    cases another class must be likely, and the given class must have enough images to be known.

    Raises:
        MachineError: without cleanlab.
    """
    if not available():
        raise MachineError("wrong labels are found by cleanlab, which is not installed: pip install equipoise[clean]")
    from cleanlab.filter import find_label_issues
    from cleanlab.rank import get_label_quality_scores

    given = get_label_quality_scores(labels, probabilities, method="self_confidence")
    issues = find_label_issues(labels, probabilities, filter_by="both", n_jobs=1)
    known = np.bincount(labels, minlength=probabilities.shape[1])[labels] >= FEWEST
    called = (issues | (given < IMPLAUSIBLE)) & (probabilities.max(1) > SURE) & known
    likely = probabilities.argmax(1)
    places = np.flatnonzero(called & (likely != labels))
    return [Suspect(int(i), int(labels[i]), int(likely[i]), float(given[i])) for i in places[np.argsort(given[places])]]
