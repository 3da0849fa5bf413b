"""The Frechet distance against closed forms, and against mpmath where double precision is not enough."""

import mpmath
import pytest
import torch

from equipoise.errors import DataError
from equipoise.metrics import Moments, frechet_at_infinity, frechet_distance
from equipoise.metrics.frechet import frechet


def gauss(n, d, seed=0):
    return torch.randn(n, d, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def rotation(d, seed=0):
    return torch.linalg.qr(gauss(d, d, seed)).Q


def with_moments(n, mean, root, seed=0):
    """Samples [n, d] whose mean and unbiased covariance are exactly `mean` and root^T root."""
    x = gauss(n, len(mean), seed)
    white = torch.linalg.qr(x - x.mean(0)).Q * (n - 1) ** 0.5
    return mean + (white - white.mean(0)) @ root


def by_mpmath(mean1, cov1, mean2, cov2):
    """tr (S1 S2)^1/2 as the sum of the roots of the eigenvalues of S1 S2, in 60 digits."""
    with mpmath.workdps(60):
        a, b = mpmath.matrix(cov1.tolist()), mpmath.matrix(cov2.tolist())
        eigenvalues = mpmath.eig(a * b, left=False, right=False)
        root = sum(mpmath.sqrt(abs(mpmath.re(value))) for value in eigenvalues)
        shift = sum((mpmath.mpf(x) - mpmath.mpf(y)) ** 2 for x, y in zip(mean1.tolist(), mean2.tolist(), strict=True))
        traces = sum(a[i, i] + b[i, i] for i in range(a.rows))
        return float(shift + traces - 2 * root)


@pytest.mark.parametrize(("n", "d", "scale"), [(400, 16, 1), (400, 16, 1e3), (400, 16, 1e-3), (30, 64, 1), (2, 8, 1)])
def test_equal_sets_are_at_distance_zero(n, d, scale):
    x = gauss(n, d) * scale + 5 * scale
    assert abs(frechet_distance(x, x, groups=0).value) < 1e-11 * scale**2 * d


def reflection(d, seed=0):
    """Orthogonal and full, in d^2 steps (Householder)."""
    v = gauss(1, d, seed)[0]
    return torch.eye(d, dtype=torch.float64) - 2 / (v @ v) * torch.outer(v, v)


def test_commuting_covariances_have_a_closed_form_at_2048_dimensions():
    """Of N(m1, Q a^2 Q^T) and N(m2, Q b^2 Q^T): |m1 - m2|^2 + sum (a - b)^2."""
    d = 2048
    q = reflection(d)
    a, b = torch.linspace(0.01, 3, d, dtype=torch.float64), torch.linspace(2, 0.5, d, dtype=torch.float64)
    mean = 0.1 * gauss(1, d, 1)[0]
    expected = mean.square().sum() + (a - b).square().sum()
    found = frechet(mean, (q * a**2) @ q.T, torch.zeros(d), (q * b**2) @ q.T)
    assert found == pytest.approx(float(expected), rel=1e-9)


@pytest.mark.parametrize("seed", range(3))
def test_samples_with_exact_moments_give_the_closed_form(seed):
    d = 24
    q, a, b = rotation(d, seed), gauss(1, d, seed + 1)[0].exp(), gauss(1, d, seed + 2)[0].exp()
    mean = gauss(2, d, seed + 3)
    real = with_moments(200, mean[0], a[:, None] * q.T, seed)
    fake = with_moments(90, mean[1], b[:, None] * q.T, seed + 9)
    expected = (mean[0] - mean[1]).square().sum() + (a - b).square().sum()
    assert frechet_distance(real, fake).value == pytest.approx(float(expected), rel=1e-10)


def test_a_shift_alone_is_its_squared_length():
    x = gauss(500, 12)
    assert frechet_distance(x, x + 2, groups=0).value == pytest.approx(12 * 4, rel=1e-10)


@pytest.mark.parametrize("spread", [1, 6, 12, 18])  # decades between the largest and the smallest eigenvalue
@pytest.mark.parametrize("same_axes", [True, False])
def test_ill_conditioned_covariances_against_mpmath(spread, same_axes):
    d = 10
    eigenvalues = torch.logspace(0, -spread, d, dtype=torch.float64)
    q, p = rotation(d), rotation(d, 0 if same_axes else 1)
    cov1, cov2 = (q * eigenvalues) @ q.T, (p * eigenvalues.flip(0)) @ p.T
    cov1, cov2 = (cov1 + cov1.T) / 2, (cov2 + cov2.T) / 2
    zero = torch.zeros(d, dtype=torch.float64)
    assert frechet(zero, cov1, zero, cov2) == pytest.approx(by_mpmath(zero, cov1, zero, cov2), rel=1e-6)


@pytest.mark.parametrize(("n1", "n2"), [(4, 5), (4, 40), (40, 3), (11, 10)])
def test_covariances_without_full_rank_against_mpmath(n1, n2):
    d = 10
    real, fake = gauss(n1, d), 1 + 2 * gauss(n2, d, 1)
    a, b = Moments.of(real), Moments.of(fake)
    expected = by_mpmath(a.mean, a.cov, b.mean, b.cov)
    assert frechet_distance(real, fake, groups=0).value == pytest.approx(expected, rel=1e-6)


def test_without_full_rank_the_trace_is_a_nuclear_norm_of_the_samples():
    """tr (S1 S2)^1/2 = |X1 X2^T|_* / sqrt((n1 - 1)(n2 - 1)) of centred samples: no covariance is formed."""
    real, fake = gauss(40, 300), 0.5 + gauss(60, 300, 1) @ (gauss(300, 300, 2) / 17)
    x, y = real - real.mean(0), fake - fake.mean(0)
    root = torch.linalg.svdvals(x @ y.T).sum() / (39 * 59) ** 0.5
    expected = (real.mean(0) - fake.mean(0)).square().sum() + x.square().sum() / 39 + y.square().sum() / 59 - 2 * root
    assert frechet_distance(real, fake, groups=0).value == pytest.approx(float(expected), rel=1e-9)


def test_features_that_never_vary():
    """A ReLU that never fires leaves rows of zeros in the covariance."""
    x = gauss(200, 6)
    padded = torch.cat([x, torch.zeros(200, 3)], 1)
    shifted = torch.cat([x + 1, torch.ones(200, 3)], 1)
    assert frechet_distance(padded, shifted).value == pytest.approx(9, rel=1e-9)
    assert frechet_distance(torch.zeros(9, 4), torch.ones(9, 4)).value == pytest.approx(4)


def test_float32_features_are_summed_in_float64():
    x = gauss(3000, 8).float() * 1e-2 + 100
    assert frechet_distance(x, x + 1, groups=0).value == pytest.approx(8, rel=1e-6)


def test_symmetric_and_blind_to_order_and_rotation():
    real, fake = gauss(200, 8), gauss(150, 8, 1) * 1.3 + 0.2
    value = frechet_distance(real, fake, groups=0).value
    q = rotation(8)
    assert frechet_distance(fake, real, groups=0).value == pytest.approx(value)
    assert frechet_distance(real.flip(0), fake.roll(3, 0), groups=0).value == pytest.approx(value)
    assert frechet_distance(real @ q, fake @ q, groups=0).value == pytest.approx(value)


@pytest.mark.parametrize("cut", [1, 50, 299])
def test_moments_of_parts_add_up_and_come_apart(cut):
    x = gauss(300, 5) * 3 + 7
    whole = Moments.of(x)
    for found in (Moments.of(x[:cut]) + Moments.of(x[cut:]), whole - Moments.of(x[:cut]) + Moments.of(x[:cut])):
        assert found.n == 300
        torch.testing.assert_close(found.mean, x.mean(0))
        torch.testing.assert_close(found.cov, x.T.cov())


def test_moments_of_many_blocks_are_those_of_numpy():
    x = gauss(9000, 3)
    torch.testing.assert_close(Moments.of(x).cov, x.T.cov(), rtol=1e-12, atol=1e-14)


def test_of_equal_distributions_it_falls_like_one_over_n():
    def mean(n):
        return sum(frechet_distance(gauss(n, 16, 2 * s), gauss(n, 16, 2 * s + 1), 0).value for s in range(20)) / 20

    assert mean(400) / mean(1600) == pytest.approx(4, rel=0.1)


def test_the_line_to_infinity_takes_most_of_the_bias_away():
    real = gauss(40_000, 8)
    fake = [gauss(1000, 8, 1 + s) * 1.1 for s in range(10)]
    truth = 8 * 0.1**2
    plain = sum(frechet_distance(real, x, 0).value for x in fake) / 10
    there = sum(frechet_at_infinity(real, x).value for x in fake) / 10
    assert abs(there - truth) < 0.4 * abs(plain - truth)
    with pytest.raises(DataError, match="80; 'fake' has 79"):
        frechet_at_infinity(real, fake[0][:79])
