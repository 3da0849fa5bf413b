from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from equipoise.encoders.resize import clean_bicubic, shrunk


def noise(*shape: int) -> Tensor:
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(
    ("height", "width", "side"), [(8, 8, 227), (32, 32, 224), (41, 27, 30), (300, 200, 64), (64, 64, 64)]
)
def test_clean_bicubic_is_pillows_on_floats(height: int, width: int, side: int) -> None:
    images = noise(2, 3, height, width)
    expected = np.stack(
        [
            [
                np.asarray(Image.fromarray(c.numpy().astype(np.float32)).resize((side, side), Image.Resampling.BICUBIC))
                for c in image
            ]
            for image in images
        ]
    ).clip(0, 255)
    np.testing.assert_allclose(clean_bicubic(images, side).numpy(), expected, atol=1e-3)


def test_the_resize_matters() -> None:
    """The negative control: without antialiasing the same call is far off."""
    images = noise(1, 1, 300, 300)
    aliased = torch.nn.functional.interpolate(images.float(), (64, 64), mode="bicubic").clamp(0, 255)
    assert (aliased - clean_bicubic(images, 64)).abs().mean() > 20


def test_shrinking_by_a_whole_factor_is_the_mean_of_blocks() -> None:
    images = noise(2, 1, 64, 48)
    blocks = images.double().view(2, 1, 32, 2, 24, 2).mean((3, 5))
    torch.testing.assert_close(shrunk(images, 32), blocks.float())


def test_what_is_small_stays() -> None:
    images = noise(2, 3, 9, 32)
    assert torch.equal(shrunk(images, 32), images.float())


def test_shrinking_keeps_the_aspect_and_the_mean() -> None:
    images = noise(1, 1, 200, 10)
    assert shrunk(noise(1, 1, 200, 60), 32).shape == (1, 1, 32, 10)
    assert shrunk(images, 32).shape == (1, 1, 32, 8)
    assert shrunk(noise(1, 1, 4000, 3), 32).shape == (1, 1, 32, 3)
    torch.testing.assert_close(shrunk(images, 32).mean(), images.float().mean(), atol=2, rtol=0)
