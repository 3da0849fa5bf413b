"""equipoise lesion segment: patients apart, from real and made-up lesions, with words for what does not go."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
from PIL import Image

from equipoise import build, launch
from equipoise.cli.segment import Asked, segment
from equipoise.config import Lesions
from equipoise.data import lesions
from equipoise.data.source import whose
from equipoise.errors import ConfigError


def asked(data, out, run=None, **others):
    usual = Asked(data, run, "", out, 40, 2, False, None, None, None, 0, "last")
    return usual._replace(**others)


@pytest.fixture(scope="module")
def run(tmp_path_factory, tiny):
    return launch.start(tiny("lesion", steps=2), tmp_path_factory.mktemp("runs") / "run").path


def test_no_generator_has_learnt_from_those_who_are_held_out(lesions_file):
    found = lesions.masked(lesions.Asked(lesions_file, 16, None, 4096))
    data = build.splits(Lesions(path=str(lesions_file), size=16))
    learnt, out = set(whose(data.train).tolist()), set(lesions.held_out(found, lesions_file).tolist())
    assert out == set(range(10)) - learnt and len(out) == 2  # each patient has a lesion: numbers are the same


@pytest.mark.parametrize("learn", ["real", "both"])
def test_it_finds_the_squares_of_patients_whom_it_never_saw(learn, lesions_file, run, tmp_path, capsys):
    segment(asked(lesions_file, tmp_path / "out", run if learn == "both" else None, steps=120), as_json=True)
    told = json.loads(capsys.readouterr().out)
    assert told["dice"]["value"] > 0.8 and told["dice"]["low"] <= told["dice"]["value"] <= told["dice"]["high"]
    assert told["slices"] == {"real": 48, "both": 96}[learn] and len(told["patients"]) == 2
    with np.load(tmp_path / "out" / "found.npz", allow_pickle=False) as kept:
        assert kept["chance"].shape == kept["deviation"].shape == kept["masks"].shape == (12, 1, 16, 16)
    picture = Image.open(tmp_path / "out" / "found.png")
    assert "generative network" in picture.info["Synthetic"] and np.asarray(picture).ndim == 3


def test_what_does_not_go_together_is_said(lesions_file, run, tmp_path):
    with pytest.raises(ConfigError, match="--with RUN"):
        segment(asked(lesions_file, tmp_path, learn="both"), as_json=False)
    with pytest.raises(ConfigError, match="known are real, made-up, both"):
        segment(asked(lesions_file, tmp_path, learn="reel"), as_json=False)
    other = tmp_path / "other.npz"
    shutil.copy(lesions_file, other)
    with pytest.raises(ConfigError, match="did not learn from"):
        segment(asked(other, tmp_path, run), as_json=False)
    with pytest.raises(ConfigError, match="those of the run"):
        segment(asked(lesions_file, tmp_path, run, size=16), as_json=False)
