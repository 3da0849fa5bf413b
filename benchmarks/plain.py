"""The loops that a reader of tutorials would write, to measure Equipoise against: same nets, same losses, same batch.

`dcgan` is the loop of PyTorch's DCGAN tutorial: labels 1 and 0, two backward passes for D, the same fakes for both
players. `r3gan` is the loop of the R3GAN paper written down as it stands: relativistic loss, R1 and R2 each by a
gradient of its own; `frozen` keeps D's weights out of G's backward pass, as the authors' trainer does. `gan_step` is
the loop of any other recipe: Algorithm 1 of Goodfellow et al. with the loss and the penalties that its knobs name.

StyleGAN2's styles scale the kernels of each sample, which are convolved in groups, as the paper has it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import (
    binary_cross_entropy_with_logits,
    conv2d,
    conv_transpose2d,
    cross_entropy,
    leaky_relu,
    relu,
    softplus,
)
from torch.optim import Adam, Optimizer, RMSprop

from equipoise import build
from equipoise.config import Adam as Configured
from equipoise.config import TrainConfig
from equipoise.knobs import Knobs
from equipoise.nets import convolution, equalised, modulated, r3gan, stylegan2


def shrunk(layer: r3gan.Down, x: Tensor) -> Tensor:
    return conv2d(x, layer.kernel, None, 2, 1, 1, x.shape[1])


def equalised_conv(layer: equalised.Conv, x: Tensor) -> Tensor:
    return conv2d(x, layer.weight * layer.scale, layer.bias * layer.gain, padding=layer.padding)


def modulated_conv(layer: modulated.Modulated, x: Tensor, w: Tensor, key: Tensor) -> Tensor:
    """Karras et al. 2020 (arXiv:1912.04958), eq. 1 to 3: kernels of their own for each sample, and a group for each."""
    count, (_, inputs, side, _) = len(w), x.shape  # the constant that all begin with has no batch
    kernels = layer.scale * layer.weight * layer.style(w)[:, None, :, None, None]  # [B, O, I, 3, 3]
    kernels = kernels * (kernels.square().sum((2, 3, 4), keepdim=True) + equalised.EPSILON).rsqrt()
    x = x.expand(count, -1, -1, -1).reshape(1, count * inputs, side, side)
    if isinstance(layer.convolve, modulated.Doubling):
        x = conv_transpose2d(x, kernels.transpose(1, 2).flatten(0, 1), stride=2, groups=count)
        x = x.view(count, -1, *x.shape[2:])
        x = conv2d(x, 4 * layer.convolve.kernel, padding=1, groups=x.shape[1])
    else:
        x = conv2d(x, kernels.flatten(0, 1), padding=1, groups=count)
        x = x.view(count, -1, *x.shape[2:])
    return equalised.GAIN * leaky_relu(x + layer.noise(key) + layer.bias[:, None, None], r3gan.SLOPE)


def to_image(layer: modulated.ToImage, x: Tensor, w: Tensor) -> Tensor:
    count, inputs, side, _ = x.shape
    kernels = layer.scale * layer.weight * layer.style(w)[:, None, :, None, None]
    x = conv2d(x.reshape(1, count * inputs, side, side), kernels.flatten(0, 1), groups=count)
    return x.view(count, -1, side, side) + layer.bias[:, None, None]


def halved(layer: stylegan2.Halving, x: Tensor) -> Tensor:
    x = conv2d(x, layer.kernel, padding=2, groups=x.shape[1])
    return conv2d(x, layer.weight * layer.scale, layer.bias, stride=2)


def residual(layer: stylegan2.Residual, x: Tensor) -> Tensor:
    long = leaky_relu(layer.halve(leaky_relu(layer.conv(x), r3gan.SLOPE)), r3gan.SLOPE)
    return long + conv2d(layer.skip(x), layer.match * layer.scale)


AS_TORCH_HAS_THEM: Mapping[type[nn.Module], Callable[..., Tensor]] = {
    convolution.Conv2d: nn.Conv2d.forward, r3gan.Down: shrunk, equalised.Conv: equalised_conv,
    modulated.Modulated: modulated_conv, modulated.ToImage: to_image, stylegan2.Halving: halved,
    stylegan2.Residual: residual,
}  # fmt: skip


class Plain:
    """The networks of a config as plain torch modules, with the settings that torch has by default."""

    def __init__(self, config: TrainConfig, form: build.Form, device: torch.device | str = "cpu"):
        self.G, self.D = (net.to(device) for net in build.networks(config.nets, form, config.seed))
        for layer in [*self.G.modules(), *self.D.modules()]:
            for kind, plain in AS_TORCH_HAS_THEM.items():
                if isinstance(layer, kind):
                    layer.forward = partial(plain, layer)
        self.g_opt = optimizer(config, self.G, config.knobs.g_lr)
        self.d_opt = optimizer(config, self.D, config.knobs.d_lr)
        self.z_dim, self.gamma = config.nets.z_dim, config.knobs.r1

    def z(self, real: Tensor) -> Tensor:
        return torch.randn(len(real), self.z_dim, device=real.device)


def optimizer(config: TrainConfig, net: nn.Module, lr: float) -> Optimizer:
    if isinstance(config.optim.g, Configured):
        return Adam(net.parameters(), lr, (config.optim.g.betas[0], config.knobs.beta2 or config.optim.g.betas[1]))
    return RMSprop(net.parameters(), lr)


def dcgan(players: Plain, real: Tensor, y: Tensor) -> tuple[float, float]:
    """One step; the two losses, read at each step as the tutorial does."""
    G, D = players.G, players.D
    ones, zeros = torch.ones(len(real), device=real.device), torch.zeros(len(real), device=real.device)
    D.zero_grad()
    on_real = binary_cross_entropy_with_logits(D(real, y), ones)
    on_real.backward()
    fake = G(torch.randn(len(real), players.z_dim, device=real.device), y)
    on_fake = binary_cross_entropy_with_logits(D(fake.detach(), y), zeros)
    on_fake.backward()
    players.d_opt.step()
    G.zero_grad()
    g_loss = binary_cross_entropy_with_logits(D(fake, y), ones)
    g_loss.backward()
    players.g_opt.step()
    return on_real.item() + on_fake.item(), g_loss.item()


def r3gan_step(players: Plain, real: Tensor, y: Tensor, *, frozen: bool = False) -> tuple[float, float]:
    G, D = players.G, players.D
    fake = G(torch.randn(len(real), players.z_dim, device=real.device), y).detach().requires_grad_()
    at = real.clone().requires_grad_()
    real_logits, fake_logits = D(at, y), D(fake, y)
    r1 = torch.autograd.grad(real_logits.sum(), at, create_graph=True)[0].square().sum((1, 2, 3))
    r2 = torch.autograd.grad(fake_logits.sum(), fake, create_graph=True)[0].square().sum((1, 2, 3))
    d_loss = (softplus(fake_logits - real_logits) + players.gamma / 2 * (r1 + r2)).mean()
    players.d_opt.zero_grad()
    d_loss.backward()
    players.d_opt.step()
    D.requires_grad_(not frozen)
    g_loss = softplus(D(real, y) - D(G(torch.randn(len(real), players.z_dim, device=real.device), y), y)).mean()
    players.g_opt.zero_grad()
    g_loss.backward()
    players.g_opt.step()
    D.requires_grad_(True)
    return d_loss.item(), g_loss.item()


Logits = Callable[[Tensor, Tensor], Tensor]  # (of reals, of fakes) [B] each -> a loss
OF_D: Mapping[str, Logits] = {
    "nonsaturating": lambda real, fake: (softplus(-real) + softplus(fake)).mean(),
    "least-squares": lambda real, fake: ((real - 1).square() + fake.square()).mean() / 2,
    "wasserstein": lambda real, fake: (fake - real).mean(),
    "hinge": lambda real, fake: (relu(1 - real) + relu(1 + fake)).mean(),
    "relativistic": lambda real, fake: softplus(fake - real).mean(),
}
OF_G: Mapping[str, Logits] = {
    "nonsaturating": lambda real, fake: softplus(-fake).mean(),
    "least-squares": lambda real, fake: (fake - 1).square().mean() / 2,
    "wasserstein": lambda real, fake: -fake.mean(),
    "hinge": lambda real, fake: -fake.mean(),
    "relativistic": lambda real, fake: softplus(real - fake).mean(),
}


def answered(said: Any, y: Tensor, auxiliary: float) -> tuple[Tensor, Tensor]:
    """Logits, and the cross-entropy of the classes where D names any (Odena et al. 2017, arXiv:1610.09585)."""
    if not isinstance(said, tuple):
        return said, torch.zeros(())
    logits, evidence, _ = said
    return logits, auxiliary * cross_entropy(evidence, y)


def slope2(logits: Tensor, x: Tensor) -> Tensor:
    """||grad_x D||^2. [B]."""
    return torch.autograd.grad(logits.sum(), x, create_graph=True)[0].square().flatten(1).sum(1)


def penalty(D: nn.Module, real: Tensor, fake: Tensor, real_logits: Tensor, fake_logits: Tensor, knobs: Knobs) -> Tensor:
    total = torch.zeros(())
    if knobs.r1:
        total = total + knobs.r1 / 2 * slope2(real_logits, real).mean()
    if knobs.r2:
        total = total + knobs.r2 / 2 * slope2(fake_logits, fake).mean()
    if knobs.gp:
        t = torch.rand(len(real), *[1] * (real.ndim - 1))
        mixed = (real + t * (fake - real)).detach().requires_grad_()
        y = torch.zeros(len(real), dtype=torch.long)
        total = total + knobs.gp * (slope2(D(mixed, y), mixed).sqrt() - 1).square().mean()
    return total


def gan_step(players: Plain, knobs: Knobs, batches: Callable[[], tuple[Tensor, Tensor]]) -> tuple[float, float]:
    """One round; the two losses are read, as tutorials do."""
    G, D = players.G, players.D
    for _ in range(knobs.d_steps):
        real, y = batches()
        real = real.clone().requires_grad_(knobs.r1 > 0)
        fake = G(players.z(real), y).detach().requires_grad_(knobs.r2 > 0)
        (real_logits, of_real), (fake_logits, of_fake) = (answered(D(x, y), y, knobs.auxiliary) for x in (real, fake))
        d_loss = OF_D[knobs.loss](real_logits, fake_logits) + of_real + of_fake
        d_loss = d_loss + penalty(D, real, fake, real_logits, fake_logits, knobs)
        players.d_opt.zero_grad()
        d_loss.backward()
        players.d_opt.step()
        for p in D.parameters() if knobs.clip_weights else ():
            p.data.clamp_(-knobs.clip_weights, knobs.clip_weights)
    real, y = batches()
    real_logits = answered(D(real, y), y, 0)[0] if knobs.loss == "relativistic" else torch.zeros(())
    fake_logits, of_classes = answered(D(G(players.z(real), y), y), y, knobs.auxiliary)
    g_loss = OF_G[knobs.loss](real_logits, fake_logits) + of_classes
    players.g_opt.zero_grad()
    g_loss.backward()
    players.g_opt.step()
    return d_loss.item(), g_loss.item()
