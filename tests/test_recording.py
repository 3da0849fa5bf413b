"""What the rounds tell that are recorded."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from equipoise import launch
from equipoise.controller import HandsOff, Sight
from equipoise.diagnosis.causes import found
from equipoise.games.gan import GAN
from equipoise.knobs import At, Change, Knobs
from equipoise.runs.folder import rows

QUIET = ("guardian.mode=off", "evaluate.metrics=[]", "samples.every_kimg=1000", "save.every_kimg=1000")
LAZY = ("knobs.loss=nonsaturating", "knobs.r1=1", "knobs.r1_every=4", "knobs.path_length=1", "knobs.path_every=2")


def recorded(tiny, run, every: int, rounds: int) -> list[dict[str, float]]:
    """The signals of a game with lazy penalties of which each so manieth round is recorded."""
    config = tiny("stylegan2", *LAZY, *QUIET, f"record.every_kimg={every * 8 / 1000}", steps=rounds)
    return [row for row in rows(launch.start(config, run).events) if row["kind"] == "signals"]


@pytest.mark.parametrize(("every", "r1", "paths"), [(4, 1, 1), (2, 2, 1), (3, 4, 2)])
def test_a_lazy_penalty_is_told_by_recorded_rounds_whatever_their_cadence(every, r1, paths, tiny, tmp_path):
    first, *others = recorded(tiny, tmp_path / "run", every, 8 * every)
    assert first["step"] == 1
    assert [row["step"] % every for row in others] == [0] * 8
    assert ["real_input_grad" in row for row in others] == [i % r1 == 0 for i in range(1, 9)]
    assert ["path_off" in row for row in others] == [i % paths == 0 for i in range(1, 9)]


def few(path: Path) -> Path:
    """60 pictures without classes: few enough for a note."""
    x = np.random.default_rng(0).integers(0, 256, (60, 8, 8, 1), dtype=np.uint8)
    np.savez(path, x_train=x[:40], x_val=x[40:50], x_test=x[50:])
    return path


@pytest.mark.parametrize(("p", "advised"), [(0, True), (0.5, False)])
def test_a_note_at_the_start_does_not_advise_what_the_game_does(p, advised, tiny, tmp_path):
    data = ("data.kind=arrays", f"data.path={few(tmp_path / 'few.npz')}", "data.size=8")
    heard: list[str] = []
    run = launch.start(
        tiny("dcgan", *data, "guardian.features=random", f"knobs.augment_p={p}", steps=2), tmp_path / "run",
        warn=heard.append,
    )  # fmt: skip
    sparse = next(row for row in rows(run.events) if row["kind"] == "finding")
    assert sparse["symptom"] == "data too sparse"
    for text in (sparse["advice"], next(line for line in heard if "sparse" in line)):
        assert ("augment_p" in text) == advised
        assert "no longer gain" in text


def test_advice_follows_the_knobs_as_they_stand(tiny, tmp_path):
    """D's overfitting, once before and once after augmentation was turned on."""

    class Turns(HandsOff):
        def look(self, game: GAN) -> Sight:
            return Sight(news=[found("D overfitting", {})])

        def propose(self, at: At, knobs: Knobs) -> Change | None:
            return (
                None if knobs.augment_p else Change(knobs=knobs.model_copy(update={"augment_p": 0.5}), reason="to see")
            )

    run = launch.start(tiny("digits", "guardian.mode=on", steps=16), tmp_path / "run", controller=Turns())
    first, *_, last = (row["advice"] for row in rows(run.events) if row["kind"] == "finding")
    assert "augment_p" in first
    assert "augment_p" not in last
