"""The latent behind a picture, by gradient descent: what the generator knows of it.

Zhu et al. 2016 (arXiv:1609.03552, section 3.1) descend on z; Karras et al. 2020 (arXiv:1912.04958, section 5) on w,
the same for all layers, and so do we where there are styles. Written from the papers.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d

from equipoise import pictures
from equipoise.build import as_pixels
from equipoise.data.hooks import Track, untracked
from equipoise.errors import ConfigError
from equipoise.generator import TrainedGenerator
from equipoise.latents import Codes
from equipoise.streams import Stream

CANDIDATES = 256  # drawn; the descents start at those that are nearest
STARTS, STEPS = 8, 300
LR = 0.1  # of Adam, in standard deviations of the codes, sinking to nothing on a cosine
WHITE = 1 - 1 / 255  # or black, in a picture of 8 bits
SMALLEST = 4  # pixels a side of the coarsest picture that is compared


@dataclass(frozen=True)
class Inversion:
    codes: Codes  # of one sample
    sample: pictures.Pixels  # [H, W, C]
    distance: float  # root of the mean squared difference of pixels, of 255
    drawn: float  # that of the nearest of CANDIDATES samples that were only drawn


def inverted(
    trained: TrainedGenerator,
    target: Tensor,
    seed: int = 0,
    label: int | None = None,
    track: Track = untracked,
    *,
    starts: int = STARTS,
    steps: int = STEPS,
) -> Inversion:
    """The best of `starts` descents towards target [C, H, W] in [-1, 1], of all classes unless one is named.

    Raises:
        ConfigError: for a generator of points, or a class that it does not have.
    """
    require_pictures(trained)
    candidates = drawn(trained, max(CANDIDATES, starts), seed, label)
    started = nearest(trained, candidates, target, starts)
    ended = descended(trained, started, target, candidates.at.std().item(), track, steps)
    found = nearest(trained, Codes(torch.cat([started.at, ended.at]), started.y.repeat(2)), target, 1)
    end, first = (trained.unrounded(codes) for codes in (found, Codes(started.at[:1], started.y[:1])))
    return Inversion(found, as_pixels(end)[0], distance=rms(end[0], target), drawn=rms(first[0], target))


@torch.no_grad()
def nearest(trained: TrainedGenerator, codes: Codes, target: Tensor, n: int) -> Codes:
    """The `n` whose samples are nearest to target, the nearest first."""
    far = [distances(trained.space.samples(part), target) for part in codes.in_parts(trained.form.at_once)]
    order = torch.cat(far).argsort()[:n]
    return Codes(codes.at[order], codes.y[order])


@torch.no_grad()
def drawn(trained: TrainedGenerator, n: int, seed: int, label: int | None) -> Codes:
    """Codes of a stream of their own: what `sample` drew by the same seed shall not be among them."""
    z, y = torch.randn(n, trained.nets.z_dim, generator=Stream(seed, "project").at(0)), trained.labels(n, label)
    return Codes(trained.space.codes(z, y), y)


def require_pictures(trained: TrainedGenerator) -> None:
    if not trained.form.is_images:
        raise ConfigError("project looks for pictures, and this generator makes points.")
    if trained.form.given:
        raise ConfigError("project looks for latents, and this generator begins with pictures: it has none.")


def descended(
    trained: TrainedGenerator, start: Codes, target: Tensor, spread: float, track: Track, steps: int
) -> Codes:  # fmt: skip
    at = start.at.clone().requires_grad_()
    optimizer = torch.optim.Adam([at], LR * spread)
    pace = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for _ in track(range(steps), "descending", steps):
        optimizer.zero_grad()
        for part in Codes(at, start.y).in_parts(trained.form.at_once):
            distances(trained.space.samples(part), target).sum().backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        pace.step()
    return Codes(at.detach(), start.y)


def distances(x: Tensor, target: Tensor) -> Tensor:
    """Mean squared differences [N] of x [N, C, H, W] from target [C, H, W], at full size, half of it, ... added up: the
    coarse ones lead to where the fine ones can help."""
    beyond = (target.abs() > WHITE) & (x * target.sign() > 1)  # what is whiter than white is white
    difference = torch.where(beyond, 0.0, x - target)
    total = difference.square().flatten(1).mean(1)
    while difference.shape[2] >= 2 * SMALLEST:
        difference = avg_pool2d(difference, 2)
        total = total + difference.square().flatten(1).mean(1)
    return total


def rms(x: Tensor, target: Tensor) -> float:
    """Of what can be seen of x: its part in [-1, 1]."""
    return 127.5 * (x.clamp(-1, 1) - target).square().mean().sqrt().item()
