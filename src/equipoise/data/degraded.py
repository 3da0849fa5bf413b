"""Pairs made from single pictures: what G is given is the picture, spoilt; what it is to give is the picture.

Holes: Pathak et al. 2016 (arXiv:1604.07379), boxes; Liu et al. 2018 (arXiv:1804.07723) and Yu et al. 2019
(arXiv:1806.03589), strokes. Here the share of the picture that is lost is drawn, and strokes are as thick as it needs.
Written from the papers; no code was copied.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import replace

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from equipoise.data.batches import Vary
from equipoise.data.source import InMemory, Part, Shape, Source, Splits, View
from equipoise.errors import DataError
from equipoise.processes import ALONE, Processes
from equipoise.streams import Stream

Spoil = Callable[[Tensor, Tensor], Tensor]  # (x [B, C, H, W] in [-1, 1], a place for each sample [B]) -> [B, Ca, H, W]
Masks = Callable[[Tensor, int, int], Tensor]  # (U[0, 1) [B, DRAWN], H, W) -> [B, 1, H, W], 1 in the hole and 0 outside

LEAST, MOST = 0.1, 0.4  # shares of a picture that a hole takes
STROKES, CORNERS = 2, 3  # of a free hole
DRAWN = 1 + 2 * STROKES * CORNERS  # uniform numbers that a hole is made of
LUMA = (0.299, 0.587, 0.114)  # of red, green and blue: ITU-R BT.601


def lowered(x: Tensor, factor: int) -> Tensor:
    """[B, C, H, W] at 1 / factor of its resolution, and back at its size: bicubic, antialiased, clamped. Same shape."""
    _, _, h, w = x.shape
    small = resized(x, max(1, h // factor), max(1, w // factor))
    return resized(small, h, w)


def resized(x: Tensor, h: int, w: int) -> Tensor:
    """Catmull and Rom's cubic, as Pillow has it; what it throws beyond black and white is cut off, as in a file."""
    return interpolate(x, (h, w), mode="bicubic", antialias=True).clamp(-1, 1)


def holed(x: Tensor, masks: Tensor) -> Tensor:
    """[B, C, H, W] with the hole, where masks [B, 1, H, W] are 1, in the mean colour of the rest; the mask is the last
    channel. [B, C + 1, H, W]. Nothing of what was in the hole is left."""
    hole = masks > 0.5
    known = x.masked_fill(hole, 0)
    mean = known.sum((2, 3), keepdim=True) / (~hole).sum((2, 3), keepdim=True)  # [B, C, 1, 1]
    return torch.cat((torch.where(hole, mean, x), masks), 1)


def noisy(x: Tensor, noise: Tensor, sigma: float) -> Tensor:
    """With noise N(0, 1) of the shape of x, `sigma` of the way from black to white, which is 2; clamped. Same shape."""
    return (x + 2 * sigma * noise).clamp(-1, 1)


def greyed(x: Tensor) -> Tensor:
    """Luma of colour pictures. [B, 3, H, W] -> [B, 1, H, W]. Raises DataError for others."""
    if x.shape[1] != 3:
        raise DataError(
            f"colorize needs pictures in colour, of 3 channels, and these have {x.shape[1]}: there is nothing to learn "
            "colours from."
        )
    return (x * x.new_tensor(LUMA).view(1, 3, 1, 1)).sum(1, keepdim=True)


def boxes(u: Tensor, h: int, w: int) -> Tensor:
    """Masks that are rectangles, whose sides are 1 : 2 to 2 : 1 of the picture's."""
    share, shape, left, top = u[:, :4].double().unbind(1)
    least, most = area_of(h, w)
    area = LEAST + (MOST - LEAST) * share  # of the picture
    width = (w * (area * 4 ** (shape - 0.5)).sqrt()).round().clamp(1, w)  # [B], in pixels
    height = (area * h * w / width).round().clamp((least / width).ceil(), (most / width).floor()).clamp(max=h)
    row, column = torch.arange(h, device=u.device)[:, None], torch.arange(w, device=u.device)
    left, top = (left * (w - width + 1)).floor(), (top * (h - height + 1)).floor()
    left, top, width, height = (each[:, None, None] for each in (left, top, width, height))  # [B, 1, 1]
    hole = (column >= left) & (column < left + width) & (row >= top) & (row < top + height)  # [B, H, W]
    return hole.float()[:, None]


def strokes(u: Tensor, h: int, w: int) -> Tensor:
    """Masks that are thick lines with a corner: the pixels nearest to the lines, as many as the share says."""
    least, most = area_of(h, w)
    count = (least + u[:, :1] * (most - least + 1)).floor().clamp(max=most)  # [B, 1] pixels
    side = u.new_tensor((w, h))
    corners = u[:, 1:DRAWN].view(-1, STROKES, CORNERS, 2) * side  # (column, row), in pixels
    row, column = torch.meshgrid(
        torch.arange(h, device=u.device) + 0.5, torch.arange(w, device=u.device) + 0.5, indexing="ij"
    )
    pixels = torch.stack((column, row), 2).view(-1, 2)  # [H * W, 2]
    away = torch.full((len(u), h * w), torch.inf, device=u.device)
    for stroke in corners.unbind(1):
        for start, end in zip(stroke[:, :-1].unbind(1), stroke[:, 1:].unbind(1), strict=True):
            away = torch.minimum(away, squared_distance(pixels, start, end))
    rank = torch.arange(h * w, device=u.device).expand_as(away)
    nearest = away.argsort(dim=1, stable=True)
    return torch.zeros_like(away).scatter(1, nearest, (rank < count).float()).view(-1, 1, h, w)


def area_of(h: int, w: int) -> tuple[int, int]:
    """The least and the most pixels that a hole takes."""
    return math.ceil(LEAST * h * w), math.floor(MOST * h * w)


def squared_distance(points: Tensor, start: Tensor, end: Tensor) -> Tensor:
    """From points [N, 2] to segments between [B, 2] and [B, 2]. [B, N]."""
    along = end - start
    beside = points - start[:, None]  # [B, N, 2]
    length2 = along.square().sum(1).clamp(min=torch.finfo(along.dtype).tiny)  # of a point, too
    part = ((beside * along[:, None]).sum(2) / length2[:, None]).clamp(0, 1)
    return (beside - part[:, :, None] * along[:, None]).square().sum(2)


def drawn(stream: Stream, places: Tensor) -> Tensor:
    """U[0, 1) [B, DRAWN]: a function of the place of each sample alone, however samples are cut into batches."""
    rows = [torch.rand(DRAWN, generator=stream.at(place), device=stream.device) for place in places.tolist()]
    return torch.stack(rows)


def noise_at(stream: Stream, places: Tensor, shape: Shape) -> Tensor:
    """N(0, 1) [B, *shape], likewise."""
    return torch.stack(
        [torch.randn(shape, generator=stream.at(place), device=stream.device) for place in places.tolist()]
    )


def lowering(factor: int) -> Spoil:
    return lambda x, places: lowered(x, factor)


def holing(masks: Masks, stream: Stream) -> Spoil:
    return lambda x, places: holed(x, masks(drawn(stream, places), *x.shape[2:]))


def noising(sigma: float, stream: Stream) -> Spoil:
    return lambda x, places: noisy(x, noise_at(stream, places, x.shape[1:]), sigma)


def greying(x: Tensor, places: Tensor) -> Tensor:
    return greyed(x)


class Degraded(View):
    """Samples [Ca + C, H, W] of a source of pictures [C, H, W]: each spoilt, by the same draws whenever it is taken,
    and as it is. `name` stands for the way.

    Raises:
        DataError: for pictures that cannot be spoilt so.
    """

    def __init__(self, source: Source, spoil: Spoil, name: str):
        super().__init__(unlabelled(source))
        self.spoil, self.name, self.classes = spoil, name, 0
        channels, *size = source.shape
        self.given = spoil(torch.zeros(1, *source.shape), torch.zeros(1, dtype=torch.long)).shape[1]
        self.shape: Shape = (self.given + channels, *size)

    def take(self, indices: Tensor) -> tuple[Tensor, Tensor]:
        x, y = self.source.take(indices)
        return torch.cat((self.spoil(x, indices), x), 1), y

    def identity(self, indices: Tensor) -> Iterator[bytes]:
        yield self.name.encode()
        yield indices.numpy().tobytes()  # by which they are spoilt
        yield from self.source.identity(indices)


class Unlabelled(View):
    """The samples of a source, without their classes: pairs have none."""

    def __init__(self, source: Source):
        super().__init__(source)
        self.shape, self.classes = source.shape, 0

    def take(self, indices: Tensor) -> tuple[Tensor, Tensor]:
        x, y = self.source.take(indices)
        return x, torch.zeros_like(y)

    def identity(self, indices: Tensor) -> Iterator[bytes]:
        return self.source.identity(indices)


def unlabelled(source: Source) -> Source:
    """What is in memory stays there as one set, so that it may be moved to a device."""
    match source:
        case InMemory(x=x):
            return InMemory(x)
        case Part(source=whole, indices=indices, groups=groups):
            return Part(unlabelled(whole), indices, groups)
        case _:
            return source if not source.classes else Unlabelled(source)


def degraded(splits: Splits, spoil: Spoil, name: str) -> Splits:
    """Pairs of single pictures, in the same parts. Raises DataError for pictures that cannot be spoilt so."""
    parts = [spoilt(part, spoil, name) for part in (splits.train, splits.validation, splits.test)]
    given = parts[0].shape[0] - splits.train.shape[0]
    return replace(splits, train=parts[0], validation=parts[1], test=parts[2], class_names=(), given=given)


def spoilt(source: Source, spoil: Spoil, name: str) -> Source:
    """By the places in the whole of which it is a part, so that a sample is spoilt in one way in any part."""
    match source:
        case Part(source=whole, indices=indices, groups=groups):
            return Part(Degraded(whole, spoil, name), indices, groups)
        case _:
            return Degraded(source, spoil, name)


def unspoilt(source: Source) -> Source:
    """The pictures that a degraded source is made of; any other source is returned as it is."""
    match source:
        case Degraded(source=pictures):
            return pictures
        case Part(source=Degraded(source=pictures), indices=indices, groups=groups):
            return Part(pictures, indices, groups)
        case _:
            return source


def degrading(spoil: Spoil, processes: Processes = ALONE) -> Vary:
    """For batches of pictures, each spoilt by its place in their endless sequence: anew in each epoch."""

    def vary(x: Tensor, position: int) -> Tensor:
        places = processes.part(torch.arange(position, position + len(x) * processes.count))
        return torch.cat((spoil(x, places), x), 1)

    return vary
