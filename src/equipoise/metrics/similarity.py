"""How alike two pictures are, pair by pair: PSNR, SSIM, MS-SSIM, LPIPS; and how alike samples are to each other.

Images are [N, C, H, W] within `bounds`, uint8 or floats; L is the width of the bounds. Each returns one value an image.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, conv2d, normalize

from equipoise.errors import DataError
from equipoise.metrics.estimate import Estimate, by_mean
from equipoise.metrics.inputs import check_images
from equipoise.streams import Stream

Bounds = tuple[float, float]
BYTES: Bounds = (0.0, 255.0)
WINDOW, SIGMA = 11, 1.5  # pixels: Wang et al. 2004, section III.B
K1, K2 = 0.01, 0.03  # ibid.
SCALES = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)  # Wang, Simoncelli and Bovik 2003, section 3.2
SMALLEST = WINDOW * 2 ** (len(SCALES) - 1)  # pixels: the window must fit at the coarsest scale
BLOCK = 64  # images looked at at once


def psnr(a: Tensor, b: Tensor, bounds: Bounds = BYTES) -> Tensor:
    """10 log10(L^2 / MSE) in dB, infinite for equal images. [N]."""
    check_pairs("PSNR", bounds, a, b)
    error = torch.cat([(x - y).square().mean((1, 2, 3)) for x, y in shifted(a, b, bounds)])
    return 10 * torch.log10((bounds[1] - bounds[0]) ** 2 / error)


def ssim(a: Tensor, b: Tensor, bounds: Bounds = BYTES) -> Tensor:
    """Structural similarity, at most 1: Wang et al. 2004, eq. 13, mean over the places where the window fits. [N].

    Covariances without Bessel's correction; channels apart, then their mean.
    """
    check_pairs("SSIM", bounds, a, b)
    check_size("SSIM", WINDOW, a)
    span = bounds[1] - bounds[0]
    return torch.cat([structure(x, y, span)[0].mean(1) for x, y in shifted(a, b, bounds)])


def ms_ssim(a: Tensor, b: Tensor, bounds: Bounds = BYTES) -> Tensor:
    """Of five scales, each half as fine: Wang, Simoncelli and Bovik 2003, eq. 7. [N].

    A contrast below 0 counts as 0, so that its root exists. Channels apart, then their mean.

    Raises:
        DataError: for images that do not fit, or with a side under 176 pixels: the coarsest scale would be smaller
            than the window.
    """
    check_pairs("MS-SSIM", bounds, a, b)
    check_size("MS-SSIM over five scales", SMALLEST, a)
    return torch.cat([multiscale(x, y, bounds[1] - bounds[0]) for x, y in shifted(a, b, bounds)])


def multiscale(x: Tensor, y: Tensor, span: float) -> Tensor:
    product = torch.ones(x.shape[:2], dtype=x.dtype)  # [B, C]
    for scale, weight in enumerate(SCALES):
        whole, contrast = structure(x, y, span)
        last = scale == len(SCALES) - 1
        product = product * (whole if last else contrast).clamp(min=0) ** weight
        x, y = avg_pool2d(x, 2), avg_pool2d(y, 2)
    return product.mean(1)


def structure(x: Tensor, y: Tensor, span: float) -> tuple[Tensor, Tensor]:
    """Mean over the picture of the whole index, and of its contrast and structure alone: [B, C] each."""
    c1, c2 = (K1 * span) ** 2, (K2 * span) ** 2
    mx, my = blurred(x), blurred(y)
    vx, vy, vxy = blurred(x * x) - mx * mx, blurred(y * y) - my * my, blurred(x * y) - mx * my
    contrast = (2 * vxy + c2) / (vx + vy + c2)
    luminance = (2 * mx * my + c1) / (mx * mx + my * my + c1)
    return (luminance * contrast).mean((2, 3)), contrast.mean((2, 3))


def blurred(x: Tensor) -> Tensor:
    """Under a Gaussian window, where it fits. [B, C, H - 10, W - 10]."""
    place = torch.arange(WINDOW, dtype=x.dtype) - WINDOW // 2
    window = torch.exp(-place.square() / (2 * SIGMA**2))
    window = (window / window.sum()).expand(x.shape[1], 1, 1, WINDOW)
    return conv2d(conv2d(x, window, groups=x.shape[1]), window.mT, groups=x.shape[1])


def shifted(a: Tensor, b: Tensor, bounds: Bounds) -> Iterator[tuple[Tensor, Tensor]]:
    """Pairs of blocks in float64, moved to begin at 0: luminance is a ratio, so it needs a true black."""
    blocks = zip(torch.split(a, BLOCK), torch.split(b, BLOCK), strict=True)
    return ((x.double() - bounds[0], y.double() - bounds[0]) for x, y in blocks)


def check_pairs(metric: str, bounds: Bounds, a: Tensor, b: Tensor) -> None:
    check_images(metric, bounds, a=a, b=b)
    if len(a) != len(b):
        raise DataError(f"{metric} compares pairs of images; here are {len(a)} and {len(b)}.")


def check_size(metric: str, least: int, images: Tensor) -> None:
    if min(images.shape[2:]) < least:
        raise DataError(
            f"{metric} needs at least {least} pixels a side; these images are {images.shape[2]} x {images.shape[3]}.\n"
            f"Use {'SSIM' if least > WINDOW else 'PSNR'} instead, or larger images."
        )


def lpips(maps_a: Sequence[Tensor], maps_b: Sequence[Tensor], weights: Sequence[Tensor]) -> Tensor:
    """Perceptual distance from a net's maps [N, C, H, W] of two sets of images, and weights [C] of each layer. [N].

    Zhang et al. 2018 (arXiv:1801.03924), eq. 1: channels of unit length at each place, squared differences weighted,
    mean over places, sum over layers. 0 for equal images.
    """
    if not len(maps_a) == len(maps_b) == len(weights):
        raise DataError(
            f"LPIPS takes as many layers of weights as of maps, not {len(maps_a)}, {len(maps_b)} and {len(weights)}."
        )
    layers = [
        ((normalize(a) - normalize(b)).square() * w[:, None, None]).sum(1).mean((1, 2))
        for a, b, w in zip(maps_a, maps_b, weights, strict=True)
    ]
    return torch.stack(layers).sum(0)


def ms_ssim_of_pairs(fake: Tensor, bounds: Bounds = BYTES, seed: int = 0) -> Estimate:
    """Mean MS-SSIM of pairs of samples of one class [N, C, H, W]: the higher, the less varied (Odena et al. 2017, 4.2).

    Each sample is in one pair, so that pairs are independent; compare with the same of reals. arXiv:1610.09585.
    """
    check_images("MS-SSIM of pairs", bounds, least=4, fake=fake)
    order = torch.randperm(len(fake), generator=Stream(seed, "pairs").at(0))
    half = len(fake) // 2
    values = ms_ssim(fake[order[:half]], fake[order[half : 2 * half]], bounds)
    protocol = {"metric": "ms_ssim_of_pairs", "bounds": list(bounds), "seed": seed}
    return Estimate(float(values.mean()), *by_mean(values), len(fake), 0, protocol)
