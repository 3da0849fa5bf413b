"""Pictures that resemble no other in the set."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import norm
from sklearn.decomposition import PCA
from torch import Tensor

from equipoise.cleaning.crossfit import CHUNK, REFERENCES, far, small
from equipoise.data.hashes import Pixels
from equipoise.data.source import scaled
from equipoise.encoders.classifier import Classifier
from equipoise.streams import Stream

BY_CHANCE = 0.5  # images expected above the limit, if the logarithms of distances were normal
DIMENSIONS = 64
FEWEST = 50
WIDTH = 16
Floats = NDArray[np.float64]


def strangeness(images: Pixels, judged: Floats | None = None) -> Floats:
    """[N]: how far above the median the distance of an image to its 10th neighbour lies, in robust standard deviations
    of its logarithm; the larger of two views: random convolutions, and the features of the judges' nets where there
    are labels (`judged`: distances [N]).
    """
    if len(images) < FEWEST:
        return np.zeros(len(images))
    views = [random_features(images)] if judged is None else [random_features(images), judged]
    strange: Floats = np.max([robust(view) for view in views], axis=0)
    return strange


def limit(count: int) -> float:
    """The strangeness that half an image of a set would pass by chance."""
    return float(norm.isf(BY_CHANCE / max(count, 1)))


def robust(distances: Floats) -> Floats:
    logs = np.log(np.maximum(distances, 1e-9))
    centred = logs - np.median(logs)
    deviation = max(1.4826 * float(np.median(np.abs(centred))), 1e-6)  # 1.4826 MAD = 1 sigma of a normal distribution
    scaled_logs: Floats = centred / deviation
    return scaled_logs


def random_features(images: Pixels) -> Floats:
    """The distance [N] to the 10th neighbour under an untrained net: it needs no labels, and as a prior of what is
    alike in images it is a good one (Ulyanov et al. 2018, arXiv:1711.10925).
    """
    x = small(images)
    some = torch.randperm(len(x), generator=Stream(0, "references").at(0))[:REFERENCES]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        net = Classifier(x.shape[1], 2, WIDTH)
    with torch.no_grad():
        net.convolutions(scaled(x[some[:CHUNK]]))  # gives the batch norms their statistics
        net.eval()
        seen = torch.cat([net.convolutions(scaled(part)) for part in torch.split(x, CHUNK)]).numpy()
    axes = PCA(min(DIMENSIONS, *seen[some].shape), random_state=0).fit(seen[some])
    points: Tensor = torch.from_numpy(axes.transform(seen).astype(np.float32))
    return far(points, points[some], itself=True).numpy().astype(np.float64)
