"""The samples over time as a GIF: which of them, how large, and what becomes of broken ones."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from equipoise.errors import ConfigError
from equipoise.pictures import FRAME_MS, LAST_MS, film
from equipoise.reports import film as films


def noise(side, seed=0, channels=3):
    pixels = np.random.default_rng(seed).integers(0, 256, (side, side, channels), dtype=np.uint8)
    return Image.fromarray(pixels.squeeze())


def opened(made):
    return Image.open(io.BytesIO(made))


@pytest.fixture
def drawn(recorded):
    run = recorded("run")
    for step in range(0, 1000, 10):
        Image.new("L", (50, 50), step % 250).save(run.grid(step))
    return run


def test_at_most_so_many_pictures_the_first_and_the_last_among_them(drawn):
    steps = drawn.drawn()
    chosen = films.spaced(steps)
    assert len(chosen) == films.FRAMES == len(set(chosen))
    assert (chosen[0], chosen[-1]) == (0, 990)
    assert films.spaced(steps[:5]) == steps[:5]
    assert opened(films.of(drawn)).n_frames == films.FRAMES


def test_it_repeats_and_stays_longest_at_the_last():
    with opened(film([(noise(20, i), f"{i}") for i in range(3)], 10**6)) as made:
        assert made.info["loop"] == 0
        assert made.n_frames == 3
        durations = [made.seek(i) or made.info["duration"] for i in range(3)]
    assert durations == [FRAME_MS, FRAME_MS, LAST_MS]


def test_a_film_that_is_too_large_loses_pictures_and_then_their_size():
    frames = [(noise(128, i), f"{i}") for i in range(16)]
    whole = film(frames, 10**9)
    half, small = film(frames, len(whole) * 2 // 3), film(frames, len(whole) // 12)
    assert len(half) <= len(whole) * 2 // 3
    assert opened(half).n_frames < opened(whole).n_frames
    assert opened(half).size == opened(whole).size
    assert len(small) <= len(whole) // 12
    assert opened(small).width < 128
    assert film(frames[:2], 10), "never nothing, however few bytes are allowed"


def test_pictures_that_cannot_be_read_are_passed_over(drawn, tmp_path):
    for step in drawn.drawn()[1:-1]:
        drawn.grid(step).write_bytes(b"\x89PNG")
    films.write(drawn, tmp_path / "film.gif")
    with Image.open(tmp_path / "film.gif") as made:
        assert made.n_frames == 2


def test_a_run_that_drew_too_few_pictures_has_no_film(recorded, tmp_path):
    run = recorded("run")
    noise(20).save(run.grid(0))
    assert films.of(run) == b""
    with pytest.raises(ConfigError, match="fewer than two"):
        films.write(run, tmp_path / "film.gif")
