"""A check as one HTML file: no scripts, nothing from outside, names escaped."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any

import numpy as np

from equipoise.cleaning.findings import Checked, Finding, Item
from equipoise.data.gathered import Gathered
from equipoise.page import document, embedded
from equipoise.pictures import grid

SHOWN = 48  # things of each finding that are pictured
LISTED = 500  # names of each finding that are listed
COLUMNS = 12
BARS = 40  # classes in a histogram


def page(name: str, data: Gathered, checked: Checked) -> str:
    """The HTML of a check of the set called `name`."""
    found = checked.findings
    rows = "".join(f'<tr><td><a href="#{f.kind}">{f.title}</a></td><td>{escape(f.what)}</td></tr>' for f in found)
    verdict = f"{len(found)} kinds of findings" if found else "nothing was found that asks for a change"
    body = [
        f"<h1>{escape(name)}: {verdict}</h1>",
        f"<table>{rows}</table>" if found else "",
        "".join(f"<p>{escape(note[:1].upper() + note[1:])}</p>" for note in checked.notes),
        *(section(finding, data) for finding in found),
        "<h2>The set</h2>", table(checked.facts), "<h3>Pictures of each class</h3>" if data.classes else "",
        bars(checked.facts["classes"]), "<h3>Widths</h3>", bars(histogram(data.sizes[:, 0])), "<h3>Heights</h3>",
        bars(histogram(data.sizes[:, 1])),
    ]  # fmt: skip
    return document(name, body)


def section(finding: Finding, data: Gathered) -> str:
    rows = "".join(
        f"<tr><td>{'<br>'.join(escape(name) for name in item.names)}</td><td>{item.score:g}</td>"
        f"<td>{escape(item.note)}</td></tr>"
        for item in finding.items[:LISTED]
    )
    left = len(finding.items) - LISTED
    more = f"<p class=dim>and {left} more: see --json</p>" if left > 0 else ""
    return (
        f'<h2 id="{finding.kind}">{finding.title}</h2><p>{escape(finding.what)}.</p>'
        f"<p><span class=dim>What it means.</span> {escape(finding.meaning)}</p>"
        f"<p><span class=mark>What to do.</span> {escape(finding.advice)}</p>{sheet(finding, data)}"
        f"<details><summary>{len(finding.items)} by name</summary>"
        f"<table><tr><th>name<th>score<th>note</tr>{rows}</table>{more}</details>"
    )


def sheet(finding: Finding, data: Gathered) -> str:
    """Pictures: groups and relabelled ones each with their note, others side by side."""
    items = [item for item in finding.items if item.places][:SHOWN]
    if not items:
        return ""
    first = (
        f"<p class=dim>The first {len(items)} of {len(finding.items)}.</p>" if len(items) < len(finding.items) else ""
    )
    if finding.kind == "outliers" or finding.kind == "constant":
        return first + embedded(
            grid(data.images[[item.places[0] for item in items]], min(COLUMNS, len(items))), "contact sheet"
        )
    return first + "".join(figure(item, data) for item in items)


def figure(item: Item, data: Gathered) -> str:
    picture = embedded(grid(data.images[item.places[:6]], min(6, len(item.places))), ", ".join(item.names[:6]))
    words = item.note or (f"{item.score:g}" if item.score else "")
    return f"<figure>{picture}<figcaption>{escape(words)}</figcaption></figure>"


def table(facts: Mapping[str, Any]) -> str:
    rows = [(key, value) for key, value in facts.items() if value and key != "classes"]
    cells = (f"<tr><td>{escape(key.replace('_', ' '))}</td><td>{escape(shown(value))}</td></tr>" for key, value in rows)
    return f"<table>{''.join(cells)}</table>"


def shown(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key}: {each}" for key, each in value.items())
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def histogram(sides: np.ndarray[Any, np.dtype[np.int64]]) -> dict[str, int]:
    """At most twelve bins of equal width."""
    values, counts = np.unique(sides, return_counts=True)
    if len(values) > 12:
        counts, edges = np.histogram(sides, bins=12)
        return {f"{low:.0f} to {high:.0f}": int(n) for low, high, n in zip(edges, edges[1:], counts, strict=False)}
    return {str(value): int(n) for value, n in zip(values, counts, strict=True)}


def bars(counts: Mapping[str, int]) -> str:
    """A horizontal histogram as SVG."""
    rows = list(counts.items())[:BARS]
    most = max((count for _, count in rows), default=1)
    lines = [
        f'<text x="140" y="{i * 20 + 15}" text-anchor="end">{escape(short(name))}</text>'
        f'<rect x="150" y="{i * 20 + 4}" width="{400 * count / most:.1f}" height="14"></rect>'
        f'<text x="{158 + 400 * count / most:.1f}" y="{i * 20 + 15}">{count:,}</text>'
        for i, (name, count) in enumerate(rows)
    ]
    more = f"<p class=dim>and {len(counts) - BARS} more</p>" if len(counts) > BARS else ""
    return (
        f'<svg viewBox="0 0 640 {len(rows) * 20 + 4}" width="640" role="img">{"".join(lines)}</svg>{more}'
        if rows
        else ""
    )


def short(name: str) -> str:
    return name if len(name) <= 20 else f"{name[:19]}…"
