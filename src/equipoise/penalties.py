"""Penalties on D's gradient, on G's paths and on weights, and the projection of WGAN.

Penalties of D are functions of tensors that D has just scored and return one value per sample, so that R1 and
R2 reuse the graph of D's own step. They belong in the *same* backward pass as D's loss: in a pass of their own
the processes of a distributed run drift apart.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.func import functional_call


def zero_centered(samples: Tensor, logits: Tensor) -> Tensor:
    """||grad_x D(x)||^2, summed over all dimensions of a sample: R1 on reals, R2 on fakes. Returns [B].

    Mescheder et al. 2018 (arXiv:1801.04406), eq. 9-10, without their factor gamma/2. `samples` [B, ...] must
    require grad before D scores them; `logits` is [B] or a PatchGAN map [B, ...], whose patches are summed.
    """
    return input_gradient(logits, samples).square().flatten(1).sum(1)


def scored(judge: Callable[[Tensor], Tensor], samples: Tensor) -> tuple[Tensor, Tensor]:
    """Logits, and `zero_centered` of them."""
    logits = judge(samples)
    return logits, zero_centered(samples, logits)


def scored_by_euler(
    D: nn.Module, augment: Callable[[Tensor], Tensor], samples: Tensor, *rest: Tensor
) -> tuple[Tensor, Tensor]:
    """As `scored`, for a D without norm layers whose only curves are the kinks of (leaky) ReLUs, in 2/3 of the time.

    Such a D is homogeneous in the samples and biases together, so D(x) = x . dD/dx + sum of b . dD/db (Euler). The
    logits' gradient by the weights is taken through the right-hand side: through the graph of the first derivative,
    which R1 needs anyway, and no longer through D itself. D must take biases [B, C], each sample's own.
    """
    x = augment(samples)
    biases = {name: p.expand(len(x), -1) for name, p in D.named_parameters() if p.ndim == 1}
    logits: Tensor = functional_call(D, biases, (x, *rest)).float()
    of_samples, of_x, *of_biases = torch.autograd.grad(logits.sum(), [samples, x, *biases.values()], create_graph=True)
    terms = zip([x, *biases.values()], [of_x, *of_biases], strict=True)
    euler = torch.stack([(a.detach() if a is x else a).mul(b).flatten(1).sum(1) for a, b in terms]).sum(0)  # [B]
    return logits.detach() + (euler - euler.detach()), of_samples.square().flatten(1).sum(1)


def one_centered(judge: Callable[[Tensor], Tensor], real: Tensor, fake: Tensor, t: Tensor) -> Tensor:
    """(||grad_x D(x)|| - 1)^2 at x = real + t (fake - real): the WGAN gradient penalty. Returns [B].

    Gulrajani et al. 2017 (arXiv:1704.00028), eq. 3 and Algorithm 1; t ~ U(0, 1) [B], one for each sample.
    """
    t = t.view(-1, *[1] * (real.ndim - 1))
    mixed = real.detach().lerp(fake.detach(), t).requires_grad_()
    norm: Tensor = torch.linalg.vector_norm(input_gradient(judge(mixed), mixed).flatten(1), dim=1)  # [B]
    return (norm - 1).square()


class Styled(Protocol):
    """A generator in two halves: latents to styles, and styles, one for each layer, to images."""

    layers: int

    def mapping(self, z: Tensor, y: Tensor) -> Tensor: ...  # [B, w_dim]

    def synthesis(self, w: Tensor) -> Tensor: ...  # [B, layers, w_dim] -> [B, C, H, W]


def path_lengths(G: Styled, z: Tensor, y: Tensor, noise: Tensor) -> Tensor:
    """||J^T noise|| over the root of layers x pixels, J the derivative of the image by the styles of all layers. [B].

    Karras et al. 2020 (arXiv:1912.04958), eq. 4, whose penalty is (length - a)^2 with a running mean a of the lengths;
    noise ~ N(0, 1) [B, C, H, W]. In these units the paper's weight ln 2 / (r^2 (ln r - ln 2)) is 2 at any resolution r.
    """
    w = G.mapping(z, y)[:, None].expand(-1, G.layers, -1)
    towards = (G.synthesis(w).float() * noise).sum()
    slope: Tensor = torch.autograd.grad(towards, w, create_graph=True)[0]  # [B, layers, w_dim]
    square = slope.square().sum((1, 2)) / (G.layers * noise.shape[2] * noise.shape[3])
    return square.clamp(min=1e-20).sqrt()  # a G that ignores w has no slope, rather than one of 0 / 0


def input_gradient(logits: Tensor, samples: Tensor) -> Tensor:
    """grad_x of each sample's own logit, differentiable once more. Same shape as `samples`."""
    gradient: Tensor = torch.autograd.grad(logits.sum(), samples, create_graph=True)[0]
    return gradient


def l1(weights: Iterable[Tensor]) -> Tensor:
    """Sum of |w| over all weights. Returns a scalar."""
    return torch.stack([w.abs().sum() for w in weights]).sum()


def l2(weights: Iterable[Tensor]) -> Tensor:
    """Half the sum of w^2 over all weights, so that its gradient is w. Returns a scalar."""
    return torch.stack([w.square().sum() for w in weights]).sum() / 2


@torch.no_grad()
def clip_weights(weights: Iterable[Tensor], limit: float) -> None:
    """Projects every weight onto [-limit, limit], in place, after D's step.

    Arjovsky et al. 2017 (arXiv:1701.07875), Algorithm 1, line 7 (limit .01).
    """
    for w in weights:
        w.clamp_(-limit, limit)
