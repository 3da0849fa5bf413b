"""Charts as their readers see them: values are read off the SVG by its own ticks."""

from __future__ import annotations

import math
import re
import xml.etree.ElementTree as xml

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from equipoise.charts import BLOCKS, HIGH, WIDE, Axis, Line, Mark, axis, curves, plane, round_step, thinned


def drawn(svg):
    return xml.fromstring(svg)


def values(root):
    """A function from places to values, made of the ticks alone: two labels on each axis give the scale."""
    labels = [e for e in root.iter("text") if e.get("class") == "dim" and is_number(e.text)]
    across = [(float(e.get("x")), parsed(e.text)) for e in labels if e.get("text-anchor") == "middle"]
    up = [(float(e.get("y")) - 4, parsed(e.text)) for e in labels if e.get("text-anchor") == "end"]
    logarithmic = "log scale" in "".join(root.itertext())

    def read(x, y):
        level = line(up, y, np.log10) if logarithmic else line(up, y)
        return line(across, x), 10**level if logarithmic else level

    return read


def line(ticks, place, scale=lambda value: value):
    (a, low), *_, (b, high) = ticks
    return scale(low) + (place - a) / (b - a) * (scale(high) - scale(low))


def parsed(text):
    return float(text.replace(",", ""))


def is_number(text):
    try:
        return math.isfinite(parsed(text or ""))
    except ValueError:
        return False


def places(element):
    return [tuple(map(float, pair.split(","))) for pair in element.get("points").split()]


def of_class(root, tag, name):
    return [e for e in root.iter(tag) if name in (e.get("class") or "").split()]


SERIES = {
    "rising": ([10, 20, 30, 40], [1.0, 2.5, 3.0, 7.0]),
    "negative": ([0, 50, 100], [-3.0, 0.0, 2.0]),
    "steep": ([1, 2, 3, 4], [0.02, 1.0, 30.0, 900.0]),
    "narrow": ([1, 2, 3], [0.991, 0.993, 0.992]),
    "constant": ([1, 2, 3], [4.0, 4.0, 4.0]),
    "large": ([100, 2000], [25_000.0, 11_000.0]),
}


@pytest.mark.parametrize("name", SERIES)
def test_points_lie_where_the_ticks_say(name):
    x, y = SERIES[name]
    root = drawn(curves("title", [Line("one", x, y)]))
    read = values(root)
    assert ("log scale" in "".join(root.itertext())) == (name == "steep")
    (polyline,) = [e for e in root.iter("polyline")]
    tolerance = {"rel": 0.01, "abs": 0.005 * (max(y) - min(y))}
    for place, a, b in zip(places(polyline), x, y, strict=True):
        assert read(*place) == (pytest.approx(a, abs=0.01 * max(x)), pytest.approx(b, **tolerance))
        assert 0 < place[0] < WIDE
        assert 0 < place[1] < HIGH
    told = [e.find("title").text for e in of_class(root, "circle", "f0")]
    assert len(told) == len(x)
    assert told[-1].startswith("one ")


def test_a_gap_breaks_the_line():
    root = drawn(curves("t", [Line("a", [1, 2, 3, 4, 5], [1.0, 2.0, math.nan, math.inf, 3.0])]))
    assert [len(places(e)) for e in root.iter("polyline")] == [2, 1]


def test_a_band_runs_along_its_bounds_and_back():
    low, high = [0.5, 1.5, math.nan, 2.0], [2.0, 3.0, math.nan, 5.0]
    root = drawn(curves("t", [Line("a", [1, 2, 3, 4], [1.0, 2.0, 3.0, 4.0], low, high)]))
    read, polygons = values(root), list(root.iter("polygon"))
    first = [read(*place)[1] for place in places(polygons[0])]
    assert first == pytest.approx([2.0, 3.0, 1.5, 0.5], abs=0.03)
    assert len(polygons) == 2


def test_a_mark_lies_on_its_point_and_the_first_line_on_top():
    one, other = Line("one", [1, 2], [1.0, 2.0]), Line("other", [1, 2], [1.0, 2.0])
    root = drawn(curves("t", [one, other], [Mark(2, 2.0, "best")]))
    (mark,) = of_class(root, "circle", "mark")
    end = places(next(root.iter("polyline")))[-1]
    assert (float(mark.get("cx")), float(mark.get("cy"))) == end
    assert [e.get("class") for e in root.iter("polyline")] == ["line k1", "line k0"]
    assert {"one", "other", "best"} <= {e.text for e in root.iter("text")}


def test_a_plane_has_equal_scales_and_its_corner_at_one():
    points = [Mark(0.1, 0.9, "first"), Mark(0.5, 0.5, "second")]
    root = drawn(plane("t", points, [points[1]], "recall", "precision"))
    read = values(root)
    circles = of_class(root, "circle", "f0")
    for circle, point in zip(circles, points, strict=True):
        assert read(float(circle.get("cx")), float(circle.get("cy"))) == pytest.approx((point.x, point.y), abs=0.01)
    assert [e.get("fill-opacity") for e in circles] == ["0.62", "1.00"]
    (a, b), (c, d) = places(next(root.iter("polyline")))
    assert c - a == pytest.approx(d - b, abs=0.2)


def test_a_long_series_is_drawn_as_means_within_its_extremes():
    rng = np.random.default_rng(0)
    x, y = np.arange(5000.0), rng.normal(3, 1, 5000)
    short = thinned(Line("a", list(x), list(y)))
    assert len(short.x) == BLOCKS
    assert np.mean(short.y) == pytest.approx(y.mean())
    assert (min(short.low), max(short.high)) == (y.min(), y.max())
    assert thinned(short) is short


def test_text_is_escaped():
    hostile = "<script>alert('&')</script>\""
    svg = curves(hostile, [Line(hostile, [1], [1.0])], [Mark(1, 1, hostile)], hostile)
    svg += plane(hostile, [Mark(0, 0, hostile)], [], hostile, hostile)
    assert "<script" not in svg
    assert hostile in "".join(drawn(f"<x>{svg}</x>").itertext())


@pytest.mark.parametrize("lines", [[], [Line("a", [], [])], [Line("a", [1], [math.nan])], [Line("a", [0], [0.0])]])
def test_nothing_to_draw_is_drawn(lines):
    assert len([e for e in drawn(curves("t", lines)).iter("text")]) > 2


@given(st.lists(st.floats(), max_size=6))
def test_any_values_get_an_axis_with_a_few_round_ticks_inside(found):
    """To be read as numbers, as many as fit and at least two; a log scale within one power of ten has fewer."""
    one = axis(found, 200.0, 40.0)
    ticks = one.ticks()
    assert 1 <= len(ticks) <= 12
    places = [one(tick) for tick in ticks]
    assert places == sorted(places, reverse=True)
    assert all(40 <= place <= 200 for place in places)
    assert all(40 <= one(value) <= 200 for value in found if math.isfinite(value))
    if not one.logarithmic:
        assert len(ticks) >= 2


@given(st.floats(1e-90, 1e90))
def test_steps_are_round(span):
    step = round_step(span)
    digits = step / 10.0 ** math.floor(math.log10(step) + 1e-9)
    assert min(abs(digits - each) for each in (1, 2, 5)) < 1e-6
    assert 2 <= span / step <= 5.001


def test_an_axis_by_hand():
    assert Axis(0, 10, 100, 0)(2.5) == 75
    assert Axis(1, 100, 0, 100, logarithmic=True)(10) == pytest.approx(50)
    assert Axis(0, 100, 0, 1).ticks() == [0, 20, 40, 60, 80, 100]
    assert Axis(0.9, 1100, 0, 1, logarithmic=True).ticks() == pytest.approx([1, 10, 100, 1000])


def test_no_word_of_a_mark_lies_over_the_ring_of_another():
    """`near` stands where the words of `far` would be; alone these stand above."""
    far, near = Mark(0.8, 0.5, "far"), Mark(0.74, 0.53, "near")
    line = [Line("", [0.0, 1.0], [0.0, 1.0])]

    def below(marks):
        svg = curves("", line, marks)
        ring = float(re.search(r'cy="([\d.]+)" r="5"><title>far<', svg)[1])
        return float(re.search(r'y="([\d.]+)" text-anchor="end">far<', svg)[1]) > ring

    assert not below([far])
    assert below([far, near])
