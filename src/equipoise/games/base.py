"""What all games share: the protocol that the loop sees, and the one place that descends."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor, nn
from torch.autograd.profiler import record_function as span  # two microseconds while nobody profiles
from torch.nn.modules.batchnorm import _BatchNorm as BatchNorm
from torch.nn.utils import clip_grad_value_, clip_grads_with_norm_, get_total_norm
from torch.optim import Optimizer

from equipoise.ema import EMA
from equipoise.knobs import Knobs
from equipoise.processes import ALONE, Processes

Signals = dict[str, Tensor]  # detached scalars on the device: nothing waits for them, nothing feeds back
Batch = tuple[Tensor, Tensor]  # x [B, ...] in [-1, 1], y [B]


class Game(Protocol):
    """What the loop needs to know of a game."""

    knobs: Knobs

    def step(self, batches: Iterator[Batch]) -> Signals:
        """One round of all players."""
        ...

    @property
    def seen(self) -> int:
        """Real samples shown to D so far: the clock of a run."""
        ...

    def networks(self) -> dict[str, nn.Module]: ...

    def averages(self) -> dict[str, nn.Module]:
        """The averaged generators, by their names in `state_dict`."""
        ...

    def sampler(self, z: Tensor, y: Tensor) -> Tensor:
        """Samples of the averaged generator, which changes nothing in the game. [B, ...]."""
        ...

    def state_dict(self) -> dict[str, Any]:
        """Everything that the next step depends on but the knobs, by name."""
        ...

    def load_state_dict(self, state: dict[str, Any]) -> None: ...


class OfTwo(Protocol):
    """What every game of one G against one D has to remember."""

    G: nn.Module
    D: nn.Module
    ema: EMA
    g_opt: Optimizer
    d_opt: Optimizer
    seen: int
    drawn: int


def average_of_two(game: OfTwo) -> dict[str, nn.Module]:
    return {"G_ema": game.ema.net}


def state_of_two(game: OfTwo) -> dict[str, Any]:
    return {
        "G": game.G.state_dict(), "D": game.D.state_dict(), "G_ema": game.ema.state_dict(),
        "g_opt": game.g_opt.state_dict(), "d_opt": game.d_opt.state_dict(), "seen": game.seen, "drawn": game.drawn,
    }  # fmt: skip


def load_state_of_two(game: OfTwo, state: dict[str, Any]) -> None:
    game.G.load_state_dict(state["G"])
    game.D.load_state_dict(state["D"])
    game.ema.load_state_dict(state["G_ema"])
    game.g_opt.load_state_dict(copy.deepcopy(state["g_opt"]))  # torch would keep the very tensors it is given
    game.d_opt.load_state_dict(copy.deepcopy(state["d_opt"]))
    game.seen, game.drawn = state["seen"], state["drawn"]


class Descent(NamedTuple):
    """Both over all processes, so that they are the same in each."""

    norm: Tensor  # of the gradient, before clipping
    loss: Tensor


def descend(
    optimizer: Optimizer,
    losses: Iterable[Tensor],
    clip_norm: float = 0.0,
    clip_value: float = 0.0,
    processes: Processes = ALONE,
    name: str = "descent",
) -> Descent:
    """One step of `optimizer` down the gradient of the mean of `losses`, averaged over the processes.

    The losses of several batches may come one by one: each graph is gone before the next is built. The only place
    that knows the hardware. A loss that is not finite goes through: it is a signal, and hiding it would hide the
    divergence. A profile shows it as `name`.
    """
    optimizer.zero_grad(set_to_none=True)
    players = [p for group in optimizer.param_groups for p in group["params"]]
    parts = []
    for loss in losses:
        with span(name):
            loss.backward(inputs=players)  # type: ignore[no-untyped-call]
        parts.append(loss.detach())
    with span(name):
        return descended(optimizer, players, parts, clip_norm, clip_value, processes)


def descended(
    optimizer: Optimizer, players: list[Tensor], parts: list[Tensor], clip_norm: float, clip_value: float,
    processes: Processes,
) -> Descent:  # fmt: skip
    """Once the gradients of all parts have gathered."""
    weights = [p for p in players if p.grad is not None]
    gradients, mean = [p.grad for p in weights if p.grad is not None], mean_of(parts)
    if len(parts) > 1:
        torch._foreach_div_(gradients, len(parts))
    processes.average([*gradients, mean])
    norm = get_total_norm(gradients)
    if clip_norm:
        clip_grads_with_norm_(weights, clip_norm, norm)
    if clip_value:
        clip_grad_value_(weights, clip_value)
    optimizer.step()
    return Descent(norm, mean)


def mean_of(values: list[Tensor]) -> Tensor:
    """Of scalars."""
    return values[0] if len(values) == 1 else torch.stack(values).mean()


@contextmanager
def frozen(*nets: nn.Module) -> Iterator[None]:
    """Gradients flow through these networks, but do not gather in their weights."""
    params = [p for net in nets for p in net.parameters() if p.requires_grad]
    for p in params:
        p.requires_grad_(False)
    try:
        yield
    finally:
        for p in params:
            p.requires_grad_(True)


def detached(**values: Tensor) -> Signals:
    return {name: value.detach() for name, value in values.items()}


def means(told: list[Signals]) -> Signals:
    """Of the signals of several batches; a lazy penalty may be told by some of them alone."""
    names = dict.fromkeys(name for one in told for name in one)
    every = {name: [one[name] for one in told if name in one] for name in names}
    return told[0] if len(told) == 1 else {name: torch.stack(values).mean() for name, values in every.items()}


def set_pace(optimizer: Optimizer, lr: float, beta2: float = 0.0) -> None:
    """The learning rate, and Adam's second beta; where that is 0, the one that the optimizer was made with."""
    for group in optimizer.param_groups:
        group["lr"] = lr
        if "betas" in group:
            group["betas"] = (group["betas"][0], beta2 or optimizer.defaults["betas"][1])


def keep_statistics(net: nn.Module, keep: bool, processes: Processes = ALONE) -> None:
    """Whether BatchNorm takes the statistics that it has gathered, or those of each batch.

    Each process has gathered those of its own samples. Once they are kept, the leader's are those of all: its
    checkpoints hold them, so that a resumed run keeps the same.
    """
    turned = [layer for layer in net.modules() if isinstance(layer, BatchNorm) and layer.training == keep]
    if keep and turned:
        processes.lead([buffer for layer in turned for buffer in layer.buffers() if buffer.is_floating_point()])
    for layer in turned:
        layer.train(not keep)


def weights(net: nn.Module) -> list[Tensor]:
    """The matrices and kernels of a network: what L1 and L2 act on; no gains, no biases."""
    return [p for p in net.parameters() if p.ndim > 1]


def filters(net: nn.Module) -> Iterator[Tensor]:
    """The weights of each output of linear maps and convolutions, [outputs, weights]; no embeddings."""
    for layer in net.modules():
        if isinstance(layer, (nn.Linear, nn.Conv2d, nn.ConvTranspose2d)):
            w = next(p for p in layer.parameters() if p.ndim > 1)  # with spectral norm, the weight under it
            yield (w.transpose(0, 1) if isinstance(layer, nn.ConvTranspose2d) else w).flatten(1)


def nonfinite(*values: Tensor) -> Tensor:
    """How many of these scalars are NaN or infinite."""
    return (~torch.isfinite(torch.stack([v.detach() for v in values]))).sum()
