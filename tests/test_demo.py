from __future__ import annotations

from pathlib import Path

from equipoise import demo as tour


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
