"""Memory for time: what a part of a net worked out inside is not kept for the backward pass, but worked out again.

Chen et al. 2016 (arXiv:1604.06174). torch.utils.checkpoint does it for a first derivative only: a second one, as of R1
and R2, keeps all that the first had worked out again. Here the first derivative keeps no more than its inputs either.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd import Function
from torch.autograd.function import once_differentiable
from torch.func import functional_call
from torch.nn.modules.batchnorm import _BatchNorm as BatchNorm
from torch.nn.utils.parametrizations import _SpectralNorm as SpectralNorm

Through = Callable[..., Tensor]  # (part, *inputs) -> part(*inputs)


def kept(part: nn.Module, *inputs: Tensor) -> Tensor:
    """Everything is kept, as torch does."""
    y: Tensor = part(*inputs)
    return y


def recomputed(part: nn.Module, *inputs: Tensor) -> Tensor:
    """Only inputs are kept. The same values, gradients and second derivatives, and the same state of the norms."""
    if not torch.is_grad_enabled():
        return kept(part, *inputs)
    weights = [p.view_as(p) for p in part.parameters()]  # torch tells of inner nodes whether a pass will reach them
    run = Run(part, inputs)
    y: Tensor = Value.apply(run, *inputs, *weights)  # type: ignore[no-untyped-call]
    return y


class Run:
    """A part as a function of its inputs and weights, which can be called again later as it was the first time."""

    def __init__(self, part: nn.Module, inputs: Sequence[Tensor]):
        self.part, self.inputs = part, len(inputs)
        self.names = [name for name, _ in part.named_parameters()]
        self.norms = AsBefore(part)
        kind = inputs[0].device.type
        self.precision = kind, torch.get_autocast_dtype(kind), torch.is_autocast_enabled(kind)

    def __call__(self, *tensors: Tensor) -> Tensor:
        weights = dict(zip(self.names, tensors[self.inputs :], strict=True))
        with torch.autocast(*self.precision):
            y: Tensor = functional_call(self.part, weights, tensors[: self.inputs])
        return y

    @contextmanager
    def again(self) -> Iterator[None]:
        with torch.enable_grad(), self.norms:
            yield


class Value(Function):
    @staticmethod
    def forward(ctx: Any, run: Run, *tensors: Tensor) -> Tensor:
        ctx.run = run
        ctx.save_for_backward(*tensors)
        y = run(*tensors)
        run.norms.remember()
        return y

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor | None, ...]:
        tensors, needed = ctx.saved_tensors, ctx.needs_input_grad[1:]
        asked = [i for i, need in enumerate(needed) if need and (i < ctx.run.inputs or reached(ctx, i))]
        slopes = dict(zip(asked, Slope.apply(ctx.run, asked, g, *tensors), strict=True))  # type: ignore[no-untyped-call]
        return None, *(slopes.get(i) for i in range(len(tensors)))


class Slope(Function):
    """The gradients of the tensors that are `asked` for, as a function of the gradient g of y and of all tensors."""

    @staticmethod
    def forward(ctx: Any, run: Run, asked: list[int], g: Tensor, *tensors: Tensor) -> tuple[Tensor, ...]:
        ctx.run, ctx.asked = run, asked
        ctx.save_for_backward(g, *tensors)
        alone = [x.detach().requires_grad_(i in asked) for i, x in enumerate(tensors)]
        with run.again():
            return torch.autograd.grad(run(*alone), [alone[i] for i in asked], g)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gg: Tensor) -> tuple[Tensor | None, ...]:
        g, *tensors = (
            x.detach().requires_grad_(need or i - 1 in ctx.asked)
            for i, (x, need) in enumerate(zip(ctx.saved_tensors, ctx.needs_input_grad[2:], strict=True))
        )
        sought = [i for i, need in enumerate(ctx.needs_input_grad[2:]) if need]
        with ctx.run.again():
            slopes = torch.autograd.grad(ctx.run(*tensors), [tensors[i] for i in ctx.asked], g, create_graph=True)
            found = torch.autograd.grad(slopes, [[g, *tensors][i] for i in sought], gg, allow_unused=True)
        seconds = dict(zip(sought, found, strict=True))
        return None, None, *(seconds.get(i) for i in range(1 + len(tensors)))


def reached(ctx: Any, i: int) -> bool:
    """Whether this backward pass will use the gradient of tensor i: a pass to the samples does not use the weights'."""
    node = ctx.next_functions[i][0]
    return node is not None and torch._C._will_engine_execute_node(node)


class AsBefore:
    """In a recomputation norms do what they did the first time, and leave no trace: BatchNorm gathers no statistics a
    second time, and spectral norm divides by the singular value that it had found, though its iteration may have gone
    on since."""

    def __init__(self, part: nn.Module):
        norms = [m for m in part.modules() if isinstance(m, (BatchNorm, SpectralNorm)) and m.training]
        self.iterating = [m for m in norms if isinstance(m, SpectralNorm)]
        self.state = [buffer for m in norms for buffer in m.buffers()]
        self.then: list[Tensor] = []
        self.now: list[Tensor] = []

    def remember(self) -> None:
        self.then = [buffer.clone() for buffer in self.state]

    def __enter__(self) -> None:
        self.now = [buffer.clone() for buffer in self.state]
        self.turn(self.then, iterate=False)

    def __exit__(self, *error: object) -> None:
        self.turn(self.now, iterate=True)

    @torch.no_grad()
    def turn(self, state: list[Tensor], iterate: bool) -> None:
        for norm in self.iterating:
            norm.training = iterate
        for buffer, value in zip(self.state, state, strict=True):
            buffer.copy_(value)
