from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from PIL import Image

from equipoise.cleaning.duplicates import BY_CHANCE, KTH, exact, near, threshold
from equipoise.data.hashes import Pixels

RNG = np.random.default_rng(1)


def brightened(image: Pixels) -> Pixels:
    return (image * 0.9 + 8).astype(np.uint8)


def noisy(image: Pixels) -> Pixels:
    return (image + RNG.normal(0, 4, image.shape)).round().clip(0, 255).astype(np.uint8)


def compressed(image: Pixels) -> Pixels:
    file = io.BytesIO()
    Image.fromarray(image.squeeze()).save(file, "JPEG", quality=80)
    return np.asarray(Image.open(file)).reshape(image.shape)


def test_equal_digests_are_grouped():
    assert exact(["a", "b", "a", "c", "b", "a"]) == [(0, 2, 5), (1, 4)]


@pytest.mark.parametrize("change", [brightened, noisy, compressed])
def test_altered_copies_among_real_digits_are_found(digits, change):
    images = digits[0]
    places = RNG.permutation(len(images))[:30]
    copies = near(np.concatenate([images, np.stack([change(images[i]) for i in places])]))
    planted = {(int(place), len(images) + i) for i, place in enumerate(places)}
    assert len(planted & set(copies.groups)) >= 27
    assert len(set(copies.groups) - planted) <= 2


def test_shifted_and_resized_copies_of_larger_pictures_are_found():
    small = RNG.integers(0, 256, (300, 7, 7), dtype=np.uint8)
    images = np.stack([np.asarray(Image.fromarray(s).resize((28, 28), Image.Resampling.BICUBIC)) for s in small])
    shifted = np.roll(images[:10], 1, axis=2)
    resized = [np.asarray(Image.fromarray(i).resize((21, 21)).resize((28, 28))) for i in images[10:20]]
    copies = near(np.concatenate([images, shifted, np.stack(resized)])[..., None])
    assert set(copies.groups) == {(i, 300 + i) for i in range(20)}


def test_digits_that_look_alike_are_no_copies(digits):
    assert len(near(digits[0]).groups) <= 1  # half a pair expected by chance


def test_small_sets_have_no_threshold_and_no_copies(digits):
    assert near(digits[0][:20]).groups == []


def test_threshold_lets_one_in_a_thousand_pass_among_points_spread_evenly():
    """Points on a torus of 6 dimensions, which has no border: the threshold in closed form, and what passes it."""
    rng, passed, rounds, n = np.random.default_rng(0), 0, 60, 400
    for _ in range(rounds):
        points = rng.random((n, 6))
        apart = points[:, None] - points
        distances = torch.from_numpy(np.linalg.norm(apart - apart.round(), axis=2)).fill_diagonal_(torch.inf)
        nearest = distances.sort(1).values[:, :24].float()
        t = threshold(nearest)
        assert t == pytest.approx((BY_CHANCE / (KTH - 1)) ** (1 / 6), abs=0.04)
        passed += int((nearest[:, 0] < t * nearest[:, KTH - 1]).sum())
    assert 8 <= passed <= 45  # 24 expected: both ends of a pair often pass
