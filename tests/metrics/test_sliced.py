"""Sliced Wasserstein: closed forms, scipy, and what each level of the pyramid sees."""

import pytest
import torch
from scipy.stats import wasserstein_distance

from equipoise.errors import DataError
from equipoise.metrics import sliced, sliced_distance, sliced_patches
from equipoise.metrics.sliced import directions_of, patches, pyramid, wasserstein, whitened


def gauss(n, d=8, seed=0):
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed))


def images(n, size=32, seed=0, c=1):
    rough = torch.rand(n, c, size // 4, size // 4, generator=torch.Generator().manual_seed(seed))
    smooth = torch.nn.functional.interpolate(rough, (size, size), mode="bicubic").clamp(0, 1)
    fine = torch.rand(n, c, size, size, generator=torch.Generator().manual_seed(seed + 500))
    return ((0.8 * smooth + 0.2 * fine) * 255).to(torch.uint8)


def test_each_direction_is_that_of_scipy():
    a, b, slices = gauss(60), 1 + gauss(60, seed=1), directions_of(8, 20, 0)
    expected = [wasserstein_distance((a @ v).numpy(), (b @ v).numpy()) for v in slices]
    assert wasserstein(a, b, slices) == pytest.approx(sum(expected) / 20, rel=1e-5)


@pytest.mark.parametrize("d", [2, 16])
def test_a_shift_of_one_has_the_mean_length_of_a_projected_unit_vector(d):
    """E|v_1| of a uniform unit vector: Gamma(d/2) / (sqrt(pi) Gamma((d + 1)/2))."""
    x = gauss(500, d).double()
    shift = torch.zeros(d).double()
    shift[0] = 1
    half = torch.tensor(d / 2)
    expected = (torch.lgamma(half) - torch.lgamma(half + 0.5)).exp() / torch.pi**0.5
    found = sliced_distance(x, x + shift, directions=4000, splits=0)
    assert found.value == pytest.approx(float(expected), rel=0.05)


def test_equal_sets_are_at_zero_and_equal_distributions_come_near_it_with_the_root_of_n():
    assert sliced_distance(gauss(100), gauss(100).flip(0)).value == pytest.approx(0, abs=1e-6)
    near, far = (sliced_distance(gauss(n), gauss(n, seed=1), splits=0).value for n in (4000, 1000))
    assert far / near == pytest.approx(2, rel=0.2)


def test_the_size_of_the_blocks_does_not_matter(monkeypatch):
    real, fake = gauss(200), gauss(200, seed=1)
    whole = sliced_distance(real, fake)
    monkeypatch.setattr(sliced, "BLOCK", 1000)
    assert sliced_distance(real, fake).value == pytest.approx(whole.value, rel=1e-6)


def test_sets_of_different_size_are_compared_by_as_many():
    found = sliced_distance(gauss(300), gauss(200, seed=1))
    assert (found.protocol["samples"], found.n_real, found.n_fake) == (200, 300, 200)


@pytest.mark.parametrize(("size", "sides"), [(64, [64, 32, 16]), (32, [32, 16]), (28, [28]), (33, [33, 17])])
def test_the_pyramid_has_its_levels_and_gives_the_picture_back(size, sides):
    x = torch.rand(2, 3, size, size, generator=torch.Generator().manual_seed(0))
    levels = pyramid(x)
    assert [level.shape[2] for level in levels] == sides
    back = levels[-1]
    for level in reversed(levels[:-1]):
        back = level + sliced.enlarged(back, level.shape)
    torch.testing.assert_close(back, x)


def test_flat_pictures_have_nothing_but_their_coarsest_level():
    levels = pyramid(torch.full((1, 1, 64, 64), 0.7))
    inner = [level[:, :, 4:-4, 4:-4] for level in levels]  # the last row of zeros has no mirror
    assert max(level.abs().max() for level in inner[:-1]) < 1e-6
    torch.testing.assert_close(inner[-1], torch.full_like(inner[-1], 0.7))


def test_patches_are_pieces_of_their_own_picture_and_whitened_by_channel():
    x = torch.arange(4 * 2 * 9 * 9.0).view(4, 2, 9, 9)
    found = patches(x, torch.Generator().manual_seed(0))
    assert found.shape == (4, 128, 2 * 49)
    corner = found[3, 0, 0]
    assert (x[3, 0] == corner).any()
    assert (found[3, 0].view(2, 7, 7)[1, :, 0].diff() == 9).all()
    white = whitened(found).view(-1, 2, 49)
    torch.testing.assert_close(white.mean((0, 2)), torch.zeros(2), atol=1e-5, rtol=0)
    torch.testing.assert_close(white.std((0, 2)), torch.ones(2), atol=1e-3, rtol=0)


def test_lost_detail_is_seen_at_the_fine_level():
    real, same = images(100), images(100, seed=1)
    coarse = torch.nn.functional.avg_pool2d(same.float(), 4)
    blurred = torch.nn.functional.interpolate(coarse, (32, 32), mode="bilinear").to(torch.uint8)
    null, blur = sliced_patches(real, same, directions=64), sliced_patches(real, blurred, directions=64)
    assert list(null.levels) == [32, 16]
    assert blur.levels[32].value > 3 * null.levels[32].value
    assert blur.levels[32].value / null.levels[32].value > blur.levels[16].value / null.levels[16].value
    assert null.mean.value == pytest.approx((null.levels[32].value + null.levels[16].value) / 2)
    assert sliced_patches(real, real, directions=64, splits=0).mean.value < 0.5 * blur.mean.value


@pytest.mark.parametrize(
    ("real", "fake", "words"),
    [
        (images(5), images(5, 28), "of one size"),
        (torch.zeros(5, 1, 6, 6), torch.zeros(5, 1, 6, 6), "patches of 7 x 7"),
        (images(5) / 1.0, images(5) * 2.0, "outside 0 to 255"),
    ],
)
def test_images_without_patches(real, fake, words):
    with pytest.raises(DataError, match=words):
        sliced_patches(real, fake)
