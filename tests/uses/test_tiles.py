"""Tiles against the picture as a whole."""

from itertools import pairwise

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from equipoise.uses import tiles


def picture(height, width, channels=1):
    return torch.randn(channels, height, width, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("size", [(16, 16), (100, 37), (16, 17), (5, 40), (3, 3), (1, 1), (2, 50)])
def test_a_net_that_changes_nothing_changes_nothing(size):
    x = picture(*size, channels=3)
    assert_close(tiles.through(lambda a: a, x, 16), x, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("size", [(64, 64), (70, 51)])
def test_a_net_of_pixels_gives_what_it_gives_for_the_whole(size):
    net = nn.Conv2d(2, 3, 1).requires_grad_(False)
    x = picture(*size, channels=2)
    assert_close(tiles.through(net, x, 16), net(x[None])[0], atol=1e-5, rtol=1e-4)


def test_a_picture_of_the_trained_size_goes_through_as_it_is():
    net = nn.Conv2d(1, 1, 3, padding=1).requires_grad_(False)
    x = picture(16, 16)
    assert torch.equal(tiles.through(net, x, 16), net(x[None])[0])


def test_every_tile_has_the_trained_size_and_neighbours_overlap_by_half():
    seen = []
    tiles.through(lambda a: seen.append(a.shape) or a, picture(100, 40), 16)
    assert {shape[1:] for shape in seen} == {(1, 16, 16)}
    for length in range(16, 200):
        begun = tiles.starts(length, 16)
        assert begun[0] == 0 and begun[-1] == max(0, length - 16)
        assert all(0 < later - earlier <= 8 for earlier, later in pairwise(begun))


def steps(x):
    """Mean |difference| of neighbouring columns, by column. [W - 1]"""
    return x.diff(dim=2).abs().mean((0, 1))


def level_by_tile(a):
    """A net that is as bad as can be: each tile has a level of its own, whatever the picture is."""
    levels = torch.rand(len(a), 1, 1, 1, generator=torch.Generator().manual_seed(len(a)))
    return levels.expand_as(a)


def test_no_seam_even_where_tiles_disagree():
    """Across the borders of tiles the picture changes no more than elsewhere; the control pastes them side by side."""
    found = tiles.through(level_by_tile, torch.zeros(1, 16, 400), 16)
    borders = torch.tensor(tiles.starts(400, 16)[1:]) - 1
    across = steps(found)
    assert across[borders].max() <= across.max() * 0.8
    pasted = torch.cat([level_by_tile(torch.zeros(25, 1, 16, 16))[i] for i in range(25)], 2)
    seams = steps(pasted)
    assert seams[15::16].min() > 0 and seams.sum() == pytest.approx(float(seams[15::16].sum()))


def test_few_tiles_are_held_at_once():
    seen = []
    tiles.through(lambda a: seen.append(len(a)) or a, picture(2000, 600), 64)
    assert max(seen) <= tiles.PIXELS_AT_ONCE // 64**2
