"""The two-sample test must be silent on equal distributions and find small differences, of shape too."""

import pytest
import torch

from equipoise.errors import DataError
from equipoise.metrics import two_sample_test


def gauss(n, d=4, seed=0):
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed))


def test_equal_distributions_are_seldom_told_apart():
    found = [two_sample_test(gauss(100, seed=2 * s), gauss(100, seed=2 * s + 1)) for s in range(30)]
    assert sum(f.p_value < 0.05 for f in found) <= 5  # 1.5 are expected
    assert sum(f.accuracy.value for f in found) / 30 == pytest.approx(0.5, abs=0.025)
    assert 0.3 < sum(f.p_value for f in found) / 30 < 0.7


def test_a_shift_and_a_change_of_shape_are_found():
    for fake in (0.7 + gauss(400, seed=1), 1.8 * gauss(400, seed=1)):
        found = two_sample_test(gauss(400), fake)
        assert found.p_value < 1e-3
        assert 0.5 < found.accuracy.low < found.accuracy.value


def test_samples_that_are_plain_to_see_are_all_told():
    found = two_sample_test(gauss(100), 20 + gauss(100, seed=1))
    assert found.accuracy.value == 1
    assert found.p_value < 1e-10


def test_sets_of_different_size_have_no_majority():
    assert two_sample_test(gauss(600), gauss(100, seed=1)).accuracy.value == pytest.approx(0.5, abs=0.15)


def test_the_seed_decides():
    real, fake = gauss(100), gauss(100, seed=1)
    assert two_sample_test(real, fake) == two_sample_test(real, fake)


def test_a_handful_of_samples_is_refused():
    with pytest.raises(DataError, match="at least 20 samples; 'fake' has 19"):
        two_sample_test(gauss(50), gauss(19, seed=1))
