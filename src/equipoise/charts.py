"""Curves and planes as SVG for an HTML file: sharp at any size, in the colours of the page, values on hovering.

Series are told apart by colour (Okabe and Ito 2008, safe for the colour-blind) and by dashes. What is given as text is
escaped here.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from html import escape
from itertools import groupby

from equipoise.words import number

WIDE, HIGH = 460, 270  # of the drawing, in its own units; on a page at most as many pixels
LEFT, RIGHT, TOP, BOTTOM = 58, 14, 40, 40  # what axes and titles take of it
LETTER = 7  # px, of a word
DOTTED = 60  # points up to which each is marked and tells its value
BLOCKS = 200  # of a longer series: each is drawn as its mean, within its least and its largest value
ABSURD = 1e100  # no axis reaches further; what does is drawn at its end
STEEP = 30.0  # ratio of the largest to the least value from which a scale is logarithmic
STYLE = """
:root { --c0: #0072b2; --c1: #d55e00; --c2: #009e73; --c3: #a0508a; }
@media (prefers-color-scheme: dark) { :root { --c0: #56b4e9; --c1: #e69f00; --c2: #2cc295; --c3: #d48fbd; } }
.chart text { paint-order: stroke; stroke: var(--paper); stroke-width: 4px; stroke-linejoin: round; }
svg.chart { width: 100%; max-width: 560px; height: auto; display: block; } .chart text.dim { fill: var(--dim); }
.chart text.title { font-weight: 600; font-size: 14px; } .chart .axis { stroke: var(--line); stroke-width: 1; }
.chart .line { fill: none; stroke-width: 2; stroke-linejoin: round; } .chart .band { stroke: none; opacity: .2; }
.chart .mark { fill: var(--paper); stroke: var(--ink); stroke-width: 2; }
.chart .k0 { stroke: var(--c0); } .chart .k1 { stroke: var(--c1); stroke-dasharray: 6 3; }
.chart .k2 { stroke: var(--c2); stroke-dasharray: 2 3; } .chart .k3 { stroke: var(--c3); stroke-dasharray: 9 3 2 3; }
.chart .f0 { fill: var(--c0); } .chart .f1 { fill: var(--c1); } .chart .f2 { fill: var(--c2); }
.chart .f3 { fill: var(--c3); }
"""


@dataclass(frozen=True)
class Line:
    """A series over x, and a band about it where `low` and `high` are given. What is not finite is a gap."""

    name: str
    x: Sequence[float]
    y: Sequence[float]
    low: Sequence[float] = ()
    high: Sequence[float] = ()


@dataclass(frozen=True)
class Mark:
    """A point that is told apart, with its words."""

    x: float
    y: float
    name: str


@dataclass(frozen=True)
class Axis:
    """From values to places: `low` is at `start` and `high` at `end`, in the units of the drawing."""

    low: float
    high: float
    start: float
    end: float
    logarithmic: bool = field(default=False, kw_only=True)

    def __call__(self, value: float) -> float:
        low, high, value = (self.measure(each) for each in (self.low, self.high, value))
        return self.start + (self.end - self.start) * min(max((value - low) / (high - low), 0.0), 1.0)

    def measure(self, value: float) -> float:
        return math.log10(max(value, self.low)) if self.logarithmic else value

    def ticks(self) -> list[float]:
        """Round values within the axis: 1, 2 and 5 times powers of ten."""
        if self.logarithmic:
            powers = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
            steps = (1, 2, 5) if len(powers) <= 3 else (1,)
            every = max(1, (len(powers) - 1) // 5)
            found = [step * 10.0**power for power in powers if power % every == 0 for step in steps]
            return [tick for tick in found if self.low <= tick <= self.high]
        step = round_step(self.high - self.low)
        first = math.ceil(self.low / step - 1e-9)
        return [i * step for i in range(first, math.floor(self.high / step + 1e-9) + 1)]


def round_step(span: float, most: int = 5) -> float:
    """The least of 1, 2 and 5 times a power of ten that divides a span into at most `most` parts."""
    power = 10.0 ** math.floor(math.log10(span / most))
    return next(power * step for step in (1, 2, 5, 10) if power * step * most >= span * (1 - 1e-9))


def axis(values: Iterable[float], start: float, end: float) -> Axis:
    """One that holds all values but absurd ones, logarithmic where they are positive and far apart."""
    sane = [0.0 if abs(value) < 1 / ABSURD else value for value in values if abs(value) < ABSURD] or [0.0, 1.0]
    low, high = min(sane), max(sane)
    if steep(sane):
        return Axis(low / 1.1, high * 1.1, start, end, logarithmic=True)
    if math.isclose(low, high):
        low, high = low - (abs(low) or 1) / 2, high + (abs(high) or 1) / 2
    if 0 < low < (high - low) / 2:
        low = 0.0  # near enough to be shown
    return Axis(low, high + (high - low) / 20, start, end)


def steep(values: Sequence[float]) -> bool:
    return bool(values) and min(values) > 0 and max(values) > STEEP * min(values)


def curves(title: str, lines: Sequence[Line], marks: Sequence[Mark] = (), x_name: str = "kimg") -> str:
    """Lines with their bands over one x axis, which starts at 0."""
    lines = [thinned(line) for line in lines]
    x = Axis(0.0, max((max(line.x, default=0.0) for line in lines), default=0.0) or 1.0, LEFT, WIDE - RIGHT)
    own = [value for line in lines for value in line.y if math.isfinite(value)]
    bounds = [] if steep(own) else [value for line in lines for value in (*line.low, *line.high)]
    y = axis([*own, *bounds], HIGH - BOTTOM, TOP)
    body = [*frame(title, x, y, x_name), *legend([line.name for line in lines])]
    for i, line in reversed([*enumerate(lines)]):  # the first lies on top
        body += [*bands(line, x, y, i), *strokes(line, x, y, i)]
    return drawing(title, [*body, *marked(marks, x, y)])


def plane(title: str, points: Sequence[Mark], marks: Sequence[Mark], x_name: str, y_name: str) -> str:
    """Points of the unit square in their order, from the faintest to the strongest, and marks among them."""
    x, y = Axis(0.0, 1.0, LEFT, LEFT + HIGH), Axis(0.0, 1.0, TOP + HIGH, TOP)
    body = frame(title, x, y, x_name, y_name)
    joined = path([(point.x, point.y) for point in points], x, y)
    body.append(f'<polyline class="line k0" style="opacity:.4" points="{joined}"/>')
    for i, point in enumerate(points):
        strength = 0.25 + 0.75 * (i + 1) / len(points)
        body.append(dot(x(point.x), y(point.y), 0, point.name, f' fill-opacity="{strength:.2f}"'))
    corner = f'<text class="dim" x="{x(1) + 8:.1f}" y="{y(1) + 4:.1f}">ideal</text>'
    return drawing(title, [*body, corner, *marked(marks, x, y)], TOP + HIGH + BOTTOM)


def drawing(title: str, body: Iterable[str], high: float = HIGH) -> str:
    return (
        f'<svg class="chart" viewBox="0 0 {WIDE} {high:g}" role="img" aria-label="{escape(title)}">'
        f"{''.join(body)}</svg>"
    )


def frame(title: str, x: Axis, y: Axis, x_name: str, y_name: str = "") -> list[str]:
    """The title, and axes with their ticks and names."""
    told = ", log scale" if y.logarithmic else ""
    above = (
        f'<text class="title" x="4" y="16">{escape(title)}<tspan class="dim" font-weight="400">{told}</tspan></text>'
    )
    parts = [above]
    for tick in y.ticks():
        at = y(tick)
        parts.append(f'<line class="axis" x1="{x.start:g}" x2="{x.end:g}" y1="{at:.1f}" y2="{at:.1f}"/>')
        parts.append(f'<text class="dim" x="{x.start - 6:g}" y="{at + 4:.1f}" text-anchor="end">{number(tick)}</text>')
    for tick in x.ticks():
        at = x(tick)
        parts.append(
            f'<line class="axis" x1="{at:.1f}" x2="{at:.1f}" y1="{y.start:g}" y2="{y.start + 5:g}"/>'
            f'<text class="dim" x="{at:.1f}" y="{y.start + 18:g}" text-anchor="middle">{number(tick)}</text>'
        )
    parts.append(f'<text class="dim" x="{x.end:g}" y="{y.start + 34:g}" text-anchor="end">{escape(x_name)}</text>')
    if y_name:
        parts.append(f'<text class="dim" x="{x.start:g}" y="{y.end - 8:g}">{escape(y_name)}</text>')
    return parts


def legend(names: Sequence[str]) -> Iterator[str]:
    """One line below the title, closer where it would be too long; none for a single series without a name."""
    wide = sum(27 + 7 * len(name) + 16 for name in names) <= WIDE - LEFT - RIGHT
    stroke, letter, gap = (22, 7.0, 16) if wide else (14, 6.2, 8)
    left = float(LEFT)
    for i, name in enumerate(names):
        if name:
            yield f'<line class="line k{i % 4}" x1="{left:g}" x2="{left + stroke:g}" y1="{TOP - 11}" y2="{TOP - 11}"/>'
            yield f'<text x="{left + stroke + 5:g}" y="{TOP - 7}">{escape(name)}</text>'
            left += stroke + 5 + letter * len(name) + gap


def strokes(line: Line, x: Axis, y: Axis, i: int) -> Iterator[str]:
    """A line between gaps; where there are few points, each of them with its value."""
    for piece in unbroken(line.x, line.y):
        yield f'<polyline class="line k{i % 4}" points="{path(piece, x, y)}"/>'
        if len(line.x) <= DOTTED:
            for a, b in piece:
                yield dot(x(a), y(b), i, f"{line.name or 'value'} {number(b)} at {number(a)}")


def bands(line: Line, x: Axis, y: Axis, i: int) -> Iterator[str]:
    """There along the upper bounds, and back along the lower ones."""
    for piece in unbroken(line.x, line.low, line.high):
        around = [(at, high) for at, _, high in piece] + [(at, low) for at, low, _ in reversed(piece)]
        yield f'<polygon class="band f{i % 4}" points="{path(around, x, y)}"/>'


def unbroken(*columns: Sequence[float]) -> Iterator[list[tuple[float, ...]]]:
    """Rows of the columns, in runs in which all are finite."""
    for whole, rows in groupby(zip(*columns, strict=False), key=lambda row: all(map(math.isfinite, row))):
        if whole:
            yield list(rows)


def path(points: Iterable[Sequence[float]], x: Axis, y: Axis) -> str:
    return " ".join(f"{x(a):.1f},{y(b):.1f}" for a, b in points)


def dot(left: float, top: float, i: int, told: str, more: str = "") -> str:
    return f'<circle class="f{i % 4}" cx="{left:.1f}" cy="{top:.1f}" r="3"{more}><title>{escape(told)}</title></circle>'


def marked(marks: Sequence[Mark], x: Axis, y: Axis) -> list[str]:
    """Rings with their words, on the side that has room; below, where another ring lies in their way above."""
    words, rings = list[str](), list[str]()
    places = [(x(mark.x), y(mark.y)) for mark in marks]
    for mark, (left, top) in zip(marks, places, strict=True):
        name, end = escape(mark.name), left > (x.start + x.end) / 2
        side, wide = (-1 if end else 1), LETTER * len(mark.name)
        taken = any(-9 <= side * (a - left) - 9 <= wide and -24 <= b - top <= -4 for a, b in places)
        words.append(
            f'<text x="{left + 9 * side:.1f}" y="{top + (18 if taken else -9):.1f}" '
            f'text-anchor="{"end" if end else "start"}">{name}</text>'
        )
        rings.append(f'<circle class="mark" cx="{left:.1f}" cy="{top:.1f}" r="5"><title>{name}</title></circle>')
    return [*words, *rings]


def thinned(line: Line) -> Line:
    """A long series as the means of blocks, with their least and largest values as the band."""
    if len(line.x) <= 2 * BLOCKS:
        return line
    size = math.ceil(len(line.x) / BLOCKS)
    blocks = [slice(i, i + size) for i in range(0, len(line.x), size)]
    return Line(
        line.name,
        [centre(line.x[block]) for block in blocks],
        [centre(line.y[block]) for block in blocks],
        [min(line.y[block]) for block in blocks],
        [max(line.y[block]) for block in blocks],
    )


def centre(values: Sequence[float]) -> float:
    return sum(values) / len(values)
