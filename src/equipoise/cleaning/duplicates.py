"""Pictures that are there more than once: the same pixels, or the same picture saved again, resized or shifted."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from torch import Tensor
from torch.nn.functional import conv2d, pad

from equipoise.data.hashes import BLOCK, Pixels, blocks, hashes, neighbours, reduced
from equipoise.data.hooks import Track, untracked

CANDIDATES = 24  # by hash, for each picture
KTH = 8  # the neighbour that gives the scale of what is alike here
BY_CHANCE = 1e-3  # share of images expected to have so near a neighbour by chance; the pair must be one for both
UNLIKE = 0.4  # distance: above it, which is a correlation below .92, nothing is called a copy
STEP = 256  # images compared at once
FEWEST = 4 * KTH  # pictures below which no threshold can be learnt from the set
Group = tuple[int, ...]


@dataclass(frozen=True)
class Copies:
    """Groups of places in ascending order; for each the largest distance among the pairs that made it."""

    groups: list[Group]
    distances: list[float]


def exact(digests: Sequence[str]) -> list[Group]:
    """Groups of equal digests."""
    places: dict[str, list[int]] = {}
    for i, digest in enumerate(digests):
        places.setdefault(digest, []).append(i)
    return [tuple(group) for group in places.values() if len(group) > 1]


def near(images: Pixels, track: Track = untracked) -> Copies:
    """Near duplicates among distinct images [N, H, W, C].

    Each image is compared with the 24 that have the nearest hash: one minus the squared correlation of their pixels, at
    the best of nine shifts, so that brightness and contrast do not count. How near is too near the set says itself. If
    the images around one filled a space of m dimensions evenly, the ratio t of its distances to a neighbour and to its
    8th would have P(a neighbour at less than t) = 7 t^m. m is estimated from all ratios, and t set where that is one in
    a thousand. Ones of MNIST that look alike have eighths as near, and are not called copies.

    More than seven near copies of one image hide one another: they set the scale.
    """
    if len(images) < FEWEST:
        return Copies([], [])
    small = reduced(images)
    candidates = torch.cat([p for _, p in found_by_hash(small, track)])  # [N, k]
    comparisons = track(compared(smoothed(small), candidates), "comparing pixels", math.ceil(len(small) / STEP))
    distances, order = torch.cat(list(comparisons)).sort(dim=1)
    candidates = candidates.gather(1, order)
    kth = distances[:, KTH - 1]
    scale = torch.minimum(kth[:, None], kth[candidates])  # of both images, so that a pair is one in the eyes of both
    limit = (scale * threshold(distances)).clamp(max=UNLIKE)
    i, j = (distances < limit).nonzero(as_tuple=True)
    return grouped(i, candidates[i, j], distances[i, j], len(images))


def found_by_hash(small: Pixels, track: Track) -> Iterator[tuple[Tensor, Tensor]]:
    bits = torch.from_numpy(hashes(small)).float()
    yield from track(neighbours(bits, CANDIDATES), "comparing hashes", math.ceil(len(bits) / BLOCK))


def compared(images: Pixels, candidates: Tensor) -> Iterator[Tensor]:
    """Blocks of distances [B, k] of each image to its candidates: sqrt(1 - r^2), r the correlation at the best of the
    shifts by up to a pixel.
    """
    h, w = images.shape[1:3]
    x = torch.from_numpy(images)
    for start in range(0, len(images), STEP):
        a, some = x[start : start + STEP], candidates[start : start + STEP]
        shifted = [a[:, y : h - 2 + y, z : w - 2 + z].flatten(1) for y in range(3) for z in range(3)]
        centres = x[some.flatten(), 1:-1, 1:-1].flatten(1)
        r = standardised(torch.stack(shifted, 1)) @ standardised(centres).view(*some.shape, -1).transpose(1, 2)
        yield (1 - r.amax(1).clamp(0, 1).square()).sqrt()  # [B, 9, k] -> [B, k]


def smoothed(images: Pixels) -> Pixels:
    """[N, H, W, C] under a 3x3 binomial filter: what noise, JPEG and resizing change is fine detail."""
    kernel = torch.tensor([1.0, 2.0, 1.0]) / 4
    parts = []
    for part in blocks(images):
        x = torch.from_numpy(part).permute(0, 3, 1, 2).float()
        flat = pad(x.flatten(0, 1).unsqueeze(1), (1, 1, 1, 1), mode="replicate")
        smooth = conv2d(flat, kernel.outer(kernel).expand(1, 1, 3, 3)).view(x.shape)
        parts.append(smooth.round().to(torch.uint8).permute(0, 2, 3, 1).numpy())
    return np.concatenate(parts)


def standardised(x: Tensor) -> Tensor:
    """uint8 [..., P] -> mean 0 and norm 1 over the last dimension; zeros where all is constant."""
    y = x.float()
    y -= y.mean(-1, keepdim=True)
    y /= y.norm(dim=-1, keepdim=True).clamp_min(1e-3)
    return y


def threshold(distances: Tensor) -> float:
    """The ratio to the distance of the 8th neighbour below which a share `BY_CHANCE` of images has a neighbour.
    Distances [N, k >= 8], ascending. The dimension is Levina and Bickel's (2004, eq. 8), its inverses pooled as MacKay
    and Ghahramani propose; the nearest, which may be a copy, is left out, and the mean of the rest corrected for it.
    """
    kth = distances[:, KTH - 1]
    logs = (kth[:, None] / distances[:, 1 : KTH - 1].clamp_min(1e-6)).clamp_min(1).log()
    # m log(d_k / d_j) is the j-th least of k - 1 exponential variables from the top: its mean is 1/j + ... + 1/(k - 1)
    expected = sum(1 - 1 / i for i in range(2, KTH)) / (KTH - 2)
    return math.exp(float(logs.mean()) / expected * math.log(BY_CHANCE / (KTH - 1)))


def grouped(i: Tensor, j: Tensor, distances: Tensor, count: int) -> Copies:
    """Pairs -> what they connect."""
    ends = (i.numpy(), j.numpy())
    _, parts = connected_components(coo_array((np.ones(len(i)), ends), shape=(count, count)), directed=False)
    groups: dict[int, list[int]] = {}
    for place in np.unique(np.concatenate(ends)).tolist():
        groups.setdefault(int(parts[place]), []).append(place)
    widest = dict.fromkeys(groups, 0.0)
    for part, distance in zip(parts[ends[0]].tolist(), distances.tolist(), strict=True):
        widest[part] = max(widest[part], distance)
    ordered = sorted(groups, key=lambda part: widest[part])
    return Copies([tuple(groups[part]) for part in ordered], [widest[part] for part in ordered])
