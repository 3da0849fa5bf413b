"""Sentences that tests train on, and nets that are small enough for them."""

from __future__ import annotations

import os
from pathlib import Path

OF_TEXT = {
    "language": [
        *("nets.embedding=6", "nets.g_width=8", "nets.d_embedding=8", "nets.d_filters=3", "data.length=4"),
        "speech.rollouts=2",
    ],
    "restyler": [
        *("nets.width=8", "nets.heads=2", "nets.layers=1", "nets.embedding=4", "nets.style=4", "nets.d_filters=3"),
        "data.length=6",
    ],
}


def two_styles() -> Path:
    """A folder with sentences of two styles, made up."""
    folder = Path(os.environ["EQUIPOISE_CACHE"]) / "two styles"
    folder.mkdir(exist_ok=True, parents=True)
    for style, words in {"calm": ("good", "kind", "fine"), "loud": ("bad", "rude", "awful")}.items():
        lines = [
            f"{who} {place} was {word}"
            for who in ("the", "this", "our", "my") for place in ("place", "food", "staff", "room", "bar")
            for word in words
        ]  # fmt: skip
        aside = folder / f".{style}-{os.getpid()}"  # another process of the tests may be reading
        aside.write_text("\n".join(lines * 2), encoding="utf-8")
        aside.replace(folder / f"{style}.txt")
    return folder
