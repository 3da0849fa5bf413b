"""Resampling against Pillow's filter, and the gradients of the look-up against torch's and finite differences."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from torch.autograd import gradcheck, gradgradcheck
from torch.testing import assert_close

from equipoise.augment.resampling import LOBES, finer, looked_up, mirrored, resampled
from equipoise.streams import Stream

DOUBLE = torch.float64
CPU = torch.device("cpu")


def normal(*shape, name="x"):
    return torch.randn(*shape, generator=Stream(0, name).at(0), dtype=DOUBLE)


def identity(h, w):
    return F.affine_grid(torch.eye(2, 3, dtype=DOUBLE)[None], [1, 1, 2 * h, 2 * w], align_corners=False)


@pytest.mark.parametrize(("resample", "same"), [(Image.Resampling.LANCZOS, True), (Image.Resampling.BICUBIC, False)])
def test_the_fine_grid_is_that_of_pillows_lanczos_away_from_the_edges(resample, same):
    x = normal(1, 24)
    up, _ = finer(24, DOUBLE, CPU)
    theirs = np.asarray(Image.fromarray(x.numpy().astype(np.float32)).resize((48, 1), resample))
    inner = slice(2 * LOBES, -2 * LOBES)
    assert np.allclose((x @ up.T).numpy()[:, inner], theirs[:, inner], atol=1e-5) == same


def test_at_the_edges_the_fine_grid_is_that_of_the_image_and_its_mirror_images():
    x = normal(1, 10)
    thrice, _ = finer(30, DOUBLE, CPU)
    up, _ = finer(10, DOUBLE, CPU)
    assert_close(x @ up.T, (torch.cat((x.flip(1), x, x.flip(1)), 1) @ thrice.T)[:, 20:40])


@pytest.mark.parametrize("n", [1, 2, 8, 28, 33])
def test_there_and_back_is_the_image_itself_and_constants_stay(n):
    up, down = finer(n, DOUBLE, CPU)
    assert_close(down @ up, torch.eye(n, dtype=DOUBLE), atol=1e-10, rtol=0)
    assert_close(up.sum(1), torch.ones(2 * n, dtype=DOUBLE))
    assert_close(up.flip(0, 1), up)  # leans to no side


def test_an_image_that_stays_where_it_is_is_itself():
    x = normal(2, 3, 6, 9)
    assert_close(resampled(x, identity(6, 9).expand(2, -1, -1, -1)), x, atol=1e-10, rtol=0)


def test_mirrored_places_are_those_of_numpys_symmetric_padding():
    line = np.pad(np.arange(5), 17, mode="symmetric")
    assert mirrored(torch.arange(-17, 22), 5).tolist() == line.tolist()


def test_the_look_up_is_torchs_and_so_is_its_gradient():
    x, places = normal(2, 3, 5, 7).requires_grad_(), 3 * normal(2, 4, 6, 2, name="places")
    theirs = F.grid_sample(x, places, padding_mode="reflection", align_corners=False)
    ours, w = looked_up(x, places), normal(2, 3, 4, 6, name="w")
    assert torch.equal(ours, theirs)
    gradients = [torch.autograd.grad((y * w).sum(), x)[0] for y in (ours, theirs)]
    assert_close(*gradients)


def test_the_look_up_can_be_differentiated_twice():
    places = 2 * normal(2, 3, 3, 2, name="places")
    x = normal(2, 2, 3, 4).requires_grad_()
    assert gradcheck(lambda x: looked_up(x, places).tanh(), x)
    assert gradgradcheck(lambda x: looked_up(x, places).tanh(), x)
