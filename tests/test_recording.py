"""What the rounds tell that are recorded."""

from __future__ import annotations

import pytest

from equipoise import launch
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
