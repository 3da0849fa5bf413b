"""Figures of a run's generator and of its game."""

import numpy as np
import pytest

from equipoise import launch, live
from equipoise.errors import DataError
from equipoise.runs import checkpoint
from equipoise.scoring import Asked, score


@pytest.fixture
def run(tiny, tmp_path):
    return launch.start(tiny("digits"), tmp_path / "run")


def test_both_are_given_with_what_they_depend_on(run, monkeypatch):
    monkeypatch.setattr(live, "PAIRS", 200)
    monkeypatch.setattr(live, "MOVES", 5)
    found = score(Asked(str(run.path), metrics=["path_length", "duality_gap"], features="pixels", n=50))
    assert found.figures.keys() == {"path_length", "duality_gap"}
    assert found.figures["path_length"].value > 0
    assert found.figures["path_length"].protocol["distance"]
    assert found.figures["duality_gap"].protocol["steps"] == 5


def test_the_game_goes_on_from_its_checkpoint(run, tiny):
    config = tiny("digits")
    path, _ = checkpoint.latest(run.checkpoints)
    state, _ = checkpoint.load(path)
    data = launch.build.splits(config.data)
    fresh = launch.build.game(config, launch.build.form(config, data), live.CPU)
    game = live.restored(config, fresh, path)
    assert game.seen == config.images
    assert all((game.state_dict()["G"][name] == value).all() for name, value in state["game.G"].items())


def test_samples_without_their_run_have_no_game(tmp_path):
    np.save(tmp_path / "x.npy", np.random.default_rng(0).standard_normal((60, 4)))
    with pytest.raises(DataError, match="of a run"):
        score(Asked(str(tmp_path / "x.npy"), str(tmp_path / "x.npy"), metrics=["duality_gap"], n=50))
