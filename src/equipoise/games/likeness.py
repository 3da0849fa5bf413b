"""What ties a translation to the picture that it is made from, or to the one that it shall be like: terms of G's loss.

As in `terms`, each is asked for by its knob and costs nothing where that is 0. D is asked about features of pictures as
it sees them, augmentation and all.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Protocol, cast

import torch
from torch import Tensor

from equipoise import correspondences
from equipoise.games.terms import Term
from equipoise.streams import Stream

if TYPE_CHECKING:
    from equipoise.games.gan import GAN, Hand

PLACES = 256  # of each picture, at most (Park et al. 2020, arXiv:2007.15651, appendix)
TEMPERATURE = 0.07


class Contrasting(Protocol):
    """What `nce` asks of G."""

    multiple: int  # pixels: the sides of the squares that its smallest maps tell apart

    def patches(self, x: Tensor, places: Tensor) -> list[Tensor]: ...  # [B, C, H, W], [S, 2] -> unit vectors [B, S, d]


class Featured(Protocol):
    """What `features` and `style` ask of D."""

    def features(self, x: Tensor, y: Tensor) -> list[Tensor]: ...  # hidden maps


def of_G(game: GAN, hand: Hand) -> Iterator[Term]:
    knobs = game.knobs
    if knobs.pixel:
        yield Term("pixel", knobs.pixel, correspondences.distance_l1(hand.fake, hand.real).mean())
    if knobs.nce:
        yield Term("nce", knobs.nce, contrast(game, hand.fake, hand.z))
    if knobs.nce_identity:
        same = game.made(hand.real, hand.y, graph=True)
        yield Term("nce_identity", knobs.nce_identity, contrast(game, same, hand.real))
    if knobs.features or knobs.style:
        of_fake = hidden(game, hand.fake, hand)
        with torch.no_grad():
            of_real = hidden(game, hand.real, hand)
        if knobs.features:
            yield Term("features", knobs.features, correspondences.feature_matching(of_fake, of_real).mean())
        if knobs.style:
            yield Term("style", knobs.style, correspondences.style_statistics(of_fake, of_real).mean())
    if knobs.content or knobs.given_style:
        yield from perceived(game, hand)


def perceived(game: GAN, hand: Hand) -> Iterator[Term]:
    """By a trained net whose weights were given, which sees no augmentation."""
    with torch.no_grad():
        of_real = game.perceive(hand.real)
    of_fake = game.perceive(hand.fake)
    if game.knobs.content:
        yield Term("content", game.knobs.content, correspondences.content(of_fake, of_real).mean())
    if game.knobs.given_style:
        yield Term("given_style", game.knobs.given_style, correspondences.gram_style(of_fake, of_real).mean())


def contrast(game: GAN, made: Tensor, source: Tensor) -> Tensor:
    """How badly G finds each patch of what it made among those of the source: the mean over layers and pictures."""
    G = cast(Contrasting, game.G)
    places = places_of(game, source.shape[-2] // G.multiple, source.shape[-1] // G.multiple).to(source.device)
    with game.precision():
        queries = G.patches(made, places)
        with torch.no_grad():
            keys = G.patches(source, places)
    pairs = zip(queries, keys, strict=True)
    found = [correspondences.patch_nce(q.float(), k.float(), TEMPERATURE).mean() for q, k in pairs]
    return torch.stack(found).mean()


def places_of(game: GAN, rows: int, columns: int) -> Tensor:
    """Up to PLACES, the same for all pictures of a batch, each in a square of its own of rows x columns: (row, column)
    as fractions of the sides, [S, 2]."""
    lots = Stream(game.latents.seed, "places").at(game.drawn)
    square = torch.randperm(rows * columns, generator=lots)[:PLACES]
    within = torch.rand(len(square), 2, generator=lots)
    corner = torch.stack([square // columns, square % columns], 1)
    return (corner + within) / torch.tensor([rows, columns])


def hidden(game: GAN, x: Tensor, hand: Hand) -> list[Tensor]:
    """D's hidden maps; of a fake and of its real under the same augmentation, or they would differ by that alone."""
    x, y = game.shown(x, hand.y, "fake")
    with game.precision():
        return [f.float() for f in cast(Featured, game.D).features(x, y)]
