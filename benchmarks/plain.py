"""The loops that a reader of tutorials would write, to measure Equipoise against: same nets, same losses, same batch.

`dcgan` is the loop of PyTorch's DCGAN tutorial: labels 1 and 0, two backward passes for D, the same fakes for both
players. `r3gan` is the loop of the R3GAN paper written down as it stands: relativistic loss, R1 and R2 each by a
gradient of its own; `frozen` keeps D's weights out of G's backward pass, as the authors' trainer does.
"""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, softplus
from torch.optim import Adam

from equipoise import build
from equipoise.config import Adam as Configured
from equipoise.config import TrainConfig
from equipoise.nets import convolution, r3gan


def shrunk(kernel: Tensor, x: Tensor) -> Tensor:
    return torch.conv2d(x, kernel, None, 2, 1, 1, x.shape[1])


class Plain:
    """The networks of a config as plain torch modules, with the settings that torch has by default."""

    def __init__(self, config: TrainConfig, form: build.Form, device: torch.device | str = "cpu"):
        self.G, self.D = (net.to(device) for net in build.networks(config.nets, form, config.seed))
        for layer in [*self.G.modules(), *self.D.modules()]:
            if isinstance(layer, convolution.Conv2d):
                layer.__class__ = nn.Conv2d  # type: ignore[assignment]
            if isinstance(layer, r3gan.Down):
                layer.forward = partial(shrunk, layer.kernel)  # type: ignore[method-assign]
        assert isinstance(config.optim.g, Configured)
        betas = (config.optim.g.betas[0], config.knobs.beta2 or config.optim.g.betas[1])
        self.g_opt = Adam(self.G.parameters(), config.knobs.g_lr, betas)
        self.d_opt = Adam(self.D.parameters(), config.knobs.d_lr, betas)
        self.z_dim, self.gamma = config.nets.z_dim, config.knobs.r1


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
