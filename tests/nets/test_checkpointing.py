"""Blocks that are worked out again: the same gradients, R1 and R2 included, the same state, and less that is kept."""

from weakref import WeakSet

import pytest
import torch
from torch import randn
from torch.nn.functional import softplus
from torch.testing import assert_close

from equipoise import build
from equipoise.config import R3GAN, ResNet
from equipoise.nets.checkpointing import AsBefore, recomputed
from equipoise.penalties import scored, scored_by_euler

NETS = {
    "r3gan": R3GAN(z_dim=24, width=16, blocks=2, conditioning="projection"),
    "sngan": ResNet(z_dim=24, g_width=4, d_width=4, conditioning="projection"),
    "biggan": ResNet(
        z_dim=24, g_width=4, d_width=4, g_norm="batch+spectral", conditioning="projection", embedding="shared",
        skip_z=True, attention=8,
    ),
}  # fmt: skip
Y = torch.arange(4) % 3


@pytest.fixture(autouse=True)
def _seeded():
    torch.manual_seed(0)


def players(name, checkpointing, size=16):
    nets = NETS[name].model_copy(update={"checkpointing": checkpointing})
    G, D = build.networks(nets, build.Form((3, size, size), 3), seed=0)
    for p in (*G.parameters(), *D.parameters()):
        torch.nn.init.normal_(p, 0, 0.2, generator=torch.Generator().manual_seed(0))  # nothing stays at zero
    return G.double(), D.double()


def asked(D, x, euler):
    """Logits and squared slopes."""
    return scored_by_euler(D, lambda x: 0.7 * x, x, Y) if euler else scored(lambda x: D(x, Y), x)


def played(name, checkpointing, euler=False, rounds=2):
    """Gradients of both players with R1 and R2, and the state of both after some rounds."""
    G, D = players(name, checkpointing)
    torch.manual_seed(0)
    gradients = []
    for _ in range(rounds):
        fake, real = G(randn(4, 24).double(), Y), randn(4, 3, 16, 16).double()
        (real_logits, r1), (fake_logits, r2) = (asked(D, x.detach().requires_grad_(), euler) for x in (real, fake))
        d_loss = softplus(fake_logits - real_logits).mean() + 0.3 * (r1 + r2).mean()
        gradients += torch.autograd.grad(d_loss, [*D.parameters()], materialize_grads=True)
        gradients += torch.autograd.grad(softplus(-D(fake, Y)).mean(), [*G.parameters()])
    return gradients, [*G.state_dict().values(), *D.state_dict().values()]


def apart(some, others):
    """The largest distance between tensors of two lists, relative to their length."""
    return max(float((a - b).norm() / (b.norm() + 1e-12)) for a, b in zip(some, others, strict=True) if b.ndim)


@pytest.mark.parametrize(("name", "euler"), [("r3gan", True), ("r3gan", False), ("sngan", False), ("biggan", False)])
def test_gradients_with_R1_and_R2_and_the_state_of_norms_are_those_of_what_is_kept(name, euler):
    gradients, state = played(name, False, euler)
    again, state_again = played(name, True, euler)
    assert all(g.any() for g in gradients if g.ndim > 1)
    for a, b in zip([*again, *state_again], [*gradients, *state], strict=True):
        assert_close(a, b)


def test_without_their_memory_the_norms_would_make_other_gradients(monkeypatch):
    """The control: each recomputation would iterate spectral norm once more, and gather statistics again."""
    gradients, state = played("biggan", False)
    monkeypatch.setattr(AsBefore, "turn", lambda *args, **more: None)
    again, state_again = played("biggan", True)
    assert apart(again, gradients) > 1e-3
    assert apart(state_again, state) > 1e-3


class Saved:
    def __init__(self, x):
        self.x = x


def kept_bytes(make):
    """What the graph of `make()` keeps alive once it is made, each storage once."""
    alive = WeakSet()

    def packed(x):
        saved = Saved(x)
        alive.add(saved)
        return saved

    with torch.autograd.graph.saved_tensors_hooks(packed, lambda saved: saved.x):
        graph = make()
    sizes = {saved.x.untyped_storage().data_ptr(): saved.x.untyped_storage().nbytes() for saved in alive}
    assert graph is not None
    return sum(sizes.values())


@pytest.mark.parametrize("name", NETS)
def test_G_keeps_less_for_its_step(name):
    kept, again = (players(name, checkpointing, 32)[0] for checkpointing in (False, True))
    z = randn(4, 24).double()
    weights = sum(p.nbytes for p in kept.parameters())
    assert kept_bytes(lambda: again(z, Y)) - weights < 0.5 * (kept_bytes(lambda: kept(z, Y)) - weights)


@pytest.mark.parametrize(("name", "euler"), [("r3gan", True), ("r3gan", False), ("biggan", False)])
def test_D_keeps_less_for_its_step_with_R1(name, euler):
    kept, again = (players(name, checkpointing, 32)[1] for checkpointing in (False, True))
    x = randn(4, 3, 32, 32).double().requires_grad_()
    weights = sum(p.nbytes for p in kept.parameters())
    less, all_of_it = (kept_bytes(lambda D=D: asked(D, x, euler)) - weights for D in (again, kept))
    assert less < 0.6 * all_of_it


def test_without_a_graph_nothing_is_worked_out_again():
    calls = []
    net = torch.nn.Sequential(torch.nn.Linear(3, 3), torch.nn.Tanh())
    net[0].register_forward_hook(lambda *args: calls.append(1))
    with torch.no_grad():
        recomputed(net, randn(2, 3))
    assert len(calls) == 1
    recomputed(net, randn(2, 3)).sum().backward()
    assert len(calls) == 3


def test_what_is_worked_out_again_is_in_the_precision_of_the_first_time():
    kinds = []
    net = torch.nn.Sequential(torch.nn.Linear(3, 3), torch.nn.Tanh())
    net[0].register_forward_hook(lambda layer, x, y: kinds.append(y.dtype))
    with torch.autocast("cpu", torch.bfloat16):
        y = recomputed(net, randn(2, 3))
    y.float().sum().backward()
    assert kinds == [torch.bfloat16, torch.bfloat16]
