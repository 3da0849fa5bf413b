"""What the players' losses ask for beside the game itself and D's slopes: each term with its weight, its mean, and the
name that its signal has.

A term is asked for by its knob, and costs nothing where that is 0. What a sample turns into when it is seen again has
the augmentation in front of D of the sample itself, so that the two differ by nothing else.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple, Protocol, cast

import torch
from torch import Tensor

from equipoise import penalties
from equipoise.games.answers import Answer
from equipoise.processes import Processes
from equipoise.streams import Stream

if TYPE_CHECKING:
    from equipoise.games.gan import GAN, Hand

NUDGE = 0.05  # deviation of the noise on z (Zhao et al. 2020, arXiv:2002.04724, section 3.2)
PATH_MOVES = 0.01  # of the way from the running mean of the lengths of paths to that of a batch: the paper's decay .99


class StyledG(penalties.Styled, Protocol):
    """What `path_length` asks of G beside its halves: to keep the running mean of its lengths, as a norm layer does."""

    path_mean: Tensor


class Decoding(Protocol):
    """What `reconstruction` asks of D."""

    def reconstruction(self, x: Tensor, first: int) -> Tensor: ...  # reals, the place of x[0] in the batch -> [B]


class Term(NamedTuple):
    name: str
    weight: float
    value: Tensor  # a scalar


def of_D(game: GAN, hand: Hand, real: Answer, fake: Answer) -> Iterator[Term]:
    """`real` and `fake` are what D has just said of the samples of the hand."""
    knobs, y, shown = game.knobs, hand.y, hand.fake.detach()
    if knobs.lecam:
        far = penalties.lecam(real.logits, fake.logits, game.levels.real, game.levels.fake)
        yield Term("lecam", knobs.lecam, far.mean())
    if knobs.consistency_real:
        again = game.judge(*game.seen_again(hand.real, y, "real"), "real")
        yield Term("consistency_real", knobs.consistency_real, penalties.consistency(real.logits, again).mean())
    if knobs.consistency_fake:
        again = game.judge(*game.seen_again(shown, y, "fake"), "fake")
        yield Term("consistency_fake", knobs.consistency_fake, penalties.consistency(fake.logits, again).mean())
    if knobs.z_consistency_d:
        again = game.judge(game.made(nudged(game, hand.z), y, graph=False), y, "fake")
        yield Term("z_consistency_d", knobs.z_consistency_d, penalties.consistency(fake.logits, again).mean())
    if knobs.auxiliary:
        yield Term("d_class_loss", knobs.auxiliary, class_loss(game, real, y))
    if knobs.reconstruction:
        yield Term("reconstruction", knobs.reconstruction, drawn_again(game, hand.real))


def of_G(game: GAN, hand: Hand, fake: Answer) -> Iterator[Term]:
    """`fake` is what D has just said of the fakes of the hand."""
    knobs, y = game.knobs, hand.y
    if knobs.mode_seeking:
        z = game.z(len(y))
        moved = game.processes.mean((hand.fake - game.made(z, y, graph=True)).abs().mean())
        apart = game.processes.mean((hand.z - z).abs().mean())
        yield Term("mode_seeking", knobs.mode_seeking, penalties.mode_seeking(moved, apart))
    if knobs.z_consistency_g:
        again = game.made(nudged(game, hand.z), y, graph=True)
        yield Term("z_moves", -knobs.z_consistency_g, penalties.consistency(hand.fake, again).mean())
    if knobs.auxiliary:
        yield Term("g_class_loss", knobs.auxiliary, class_loss(game, fake, y))
    if knobs.path_length and game.rounds(hand) % knobs.path_every == 0:
        yield Term("path_off", knobs.path_every * knobs.path_length, path_off(game, hand))


def class_loss(game: GAN, said: Answer, y: Tensor) -> Tensor:
    """Of this process's samples, each held against those of all processes."""
    processes = game.processes
    losses = game.class_loss(processes.pooled(said.evidence), said.classes, processes.gathered(y))
    return processes.part(losses).mean()


def drawn_again(game: GAN, real: Tensor) -> Tensor:
    """How far D's decoders are off the reals as D sees them."""
    x, first = game.augmented(real, "real"), game.processes.rank * len(real)
    with game.precision():
        return cast(Decoding, game.D).reconstruction(x, first).mean()


def path_off(game: GAN, hand: Hand) -> Tensor:
    """(length - a)^2 of the paths of new latents, whose running mean a moves before; begun with the first lengths, or
    it would shrink all paths at first."""
    G, lengths = cast(StyledG, game.G), path_lengths(game, hand)
    mean = game.processes.mean(lengths.detach().mean())
    moved = G.path_mean.lerp(mean, PATH_MOVES)
    G.path_mean.copy_(torch.where(G.path_mean == 0, mean, moved))
    return (lengths - G.path_mean).square().mean()


def path_lengths(game: GAN, hand: Hand) -> Tensor:
    """Of half as many latents as the hand has fakes: as the paper saves memory. [B / 2]."""
    y = hand.y[::2]  # of even shares those of the whole batch
    z, stream = game.z(len(y)), Stream(game.latents.seed, "paths", game.latents.device)
    whole = (len(y) * game.processes.count, *hand.fake.shape[1:])
    noise = torch.randn(whole, generator=stream.at(game.drawn), device=z.device)
    with game.precision():
        return penalties.path_lengths(cast(StyledG, game.G), z, y, game.processes.part(noise))


def nudged(game: GAN, z: Tensor) -> Tensor:
    """z + N(0, NUDGE^2), by noise that follows from how many latents were drawn."""
    noise = Stream(game.latents.seed, "nudges", game.latents.device).at(game.drawn)
    whole = torch.randn(len(z) * game.processes.count, z.shape[1], generator=noise, device=z.device)
    return z + NUDGE * game.processes.part(whole)


def mean_of_best(losses: Tensor, logits: Tensor, share: float, processes: Processes) -> Tensor:
    """The mean of G's losses over the share of the fakes of all processes that D takes for the most real.

    Sinha et al. 2020 (arXiv:2002.06224), Algorithm 1. Maps [B, ...] count by their means.
    """
    if share == 1:
        return losses.mean()
    realness = logits.detach().flatten(1).mean(1) if logits.ndim > 1 else logits.detach()
    whole = processes.gathered(realness)
    limit = whole.topk(max(1, round(share * len(whole)))).values[-1]
    weight = (realness >= limit) * (processes.count / (whole >= limit).sum())
    return (losses.flatten(1).mean(1) * weight if losses.ndim > 1 else losses * weight).sum()
