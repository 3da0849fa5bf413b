"""Grids and scatter plots, pixel by pixel."""

import numpy as np
import pytest

from equipoise.pictures import BACKGROUND, CELL, GUTTER, PLANE, grid, modes, nearest, scatter

ORANGE, GREY, WHITE = (217, 95, 2), (190, 190, 190), (255, 255, 255)


def samples(n, side, channels):
    """Images of one value each: 10, 20, 30, ..."""
    return np.stack([np.full((side, side, channels), 10 * (i + 1), np.uint8) for i in range(n)])


@pytest.mark.parametrize(
    ("n", "columns", "rows_and_columns"),
    [(1, None, (1, 1)), (4, None, (2, 2)), (5, None, (2, 3)), (9, None, (3, 3)), (6, 6, (1, 6)), (6, 1, (6, 1))],
)
def test_a_grid_is_filled_row_by_row_with_gutters_between(n, columns, rows_and_columns):
    picture = np.asarray(grid(samples(n, CELL, 1), columns))
    rows, columns = rows_and_columns
    step = CELL + GUTTER
    assert picture.shape == (rows * step + GUTTER, columns * step + GUTTER)
    rebuilt = np.full_like(picture, BACKGROUND)
    for i in range(n):
        top, left = GUTTER + i // columns * step, GUTTER + i % columns * step
        rebuilt[top : top + CELL, left : left + CELL] = 10 * (i + 1)
    assert (picture == rebuilt).all()


@pytest.mark.parametrize(
    ("side", "factor"), [(CELL // 6, 6), (CELL // 2, 2), (CELL - 1, 2), (CELL // 2 + 1, 2), (CELL, 1), (2 * CELL, 1)]
)
def test_small_samples_are_enlarged_by_a_whole_factor_without_smoothing(side, factor):
    sample = np.random.default_rng(0).integers(0, 256, (1, side, side, 1)).astype(np.uint8)
    cell = np.asarray(grid(sample))[GUTTER:-GUTTER, GUTTER:-GUTTER]
    assert cell.shape == (factor * side, factor * side)
    assert (cell == np.kron(sample[0, ..., 0], np.ones((factor, factor)))).all()


def test_three_channels_are_colours():
    sample = np.zeros((1, CELL, CELL, 3), np.uint8)
    sample[..., 1] = 200
    picture = grid(sample)
    assert picture.mode == "RGB"
    assert picture.getpixel((GUTTER, GUTTER)) == (0, 200, 0)


@pytest.mark.parametrize("channels", [2, 4])
def test_other_numbers_of_channels_stand_side_by_side_in_grey(channels):
    sample = np.zeros((1, CELL, CELL, channels), np.uint8)
    sample[:] = 50 * np.arange(channels)
    picture = np.asarray(grid(sample))
    assert picture.shape == (CELL + 2 * GUTTER, CELL * channels + 2 * GUTTER)
    assert [picture[10, GUTTER + CELL // 2 + CELL * c] for c in range(channels)] == [50 * c for c in range(channels)]


def places(picture, colour):
    """Where a colour is, as (x, y) in [-1, 1] with y upwards."""
    y, x = np.nonzero((np.asarray(picture) == colour).all(2))
    return np.stack([2 * x / (PLANE - 1) - 1, 1 - 2 * y / (PLANE - 1)], 1)


REALS = np.array([[1, 0], [-1, 0], [0, 1], [0, -1]], np.float32)


@pytest.mark.parametrize("point", [(0.5, 0.25), (-0.5, 0.75), (0, 0), (1.2, -1.2)])
def test_a_point_is_drawn_where_it_is_with_y_upwards(point):
    drawn = places(scatter(np.array([point], np.float32), REALS), ORANGE)
    assert len(drawn) == 4
    assert drawn.mean(0) * 1.25 == pytest.approx(point, abs=0.01)


def test_reals_are_drawn_in_grey_below_the_points():
    nowhere = np.array([[9, 9]], np.float32)
    assert len(places(scatter(nowhere, REALS), GREY)) == 16
    covered = scatter(REALS[:1], REALS)
    assert len(places(covered, GREY)) == 12
    assert len(places(covered, ORANGE)) == 4


def test_the_frame_is_a_quarter_wider_than_the_reals():
    drawn = places(scatter(np.array([[9, 9]], np.float32), 40 * REALS), GREY)
    assert np.abs(drawn).max() == pytest.approx(1 / 1.25, abs=0.01)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e30, 1.3])
def test_points_outside_the_frame_or_not_finite_are_left_out(bad):
    picture = scatter(np.array([[bad, 0], [0, bad]], np.float32), REALS)
    assert len(places(picture, ORANGE)) == 0
    assert len(places(picture, WHITE)) == PLANE**2 - 16


GREY_BAR, BLUE_BAR = (150, 150, 150), (0, 114, 178)


def heights(picture, colour):
    """The heights of the bars of a colour, from left to right."""
    columns = (np.asarray(picture)[30:280] == colour).all(2).sum(0)  # without the words
    edges = np.flatnonzero(np.diff(np.r_[0, columns > 0, 0]))
    return [int(columns[left:right].max()) for left, right in zip(edges[::2], edges[1::2], strict=True)]


def test_bars_of_modes_are_as_high_as_their_shares_and_missing_ones_are_pictured():
    real, fake = np.array([0.5, 0.3, 0.1, 0.1]), np.array([0.6, 0.15, 0.25, 0.0])
    examples = samples(4, 8, 3) + 100
    picture = modes(real, fake, examples)
    highest = max(heights(picture, BLUE_BAR))
    assert np.array(heights(picture, GREY_BAR)) / highest == pytest.approx(real / 0.6, abs=0.01)
    assert np.array(heights(picture, BLUE_BAR)) / highest == pytest.approx(fake / 0.6, abs=0.01)
    strip = np.asarray(picture)[-CELL:, :, 0]
    assert (strip == 140).any()
    assert not any((strip == grey).any() for grey in (110, 120, 130))


def test_modes_that_are_all_there_have_no_pictures_below():
    half = np.array([0.5, 0.5])
    assert modes(half, half, samples(2, 8, 1)).height < modes(half, np.array([1.0, 0.0]), samples(2, 8, 1)).height


@pytest.mark.parametrize("count", [1, 1000])
def test_any_number_of_modes_can_be_drawn(count):
    shares = np.full(count, 1 / count)
    assert modes(shares, shares, samples(1, 8, 1).repeat(count, 0)).width == 900


def test_neighbours_stand_beside_their_sample_in_order():
    sample, near = samples(2, CELL, 1), samples(6, CELL, 1).reshape(2, 3, CELL, CELL, 1) + 100
    picture = np.asarray(nearest(sample, near, np.arange(6.0).reshape(2, 3)))[..., 0]
    for line, top in enumerate((CELL // 2, picture.shape[0] // 2 + CELL // 2)):
        row = picture[top]
        seen = [value for value, before in zip(row[1:], row[:-1], strict=True) if value == before]
        runs = [v for i, v in enumerate(seen) if (i == 0 or v != seen[i - 1]) and v not in (255, BACKGROUND)]
        assert runs == [10 * (line + 1), *(10 * (3 * line + i + 1) + 100 for i in range(3))]
