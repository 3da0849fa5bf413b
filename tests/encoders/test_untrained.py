"""Pixels and the random net: encoders that need no file and no training."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.signal import correlate2d
from torch import Tensor

from equipoise.encoders.encoder import Encoder
from equipoise.encoders.pixels import Pixels
from equipoise.encoders.random_net import GRIDS, STEPS, WIDTHS, RandomNet
from equipoise.errors import DataError
from equipoise.streams import Stream

BOTH: list[Encoder] = [Pixels(), RandomNet()]


def noise(*shape: int) -> Tensor:
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def test_pixels_are_the_image_in_minus_one_to_one() -> None:
    images = noise(3, 2, 5, 7)
    expected = images.double().flatten(1) / 127.5 - 1
    torch.testing.assert_close(Pixels().look(images).features.double(), expected, atol=1e-6, rtol=0)


def test_large_images_have_no_more_pixels_than_32_by_32() -> None:
    assert Pixels().look(noise(2, 3, 200, 100)).features.shape == (2, 3 * 32 * 16)


def test_the_weights_are_whole_numbers_of_the_mersenne_twister() -> None:
    """numpy's own generator draws the same, so that they are the same on every machine."""
    seed = Stream(7, "random net").at(0).initial_seed()
    twister = np.random.MT19937()
    twister._legacy_seeding(seed & 0xFFFFFFFF)
    weights = RandomNet(7).weights["conv0"]
    expected = (twister.random_raw(weights.numel()) % (2 * STEPS)).astype(np.int64) - STEPS
    assert np.array_equal(weights.numpy().ravel() * STEPS, expected)


def test_the_random_net_is_what_it_says() -> None:
    """Against scipy's correlation and numpy's means."""
    net, images = RandomNet(), noise(1, 3, 12, 16)
    h = images[0].double().numpy() / 127.5 - 1
    expected = []
    for weight, grid in zip(net.weights.values(), GRIDS, strict=True):
        w = weight.double().numpy()[:, : len(h)]
        bound = math.sqrt(6 / (len(h) * 9))
        maps = np.stack(
            [sum(correlate2d(c, k, "same") for c, k in zip(h, kernel, strict=True)) for kernel in bound * w]
        )
        h = maps.clip(0)
        o, height, width = h.shape
        expected.append(h.reshape(o, grid, height // grid, grid, width // grid).mean((2, 4)).ravel())
        even = h[:, : height // 2 * 2, : width // 2 * 2]
        h = even.reshape(o, height // 2, 2, width // 2, 2).mean((2, 4))
    np.testing.assert_allclose(net.look(images).features[0].numpy(), np.concatenate(expected), rtol=1e-4, atol=1e-5)
    assert net.protocol["dimension"] == net.look(images).features.shape[1] == sum(map(len, expected)) == 256


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("size", [(8, 8), (9, 31), (64, 64)])
def test_the_random_net_looks_at_any_size(channels: int, size: tuple[int, int]) -> None:
    features = RandomNet().look(noise(2, channels, *size)).features
    assert features.shape == (2, 256) and features.isfinite().all() and features.dtype == torch.float32
    assert not torch.equal(features[0], features[1])


def test_one_seed_is_one_net() -> None:
    assert RandomNet(1).protocol["sha256"] == RandomNet(1).protocol["sha256"] != RandomNet(2).protocol["sha256"]
    assert len(set(WIDTHS)) == 3


def test_making_one_does_not_touch_the_global_generator() -> None:
    before = torch.get_rng_state()
    RandomNet()
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize("encoder", BOTH, ids=lambda e: e.protocol["name"])
@pytest.mark.parametrize(
    ("images", "words"),
    [
        (torch.zeros(2, 3, 8, 8), "uint8"),
        (torch.zeros(2, 8, 8, dtype=torch.uint8), "uint8 images"),
        (torch.zeros(0, 3, 8, 8, dtype=torch.uint8), "no image"),
        (torch.zeros(2, 5, 8, 8, dtype=torch.uint8), "1, 2, 3 or 4 channel.s., not 5"),
    ],
    ids=["floats", "without channels", "none", "five channels"],
)
def test_what_is_no_image_is_refused(encoder: Encoder, images: Tensor, words: str) -> None:
    with pytest.raises(DataError, match=words):
        encoder.look(images)


def test_the_random_net_needs_eight_pixels() -> None:
    with pytest.raises(DataError, match="at least 8 pixels"):
        RandomNet().look(noise(1, 1, 7, 20))
