"""Samples that fit no metric: every metric of features refuses them in up to three lines, with exit code 3."""

import pytest
import torch

from equipoise.errors import DataError
from equipoise.metrics import (
    birthday,
    copy_rate,
    copying_test,
    effective_rank,
    feature_std,
    frechet_distance,
    kernel_distance,
    pairwise_distance,
    prdc,
    sliced_distance,
    two_sample_test,
    vendi_score,
)


def gauss(n, d=4):
    return torch.randn(n, d, generator=torch.Generator().manual_seed(n))


OF_TWO = [birthday, frechet_distance, kernel_distance, prdc, sliced_distance, two_sample_test]
OF_THREE = [copy_rate, copying_test]
OF_ONE = [effective_rank, feature_std, pairwise_distance, vendi_score]


def refusal(metric, *samples):
    """The words in which the samples are refused."""
    with pytest.raises(DataError) as found:
        metric(*samples)
    assert found.value.exit_code == 3
    assert len(str(found.value).splitlines()) <= 3
    return str(found.value)


@pytest.mark.parametrize("metric", [*OF_ONE, *OF_TWO, *OF_THREE], ids=lambda metric: metric.__name__)
def test_features_that_are_no_finite_floats(metric):
    others = {1: [], 2: [gauss(300)], 3: [gauss(300)]}[1 if metric in OF_ONE else 2 if metric in OF_TWO else 3]
    more = [gauss(301)] if metric in OF_THREE else []
    assert "1 of 200 rows" in refusal(metric, *others, gauss(200).index_fill(0, torch.tensor([5]), float("nan")), *more)
    assert "200 of 200 rows" in refusal(metric, *others, torch.full((200, 4), -torch.inf), *more)
    assert "is int64" in refusal(metric, *others, torch.ones(200, 4, dtype=torch.long), *more)
    assert "takes features" in refusal(metric, *others, torch.rand(200, 1, 2, 2), *more)
    assert "has 1" in refusal(metric, *others, gauss(1), *more)
    assert "has 0" in refusal(metric, *others, gauss(0), *more)


@pytest.mark.parametrize("metric", [*OF_TWO, *OF_THREE], ids=lambda metric: metric.__name__)
def test_features_of_different_nets(metric):
    more = [gauss(301)] if metric in OF_THREE else []
    assert "of one dimension" in refusal(metric, gauss(300), gauss(200, 5), *more)


@pytest.mark.parametrize("change", [torch.Tensor.half, torch.Tensor.requires_grad_])
@pytest.mark.parametrize("metric", [frechet_distance, kernel_distance, prdc, sliced_distance, pairwise_distance])
def test_half_precision_and_gradients_are_read(metric, change):
    samples = [gauss(200)] if metric in OF_ONE else [gauss(200), gauss(300)]
    expected, found = metric(*samples), metric(*map(change, samples))
    if metric is prdc:
        expected, found = expected.density, found.density
    assert found.value == pytest.approx(expected.value, rel=0.02, abs=0.02)


@pytest.mark.parametrize("metric", [frechet_distance, kernel_distance, pairwise_distance, feature_std, sliced_distance])
@pytest.mark.parametrize("n", [3, 4, 5])
def test_few_samples_have_a_figure_all_the_same(metric, n):
    found = metric(gauss(n)) if metric in OF_ONE else metric(gauss(n), 1 + gauss(n + 10))
    assert found.value > -1
    assert found.low is None if n < 4 else found.low is None or found.low <= found.value
