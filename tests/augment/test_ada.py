"""ADA's pipeline against numpy, scipy's affine transform, and products of the matrices that the paper lists."""

import math

import numpy as np
import pytest
import torch
from scipy import ndimage
from scipy.spatial.transform import Rotation
from scipy.stats import norm
from torch.autograd import gradcheck, gradgradcheck
from torch.testing import assert_close

from equipoise.augment import ADA_COLUMNS, ADA_LAYOUT, ada_augment, draws
from equipoise.augment.ada import normal
from equipoise.streams import Stream

KINDS = ("ada-blit", "ada-geometric", "ada-color")
STREAM = Stream(0, "test")
COINS = {
    "ada-blit": ("flip", "quarter", "shift"),
    "ada-geometric": ("scale", "before", "stretch", "after", "move"),
    "ada-color": ("brightness", "contrast", "luma", "hue", "saturation"),
}


def images(n=4, channels=3, h=8, w=8):
    return 2 * torch.rand(n, channels, h, w, generator=Stream(0, "images").at(0)) - 1


def smooth(n=1, channels=1, size=32, width=3.0):
    """Without what is finer than a few pixels, so that every good interpolation says the same."""
    x = np.random.default_rng(0).normal(size=(n, channels, size, size))
    x = ndimage.gaussian_filter(x, (0, 0, width, width), mode="reflect")
    return torch.from_numpy(x / np.abs(x).max()).float()


def table(n, coins, **values):
    """Draws with which only these coins fall, even at p = 1; each value is a number or [n]."""
    u = torch.full((n, ADA_COLUMNS), 0.5)
    for name in ADA_LAYOUT:
        if name.startswith("use_"):
            u[:, ADA_LAYOUT.index(name)] = 0.0 if name.removeprefix("use_") in coins else 1.0
    for name, value in values.items():
        u[:, ADA_LAYOUT.index(name)] = torch.as_tensor(value, dtype=torch.float32)
    return u


def changed(x, coins, **values):
    return ada_augment(x, table(len(x), coins, **values), 1.0, KINDS)


def deviates(z):
    """The draw that becomes z of N(0, 1)."""
    return float(norm.cdf(z))


def turned(angle):
    """The draw that becomes an angle."""
    return (angle / math.pi + 1) / 2


# the coins


@pytest.mark.parametrize("kinds", [*((kind,) for kind in KINDS), KINDS])
def test_at_p_0_all_bits_are_left_alone_and_at_p_1_none(kinds):
    x = images(200)
    u = draws(200, STREAM.at(0), ADA_COLUMNS)
    assert torch.equal(ada_augment(x, u, 0.0, kinds), x)
    same = (ada_augment(x, u, 1.0, kinds) == x).flatten(1).all(1).float().mean()
    assert same < (0.1 if kinds == ("ada-blit",) else 0.01)


@pytest.mark.parametrize(("kind", "coin"), [(kind, coin) for kind, coins in COINS.items() for coin in coins])
def test_each_coin_falls_with_probability_p_and_otherwise_leaves_the_bits_alone(kind, coin):
    n, p = 4000, 0.3
    u = draws(n, STREAM.at(1), ADA_COLUMNS)
    for other in COINS[kind]:
        if other != coin:
            u[:, ADA_LAYOUT.index(f"use_{other}")] = 1.0
    x = images(n)
    share = (ada_augment(x, u, p, (kind,)) == x).flatten(1).all(1).double().mean().item()
    chance = 1 - math.sqrt(1 - p) if coin in ("before", "after") else p  # of one turn at least: p
    idle = {"flip": 1 / 2, "quarter": 1 / 4, "shift": 1 / 4, "luma": 1 / 2}.get(coin, 0)  # draws that do nothing
    expected = 1 - chance + chance * idle
    assert abs(share - expected) < 5 * math.sqrt(expected * (1 - expected) / n)


def test_the_coins_of_all_transforms_leave_alone_what_their_product_says():
    n, p = 6000, 0.2
    x = images(n, 3, 4, 4)
    share = (ada_augment(x, draws(n, STREAM.at(2), ADA_COLUMNS), p, ("ada-geometric", "ada-color")) == x).flatten(1)
    expected = (1 - p) ** (4 + 5)  # the two turns together are one
    assert abs(share.all(1).double().mean().item() - expected) < 5 * math.sqrt(expected / n)


@pytest.mark.parametrize("cuts", [(1, 24), (5, 20), (8, 8, 9)])
@pytest.mark.parametrize("channels", [1, 3])
def test_what_becomes_of_a_sample_does_not_depend_on_its_batch(cuts, channels):
    x = images(25, channels, 16, 16)
    whole = ada_augment(x, draws(25, STREAM.at(3), ADA_COLUMNS), 0.6, KINDS)
    assert torch.equal(draws(40, STREAM.at(3), ADA_COLUMNS)[:25], draws(25, STREAM.at(3), ADA_COLUMNS))
    parts = zip(x.split(cuts), draws(25, STREAM.at(3), ADA_COLUMNS).split(cuts), strict=True)
    assert_close(torch.cat([ada_augment(*part, 0.6, KINDS) for part in parts]), whole, atol=1e-6, rtol=0)


def test_normal_numbers_have_the_quantiles_of_the_distribution_and_are_finite_at_the_ends():
    u = torch.tensor([0.0, 0.1, 0.5, 0.9, 1 - 2**-24])
    assert_close(normal(u)[1:4], torch.tensor(norm.ppf([0.1, 0.5, 0.9])).float(), atol=1e-6, rtol=0)
    assert normal(u)[0] == -normal(u)[4]
    assert 5 < normal(u)[4] < 6


# blits


def test_blits_are_those_of_numpy_in_the_order_of_the_paper_to_the_bit():
    x = images(2, 3, 16, 16)
    for flip, quarter, right, down in [(1, 0, 0, 0), (0, 1, 0, 0), (0, 3, 2, 0), (1, 1, 0, -1), (1, 2, -2, 2)]:
        u = {
            "flip": 0.2 if flip else 0.7,
            "quarter": quarter / 4,
            "shift_x": right / 4 + 0.5,
            "shift_y": down / 4 + 0.5,
        }
        there = x.numpy()[..., ::-1] if flip else x.numpy()
        padded = np.pad(np.rot90(there, quarter, (2, 3)), ((0, 0), (0, 0), (2, 2), (2, 2)), mode="symmetric")
        expected = padded[:, :, 2 - down : 18 - down, 2 - right : 18 - right]
        assert np.array_equal(changed(x, COINS["ada-blit"], **u).numpy(), expected)


def test_images_that_are_not_square_are_turned_by_halves_alone():
    x = images(2, 1, 6, 10)
    assert torch.equal(changed(x, ("quarter",), quarter=0.3), x)
    assert torch.equal(changed(x, ("quarter",), quarter=0.7), x.flip(2, 3))


# one geometric transform


def matrix_of_paper(scale, before, stretch, after, move):
    """G of appendix B: homogeneous (column, row), about the middle, in pixels; rows point down."""

    def turn(angle):
        cos, sin = math.cos(angle), math.sin(angle)
        return np.array([[cos, sin, 0], [-sin, cos, 0], [0, 0, 1]])  # anticlockwise as seen

    G = turn(before) @ np.diag((scale, scale, 1))
    G = turn(after) @ np.diag((stretch, 1 / stretch, 1)) @ G
    return np.array([[1, 0, move[0]], [0, 1, move[1]], [0, 0, 1]]) @ G


def by_scipy(x, G):
    """Each place of the result is looked up where G takes it from."""
    swap = np.array([[0, 1, 0], [1, 0, 0], [0, 0, 1]])  # scipy has (row, column)
    back = swap @ np.linalg.inv(G) @ swap
    middle = (np.array(x.shape[2:]) - 1) / 2
    offset = middle + back[:2, 2] - back[:2, :2] @ middle
    planes = [
        [ndimage.affine_transform(c, back[:2, :2], offset, order=3, mode="reflect") for c in s] for s in x.numpy()
    ]
    return torch.from_numpy(np.array(planes))


def test_the_geometric_transform_is_scipys_with_the_product_of_the_papers_matrices():
    x = smooth(2, 2)
    z = {"scale": 0.8, "stretch": -1.1}
    angles, move = {"before": 0.7, "after": -1.9}, (0.9, -0.4)
    u = {k: deviates(v) for k, v in z.items()} | {k: turned(v) for k, v in angles.items()}
    u |= {"move_x": deviates(move[0]), "move_y": deviates(move[1])}
    sizes = {k: 2 ** (0.2 * v) for k, v in z.items()}
    G = matrix_of_paper(**sizes, **angles, move=[v * 32 / 8 for v in move])
    ours = changed(x, COINS["ada-geometric"], **u)
    assert (ours - by_scipy(x, G)).abs().max() < 0.02
    wrong = matrix_of_paper(**sizes, before=angles["after"], after=angles["before"], move=[4 * v for v in move])
    assert (ours - by_scipy(x, wrong)).abs().max() > 0.3


@pytest.mark.parametrize("which", ["before", "after"])
@pytest.mark.parametrize("quarters", [1, -1])
def test_a_turn_by_90_degrees_is_rot90_of_any_image(which, quarters):
    x = images(2, 3, 32, 32)
    y = changed(x, (which,), **{which: turned(quarters * math.pi / 2)})
    assert_close(y, torch.rot90(x, quarters, (2, 3)), atol=2e-4, rtol=0)


def test_images_that_are_not_square_are_turned_about_their_middle_without_being_bent():
    x = images(2, 1, 12, 20)
    assert_close(changed(x, ("before",), before=turned(-math.pi)), x.flip(2, 3), atol=2e-4, rtol=0)
    column = torch.arange(20).sub(9.5).div(10).expand(1, 1, 12, 20)
    upright = changed(column, ("after",), after=turned(math.pi / 2))
    row = -torch.arange(12).sub(5.5).div(10)[:, None].expand(12, 20)  # right has gone up
    assert_close(upright[0, 0, 4:-4, 8:-8], row[4:-4, 8:-8], atol=0.002, rtol=0)


def test_what_is_too_fine_for_a_shrunken_image_is_grey_and_not_something_else():
    x = (torch.arange(32) % 2 * 2.0 - 1).expand(1, 1, 32, 32)  # stripes as fine as pixels are
    half = deviates(-5)  # 2^(.2 * -5)
    assert changed(x, ("scale",), scale=half)[..., 12:20].abs().max() < 0.05  # between the seams of the mirrored copies
    aliased = ndimage.affine_transform(x[0, 0].numpy(), np.diag((2.0, 2.0)), order=1, mode="reflect")
    assert np.abs(aliased).min() == 1


def test_networks_in_bf16_do_not_round_places():
    x, u = images(8, 3, 16, 16), draws(8, STREAM.at(0), ADA_COLUMNS)
    with torch.autocast("cpu", torch.bfloat16):
        rounded = ada_augment(x, u, 0.8, KINDS)
    assert torch.equal(rounded, ada_augment(x, u, 0.8, KINDS))


# colours


def matrix_of_colours(brightness, contrast, luma, hue, saturation):
    """C of appendix B: homogeneous colours, in the order of the paper."""
    v = np.array([1, 1, 1, 0]) / math.sqrt(3)
    C = np.eye(4)
    C[:3, 3] = brightness
    C = np.diag((contrast, contrast, contrast, 1)) @ C
    C = (np.eye(4) - 2 * np.outer(v, v) * luma) @ C  # Householder
    turn = np.eye(4)
    turn[:3, :3] = Rotation.from_rotvec(hue * v[:3]).as_matrix()
    C = turn @ C
    along = np.outer(v, v)
    return (along + (np.eye(4) - along) @ np.diag((saturation, saturation, saturation, 1))) @ C


@pytest.mark.parametrize("luma", [0, 1])
def test_colours_are_the_product_of_the_papers_matrices(luma):
    x = images()
    z = {"brightness": 0.7, "contrast": -1.2, "saturation": 0.9}
    u = {k: deviates(v) for k, v in z.items()} | {"luma": 0.2 + 0.5 * luma, "hue": turned(2.1)}
    C = matrix_of_colours(0.2 * 0.7, 2 ** (0.5 * -1.2), luma, 2.1, 2**0.9)
    expected = np.einsum("ij,bjhw->bihw", C[:3, :3], x.numpy()) + C[:3, 3][None, :, None, None]
    assert_close(changed(x, COINS["ada-color"], **u), torch.from_numpy(expected).float(), atol=1e-5, rtol=0)


@pytest.mark.parametrize("channels", [1, 2])
def test_where_there_are_not_three_channels_brightness_contrast_and_luma_are_left(channels):
    x = images(channels=channels)
    u = {"brightness": deviates(-1.5), "contrast": deviates(1.0), "luma": 0.7, "hue": 0.1, "saturation": 0.9}
    expected = -math.sqrt(2) * (x - 0.3)
    assert_close(changed(x, COINS["ada-color"], **u), expected, atol=1e-5, rtol=0)
    assert torch.equal(changed(x, ("hue", "saturation"), hue=0.1, saturation=0.9), x)


# gradients


@pytest.mark.parametrize("kind", KINDS)
def test_gradients_and_their_gradients_are_those_of_finite_differences(kind):
    u = draws(3, STREAM.at(1), ADA_COLUMNS)
    x, w = (torch.randn(3, 3, 4, 4, generator=Stream(0, n).at(0), dtype=torch.float64) for n in "xw")

    def judged(x, w):
        """A D that is not linear, so that the second gradient is not zero."""
        return (ada_augment(x, u, 0.8, (kind,)) * w).flatten(1).sum(1).tanh()

    inputs = (x.requires_grad_(), w.requires_grad_())
    assert gradcheck(judged, inputs, fast_mode=True)
    assert gradgradcheck(judged, inputs, fast_mode=True)


def test_points_are_refused():
    with pytest.raises(ValueError, match=r"images.*not \[5, 2\]"):
        ada_augment(torch.zeros(5, 2), draws(5, STREAM.at(0), ADA_COLUMNS), 0.5, KINDS)
