from __future__ import annotations

import pytest
import torch
from torch import nn

from equipoise.probes.step import examined


def net(act: nn.Module) -> nn.Sequential:
    """Four units; the first two are off for every input, whatever the activation."""
    linear = nn.Linear(3, 4)
    with torch.no_grad():
        linear.bias.copy_(torch.tensor([-99.0, -99.0, 99.0, 99.0]))
    return nn.Sequential(linear, act)


@pytest.mark.parametrize("act", [nn.ReLU(), nn.LeakyReLU(0.2), nn.SiLU()], ids=lambda act: type(act).__name__)
def test_units_that_are_off_on_the_whole_batch_are_counted(act):
    G = net(act)
    with examined({"G": G}) as look:
        G(torch.randn(16, 3))
    assert look.signals()["g_dead"] == 0.5


def test_a_channel_is_dead_only_when_all_its_pixels_are():
    conv = nn.Conv2d(1, 2, 1)
    with torch.no_grad():
        conv.weight.copy_(torch.tensor([0.0, 1.0]).view(2, 1, 1, 1))
        conv.bias.copy_(torch.tensor([-1.0, 0.0]))
    D = nn.Sequential(conv, nn.ReLU())
    x = -torch.ones(4, 1, 5, 5)
    x[2, 0, 3, 3] = 1  # one pixel of one sample keeps the second channel alive
    with examined({"D": D}) as look:
        D(x)
    assert look.signals()["d_dead"] == 0.5


def test_the_update_ratio_is_the_change_over_the_weights():
    G = nn.Linear(2, 2, bias=False)
    with torch.no_grad():
        G.weight.copy_(torch.tensor([[3.0, 0.0], [0.0, 4.0]]))
    with examined({"G": G}) as look, torch.no_grad():
        G.weight.add_(0.5)
    assert look.signals()["g_update_ratio"] == pytest.approx(1 / 5)  # |(.5, .5, .5, .5)| = 1, |(3, 4)| = 5


def test_no_hook_stays_behind():
    G = net(nn.ReLU())
    with pytest.raises(RuntimeError), examined({"G": G}):
        raise RuntimeError
    assert not any(layer._forward_hooks for layer in G.modules())
