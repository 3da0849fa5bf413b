"""Grey pictures of strokes painted in colour on textured grounds: another domain for the same things, without pairs.

After the sets with which domain adaptation is tried out (MNIST-M, Ganin et al. 2016, arXiv:1505.07818): there a digit
is laid over a photograph; here the ground is made of noise, so that nothing has to be downloaded.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from equipoise.data.digits import digits
from equipoise.data.sides import Coloured, Paired, Unpaired
from equipoise.data.source import InMemory, Splits, everything, to_uint8
from equipoise.streams import Stream

OCTAVES = (2, 4, 8)  # cells of noise along a side; each half as strong as the one before
APART = 0.45  # least difference of the brightness of stroke and ground, of the way from black to white
ROUGH = 0.18  # deviation of the ground about its colour
SIDE = 16  # pixels of the built-in set


def painted(x: Tensor, seed: int) -> Tensor:
    """Strokes uint8 [N, 1, H, W], bright on dark, as uint8 [N, 3, H, W]; a function of (x, seed)."""
    n, _, height, width = x.shape
    generator = Stream(seed, "painted").at(0)
    stroke, ground = colours(n, generator)
    texture = torch.zeros(n, 1, height, width)
    for i, cells in enumerate(OCTAVES):
        noise = torch.randn(n, 1, cells, cells, generator=generator)
        texture += 0.5**i * interpolate(noise, (height, width), mode="bicubic")
    ground = ground + ROUGH * texture / (1 + 0.5**2 + 0.5**4) ** 0.5
    ink = x.float() / 255
    found: Tensor = 255 * (ink * stroke + (1 - ink) * ground)
    return found.round().clamp(0, 255).to(torch.uint8)


def colours(n: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Of stroke and ground in 0..1, of any hue, APART or more in their brightness. [n, 3, 1, 1] both."""
    hues = torch.rand(2, n, 3, 1, 1, generator=generator)
    hues = hues - hues.mean(2, keepdim=True)  # of no brightness
    u, gap, upward = torch.rand(3, n, 1, 1, 1, generator=generator)
    gap = APART + (1 - APART) * gap
    low = u * (1 - gap)
    first, second = torch.where(upward < 0.5, low, low + gap), torch.where(upward < 0.5, low + gap, low)
    return first + 0.4 * hues[0], second + 0.4 * hues[1]


def coloured_digits(seed: int = 0) -> Splits:
    """Digits of 16 pixels in grey, and others painted: none is in both domains, and none is in two parts."""
    parts = []
    for i, large in enumerate(enlarged(seed)):
        half = len(large) // 2
        plain, others = large[:half], large[half:]
        parts.append(Unpaired(Coloured(InMemory(plain)), InMemory(painted(others, seed + i))))
    return Splits(*parts, given=3)


def painted_digits(seed: int = 0) -> Splits:
    """Pairs of 16 pixels: a digit painted, and the same in grey."""
    parts = [Paired(InMemory(painted(large, seed + i)), InMemory(large)) for i, large in enumerate(enlarged(seed))]
    return Splits(*parts, given=3)


def enlarged(seed: int) -> list[Tensor]:
    """The digits of each part, uint8 [N, 1, SIDE, SIDE]."""
    whole = digits(seed)
    parts = [everything(part)[0] for part in (whole.train, whole.validation, whole.test)]
    return [to_uint8(interpolate(x, (SIDE, SIDE), mode="bilinear", align_corners=False)) for x in parts]
