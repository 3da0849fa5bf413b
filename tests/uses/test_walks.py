from __future__ import annotations

import os
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from equipoise import pictures
from equipoise.errors import ConfigError, MachineError
from equipoise.uses import walks

ENCODER = """#!/bin/sh
cat > "$(dirname "$0")/raw"
echo "$@" > "$(dirname "$0")/arguments"
"""


def shown(trained, seed):
    return np.asarray(pictures.grid(trained.sample(4, seed)))


@pytest.mark.parametrize("which", ["plain", "styled"])
def test_a_walk_passes_the_samples_of_its_seeds_and_returns(which, styled, untrained):
    trained = styled if which == "styled" else untrained("digits")
    frames = [np.asarray(frame) for frame in walks.walk(trained, walks.stops(trained, 4, 6.0, 3, None), 13)]
    for place, seed in ((0, 3), (4, 4), (8, 5), (12, 3)):
        assert np.array_equal(frames[place], shown(trained, seed))
    assert not np.array_equal(frames[2], frames[0])
    assert not np.array_equal(frames[2], frames[4])


def test_neighbours_on_a_walk_are_more_alike_than_its_stops(untrained):
    trained = untrained("digits")
    frames = [np.asarray(frame).astype(int) for frame in walks.walk(trained, walks.stops(trained, 4, 4.0, 0, None), 41)]
    steps = [abs(b - a).mean() for a, b in pairwise(frames)]
    assert max(steps) < 0.3 * abs(frames[20] - frames[0]).mean()


@pytest.mark.parametrize("suffix", [".gif", ".webp"])
def test_an_animation_has_its_pictures_and_repeats(suffix, tmp_path, untrained):
    trained, out = untrained("digits"), tmp_path / f"walk{suffix}"
    walks.write(walks.walk(trained, walks.stops(trained, 4, 6.0, 0, None), 8), out, fps=10)
    with Image.open(out) as image:
        assert getattr(image, "n_frames", 1) == 8  # equal neighbours would be one
        assert image.info["loop"] == 0
        assert image.info.get("duration", 100) == 100
        first = np.asarray(image.convert("L")).astype(int)
    assert abs(first - shown(trained, 0)).mean() < 8


def test_a_video_goes_to_the_encoder(tmp_path, monkeypatch, untrained):
    trained, encoder = untrained("digits"), tmp_path / "ffmpeg"
    encoder.write_text(ENCODER)
    encoder.chmod(0o700)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    walks.write(walks.walk(trained, walks.stops(trained, 4, 4.0, 0, None), 5), tmp_path / "walk.mp4", fps=7)
    side = shown(trained, 0).shape[0]
    assert f"-s {side}x{side} -r 7" in (tmp_path / "arguments").read_text()
    raw = np.frombuffer((tmp_path / "raw").read_bytes(), np.uint8).reshape(5, side, side, 3)
    assert np.array_equal(raw[0, :, :, 0], shown(trained, 0))


def test_a_video_without_an_encoder_is_refused_in_words(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MachineError, match="ffmpeg"):
        walks.require_writable(Path("walk.mp4"), 20)


def test_other_files_and_speeds_are_refused():
    with pytest.raises(ConfigError, match=r"\.gif, \.webp or \.mp4"):
        walks.require_writable(Path("walk.png"), 20)
    with pytest.raises(ConfigError, match="at most 50"):
        walks.require_writable(Path("walk.gif"), 60)


def test_points_do_not_walk(untrained):
    trained = untrained("ring", shape=(2,))
    with pytest.raises(ConfigError, match="points"):
        list(walks.walk(trained, walks.stops(trained, 4, 4.0, 0, None), 3))
