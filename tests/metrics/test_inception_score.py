"""Inception Score at its ends, by hand, and against scipy's divergence."""

import pytest
import torch
from scipy.stats import entropy

from equipoise.errors import DataError
from equipoise.metrics import inception_score


def logits(n=400, classes=10, sharp=3.0, seed=0):
    return sharp * torch.randn(n, classes, generator=torch.Generator().manual_seed(seed))


def test_sure_and_even_answers_score_the_number_of_classes():
    sure = 100 * torch.eye(10).repeat(50, 1)
    assert inception_score(sure, splits=1).value == pytest.approx(10)


def test_answers_that_say_nothing_score_one():
    assert inception_score(torch.zeros(100, 10)).value == pytest.approx(1)
    assert inception_score((torch.eye(10)[3] * 100).repeat(100, 1)).value == pytest.approx(1)  # one class only


@pytest.mark.parametrize("kept", [2, 5])
def test_sure_answers_in_some_classes_score_their_number(kept):
    sure = 100 * torch.eye(10)[:kept].repeat(100, 1)
    assert inception_score(sure, splits=1).value == pytest.approx(kept)


def test_one_part_is_exp_of_the_mean_divergence_by_scipy():
    x = logits()
    p = x.double().softmax(1).numpy()
    expected = entropy(p, p.mean(0, keepdims=True), axis=1).mean()
    found = inception_score(x, splits=1)
    assert found.value == pytest.approx(2.718281828459045**expected, rel=1e-9)
    assert found.low is None and found.high is None


def test_logarithms_of_probabilities_are_logits():
    x = logits()
    assert inception_score(x.double().softmax(1).log()).value == pytest.approx(inception_score(x).value)
    never = torch.tensor([[0.0, 0.5, 0.5], [1.0, 0.0, 0.0]]).repeat(20, 1)
    assert inception_score(never.log(), splits=1).value == pytest.approx(2)  # H(y) = 1.5 bits, H(y|x) = .5 bits


def test_an_order_by_class_does_not_matter():
    x = logits(2000)
    assert inception_score(x[x.argmax(1).argsort()]).value == pytest.approx(inception_score(x).value, rel=0.02)


def test_it_does_not_see_a_collapse_within_classes():
    ten = 100 * torch.eye(10)
    assert inception_score(ten.repeat(50, 1), splits=1).value == pytest.approx(10)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (torch.zeros(100, 1), "at least 2 classes"),
        (torch.zeros(100), "logits \\[samples, classes\\]"),
        (torch.zeros(19, 10), "at least 20 samples; 'logits' has 19"),
        (torch.full((50, 3), float("nan")), "50 of 50 rows"),
    ],
)
def test_what_it_cannot_score(wrong, words):
    with pytest.raises(DataError, match=words):
        inception_score(wrong)
