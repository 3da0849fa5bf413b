from __future__ import annotations

import os
import time
import weakref
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from equipoise import pictures
from equipoise.errors import ConfigError, MachineError
from equipoise.uses import walks

ENCODER = """#!/bin/sh
echo $$ > "$(dirname "$0")/process"
cat > "$(dirname "$0")/raw"
echo "$@" > "$(dirname "$0")/arguments"
for last; do :; done
echo video > "$last"
"""
TALKING = """#!/bin/sh
head -c 1000000 /dev/zero | tr '\\0' 'x' >&2
echo >&2
echo 'Unknown encoder' >&2
exit 1
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


@pytest.fixture
def encoder(tmp_path, monkeypatch):
    """Puts a program in the place of ffmpeg."""

    def installed(program):
        place = tmp_path / "ffmpeg"
        place.write_text(program)
        place.chmod(0o700)
        monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")

    return installed


def squares(n):
    """Pictures that do not fit into a pipe."""
    for i in range(n):
        yield Image.new("RGB", (200, 200), (i, i, i))


def test_a_video_goes_to_the_encoder(tmp_path, encoder, untrained):
    trained = untrained("digits")
    encoder(ENCODER)
    walks.write(walks.walk(trained, walks.stops(trained, 4, 4.0, 0, None), 5), tmp_path / "walk.mp4", fps=7)
    side = shown(trained, 0).shape[0]
    assert f"-s {side}x{side} -r 7" in (tmp_path / "arguments").read_text()
    raw = np.frombuffer((tmp_path / "raw").read_bytes(), np.uint8).reshape(5, side, side, 3)
    assert np.array_equal(raw[0, :, :, 0], shown(trained, 0))
    assert (tmp_path / "walk.mp4").read_text() == "video\n"


def test_a_video_is_never_held_as_a_whole(tmp_path, encoder):
    encoder(ENCODER)
    drawn, alive = [], []

    def counted():
        for image in squares(30):
            drawn.append(weakref.ref(image))
            alive.append(sum(each() is not None for each in drawn))
            yield image

    walks.write(counted(), tmp_path / "walk.mp4", fps=7)
    assert (tmp_path / "raw").stat().st_size == 30 * 200 * 200 * 3
    assert max(alive) <= 3  # the one that is drawn, and those that hand it on


def test_what_the_encoder_says_is_told_however_long(tmp_path, encoder):
    encoder(TALKING)
    with pytest.raises(MachineError, match=r"could not write .*walk\.mp4: Unknown encoder\.$"):
        walks.write(squares(30), tmp_path / "walk.mp4", fps=7)
    encoder("#!/bin/sh\nexit 3\n")
    with pytest.raises(MachineError, match="did not say why"):
        walks.write(squares(30), tmp_path / "walk.mp4", fps=7)
    assert [path.name for path in tmp_path.iterdir()] == ["ffmpeg"]


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, ValueError])
def test_whoever_stops_a_video_leaves_no_encoder_and_keeps_the_one_before(error, tmp_path, encoder):
    encoder(ENCODER)
    (tmp_path / "walk.mp4").write_text("the one before")

    def stopped():
        yield from squares(3)
        while not (process := tmp_path / "process").exists() or not process.read_text().endswith("\n"):
            time.sleep(0.01)
        raise error

    with pytest.raises(error):
        walks.write(stopped(), tmp_path / "walk.mp4", fps=7)
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "process").read_text()), 0)
    assert (tmp_path / "walk.mp4").read_text() == "the one before"
    assert {path.name for path in tmp_path.iterdir()} <= {"ffmpeg", "process", "raw", "walk.mp4"}


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
