"""The shell of an HTML file for people: no scripts, nothing from outside. What it is given must be escaped."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable
from html import escape

from PIL import Image

DENSE = 8  # how many times smaller than its pixels a PNG of samples may be
QUALITY = 85  # of pictures that are too large as PNG
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
STYLE = """
:root { color-scheme: light dark; --ink: #1b1f24; --dim: #5c6670; --paper: #fff; --line: #d8dde2; --mark: #b3470b; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e4e7ea; --dim: #9aa4ae; --paper: #14171a; --line: #343a40; --mark: #f2a065; }
}
body { font: 16px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); max-width: 60rem;
  margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin-top: 2.5rem; border-top: 1px solid var(--line);
  padding-top: 1rem; }
table { border-collapse: collapse; width: 100%; font-size: .9rem; } td, th { text-align: left; padding: .2rem .6rem
  .2rem 0; vertical-align: top; border-bottom: 1px solid var(--line); overflow-wrap: anywhere; }
img { max-width: 100%; image-rendering: pixelated; } .dim { color: var(--dim); } .mark { color: var(--mark); }
figure { display: inline-block; margin: 0 .8rem .8rem 0; vertical-align: top; } figcaption { font-size: .8rem;
  color: var(--dim); max-width: 11rem; overflow-wrap: anywhere; } svg text { fill: currentColor; font-size: 12px; }
svg rect { fill: var(--mark); }
"""


def document(title: str, body: Iterable[str], style: str = "") -> str:
    """HTML from a title as plain text, a body that is escaped already, and more CSS."""
    head = '<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
    head += f'<meta http-equiv="Content-Security-Policy" content="{POLICY}"><title>{escape(title)}</title>'
    head += f"<style>{STYLE}{style}</style>"
    return f'<!DOCTYPE html>\n<html lang="en"><head>{head}</head><body>{"".join(body)}</body></html>\n'


def embedded(picture: Image.Image, told: str, most: int | None = None) -> str:
    """A picture as an element, with its description as plain text. One whose PNG has more than `most` bytes loses what
    the eye misses least: it becomes WebP, and smaller until it fits."""
    raw = picture.width * picture.height * len(picture.getbands())
    if most is None or raw <= DENSE * most:  # of others the slow attempt is in vain
        file = encoded(picture, "PNG", optimize=True)
        if most is None or len(file) <= most:
            return element(file, "png", told)
    while len(file := encoded(picture, "WEBP", quality=QUALITY)) > most and min(picture.size) > 1:
        picture = picture.reduce(2)
    return element(file, "webp", told)


def encoded(picture: Image.Image, kind: str, **options: object) -> bytes:
    file = io.BytesIO()
    picture.save(file, kind, **options)
    return file.getvalue()


def element(file: bytes, kind: str, told: str) -> str:
    return f'<img alt="{escape(told)}" src="data:image/{kind};base64,{base64.b64encode(file).decode()}">'
