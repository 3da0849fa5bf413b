"""PSNR, SSIM and MS-SSIM against scikit-image, LPIPS by hand."""

import numpy as np
import pytest
import torch
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from equipoise.errors import DataError
from equipoise.metrics import lpips, ms_ssim, ms_ssim_of_pairs, psnr, ssim

WANG = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False, "channel_axis": 0}


def images(n, c=3, size=(48, 56), seed=0):
    """Smooth noise, uint8 [n, c, *size]."""
    rough = torch.rand(n, c, size[0] // 4, size[1] // 4, generator=torch.Generator().manual_seed(seed))
    return (torch.nn.functional.interpolate(rough, size, mode="bicubic") * 255).clamp(0, 255).to(torch.uint8)


def spoiled(x, strength, seed=1):
    noise = torch.randn(x.shape, generator=torch.Generator().manual_seed(seed))
    return (x + strength * noise).clamp(0, 255).to(torch.uint8)


def each(figure, a, b, **options):
    return [figure(x, y, **options) for x, y in zip(a.numpy(), b.numpy(), strict=True)]


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("strength", [0, 5, 60])
def test_ssim_is_that_of_scikit_image(channels, strength):
    a = images(3, channels)
    b = spoiled(a, strength)
    expected = each(structural_similarity, a, b, data_range=255, **WANG)
    assert ssim(a, b).tolist() == pytest.approx(expected, abs=1e-5)


def test_ssim_of_floats_is_that_of_scikit_image():
    a, b = images(2) / 255, images(2, seed=5) / 255
    expected = each(structural_similarity, a, b, data_range=1.0, **WANG)
    assert ssim(a, b, (0, 1)).tolist() == pytest.approx(expected, abs=1e-5)
    assert ssim(2 * a - 1, 2 * b - 1, (-1, 1)).tolist() == pytest.approx(expected, abs=1e-5)


def ms_ssim_by_scikit_image(a, b):
    """Channel by channel. With an immense K1 the luminance is 1, and the index is contrast and structure alone."""
    weights = [0.0448, 0.2856, 0.3001, 0.2363, 0.1333]
    values = []
    for x, y in zip(a.astype(float), b.astype(float), strict=True):
        value = 1.0
        for scale, weight in enumerate(weights):
            k1 = {} if scale == 4 else {"K1": 1e6}
            options = {**WANG, "channel_axis": None, **k1}
            value *= max(structural_similarity(x, y, data_range=255, **options), 0) ** weight
            x, y = (z[: len(z) // 2 * 2, : z.shape[1] // 2 * 2] for z in (x, y))
            x, y = ((z[::2, ::2] + z[1::2, ::2] + z[::2, 1::2] + z[1::2, 1::2]) / 4 for z in (x, y))
        values.append(value)
    return np.mean(values)


@pytest.mark.parametrize(("strength", "size"), [(10, (176, 176)), (80, (180, 201))])
def test_ms_ssim_is_built_from_scikit_image(strength, size):
    a = images(2, size=size)
    b = spoiled(a, strength)
    assert ms_ssim(a, b).tolist() == pytest.approx(each(ms_ssim_by_scikit_image, a, b), abs=1e-5)


def test_psnr_is_that_of_scikit_image():
    a = images(3)
    b = spoiled(a, 20)
    assert psnr(a, b).tolist() == pytest.approx(each(peak_signal_noise_ratio, a, b, data_range=255))
    black, grey = torch.zeros(1, 1, 4, 4), torch.full((1, 1, 4, 4), 0.1)
    assert psnr(black, grey, (0, 1)).item() == pytest.approx(20, abs=1e-5)
    assert psnr(black, grey, (-1, 1)).item() == pytest.approx(26.02, abs=0.01)


def test_equal_images():
    a = images(2, size=(176, 180))
    assert ssim(a, a).tolist() == pytest.approx([1, 1])
    assert ms_ssim(a, a).tolist() == pytest.approx([1, 1])
    assert psnr(a, a).isinf().all()


def test_a_negative_is_no_number_below_nothing():
    a = images(1, size=(176, 176))
    assert 0 <= ms_ssim(a, 255 - a).item() < 0.3
    assert ssim(a, 255 - a).item() < 0


@pytest.mark.parametrize("figure", [psnr, ssim])
def test_many_images_are_the_same_as_few(figure):
    a = images(70, 1, (16, 16))
    b = spoiled(a, 20)
    assert torch.equal(figure(a, b)[64:], figure(a[64:], b[64:]))


@pytest.mark.parametrize(
    ("figure", "a", "b", "bounds", "words"),
    [
        (ms_ssim, images(1), images(1), (0, 255), "at least 176 pixels a side; these images are 48 x 56"),
        (ssim, images(1, size=(8, 8)), images(1, size=(8, 8)), (0, 255), "at least 11 pixels"),
        (ssim, images(1), images(1, 1), (0, 255), "of one size and channel count"),
        (ssim, images(1), images(2), (0, 255), "1 and 2"),
        (psnr, images(1) / 127.5 - 1, images(1) / 127.5 - 1, (0, 1), "outside 0 to 1"),
        (psnr, torch.full((1, 1, 8, 8), float("nan")), torch.zeros(1, 1, 8, 8), (0, 1), "nan"),
        (psnr, images(1)[0], images(1)[0], (0, 255), "takes images"),
    ],
)
def test_images_that_fit_no_figure(figure, a, b, bounds, words):
    with pytest.raises(DataError, match=words) as refused:
        figure(a, b, bounds)
    assert len(str(refused.value).splitlines()) <= 3


def test_lpips_by_hand():
    """One place, two channels: (3, 4) / 5 against (1, 0) is (-.4, .8), squared and weighted; and a layer of equals."""
    a, b = torch.tensor([3.0, 4.0]).view(1, 2, 1, 1), torch.tensor([7.0, 0.0]).view(1, 2, 1, 1)
    same = torch.ones(1, 3, 2, 2)
    found = lpips([a, same], [b, 2 * same], [torch.tensor([1.0, 0.5]), torch.ones(3)])
    assert found.tolist() == pytest.approx([0.16 + 0.32])


def test_lpips_is_the_mean_over_places_and_wants_a_weight_a_layer():
    a, b = torch.rand(4, 5, 3, 3, generator=torch.Generator().manual_seed(0)), torch.rand(4, 5, 3, 3)
    places = [lpips([a[:, :, i : i + 1, j : j + 1]], [b[:, :, i : i + 1, j : j + 1]], [torch.ones(5)])
              for i in range(3) for j in range(3)]  # fmt: skip
    torch.testing.assert_close(lpips([a], [b], [torch.ones(5)]), torch.stack(places).mean(0))
    with pytest.raises(DataError, match="as many layers"):
        lpips([a], [b], [])


def test_samples_that_are_alike_have_a_high_ms_ssim_of_pairs():
    varied = images(8, 1, (176, 176))
    alike = spoiled(varied[:1].expand(8, -1, -1, -1), 5)
    few, many = ms_ssim_of_pairs(alike), ms_ssim_of_pairs(varied)
    assert few.value > 0.9 > many.value
    assert few.low < few.value < few.high
