from __future__ import annotations

from pathlib import Path

from equipoise import demo as tour
from equipoise.config import override
from equipoise.recipes import recipe


def test_the_tour_trains_counts_draws_and_says_what_to_do_next(tmp_path, monkeypatch):
    monkeypatch.setattr(tour, "RING_S", 0.5)
    monkeypatch.setattr(tour, "DIGITS_S", 0.5)
    said: list[str] = []
    run = tour.demo(said.append, home=tmp_path)
    text = "\n".join(said)
    assert "of 8 modes covered" in text
    assert "of 10 digits among 2000 samples" in text
    assert f"equipoise sample {run.path}" in text
    named = [Path(word) for word in text.split() if word.endswith(".png") and "/" in word]
    assert len(named) == 2
    assert all(path.is_file() for path in named)


def test_half_a_second_of_training_does_not_cover_the_ring(tmp_path, monkeypatch):
    """The verdict is counted, not printed."""
    monkeypatch.setattr(tour, "RING_S", 0.1)
    run = tour.launch.start(tour.recipe("ring"), tmp_path / "ring", time_s=0.1)
    assert "8 of 8" not in tour.ring_verdict(run)


def test_a_rescue_shows_the_same_game_left_alone_and_mended(tmp_path, monkeypatch):
    settings = ["kimg=24", "guardian.features=pixels", "guardian.n=60", "evaluate.metrics=[]", "machine.threads=1"]
    monkeypatch.setattr(tour, "EVERY_KIMG", 1.2)
    monkeypatch.setattr(tour, "recipe", lambda name: override(recipe(name), settings))
    said: list[str] = []
    page = tour.rescue(said.append, home=tmp_path).read_text()
    text = "\n".join(said)
    assert text.count("of 1,000 modes among") == 2
    assert text.count("total collapse: the relativistic loss with R1 and R2") == 1, "the second run alone is changed"
    assert page.count("<figure>") == 2
    assert all(words in page for words in ("left alone", "mended", "Modes that are drawn", "<li>total collapse"))
