"""How players stand, on nets whose answer can be written down, and what a look leaves behind: nothing."""

import copy
from contextlib import nullcontext

import pytest
import torch
from torch import nn

from equipoise.ema import EMA
from equipoise.games.gan import GAN
from equipoise.knobs import Knobs
from equipoise.probes.players import STEP, Bench, at_rest, auc, mean_logit, standing, steepness
from equipoise.streams import Stream

N, Z = 16, 3


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


class Linear(nn.Module):
    """G(z) = A z + b, or D(x) = w . x."""

    def __init__(self, weight, bias=0.0):
        super().__init__()
        self.w, self.b = nn.Parameter(weight), nn.Parameter(torch.tensor(bias))

    def forward(self, x, y):
        found = x.flatten(1) @ self.w.T + self.b
        return found.squeeze(1) if len(self.w) == 1 else found


class Square(nn.Module):
    """D(x) = c |x|^2, whose slope is 2 c x."""

    def __init__(self, c):
        super().__init__()
        self.c = nn.Parameter(torch.tensor(c))

    def forward(self, x, y):
        return self.c * x.flatten(1).square().sum(1)


class Patch(nn.Module):
    """A map of logits for each image."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(2, 1, 3, padding=1)

    def forward(self, x, y):
        return self.conv(x)[:, 0]


class Noisy(nn.Module):
    """With all that a look could disturb: statistics of batches, and random numbers."""

    def __init__(self, inputs, outputs):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(inputs, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.5))
        self.head = nn.Linear(8, outputs)

    def forward(self, x, y):
        found = self.head(self.body(x))
        return found.squeeze(1) if found.shape[1] == 1 else found


def game(G, D, **more):
    optimizers = (torch.optim.SGD(net.parameters(), lr=1) for net in (G, D))
    return GAN(G, D, *optimizers, EMA(G), Z, Stream(0, "latents"), Stream(0, "chords"), Knobs(), **more)


def bench(train, held_out, step=None):
    y = torch.zeros(len(train), dtype=torch.long)
    return Bench(
        (train, y), (held_out, y), normal(len(train), Z, seed=7), y, normal(N, Z, seed=8) if step is None else step
    )


def auc_by_hand(high, low):
    return sum((h > one) + (h == one) / 2 for h in high for one in low) / (len(high) * len(low))


@pytest.mark.parametrize("values", [3, 5, 1000])
@pytest.mark.parametrize(("n", "m"), [(1, 1), (7, 7), (12, 5), (5, 20)])
def test_auc_is_the_share_of_pairs(values, n, m):
    """Few values have many ties."""
    g = torch.Generator().manual_seed(n)
    high, low = (torch.randint(values, (k,), generator=g).float() for k in (n, m))
    assert auc(high, low) == pytest.approx(auc_by_hand(high.tolist(), low.tolist()))
    assert auc(high, low) + auc(low, high) == pytest.approx(1)


def test_auc_at_its_ends():
    x = torch.arange(5.0)
    assert auc(x + 10, x) == 1
    assert auc(x, x + 10) == 0
    assert auc(x, x) == auc(torch.ones(3), torch.ones(4)) == 0.5


@pytest.mark.parametrize("shape", [(3,), (2, 4, 4)])
def test_the_steepness_of_a_linear_D_is_the_norm_of_its_weights(shape):
    x = normal(N, *shape)
    D = Linear(normal(1, x[0].numel(), seed=1))
    found = steepness(game(Linear(normal(3, Z)), D), x, torch.zeros(N).long())
    assert float(found) == pytest.approx(float(D.w.detach().norm()), rel=1e-5)


def test_the_steepness_is_the_root_of_the_mean_square():
    x = normal(N, 3)
    found = steepness(game(Linear(normal(3, Z)), Square(0.5)), x, torch.zeros(N).long())
    assert float(found) == pytest.approx(float(x.square().sum(1).mean().sqrt()))
    assert not x.requires_grad


def test_the_steepness_at_reals_over_that_at_fakes():
    G, held_out = Linear(normal(3, Z, seed=2)), 4 * normal(N, 3, seed=4)
    players = game(G, Square(0.5))
    at = bench(normal(N, 3, seed=3), held_out)
    fake = (at.z @ G.w.T).detach()
    expected = held_out.square().sum(1).mean().sqrt() / fake.square().sum(1).mean().sqrt()
    assert standing(players, at)["input_grad_ratio"] == pytest.approx(float(expected))


@pytest.mark.parametrize("scale", [0.01, 1, 100])
def test_the_sensitivity_of_a_linear_G(scale):
    """G(z + s step) - G(z) = s A step, over the distance of each fake to the one before it."""
    A, step = scale * normal(3, Z, seed=2), normal(N, Z, seed=8)
    at = bench(normal(N, 3, seed=3), normal(N, 3, seed=4), step)
    fake = at.z @ A.T
    apart = sum(float((fake[i] - fake[i - 1]).norm()) for i in range(N)) / N
    expected = float((step @ A.T).norm(dim=1).mean()) / apart
    found = standing(game(Linear(A, bias=5.0), Linear(normal(1, 3))), at)["sensitivity"]
    assert found == pytest.approx(expected, rel=2e-3), "STEP is small, so that rounding counts"
    assert STEP < 0.1


def test_a_G_that_ignores_its_latents_is_not_sensitive():
    found = standing(game(Linear(torch.zeros(3, Z)), Linear(normal(1, 3))), bench(normal(N, 3), normal(N, 3, seed=1)))
    assert found["sensitivity"] == 0
    assert all(torch.isfinite(torch.tensor(value)) for value in found.values())


def test_a_D_without_slope_at_fakes_has_a_finite_ratio():
    found = standing(game(Linear(torch.zeros(3, Z)), Square(1.0)), bench(normal(N, 3), normal(N, 3, seed=1)))
    assert found["input_grad_ratio"] > 1e20
    assert torch.isfinite(torch.tensor(found["input_grad_ratio"]))


def test_a_D_that_knows_its_data_and_tells_fakes():
    """D(x) = x_0; fakes are at 0."""
    D = Linear(torch.tensor([[1.0, 0, 0]]))
    level = torch.tensor([1.0, 0, 0])
    players = game(Linear(torch.zeros(3, Z)), D)
    found = standing(players, bench(normal(N, 3) + 50 * level, normal(N, 3, seed=1) + 20 * level))
    assert (found["d_auc"], found["d_tells"]) == (1, 1)
    gap = normal(N, 3)[:, 0].mean() + 30 - normal(N, 3, seed=1)[:, 0].mean()
    assert found["d_gap"] == pytest.approx(float(gap), rel=1e-5)
    found = standing(players, bench(normal(N, 3), normal(N, 3)))
    assert (found["d_auc"], found["d_gap"]) == (0.5, 0)
    assert standing(players, bench(normal(N, 3), normal(N, 3) - 20 * level))["d_tells"] == 0


def test_logits_of_patches_are_averaged_for_each_image():
    maps = normal(4, 1, 3, 3)
    assert mean_logit(maps).tolist() == pytest.approx([float(one.mean()) for one in maps])
    assert mean_logit(normal(4, 1)).shape == mean_logit(normal(4)).shape == (4,)
    assert mean_logit(normal(4).bfloat16()).dtype == torch.float32


def test_a_D_of_patches_stands_as_one_of_images():
    class Mean(nn.Module):
        def __init__(self, net):
            super().__init__()
            self.net = net

        def forward(self, x, y):
            return self.net(x, y).flatten(1).mean(1)

    class Images(nn.Module):
        def __init__(self):
            super().__init__()
            self.linear = nn.Linear(Z, 32)

        def forward(self, z, y):
            return self.linear(z).view(-1, 2, 4, 4)

    torch.manual_seed(0)
    G, D = Images(), Patch()
    at = bench(normal(N, 2, 4, 4), normal(N, 2, 4, 4, seed=1))
    assert standing(game(G, D), at) == pytest.approx(standing(game(G, Mean(D)), at))


def mixed_modes(net):
    """Some layers at rest, some not: as somebody may have set them."""
    net.train()
    net.body[1].eval()
    return net


@pytest.mark.parametrize("training", [True, False])
def test_a_look_leaves_nothing_behind(training):
    torch.manual_seed(0)
    players = game(Noisy(Z, 3).train(training), Noisy(3, 1).train(training))
    for net in (players.G, players.D):
        for p in net.parameters():
            p.grad = torch.ones_like(p)
    for p in players.D.head.parameters():
        p.requires_grad_(False)
    before = copy.deepcopy({"G": players.G, "D": players.D})
    at = bench(normal(N, 3), normal(N, 3, seed=1))
    asked = copy.deepcopy(at)
    state, drawn, seen = torch.get_rng_state(), players.drawn, players.seen

    first, second = standing(players, at), standing(players, at)

    assert first == second
    assert torch.equal(torch.get_rng_state(), state)
    assert (players.drawn, players.seen) == (drawn, seen)
    for name, was in before.items():
        now = players.networks()[name]
        assert all(torch.equal(a, b) for a, b in zip(was.state_dict().values(), now.state_dict().values(), strict=True))
        for a, b in zip(was.parameters(), now.parameters(), strict=True):
            assert torch.equal(b.grad, torch.ones_like(b)) and a.requires_grad == b.requires_grad
        assert [layer.training for layer in was.modules()] == [layer.training for layer in now.modules()]
    assert torch.equal(at.train[0], asked.train[0]) and torch.equal(at.z, asked.z)
    assert not any(x.requires_grad for x in (at.train[0], at.held_out[0], at.z))


def test_layers_are_left_in_the_modes_that_they_had():
    net = mixed_modes(Noisy(Z, 3))
    before = [layer.training for layer in net.modules()]
    with at_rest(net):
        assert not any(layer.training for layer in net.modules())
    assert [layer.training for layer in net.modules()] == before
    with pytest.raises(RuntimeError), at_rest(net):
        raise RuntimeError
    assert [layer.training for layer in net.modules()] == before


def test_a_look_inside_no_grad_is_the_same():
    players = game(Linear(normal(3, Z)), Square(0.5))
    at = bench(normal(N, 3), normal(N, 3, seed=1))
    with torch.no_grad():
        inside = standing(players, at)
    assert inside == standing(players, at)
    assert all(isinstance(value, float) for value in inside.values())


def test_the_nets_are_asked_in_the_precision_of_the_game():
    asked = []

    def precision():
        asked.append(True)
        return nullcontext()

    standing(game(Linear(normal(3, Z)), Square(0.5), precision=precision), bench(normal(N, 3), normal(N, 3, seed=1)))
    assert asked
