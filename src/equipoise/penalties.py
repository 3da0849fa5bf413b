"""Penalties on D's gradient, on logits and samples, on G's paths and on weights, and the projection of WGAN.

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
from torch.nn.functional import relu


def zero_centered(samples: Tensor, logits: Tensor) -> Tensor:
    """||grad_x D(x)||^2, summed over all dimensions of a sample: R1 on reals, R2 on fakes. Returns [B].

    Mescheder et al. 2018 (arXiv:1801.04406), eq. 9-10, without their factor gamma/2. `samples` [B, ...] must
    require grad before D scores them; `logits` is [B] or a PatchGAN map [B, ...], whose patches are summed. Where D
    judges packs of samples, [B / pack]: a pack is then D's sample.
    """
    return input_gradient(logits, samples).square().reshape(len(logits), -1).sum(1)


def scored_by_euler(
    D: nn.Module, augment: Callable[[Tensor], Tensor], samples: Tensor, *rest: Tensor
) -> tuple[Tensor, Tensor]:
    """Logits, and `zero_centered` of them, in 2/3 of the time: for a D without norm layers whose only curves are the
    kinks of (leaky) ReLUs.

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

    Gulrajani et al. 2017 (arXiv:1704.00028), eq. 3 and Algorithm 1; t ~ U(0, 1) [B], one for each sample, or the same
    for those of a pack.
    """
    t = t.view(-1, *[1] * (real.ndim - 1))
    mixed = real.detach().lerp(fake.detach(), t).requires_grad_()
    logits = judge(mixed)
    norm: Tensor = torch.linalg.vector_norm(input_gradient(logits, mixed).reshape(len(logits), -1), dim=1)  # [B]
    return (norm - 1).square()


def lecam(real_logits: Tensor, fake_logits: Tensor, real_level: Tensor, fake_level: Tensor) -> Tensor:
    """(D(x) - a_F)_+^2 + (a_R - D(G(z)))_+^2: D's logits of reals may not rise far above where those of fakes lie of
    late, nor those of fakes sink below those of reals. One value per logit.

    Tseng et al. 2021 (arXiv:2104.03310), eq. 7, one-sided as in the authors' code. Levels are scalars without graph.
    """
    return relu(real_logits - fake_level).square() + relu(real_level - fake_logits).square()


def consistency(seen: Tensor, again: Tensor) -> Tensor:
    """The squared difference of what was made of a sample and of its changed copy.

    Zhang et al. 2020 (arXiv:1910.12027), eq. 3, of D's logits; Zhao et al. 2020 (arXiv:2002.04724): of both players'
    samples (section 3.1), and of latents that were nudged (section 3.2).
    """
    return (seen - again).square()


def mode_seeking(moved: Tensor, apart: Tensor) -> Tensor:
    """1 / (moved / apart + 1e-5): large where G makes much the same of latents that lie apart.

    Mao et al. 2019 (arXiv:1903.05628), eq. 3, as the reciprocal that their code minimises. `moved` is the mean distance
    |G(z1, y) - G(z2, y)| of all numbers of the samples, `apart` that of the latents. Scalars.
    """
    return 1 / (moved / apart + 1e-5)


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


def orthogonal(weights: Iterable[Tensor]) -> Tensor:
    """||W W^T * (1 - I)||_F^2 of matrices [filters, values], summed: filters that point in different directions.

    Brock et al. 2019 (arXiv:1809.11096), eq. 3, which holds filters as columns. Returns a scalar.
    """
    return torch.stack([squared_overlaps(w) for w in weights]).sum()


def squared_overlaps(w: Tensor) -> Tensor:
    """Of more filters than values, ||W W^T||_F = ||W^T W||_F spares the larger product: from z to the first maps it
    would have billions of numbers. Such filters cannot be orthogonal, so that the difference does not cancel out."""
    lengths2 = w.square().sum(1)
    if len(w) > w.shape[1]:
        return (w.T @ w).square().sum() - lengths2.square().sum()
    overlaps = w @ w.T
    return (overlaps - overlaps.diagonal().diag()).square().sum()


@torch.no_grad()
def clip_weights(weights: Iterable[Tensor], limit: float) -> None:
    """Projects every weight onto [-limit, limit], in place, after D's step.

    Arjovsky et al. 2017 (arXiv:1701.07875), Algorithm 1, line 7 (limit .01).
    """
    for w in weights:
        w.clamp_(-limit, limit)
