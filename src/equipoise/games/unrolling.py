"""D as it will have answered: G looks some updates of D ahead (Metz et al. 2017, arXiv:1611.02163, section 2.2)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.func import functional_call

if TYPE_CHECKING:
    from equipoise.games.gan import GAN, Hand


def unrolled(game: GAN, hand: Hand, steps: int) -> Callable[[Tensor, Tensor], Tensor]:
    """D after `steps` updates on the hand, each a function of G's fakes, through which G's loss is differentiated.

    The updates are plain descents by D's learning rate on its adversarial loss alone, whatever its optimizer and its
    penalties. D itself is unchanged. Costs the memory of all these graphs: for small networks.
    """
    loss = game.adversarial.discriminator
    state = {name: b.clone() for name, b in game.D.named_buffers()}
    learning = {id(p) for group in game.d_opt.param_groups for p in group["params"]}  # all but the layers held still
    state |= {name: p.detach() for name, p in game.D.named_parameters() if id(p) not in learning}
    weights = {name: p.detach().clone().requires_grad_() for name, p in game.D.named_parameters() if id(p) in learning}
    for _ in range(steps):
        D = asked(game.D, state | weights)
        logits = game.judge(hand.real, hand.y, "real", D), game.judge(hand.fake, hand.y, "fake", D)
        slopes = torch.autograd.grad(
            loss(*logits).mean(), list(weights.values()), create_graph=True, materialize_grads=True
        )  # a head that names classes has weights that logits do not depend on
        moved = zip(weights.items(), slopes, strict=True)
        weights = {name: w - game.knobs.d_lr * slope for (name, w), slope in moved}
    return asked(game.D, state | weights)


def asked(D: nn.Module, state: Mapping[str, Tensor]) -> Callable[[Tensor, Tensor], Tensor]:
    """D with other weights and buffers."""

    def answer(x: Tensor, y: Tensor) -> Tensor:
        said: Tensor = functional_call(D, dict(state), (x, y))
        return said

    return answer
