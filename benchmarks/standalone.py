"""A chart as a file of its own: with the style that a page would give it."""

from __future__ import annotations

from pathlib import Path

from equipoise import charts, page

PAPER = "svg { font: 12px sans-serif; background: var(--paper); } text { fill: var(--ink); }"


def write(svg: str, path: Path) -> None:
    head = f'<svg xmlns="http://www.w3.org/2000/svg" width="{charts.WIDE}"'
    styled = svg.replace("<svg", head, 1).replace(">", f"><style>{page.STYLE}{charts.STYLE}{PAPER}</style>", 1)
    path.write_text(f"{styled}\n", encoding="utf-8")
