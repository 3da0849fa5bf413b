"""Memory for time: what a part of a net worked out inside is not kept for the backward pass, but worked out again.

Chen et al. 2016 (arXiv:1604.06174), on torch.utils.checkpoint. Second derivatives go through, too.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm as BatchNorm
from torch.nn.utils.parametrizations import _SpectralNorm as SpectralNorm
from torch.utils.checkpoint import checkpoint

Through = Callable[..., Tensor]  # (part, *inputs) -> part(*inputs)


def kept(part: nn.Module, *inputs: Tensor) -> Tensor:
    """Everything is kept, as torch does."""
    y: Tensor = part(*inputs)
    return y


def recomputed(part: nn.Module, *inputs: Tensor) -> Tensor:
    """Only the inputs are kept. The same values and gradients, to the bit, and the same state of the norms."""
    if not torch.is_grad_enabled():
        return kept(part, *inputs)
    again = AsBefore(part)
    y: Tensor = checkpoint(
        part, *inputs, use_reentrant=False, preserve_rng_state=False, context_fn=lambda: (nullcontext(), again)
    )
    again.remember()
    return y


class AsBefore:
    """In a recomputation norms do what they did the first time, and leave no trace: BatchNorm gathers no statistics a
    second time, and spectral norm divides by the singular value that it had found, though its iteration may have gone
    on since.

    Entered again for each backward pass: with R1 there are two.
    """

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
