from __future__ import annotations

import numpy as np
import torch

from equipoise.data.hashes import digest, frequencies, hashes, neighbours, reduced

RNG = np.random.default_rng(0)


def test_grey_stored_as_rgb_is_the_same_picture_and_a_changed_pixel_is_not():
    grey = RNG.integers(0, 256, (6, 5), dtype=np.uint8)
    rgb = grey[..., None].repeat(3, axis=2)
    tinted = rgb.copy()
    tinted[0, 0, 0] ^= 1
    assert digest(grey) == digest(grey[..., None]) == digest(rgb) != digest(tinted)
    assert digest(grey) != digest(grey.reshape(5, 6))  # the same bytes in another shape


def test_fourier_magnitudes_do_not_change_with_a_shift():
    image = np.zeros((1, 28, 28), np.float32)
    image[0, 8:18, 9:17] = RNG.random((10, 8)) * 255
    a, b = frequencies(image), frequencies(np.roll(image, (3, -2), (1, 2)))
    change = np.abs(a - b)[0] / np.abs(a[0]).mean()
    assert change[63:].mean() < 0.1 * change[:63].mean()  # not nought: the mean is taken away inside a box of 28 pixels


def test_each_bit_is_set_for_half_of_the_pictures():
    bits = hashes(RNG.integers(0, 256, (400, 16, 16, 1), dtype=np.uint8))
    assert bits.shape == (400, 190)
    np.testing.assert_allclose((bits == 1).mean(0), 0.5, atol=0.01)


def test_neighbours_are_those_of_all_pairs():
    points = torch.randn(1500, 5, generator=torch.Generator().manual_seed(0))  # more than one block
    found = torch.cat([places for _, places in neighbours(points, 3)])
    products = (points @ points.T).fill_diagonal_(-torch.inf)
    assert torch.equal(found, products.argsort(1, descending=True)[:, :3])


def test_reducing_keeps_the_mean_and_bounds_the_side():
    images = RNG.integers(0, 256, (3, 64, 48, 3), dtype=np.uint8)
    small = reduced(images)
    assert small.shape == (3, 32, 24, 3)
    np.testing.assert_allclose(small.mean((1, 2)), images.mean((1, 2)), atol=1.5)
