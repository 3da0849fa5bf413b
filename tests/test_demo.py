from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from equipoise import demo as tour
from equipoise.config import override
from equipoise.errors import MachineError, Stopped
from equipoise.launch import start, unwatched
from equipoise.progress import Reporter
from equipoise.recipes import recipe
from equipoise.runs.folder import RunFolder


def test_the_tour_trains_breaks_kills_counts_and_says_what_to_do_next(tmp_path, monkeypatch):
    monkeypatch.setattr(tour, "RING", [*tour.RING, "kimg=1.28", "guardian.n=60"])
    monkeypatch.setattr(tour, "DIGITS", [*tour.DIGITS, "kimg=1.28", "guardian.n=60"])
    monkeypatch.setattr(tour, "SHORT_KIMG", 1.28)
    monkeypatch.setattr(tour, "WATCHED", [*tour.WATCHED, "guardian.n=60"])
    seen: list[Path] = []
    monkeypatch.setattr(tour, "opened", seen.append)
    said: list[str] = []
    found = tour.demo(said.append, home=tmp_path)
    text = "\n".join(said)
    assert seen == [], "nobody asked for it to be shown"
    assert "of 8 modes covered" in text
    assert f"   {found.broken} of 1,000 modes among" in text
    assert text.count("stopped at step 11 with the state saved") == 2, "one step after the reporter asked for it"
    assert "of 10 digits among 2000 samples" in text
    assert "The same bits." in text
    assert found.same_bits
    assert text.count("\n   equipoise ") == 3
    assert f"equipoise sample {found.run.path}" in text
    named = [Path(word) for word in text.split() if word.endswith((".png", ".html")) and "/" in word]
    assert len(named) == 4
    assert all(path.is_file() for path in named)


def test_twenty_steps_do_not_cover_the_ring(tmp_path):
    """The verdict is counted, not printed."""
    run = start(override(recipe("ring"), ["kimg=1.28", *tour.PINNED]), tmp_path / "ring")
    covered, words = tour.ring_verdict(run)
    assert covered < 8
    assert "8 of 8" not in words


KEPT = tour.Toured(RunFolder(Path()), 8, 2, 100, ("cycling", "total collapse"), 10, True)


@pytest.mark.parametrize(
    ("change", "kept"),
    [
        ({}, True), ({"covered": 7}, False), ({"broken": 21}, False), ({"mended": 49}, False),
        ({"named": ("cycling",)}, False), ({"digits": 9}, False), ({"same_bits": False}, False),
    ],
)  # fmt: skip
def test_each_promise_counts(change, kept):
    assert replace(KEPT, **change).kept == kept


def test_a_run_that_cannot_be_begun_is_told_and_not_compared(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(MachineError, match="did not get so far"):
        tour.killed_at(tmp_path / "config.json", RunFolder(tmp_path / "out"))


@contextmanager
def somebody_asks(label: str, total: int, done: int) -> Iterator[Reporter]:
    yield lambda seen, signals, news="": signal.raise_signal(signal.SIGTERM)


@pytest.mark.parametrize("images", [None, 1000])
def test_only_a_stop_that_the_tour_asked_for_is_swallowed(tmp_path, images):
    """Ctrl-C in the middle of the broken game ends the tour."""
    config = override(recipe("ring"), ["kimg=12.8", "guardian.mode=off", *tour.PINNED])
    with pytest.raises(Stopped):
        tour.played(config, RunFolder(tmp_path / "interrupted"), somebody_asks, images)
    assert "stopped" in tour.played(config, RunFolder(tmp_path / "short"), unwatched, 1000)
    assert tour.played(config, RunFolder(tmp_path / "whole"), unwatched, None) == ""


def test_other_weights_are_not_the_same_bits(tmp_path, monkeypatch):
    """The negative control: a resume that begins with another seed."""
    whole, other = (override(recipe("ring"), [*tour.KILLED, "kimg=0.64", f"seed={i}"]) for i in (0, 1))
    killed = start(other, tmp_path / "killed")
    monkeypatch.setattr(tour.launch, "resume", lambda path: None)
    same, words = tour.resumed_and_whole(whole, killed, tmp_path)
    assert not same
    assert "These are not the same." in words


@pytest.mark.parametrize(("display", "shown"), [("", False), (":0", True)])
def test_a_report_is_opened_where_there_is_a_screen(tmp_path, monkeypatch, display, shown):
    seen: list[str] = []
    monkeypatch.setattr(tour.webbrowser, "open", seen.append)
    monkeypatch.setattr(tour.sys, "platform", "linux")
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    monkeypatch.setenv("DISPLAY", display)
    tour.opened(tmp_path / "report.html")
    assert bool(seen) == shown


def test_a_rescue_shows_the_same_game_left_alone_and_mended(tmp_path, monkeypatch):
    settings = ["kimg=24", "guardian.features=pixels", "guardian.n=60", "evaluate.metrics=[]"]
    monkeypatch.setattr(tour, "EVERY_KIMG", 1.2)
    monkeypatch.setattr(tour, "recipe", lambda name: override(recipe(name), settings))
    said: list[str] = []
    page = tour.rescue(said.append, home=tmp_path).read_text()
    text = "\n".join(said)
    assert text.count("of 1,000 modes among") == 2
    assert text.count("total collapse: the relativistic loss with R1 and R2") == 1, "the second run alone is changed"
    assert page.count("<figure>") == 2
    assert all(words in page for words in ("left alone", "mended", "Modes that are drawn", "<li>total collapse"))
