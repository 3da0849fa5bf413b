"""Labels, outliers and the mirror test: planted truth and negative controls."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image
from scipy.stats import norm

from equipoise.cleaning import labels, outliers
from equipoise.cleaning.crossfit import judged
from equipoise.cleaning.mirror import mirror_test
from equipoise.errors import MachineError

RNG = np.random.default_rng(2)


@pytest.mark.slow
def test_wrong_labels_of_digits_are_found_and_right_ones_left_alone(digits):
    images, given = digits[0], digits[1].copy()
    wrong = RNG.permutation(len(images))[:40]
    given[wrong] = (given[wrong] + RNG.integers(1, 10, 40)) % 10
    judges = judged(images, given, 10)
    called = labels.suspects(given, judges.probabilities)
    right = [s for s in called if s.place in set(wrong)]
    assert len(right) >= 34
    assert len(called) - len(right) <= 9  # half a percent of the set
    assert np.mean([s.likely == digits[1][s.place] for s in right]) > 0.9


def test_a_label_is_suspect_below_three_percent_and_less_where_judges_err():
    given = np.arange(400) % 2
    sure = np.where(given[:, None] == [0, 1], 0.98, 0.02)
    sure[:4] = sure[:4, ::-1]
    assert [s.place for s in labels.suspects(given, sure)] == [0, 1, 2, 3]
    weak = sure.copy()
    weak[:160] = np.where(given[:160, None] == [0, 1], 0.02, 0.98)  # contradict 40%: their error, not the labels'
    assert labels.suspects(given, weak) == []


def test_without_cleanlab_the_message_says_what_to_install(monkeypatch):
    monkeypatch.setattr(labels, "available", lambda: False)
    with pytest.raises(MachineError, match=r"pip install equipoise\[clean\]"):
        labels.suspects(np.zeros(4, np.int64), np.ones((4, 1)))


def test_strangers_among_digits_stand_out(digits):
    images = np.stack([np.asarray(Image.fromarray(x).resize((24, 24))) for x in digits[0].squeeze(3)])[..., None]
    noise = RNG.integers(0, 256, (8, 24, 24, 1), dtype=np.uint8)
    score = outliers.strangeness(np.concatenate([images, noise, 255 - images[:8]]))
    strange = set(np.flatnonzero(score > outliers.limit(len(score))).tolist())
    planted = set(range(len(images), len(images) + 16))
    assert len(strange & planted) >= 15
    assert len(strange - planted) <= 5


def test_digits_alone_have_few_outliers(digits):
    score = outliers.strangeness(digits[0])
    assert (score > outliers.limit(len(score))).sum() <= 5


def test_limit_and_score_are_those_of_a_normal_distribution():
    assert norm.sf(outliers.limit(10_000)) == pytest.approx(0.5 / 10_000)
    draws = np.random.default_rng(0).normal(size=50_000)
    np.testing.assert_allclose(outliers.robust(np.exp(3 + 2 * draws)).std(), 1, atol=0.02)


def test_digits_differ_from_their_mirror_images_and_symmetric_noise_does_not(digits):
    test = mirror_test(digits[0][:900])
    assert test is not None and test.accuracy > 0.9 and test.flips_change_the_data
    noise = mirror_test(RNG.integers(0, 256, (600, 8, 8, 1), dtype=np.uint8))
    assert noise is not None and abs(noise.accuracy - 0.5) < 0.15 and not noise.flips_change_the_data
