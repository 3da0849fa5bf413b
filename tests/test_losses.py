"""Losses against values by hand, PyTorch's cross entropy, known optima, and the mistakes of teaching texts."""

import math
from typing import get_args

import pytest
import torch
from torch import tensor
from torch.nn.functional import binary_cross_entropy_with_logits
from torch.testing import assert_close

from equipoise.errors import ConfigError
from equipoise.knobs import LossName
from equipoise.losses import (
    LOSSES,
    class_cross_entropy,
    cross_entropy,
    data_to_data,
    hinge,
    least_squares,
    minimax,
    nonsaturating,
    relativistic,
    smoothed,
    wasserstein,
)

A = math.log(3)  # sigmoid(A) = 3/4, sigmoid(-A) = 1/4
ALL = {**LOSSES, "pearson": least_squares(-1, 1, 0)}
LABELLED = {name: loss for name, loss in ALL.items() if loss.label_loss}

every_loss = pytest.mark.parametrize("loss", ALL.values(), ids=ALL.keys())
every_labelled_loss = pytest.mark.parametrize("loss", LABELLED.values(), ids=LABELLED.keys())


def logits(n, seed=0):
    return 3 * torch.randn(n, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def bce(logits, label):
    return binary_cross_entropy_with_logits(logits, torch.full_like(logits, label), reduction="none")


@pytest.mark.parametrize(
    ("loss", "real", "fake", "d", "g"),
    [
        (minimax, A, -A, 2 * math.log(4 / 3), math.log(3 / 4)),
        (minimax, -A, 0, math.log(4) + math.log(2), math.log(1 / 2)),
        (nonsaturating, A, -A, 2 * math.log(4 / 3), math.log(4)),
        (nonsaturating, -A, 0, math.log(4) + math.log(2), math.log(2)),
        (wasserstein, 0.5, -2, -2.5, 2),
        (wasserstein, -1, 0.25, 1.25, -0.25),
        (hinge, 0.5, -2, 0.5, 2),
        (hinge, -1, 0.25, 3.25, -0.25),
        (relativistic, A, -A, math.log(10 / 9), math.log(10)),
        (relativistic, -A, 0, math.log(4), math.log(4 / 3)),
        (least_squares(), 0.5, -2, 2.125, 4.5),
        (least_squares(), -1, 0.25, 2.03125, 0.28125),
        (least_squares(-1, 1, 0), 0.5, -2, 0.625, 2),
        (least_squares(-1, 1, 0), -1, 0.25, 2.78125, 0.03125),
    ],
)
def test_losses_have_the_values_of_their_papers(loss, real, fake, d, g):
    real, fake = tensor([real], dtype=torch.float64), tensor([fake], dtype=torch.float64)
    assert loss.discriminator(real, fake).item() == pytest.approx(d)
    assert loss.generator(real, fake).item() == pytest.approx(g)


@pytest.mark.parametrize("loss", [minimax, nonsaturating], ids=["minimax", "nonsaturating"])
def test_D_of_the_logistic_losses_minimises_cross_entropy(loss):
    real, fake = logits(9), logits(9, seed=1)
    assert_close(loss.discriminator(real, fake), bce(real, 1) + bce(fake, 0))


def test_G_minimises_the_cross_entropy_of_flipped_labels_or_maximises_that_of_the_true_ones():
    fake = logits(9)
    assert_close(nonsaturating.generator(fake, fake), bce(fake, 1))
    assert_close(minimax.generator(fake, fake), -bce(fake, 0))


def test_relativistic_is_the_cross_entropy_of_the_difference():
    real, fake = logits(9), logits(9, seed=1)
    assert_close(relativistic.discriminator(real, fake), bce(real - fake, 1))
    assert_close(relativistic.generator(real, fake), bce(fake - real, 1))


@pytest.mark.parametrize("label", [0.0, 0.1, 0.5, 0.9, 1.0])
def test_cross_entropy_takes_soft_labels(label):
    x = logits(9)
    assert_close(cross_entropy(x, label), bce(x, label))


@pytest.mark.parametrize(("p", "q"), [(0.5, 0.5), (0.9, 0.1), (0.02, 0.98)])
@pytest.mark.parametrize(
    ("loss", "best"),
    [
        (minimax, lambda p, q: math.log(p / q)),  # Goodfellow et al. 2014, proposition 1
        (nonsaturating, lambda p, q: math.log(p / q)),
        (least_squares(), lambda p, q: p / (p + q)),  # Mao et al. 2017, eq. 5
        (least_squares(-1, 1, 0), lambda p, q: (p - q) / (p + q)),
    ],
    ids=["minimax", "nonsaturating", "least-squares", "pearson"],
)
def test_the_best_D_answers_with_the_ratio_of_the_densities(loss, best, p, q):
    real = tensor(best(p, q), dtype=torch.float64, requires_grad=True)
    fake = real.detach().clone().requires_grad_()
    loss.discriminator(real, fake).backward()
    assert p * real.grad.item() + q * fake.grad.item() == pytest.approx(0, abs=1e-12)
    assert abs(real.grad.item()) > 1e-3


def step(x):
    return 0.5 if x == 0 else float(x > 0)


SLOPES = {  # dD/dreal, dD/dfake, dG/dfake far out
    "minimax": lambda r, f: (-step(-r), step(f), -step(f)),
    "nonsaturating": lambda r, f: (-step(-r), step(f), -step(-f)),
    "least-squares": lambda r, f: (r - 1, f, f - 1),
    "pearson": lambda r, f: (r - 1, f + 1, f),
    "wasserstein": lambda r, f: (-1, 1, -1),
    "hinge": lambda r, f: (-step(-r), step(f), -1),
    "relativistic": lambda r, f: (-step(f - r), step(f - r), -step(r - f)),
}


@pytest.mark.parametrize("r", [-1e4, 1e4])
@pytest.mark.parametrize("f", [-1e4, 1e4])
@pytest.mark.parametrize("name", ALL)
def test_losses_are_finite_and_their_slopes_right_at_extreme_logits(name, r, f):
    real, fake = tensor(r, requires_grad=True), tensor(f, requires_grad=True)
    d, g = ALL[name].discriminator(real, fake), ALL[name].generator(real.detach(), fake)
    slopes = (*torch.autograd.grad(d, (real, fake)), *torch.autograd.grad(g, fake))
    assert torch.isfinite(torch.stack([d, g])).all()
    assert [float(s) for s in slopes] == pytest.approx(SLOPES[name](r, f))


def test_the_log_of_a_sigmoid_overflows_where_ours_does_not():
    assert torch.isinf(-tensor(-1e4).sigmoid().log())
    assert nonsaturating.generator(tensor(0.0), tensor(-1e4)).item() == pytest.approx(1e4)


@every_loss
@pytest.mark.parametrize("shape", [(8, 1), (2, 1, 2, 2)])
def test_a_PatchGAN_map_is_judged_patch_by_patch(loss, shape):
    real, fake = logits(8), logits(8, seed=1)
    for player in (loss.discriminator, loss.generator):
        assert_close(player(real.view(shape), fake.view(shape)), player(real, fake).view(shape), rtol=0, atol=0)


@every_loss
def test_only_the_relativistic_loss_is_the_same_for_logits_that_drift_together(loss):
    real, fake = logits(8), logits(8, seed=1)
    d_same = torch.allclose(loss.discriminator(real + 5, fake + 5), loss.discriminator(real, fake))
    g_same = torch.allclose(loss.generator(real + 5, fake + 5), loss.generator(real, fake))
    assert g_same == loss.relativistic
    assert d_same == (loss in (relativistic, wasserstein))  # a critic has no zero, but its generator sees one


@every_loss
def test_G_looks_at_reals_only_where_the_loss_says_so(loss):
    real, fake = logits(8), logits(8, seed=1)
    assert torch.equal(loss.generator(real, fake), loss.generator(real + 1, fake)) != loss.relativistic


@every_loss
def test_each_player_pulls_the_fake_logits_its_own_way(loss):
    real, fake = torch.zeros(1), torch.full((1,), 0.5).requires_grad_()
    if loss is ALL["pearson"]:
        fake = torch.full((1,), -0.5).requires_grad_()
    (d,) = torch.autograd.grad(loss.discriminator(real, fake), fake)
    (g,) = torch.autograd.grad(loss.generator(real, fake), fake)
    assert d > 0 > g


@every_labelled_loss
def test_D_labels_reals_1_and_fakes_0(loss):
    real, fake = logits(8), logits(8, seed=1)
    assert_close(loss.label_loss(real, 1) + loss.label_loss(fake, 0), loss.discriminator(real, fake))


@pytest.mark.parametrize(("s", "t"), [(0.1, 0.0), (0.0, 0.1), (0.2, 0.3)])
@pytest.mark.parametrize("loss", [minimax, nonsaturating], ids=["minimax", "nonsaturating"])
def test_label_smoothing_is_cross_entropy_with_soft_targets(loss, s, t):
    real, fake = logits(8), logits(8, seed=1)
    soft = smoothed(loss, s, t)
    assert_close(soft.discriminator(real, fake), bce(real, 1 - s) + bce(fake, t))
    assert not torch.allclose(soft.discriminator(real, fake), loss.discriminator(real, fake))
    assert soft.generator is loss.generator


@pytest.mark.parametrize(
    ("loss", "real_target", "fake_target"),
    [(least_squares(), 0.9, 0.05), (least_squares(-1, 1, 0), 0.8, -0.9)],
)
def test_label_smoothing_moves_the_targets_of_least_squares(loss, real_target, fake_target):
    real, fake = logits(8), logits(8, seed=1)
    expected = ((real - real_target) ** 2 + (fake - fake_target) ** 2) / 2
    assert_close(smoothed(loss, real=0.1, fake=0.05).discriminator(real, fake), expected)


@every_loss
def test_no_smoothing_is_no_change(loss):
    assert smoothed(loss) is loss


@pytest.mark.parametrize("loss", [wasserstein, hinge, relativistic], ids=["wasserstein", "hinge", "relativistic"])
def test_a_loss_without_labels_cannot_be_smoothed(loss):
    with pytest.raises(ConfigError, match="a loss whose D answers with labels"):
        smoothed(loss, real=0.1)


@pytest.mark.parametrize(("s", "t"), [(-0.1, 0), (0, -0.1), (0.5, 0.5), (1, 0), (0.7, 0.6)])
def test_smoothed_labels_must_not_cross(s, t):
    with pytest.raises(ConfigError, match="sum below 1"):
        smoothed(minimax, s, t)


@pytest.mark.parametrize(("a", "b", "c"), [(0, 1, 0), (-1, 1, -1), (2, -1, 2)])
def test_least_squares_that_rewards_G_for_the_label_of_a_fake_is_refused(a, b, c):
    with pytest.raises(ConfigError, match="no incentive"):
        least_squares(a, b, c)


def test_least_squares_with_one_label_for_both_is_refused():
    with pytest.raises(ConfigError, match="nothing to tell apart"):
        least_squares(1, 1, 0)


@pytest.mark.parametrize(("a", "b", "c"), [(-1, 1, 0), (0, 1, 1)])
def test_least_squares_with_the_targets_of_the_paper_pulls_fakes_away_from_their_label(a, b, c):
    fake = tensor(float(a), requires_grad=True)
    (slope,) = torch.autograd.grad(least_squares(a, b, c).generator(fake, fake), fake)
    assert slope.item() == a - c


def test_wasserstein_reaches_both_reals_and_fakes_with_opposite_signs():
    def with_labels_1_and_0(real, fake):
        return -(1 * real + 0 * fake)

    for loss, fake_slope in ((wasserstein.discriminator, 1), (with_labels_1_and_0, 0)):
        real, fake = logits(4).requires_grad_(), logits(4, seed=1).requires_grad_()
        slopes = torch.autograd.grad(loss(real, fake).sum(), (real, fake))
        assert_close(slopes[0], torch.full_like(real, -1))
        assert_close(slopes[1], torch.full_like(fake, fake_slope))


def test_every_name_of_a_loss_has_one():
    assert set(LOSSES) == set(get_args(LossName))


def test_the_loss_of_a_class_is_the_cross_entropy_of_products():
    evidence, classes = tensor([[1.0, 2], [0, -1]]), tensor([[A, 0.0], [0, 0], [0, 0]])
    assert_close(class_cross_entropy(evidence, classes, tensor([0, 2])), tensor([math.log(5 / 3), math.log(3)]))


def on_circle(*degrees):
    angle = torch.deg2rad(tensor(degrees, dtype=torch.float64))
    return torch.stack([angle.cos(), angle.sin()], 1)


def test_data_to_data_by_hand():
    """Samples at 0, 60 and 90 degrees, the second of another class; proxies at 0 and 60 degrees: cosines of 1/2 and
    sqrt(3)/2 between samples of different classes, of 1, 1 and 0 to the proxies."""
    loss = data_to_data(on_circle(0, 60, 90), on_circle(0, 60), tensor([0, 1, 0]))
    near, nearer = (0.5 - 0.02) / 0.5, (math.sqrt(3) / 2 - 0.02) / 0.5
    by_hand = [
        math.log(1 + math.exp(near)),  # its own proxy is nearer than the margin asks for
        math.log(1 + math.exp(near) + math.exp(nearer)),
        0.98 / 0.5 + math.log(math.exp(-0.98 / 0.5) + math.exp(nearer)),
    ]
    assert_close(loss, tensor(by_hand, dtype=torch.float64))


def test_samples_of_one_class_do_not_repel_each_other_nor_do_those_at_right_angles():
    assert data_to_data(on_circle(0, 0, 5), on_circle(0), tensor([0, 0, 0])).abs().max() < 1e-12
    evidence = on_circle(0, 90).requires_grad_()
    (slope,) = torch.autograd.grad(data_to_data(evidence, on_circle(0, 90), tensor([0, 1])).sum(), evidence)
    assert (slope == 0).all()
