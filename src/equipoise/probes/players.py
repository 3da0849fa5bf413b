"""How the players of a live game stand to each other: looks that ask D about reals that it never saw."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from equipoise.games.answers import heard
from equipoise.games.base import Batch
from equipoise.games.gan import GAN

STEP = 0.05  # length of a step of z, over the standard deviation of z, by which the sensitivity of G is measured


@contextmanager
def at_rest(*nets: nn.Module) -> Iterator[None]:
    """In their mode for use, in which norms keep their statistics; afterwards each layer is in the mode that it had."""
    was = [(layer, layer.training) for net in nets for layer in net.modules()]
    for net in nets:
        net.eval()
    try:
        yield
    finally:
        for layer, training in was:
            layer.training = training


@dataclass(frozen=True)
class Bench:
    """What the players are asked about, the same each time."""

    train: Batch  # that D learns from
    held_out: Batch  # of equal count
    z: Tensor
    y: Tensor
    step: Tensor  # [n, z_dim] directions in which z is moved, N(0, 1)
    at_once: int = 256  # samples at a time, which bounds the memory


def standing(game: GAN, bench: Bench) -> dict[str, float]:
    """`d_auc`: does D know its training data from other reals (.5: no); `d_tells`: does it tell fakes from such reals
    (.5: no, 1: always); `input_grad_ratio`: steepness of D at reals over that at fakes; `sensitivity`: how far G's
    samples move with z, over how far they lie apart."""
    with at_rest(game.G, game.D), torch.no_grad(), game.precision():
        fake = in_parts(game.G, bench.z, bench.y, bench.at_once).float()
        moved = in_parts(game.G, bench.z + STEP * bench.step, bench.y, bench.at_once).float()
        on_train, on_held_out, on_fake = (
            in_parts(lambda x, y: mean_logit(heard(game.D(x, y)).logits), x, y, bench.at_once)
            for x, y in (bench.train, bench.held_out, (fake, bench.y))
        )
    slopes = [steepness(game, x, y, bench.at_once) for x, y in (bench.held_out, (fake, bench.y))]
    apart = (fake - fake.roll(1, 0)).flatten(1).norm(dim=1).mean()
    return {
        "d_auc": auc(on_train, on_held_out), "d_tells": auc(on_held_out, on_fake),
        "d_gap": float(on_train.mean() - on_held_out.mean()),
        "input_grad_ratio": float(slopes[0] / slopes[1].clamp(min=1e-30)),
        "sensitivity": float((moved - fake).flatten(1).norm(dim=1).mean() / STEP / apart.clamp(min=1e-30)),
    }  # fmt: skip


def mean_logit(logits: Tensor) -> Tensor:
    """One logit an image [B], of PatchGAN maps too."""
    return logits.float().flatten(1).mean(1) if logits.ndim > 1 else logits.float()


def in_parts(net: Callable[[Tensor, Tensor], Tensor], x: Tensor, y: Tensor, at_once: int) -> Tensor:
    """net(x, y), so many samples at a time."""
    parts = [net(*part) for part in zip(torch.split(x, at_once), torch.split(y, at_once), strict=True)]
    return parts[0] if len(parts) == 1 else torch.cat(parts)


def steepness(game: GAN, x: Tensor, y: Tensor, at_once: int = 256) -> Tensor:
    """Root of the mean of ||grad_x D||^2."""

    def slope2(x: Tensor, y: Tensor) -> Tensor:
        x = x.detach().clone().requires_grad_()
        (slope,) = torch.autograd.grad(mean_logit(heard(game.D(x, y)).logits).sum(), x)
        return slope.flatten(1).square().sum(1)

    with at_rest(game.D), torch.enable_grad():
        return in_parts(slope2, x, y, at_once).mean().sqrt()


def auc(high: Tensor, low: Tensor) -> float:
    """Chance that one of `high` [N] exceeds one of `low` [M]; ties count half (Mann and Whitney 1947)."""
    ordered = low.sort().values
    below = torch.searchsorted(ordered, high) + torch.searchsorted(ordered, high, right=True)
    return float(below.double().mean() / (2 * len(low)))
