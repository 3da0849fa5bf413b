"""Penalties of networks whose gradient is known, and their own gradients against finite differences."""

import pytest
import torch
from torch import nn, randn
from torch.autograd import gradcheck
from torch.testing import assert_close

from equipoise.nets import r3gan
from equipoise.penalties import (
    clip_weights,
    consistency,
    input_gradient,
    l1,
    l2,
    lecam,
    mode_seeking,
    one_centered,
    orthogonal,
    path_lengths,
    scored_by_euler,
    zero_centered,
)  # fmt: skip


@pytest.fixture(autouse=True)
def _seeded():
    torch.manual_seed(0)


def asked(D, x):
    x = x.clone().requires_grad_()
    return x, D(x)


def test_r1_of_a_linear_D_is_its_squared_norm():
    w = randn(5)
    x, logits = asked(lambda x: x @ w + 3, randn(7, 5))
    assert_close(zero_centered(x, logits), w.square().sum().expand(7))


def test_r1_of_a_quadratic_D_grows_with_the_sample():
    a = randn(5, 5)
    a = a + a.T
    x, logits = asked(lambda x: (x @ a * x).sum(1) / 2, randn(7, 5))
    assert_close(zero_centered(x, logits), (x @ a).square().sum(1).detach())


def test_r1_of_a_constant_D_is_zero():
    x, logits = asked(lambda x: 0 * x.sum(1) + 2, randn(7, 5))
    assert_close(zero_centered(x, logits), torch.zeros(7))


def test_r1_sums_over_channels_and_pixels():
    w = randn(3, 4, 4)
    x, logits = asked(lambda x: (x * w).flatten(1).sum(1), randn(7, 3, 4, 4))
    assert_close(zero_centered(x, logits), w.square().sum().expand(7))


def test_r1_of_a_PatchGAN_is_that_of_the_sum_of_its_patches():
    conv = nn.Conv2d(3, 1, 4, stride=2)
    x, patches = asked(lambda x: conv(x).tanh(), randn(7, 3, 6, 6))
    assert patches.shape == (7, 1, 2, 2)
    flat, sums = asked(lambda x: conv(x).tanh().flatten(1).sum(1), x.detach())
    assert_close(zero_centered(x, patches), zero_centered(flat, sums))


def critic(norm):
    D = nn.Sequential(nn.Linear(5, 16), norm, nn.Tanh(), nn.Linear(16, 1), nn.Flatten(0))
    return lambda x: zero_centered(*asked(D, x))


@pytest.mark.parametrize("norm", [nn.Identity(), nn.LayerNorm(16)])
def test_r1_of_a_sample_does_not_depend_on_its_batch(norm):
    penalty, x = critic(norm), randn(8, 5)
    alone = torch.cat([penalty(row[None]) for row in x])
    assert_close(penalty(x), alone)
    assert_close(penalty(x.flip(0)), alone.flip(0))


def test_with_BatchNorm_r1_of_a_sample_depends_on_its_batch():
    penalty, x = critic(nn.BatchNorm1d(16)), randn(8, 5)
    among_others = torch.cat([x[:1], randn(7, 5)])
    assert abs(penalty(x)[0] - penalty(among_others)[0]) > 0.1 * penalty(x)[0]


@pytest.mark.parametrize("slope", [0.25, 1.0, 3.0])
@pytest.mark.parametrize("shape", [(5,), (3, 4, 4)])
def test_gp_of_a_linear_D_is_the_squared_distance_of_its_slope_from_one(slope, shape):
    w = randn(shape)
    w = slope * w / w.norm()
    real, fake = randn(2, 7, *shape)
    penalty = one_centered(lambda x: (x * w).flatten(1).sum(1), real, fake, torch.rand(7))
    assert_close(penalty, torch.full((7,), (slope - 1) ** 2), atol=1e-6, rtol=1e-5)


def test_gp_looks_between_real_and_fake():
    real, fake, t = randn(7, 5), randn(7, 5), torch.linspace(0, 1, 7)
    penalty = one_centered(lambda x: x.square().sum(1) / 2, real, fake, t)  # grad_x D = x
    place = (1 - t)[:, None] * real + t[:, None] * fake
    assert_close(penalty, (place.norm(dim=1) - 1) ** 2)
    assert_close(penalty[0], (real[0].norm() - 1) ** 2)
    assert_close(penalty[-1], (fake[-1].norm() - 1) ** 2)


def test_gp_sends_no_gradient_into_the_samples():
    real, fake = randn(7, 5, requires_grad=True), randn(7, 5, requires_grad=True)
    w = randn(5, requires_grad=True)
    one_centered(lambda x: (x @ w).tanh(), real, fake, torch.rand(7)).sum().backward()
    assert real.grad is None
    assert fake.grad is None
    assert w.grad.abs().sum() > 0


def test_input_gradient_of_each_sample_is_its_own():
    w = randn(7, 5)
    x, logits = asked(lambda x: (x * w).sum(1), randn(7, 5))
    assert_close(input_gradient(logits, x), w)


def test_gradients_of_the_penalties_match_finite_differences():
    x, fake, t = randn(3, 4).double(), randn(3, 4).double(), torch.rand(3).double()
    weights = (randn(4, 6).double().requires_grad_(), randn(6).double().requires_grad_())

    def r1(v, w):
        return zero_centered(*asked(lambda x: (x @ v).tanh() @ w, x))

    def gp(v, w):
        return one_centered(lambda x: (x @ v).tanh() @ w, x, fake, t)

    assert gradcheck(r1, weights)
    assert gradcheck(gp, weights)


def test_the_gradient_of_r1_of_a_linear_D_is_twice_its_weights():
    w = randn(5, requires_grad=True)
    x, logits = asked(lambda x: x @ w, randn(7, 5))
    (gradient,) = torch.autograd.grad(zero_centered(x, logits).mean(), w)
    assert_close(gradient, 2 * w.detach())


def test_l1_sums_absolute_values_and_its_gradient_is_the_sign():
    weights = [torch.tensor([[1.0, -2.0]]), torch.tensor([-0.5, 4.0])]
    for w in weights:
        w.requires_grad_()
    assert l1(weights).item() == 7.5
    assert [g.flatten().tolist() for g in torch.autograd.grad(l1(weights), weights)] == [[1, -1], [-1, 1]]


def test_l2_is_half_the_sum_of_squares_and_its_gradient_is_the_weight():
    weights = [torch.tensor([[1.0, -2.0]]), torch.tensor([-0.5, 4.0])]
    for w in weights:
        w.requires_grad_()
    assert l2(weights).item() == 10.625
    for g, w in zip(torch.autograd.grad(l2(weights), weights), weights, strict=True):
        assert_close(g, w.detach())


@pytest.mark.parametrize("shape", [(3, 7), (7, 3), (4, 4)])
def test_the_orthogonal_penalty_is_what_different_filters_overlap(shape):
    w = randn(shape, requires_grad=True)
    overlaps = [(a @ b) ** 2 for i, a in enumerate(w) for j, b in enumerate(w) if i != j]
    assert_close(orthogonal([w]), sum(overlaps))
    (ours,), (theirs,) = torch.autograd.grad(orthogonal([w, w]), w), torch.autograd.grad(2 * sum(overlaps), w)
    assert_close(ours, theirs, atol=1e-4, rtol=1e-4)


def test_the_orthogonal_penalty_is_nothing_for_orthogonal_filters_of_any_length_and_counts_parallel_ones_twice():
    assert orthogonal([torch.diag(torch.tensor([1.0, 2.0, 3.0]))]).item() == 0
    assert orthogonal([torch.tensor([[3.0, 0.0], [2.0, 0.0]])]).item() == 2 * 36


def test_clip_weights_projects_onto_the_box_and_leaves_the_inside_alone():
    w = nn.Parameter(torch.tensor([-3.0, -0.01, 0.0, 0.005, 0.02]))
    clip_weights([w], 0.01)
    assert_close(w.data, torch.tensor([-0.01, -0.01, 0.0, 0.005, 0.01]))
    assert w.requires_grad


def kinked(classes=0, bend=None):
    """R3GAN's D with biases and branches that do something."""
    D = r3gan.Discriminator((3, 8, 8), width=16, blocks=1, classes=classes)
    torch.manual_seed(0)
    for p in D.parameters():
        torch.nn.init.normal_(p, 0, 0.3)
    if bend is not None:
        D.down.insert(1, bend)
    return D.double()


def penalised(D, scored):
    """The logits, the squared slopes, and the gradient of a loss of both."""
    torch.manual_seed(1)
    x, y = torch.randn(5, 3, 8, 8, dtype=torch.double).requires_grad_(), torch.arange(5) % 3
    logits, slope2 = scored(D, x, y)
    loss = torch.nn.functional.softplus(-logits).mean() + 0.3 * slope2.mean()
    return logits, slope2, torch.autograd.grad(loss, [*D.parameters()], allow_unused=True)


def by_definition(augment):
    def scored(D, x, y):
        logits = D(augment(x), y)
        return logits, zero_centered(x, logits)

    return scored


def by_euler(augment):
    return lambda D, x, y: scored_by_euler(D, augment, x, y)


AUGMENTS = {"none": lambda x: x, "colours and a shift": lambda x: 0.7 * x.roll(1, 3) + 0.4}


@pytest.mark.parametrize("augment", AUGMENTS)
@pytest.mark.parametrize("classes", [0, 3])
def test_eulers_way_gives_the_logits_slopes_and_gradients_of_the_definition(classes, augment):
    D = kinked(classes)
    logits, slope2, gradients = penalised(D, by_definition(AUGMENTS[augment]))
    other_logits, other_slope2, other_gradients = penalised(D, by_euler(AUGMENTS[augment]))
    assert_close(other_logits, logits)
    assert_close(other_slope2, slope2)
    for a, b in zip(other_gradients, gradients, strict=True):
        assert_close(a, b)


def test_eulers_way_is_wrong_for_a_D_that_is_not_homogeneous():
    """The control: a tanh inside D is no kink, and the two ways part."""
    D = kinked(bend=torch.nn.Tanh())
    *_, gradients = penalised(D, by_definition(AUGMENTS["none"]))
    *_, other = penalised(D, by_euler(AUGMENTS["none"]))
    assert max((a - b).norm() / b.norm() for a, b in zip(other, gradients, strict=True)) > 1e-4


class Paths(nn.Module):
    """Styles are bent latents, images w_1 A_1 + w_2 A_2 + ..., which the class scales."""

    def __init__(self, layers, w_dim, pixels):
        super().__init__()
        self.layers = layers
        self.A = nn.Parameter(randn(layers, w_dim, pixels).double())
        self.scale = nn.Parameter(torch.ones(w_dim).double())

    def mapping(self, z, y):
        return (self.scale * z).tanh() * (y[:, None] + 1)

    def synthesis(self, w):
        return torch.einsum("blw,lwp->bp", w, self.A).view(len(w), 2, 3, -1)


@pytest.mark.parametrize("layers", [1, 5])
def test_the_paths_of_a_linear_synthesis_are_as_long_as_its_matrices_make_them(layers):
    G, noise = Paths(layers, 4, 2 * 3 * 3), randn(7, 2, 3, 3).double()
    lengths = path_lengths(G, randn(7, 4).double(), torch.arange(7), noise)
    slopes = torch.einsum("bp,lwp->blw", noise.flatten(1), G.A)
    assert_close(lengths, (slopes.square().sum(2).mean(1) / 9).sqrt())
    loss = (lengths - 1).square().sum()
    (gradient,) = torch.autograd.grad(loss, G.A)
    assert gradient.abs().sum() > 0


def test_the_mean_squared_length_is_the_squared_norm_of_the_derivative_by_pixel_and_layer():
    """E ||J^T n||^2 = ||J||^2 for white noise n: ten thousand draws."""
    G = Paths(3, 4, 2 * 3 * 3)
    noise = randn(10_000, 2, 3, 3).double()
    lengths = path_lengths(G, randn(1, 4).double().expand(10_000, -1), torch.zeros(10_000), noise)
    assert lengths.square().mean().item() == pytest.approx(G.A.square().sum().item() / (3 * 9), rel=0.03)


def test_a_generator_that_ignores_its_styles_has_paths_without_length_and_a_gradient_that_is_finite():
    G = Paths(2, 4, 18)
    nn.init.zeros_(G.A)
    lengths = path_lengths(G, randn(3, 4).double(), torch.zeros(3), randn(3, 2, 3, 3).double())
    assert lengths.max() < 1e-9
    (gradient,) = torch.autograd.grad((lengths - 1).square().sum(), G.A)
    assert torch.isfinite(gradient).all()


def test_lecam_fines_logits_beyond_the_level_of_the_others_by_hand():
    real, fake = torch.tensor([3.0, -2, 1]), torch.tensor([-4.0, 5, 1])
    fines = lecam(real, fake, real_level=torch.tensor(2.0), fake_level=torch.tensor(-1.0))
    assert_close(fines, torch.tensor([16.0 + 36, 0 + 0, 4 + 1]))


def test_consistency_and_mode_seeking_by_hand():
    assert_close(consistency(torch.tensor([1.0, 2]), torch.tensor([4.0, 2])), torch.tensor([9.0, 0]))
    assert mode_seeking(torch.tensor(0.5), torch.tensor(2.0)).item() == pytest.approx(4, rel=1e-4)
    assert mode_seeking(torch.tensor(0.0), torch.tensor(2.0)).item() == pytest.approx(1e5), "finite where G ignores z"
