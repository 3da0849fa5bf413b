"""Augmentation against exact pictures: rolls, rot90, permuted channels, and counts of what the draws do."""

from __future__ import annotations

import math

import pytest
import torch
from torch.autograd import gradcheck, gradgradcheck
from torch.testing import assert_close

from equipoise.augment import (
    BLOCK,
    COLUMNS,
    D_LAYOUT,
    DATA_LAYOUT,
    Ranges,
    diff_augment,
    draws,
    rows,
    seen_again,
    varied,
)
from equipoise.streams import Stream

STREAM = Stream(0, "test")
ALL = ("color", "translation", "cutout", "flip")
EVERYTHING = Ranges(0.2, 15, 0.1, 0.1, 0.1, 0.2, 0.3, 0.05, True, True)


def images(n=4, channels=3, h=8, w=8, seed=0):
    return 2 * torch.rand(n, channels, h, w, generator=Stream(seed, "images").at(0)) - 1


def neutral(n, layout, **columns):
    """Draws in the middle of their ranges, where nothing is done, but for the columns given: each a number or [n]."""
    table = torch.full((n, COLUMNS), 0.5)
    for name in ("crop", *(name for name in layout if name.startswith("use_"))):
        if name in layout:
            table[:, layout.index(name)] = 0.0
    for name, value in columns.items():
        table[:, layout.index(name)] = torch.as_tensor(value, dtype=torch.float32)
    return table


def of_data(x, ranges, **columns):
    return varied(x, neutral(len(x), DATA_LAYOUT, **columns), ranges)


def before_D(x, kinds, **columns):
    return diff_augment(x, neutral(len(x), D_LAYOUT, **columns), 1.0, kinds)


MOST = 1 - 1e-7  # nearly the upper end of a draw


# the table of draws


def test_a_row_belongs_to_its_place_however_the_table_is_cut():
    whole = rows(STREAM, 0, 3 * BLOCK + 7)
    assert whole.shape == (3 * BLOCK + 7, COLUMNS)
    for size in (1, 100, BLOCK, BLOCK + 1):
        parts = [rows(STREAM, start, min(size, len(whole) - start)) for start in range(0, len(whole), size)]
        assert torch.equal(torch.cat(parts), whole)
    assert len(whole.unique(dim=0)) == len(whole)
    assert not torch.equal(rows(Stream(1, "test"), 0, 5), whole[:5])


def test_the_draws_are_uniform_and_leave_the_global_generator_alone():
    before = torch.get_rng_state()
    table = draws(20_000, STREAM.at(0)).double()
    assert torch.equal(torch.get_rng_state(), before)
    assert_close(table.mean(0), torch.full((COLUMNS,), 0.5).double(), atol=5 / math.sqrt(12 * 20_000), rtol=0)
    assert_close(table.var(0), torch.full((COLUMNS,), 1 / 12).double(), atol=0.004, rtol=0)
    assert (torch.corrcoef(table.T) - torch.eye(COLUMNS)).abs().max() < 5 / math.sqrt(20_000)


# augmentation of the data set


def test_without_ranges_nothing_changes():
    x = images()
    assert torch.equal(varied(x, rows(STREAM, 0, 4), Ranges()), x)


@pytest.mark.parametrize("side", [8, 32])
@pytest.mark.parametrize("channels", [1, 3])
def test_a_turn_by_nothing_is_the_identity(side, channels):
    x = images(2, channels, side, side)
    assert torch.equal(of_data(x, Ranges(turn_degrees=40, scale=0.3, crop=0.5, shift=0.2)), x)


def test_sides_that_are_no_powers_of_two_are_the_identity_up_to_rounding():
    x = images(2, 3, 7, 12)
    assert_close(of_data(x, Ranges(turn_degrees=40, scale=0.3)), x, atol=1e-5, rtol=0)


@pytest.mark.parametrize(("u", "quarters"), [(1.0, 1), (0.0, -1)])
def test_a_turn_by_90_degrees_is_rot90(u, quarters):
    x = images()
    assert_close(of_data(x, Ranges(turn_degrees=90), turn=u), torch.rot90(x, quarters, (2, 3)), atol=1e-5, rtol=0)
    assert not torch.allclose(of_data(x, Ranges(turn_degrees=85), turn=u), torch.rot90(x, quarters, (2, 3)), atol=0.01)


def test_a_turn_by_180_degrees_is_both_flips_of_a_picture_that_is_not_square():
    x = images(2, 1, 6, 10)
    assert_close(of_data(x, Ranges(turn_degrees=180), turn=1.0), x.flip(2, 3), atol=1e-5, rtol=0)


@pytest.mark.parametrize(("u", "by"), [(0.0, -2), (0.25, -1), (0.5, 0), (0.7, 1), (MOST, 2)])
def test_shifts_are_by_whole_pixels_and_exact(u, by):
    x = images()  # 8 pixels: a quarter is 2
    right, down = (of_data(x, Ranges(shift=0.25), **{name: u}) for name in ("shift_x", "shift_y"))
    inner = slice(2, -2)
    assert torch.equal(right[..., inner], x.roll(by, 3)[..., inner])
    assert torch.equal(down[:, :, inner], x.roll(by, 2)[:, :, inner])


def test_what_a_shift_uncovers_is_mirrored_in():
    x = images()
    right = of_data(x, Ranges(shift=0.25), shift_x=MOST)
    assert torch.equal(right[..., :2], x[..., :2].flip(3))


def test_a_small_shift_is_one_pixel_at_least():
    x = images()
    assert torch.equal(of_data(x, Ranges(shift=0.01), shift_x=MOST)[..., 1:], x[..., :-1])


def test_a_scale_of_two_doubles_a_ramp_about_its_middle():
    ramp = (torch.arange(16) - 7.5).div(10).expand(1, 1, 16, 16)
    half = of_data(ramp, Ranges(scale=0.5), scale=0.0)  # size 1/2: places are twice as far from the middle
    assert_close(half[..., 5:11], 2 * ramp[..., 5:11], atol=1e-5, rtol=0)


def test_a_crop_of_half_the_side_shows_the_quarter_that_was_drawn():
    row, column = torch.meshgrid(torch.arange(16.0), torch.arange(16.0), indexing="ij")
    x = torch.stack((row, column))[None].div(20)
    corner = of_data(x, Ranges(crop=0.5), crop=1.0, crop_x=1.0, crop_y=0.0)
    expected = torch.stack(((row - 0.5) / 2, 8 + (column - 0.5) / 2))[None].div(20)  # right and above
    inner = slice(4, -4)
    twentieth = 0.05 / 20  # of a pixel: torch's bicubic kernel (a = -.75) does not keep lines quite straight
    assert_close(corner[..., inner, inner], expected[..., inner, inner], atol=twentieth, rtol=0)


def test_flips_alone_are_exact_and_mirror_half_of_the_samples():
    x = images(2000, 1)
    y = varied(x, rows(STREAM, 0, 2000), Ranges(flip_x=True, flip_y=True))
    ways = [x, x.flip(3), x.flip(2), x.flip(2, 3)]
    shares = [(y == way).all(3).all(2).all(1).double().mean().item() for way in ways]
    assert sum(shares) == 1
    assert all(abs(share - 0.25) < 5 * math.sqrt(0.25 * 0.75 / 2000) for share in shares)


def test_brightness_moves_all_pixels_and_is_clamped():
    x = images().mul(0.5)
    for channels in (x, x[:, :1], torch.cat((x, x), 1)):
        assert_close(of_data(channels, Ranges(brightness=0.2), brightness=1.0), channels + 0.4)
        assert of_data(channels, Ranges(brightness=1), brightness=1.0).max() == 1


def test_contrast_is_about_mid_grey():
    x = images().mul(0.5)
    for channels in (x, x[:, :1]):
        assert_close(of_data(channels, Ranges(contrast=0.5), contrast=1.0), 1.5 * channels)
        assert_close(of_data(channels, Ranges(contrast=1), contrast=0.0), torch.zeros_like(channels))


def test_no_saturation_is_grey_and_grey_stays_grey():
    x = images().mul(0.5)
    grey = x.mean(1, keepdim=True).expand_as(x)
    assert_close(of_data(x, Ranges(saturation=1), saturation=0.0), grey)
    assert_close(of_data(x, Ranges(saturation=1), saturation=1.0), (2 * x - grey).clamp(-1, 1))
    assert_close(of_data(grey, Ranges(saturation=1, hue=0.5), saturation=0.9, hue=0.1), grey)


def test_a_third_of_the_circle_of_hues_takes_red_to_green_to_blue():
    x = images()
    assert_close(of_data(x, Ranges(hue=1 / 3), hue=1.0), x.roll(1, 1), atol=1e-6, rtol=0)
    assert_close(of_data(x, Ranges(hue=1 / 3), hue=0.0), x.roll(-1, 1), atol=1e-6, rtol=0)
    assert not torch.allclose(of_data(x, Ranges(hue=0.2), hue=1.0), x.roll(1, 1), atol=0.01)


def test_the_results_of_the_data_set_are_bounded_and_each_sample_has_its_own():
    same = images(1).expand(64, -1, -1, -1)
    y = varied(same, rows(STREAM, 0, 64), EVERYTHING)
    assert y.abs().max() <= 1
    assert len(y.flatten(1).unique(dim=0)) == 64


@pytest.mark.parametrize("cuts", [(1, 24), (5, 20), (8, 8, 9)])
@pytest.mark.parametrize("channels", [1, 3])
def test_parts_of_a_batch_have_the_bits_of_the_whole(cuts, channels):
    x, start = images(25, channels, 16, 16), BLOCK - 10
    whole = varied(x, rows(STREAM, start, 25), EVERYTHING)
    front = diff_augment(x, draws(25, STREAM.at(3)), 0.7, ALL)
    parts, places = x.split(cuts), torch.tensor([0, *cuts]).cumsum(0).tolist()
    pieces = [varied(p, rows(STREAM, start + i, len(p)), EVERYTHING) for p, i in zip(parts, places, strict=False)]
    assert torch.equal(torch.cat(pieces), whole)
    table = draws(25, STREAM.at(3)).split(cuts)
    pieces = [diff_augment(p, t, 0.7, ALL) for p, t in zip(parts, table, strict=True)]
    assert torch.equal(torch.cat(pieces), front)


# augmentation in front of D


@pytest.mark.parametrize("kind", ALL)
def test_a_sample_is_left_alone_to_the_bit_with_probability_1_minus_p(kind):
    n, p = 4000, 0.3
    x = images(n, 3, 8, 8)
    y = diff_augment(x, draws(n, STREAM.at(0)), p, (kind,))
    share = (x == y).flatten(1).all(1).double().mean().item()
    idle = {"color": 0, "translation": 1 / 9, "cutout": 0, "flip": 1 / 2}[kind]  # draws that do nothing: 3 x 3 shifts
    expected = 1 - p + p * idle
    assert abs(share - expected) < 5 * math.sqrt(expected * (1 - expected) / n)


def test_p_0_and_1_are_never_and_always():
    x = images(200)
    table = draws(200, STREAM.at(0))
    assert torch.equal(diff_augment(x, table, 0.0, ALL), x)
    for kind in ("color", "cutout"):
        assert not (diff_augment(x, table, 1.0, (kind,)) == x).flatten(1).all(1).any()


def test_the_kinds_are_independent_of_each_other():
    table = draws(20_000, STREAM.at(0))
    use = (table[:, [D_LAYOUT.index(f"use_{kind}") for kind in ALL]] < 0.4).double()
    assert (torch.corrcoef(use.T) - torch.eye(4)).abs().max() < 5 / math.sqrt(20_000)


def test_colour_is_brightness_then_saturation_then_contrast():
    x = images()
    assert_close(before_D(x, ("color",), brightness=1.0), x + 0.5)
    assert_close(before_D(x, ("color",), saturation=0.0), x.mean(1, keepdim=True).expand_as(x))
    mean = x.mean((1, 2, 3), keepdim=True)
    assert_close(before_D(x, ("color",), contrast=0.0), mean + (x - mean) / 2)
    grey = images(channels=1)
    assert_close(before_D(grey, ("color",), saturation=0.0), grey)


@pytest.mark.parametrize("u", [0.0, 0.3, 0.5, MOST])
def test_translation_is_by_up_to_an_eighth_and_zeros_come_in(u):
    x = images(2, 3, 16, 24)
    padded = torch.nn.functional.pad(x, (3, 3, 2, 2))
    right, down = min(int(u * 7), 6) - 3, min(int(u * 5), 4) - 2
    expected = padded[:, :, 2 - down : 18 - down, 3 - right : 27 - right]
    assert torch.equal(before_D(x, ("translation",), shift_x=u, shift_y=u), expected)


def test_all_shifts_are_equally_frequent():
    x = torch.zeros(9000, 1, 8, 8)
    x[:, :, 4, 4] = 1
    landed = diff_augment(x, draws(9000, STREAM.at(0)), 1.0, ("translation",)).mean((0, 1))
    assert landed[3:6, 3:6].sum() == pytest.approx(1)
    assert (landed[3:6, 3:6] - 1 / 9).abs().max() < 5 * math.sqrt(1 / 9 / 9000)


def test_a_flip_comes_before_the_shift():
    x = images()
    assert torch.equal(before_D(x, ("flip",), flip=0.0), x.flip(3))
    assert torch.equal(before_D(x, ("flip",), flip=0.5), x)
    both = before_D(x, ("flip", "translation"), flip=0.0, shift_x=MOST)
    assert torch.equal(both, torch.nn.functional.pad(x.flip(3), (1, 0))[..., :-1])


@pytest.mark.parametrize(("side", "least"), [(8, 2), (9, 3)])
def test_the_cutout_is_a_square_of_half_the_side_that_may_reach_over_the_border(side, least):
    x = torch.ones(5000, 1, side, side)
    hole = diff_augment(x, draws(5000, STREAM.at(0)), 1.0, ("cutout",)) == 0
    heights, widths = (hole.any(dim).flatten(1).sum(1) for dim in (3, 2))
    assert torch.equal(hole.flatten(1).sum(1), heights * widths)
    assert {heights.max().item(), widths.max().item()} == {(side + 1) // 2}
    assert {heights.min().item(), widths.min().item()} == {least}
    share = hole.double().mean((0, 1))
    assert (share - share.flip(0, 1)).abs().max() < 0.05  # no side is preferred
    corner, edge = hole[..., 0, 0].double().mean(), hole[..., 0, :].any(-1).double().mean()
    assert corner.item() == pytest.approx(edge.item() ** 2, abs=0.03)


@pytest.mark.parametrize("kind", ALL)
def test_gradients_and_their_gradients_are_those_of_finite_differences(kind):
    table = draws(3, STREAM.at(1))

    def judged(x, w):
        """A D that is not linear, so that the second gradient is not zero."""
        return (diff_augment(x, table, 0.8, (kind,)) * w).flatten(1).sum(1).tanh()

    x = images(3, 2, 4, 4).double().requires_grad_()
    w = images(3, 2, 4, 4, seed=1).double().requires_grad_()
    assert gradcheck(judged, (x, w))
    assert gradgradcheck(judged, (x, w))


def test_the_gradient_of_a_sum_is_one_where_a_pixel_is_kept_and_zero_where_it_is_not():
    x = images(50).requires_grad_()
    y = diff_augment(x, draws(50, STREAM.at(0)), 1.0, ("translation", "cutout", "flip"))
    (slope,) = torch.autograd.grad(y.sum(), x)
    assert set(slope.unique().tolist()) == {0, 1}
    assert torch.equal(slope.flatten(1).sum(1), (y != 0).flatten(1).sum(1).float())


def test_points_are_refused():
    with pytest.raises(ValueError, match=r"images.*not \[5, 2\]"):
        diff_augment(torch.zeros(5, 2), draws(5, STREAM.at(0)), 0.5, ALL)


@pytest.mark.parametrize("p_flip", [0.0, 1.0])
def test_what_is_seen_again_is_shifted_always_and_mirrored_where_it_may_be(p_flip):
    x = torch.zeros(400, 1, 16, 16)
    x[:, :, 8, 6] = 1
    again = seen_again(x, draws(400, torch.Generator().manual_seed(0)), p_flip)
    rows, columns = again.flatten(1).argmax(1).div(16, rounding_mode="floor"), again.flatten(1).argmax(1) % 16
    assert set(rows.tolist()) == {6, 7, 8, 9, 10}
    assert set(columns.tolist()) == {4, 5, 6, 7, 8} | ({9, 10, 11} if p_flip else set())
