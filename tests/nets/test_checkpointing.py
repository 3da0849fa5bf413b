"""Blocks that are worked out again: the same bits, R1 and R2 included, the same state, and less that is kept."""

import pytest
import torch
from torch import randn
from torch.nn.functional import softplus

from equipoise import build
from equipoise.config import R3GAN, ResNet
from equipoise.nets.checkpointing import recomputed
from equipoise.penalties import scored, scored_by_euler

NETS = {
    "r3gan": R3GAN(z_dim=24, width=16, blocks=1, conditioning="projection"),
    "sngan": ResNet(z_dim=24, g_width=4, d_width=4, conditioning="projection"),
    "biggan": ResNet(
        z_dim=24, g_width=4, d_width=4, g_norm="batch+spectral", conditioning="projection", embedding="shared",
        skip_z=True, attention=8,
    ),
}  # fmt: skip
Y = torch.arange(4) % 3


def played(nets, checkpointing, euler, rounds=2):
    """Gradients of both players with R1 and R2, and the state of both after some rounds."""
    G, D = build.networks(nets.model_copy(update={"checkpointing": checkpointing}), build.Form((3, 16, 16), 3), seed=0)
    torch.manual_seed(0)
    for p in (*G.parameters(), *D.parameters()):
        torch.nn.init.normal_(p, 0, 0.2)  # nothing stays at zero
    judge = lambda x: D(x, Y)  # noqa: E731
    gradients = []
    for _ in range(rounds):
        fake, real = G(randn(4, 24), Y), randn(4, 3, 16, 16)
        pair = [x.detach().requires_grad_() for x in (real, fake)]
        (real_logits, r1), (fake_logits, r2) = (
            scored_by_euler(D, lambda x: 0.7 * x, x, Y) if euler else scored(judge, x) for x in pair
        )
        d_loss = softplus(fake_logits - real_logits).mean() + 0.3 * (r1 + r2).mean()
        gradients += torch.autograd.grad(d_loss, [*D.parameters()], materialize_grads=True)
        gradients += torch.autograd.grad(softplus(-judge(fake)).mean(), [*G.parameters()])
    return gradients, [*G.state_dict().values(), *D.state_dict().values()]


@pytest.mark.parametrize(("name", "euler"), [("r3gan", True), ("r3gan", False), ("sngan", False), ("biggan", False)])
def test_gradients_with_R1_and_R2_and_the_state_of_norms_have_the_bits_of_what_is_kept(name, euler):
    gradients, state = played(NETS[name], False, euler)
    again, state_again = played(NETS[name], True, euler)
    assert all(g.any() for g in gradients if g.ndim > 1)
    assert all(torch.equal(a, b) for a, b in zip(gradients, again, strict=True))
    assert all(torch.equal(a, b) for a, b in zip(state, state_again, strict=True))


def test_without_their_memory_the_norms_would_make_another_gradient(monkeypatch):
    """The control: torch's own checkpointing iterates spectral norm once more, and gathers statistics twice."""
    gradients, state = played(NETS["biggan"], False, False)
    monkeypatch.setattr("equipoise.nets.checkpointing.AsBefore.turn", lambda *args, **more: None)
    again, state_again = played(NETS["biggan"], True, False)
    assert not all(torch.equal(a, b) for a, b in zip(gradients, again, strict=True))
    assert not all(torch.equal(a, b) for a, b in zip(state, state_again, strict=True))


@pytest.mark.parametrize("name", NETS)
def test_G_keeps_less_for_its_step(name):
    assert bytes_kept(NETS[name].model_copy(update={"checkpointing": True})) < 0.5 * bytes_kept(NETS[name])


def bytes_kept(nets):
    """By G for its backward pass: each storage once, without the weights."""
    G, _ = build.networks(nets, build.Form((3, 32, 32), 3), seed=0)
    sizes = {}

    def packed(x):
        sizes[x.data_ptr()] = x.nbytes
        return x

    with torch.autograd.graph.saved_tensors_hooks(packed, lambda x: x):
        x = G(randn(4, 24), Y)
    assert x.requires_grad
    ours = {p.data_ptr() for p in G.parameters()}
    return sum(size for place, size in sizes.items() if place not in ours)


def test_without_a_graph_nothing_is_worked_out_again():
    calls = []
    net = torch.nn.Sequential(torch.nn.Linear(3, 3), torch.nn.Tanh())
    net[0].register_forward_hook(lambda *args: calls.append(1))
    with torch.no_grad():
        recomputed(net, randn(2, 3))
    assert len(calls) == 1
    recomputed(net, randn(2, 3)).sum().backward()
    assert len(calls) == 3
