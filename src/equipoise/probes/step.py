"""What one step of a game did to its players. To watch it changes nothing: the step gives the same bits."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn

RECTIFIERS = (nn.ReLU, nn.LeakyReLU, nn.SiLU)


class Examination:
    """What a step did to the weights and the units of each network."""

    def __init__(self, networks: Mapping[str, nn.Module]):
        self.networks = networks
        self.before = {name: flat(net) for name, net in networks.items()}
        self.silent: dict[str, dict[int, Tensor]] = {name: {} for name in networks}  # by layer: a mask of its units

    def signals(self) -> dict[str, Tensor]:
        """`g_update_ratio`: |change| / |weights|; `g_dead`: share of units that were off on a whole batch."""
        found: dict[str, Tensor] = {}
        for name, net in self.networks.items():
            before, now = self.before[name], flat(net)
            found[f"{name.lower()}_update_ratio"] = (now - before).norm() / before.norm()
            if masks := list(self.silent[name].values()):
                found[f"{name.lower()}_dead"] = torch.cat(masks).float().mean()
        return found


@contextmanager
def examined(networks: Mapping[str, nn.Module]) -> Iterator[Examination]:
    """Watches the steps made inside; the hooks are gone afterwards."""
    look = Examination(networks)
    hooks = [
        layer.register_forward_hook(watch(look.silent[name]))
        for name, net in networks.items()
        for layer in net.modules()
        if isinstance(layer, RECTIFIERS)
    ]
    try:
        yield look
    finally:
        for hook in hooks:
            hook.remove()


def watch(masks: dict[int, Tensor]):  # type: ignore[no-untyped-def]
    """A hook that notes which units (features, or channels) are at or below zero on every sample."""

    def hook(layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        off = (output.detach() <= 0).transpose(0, 1).flatten(1).all(1)  # [units]
        masks[id(layer)] = off

    return hook


@torch.no_grad()
def flat(net: nn.Module) -> Tensor:
    return torch.cat([p.flatten() for p in net.parameters()])
