"""What the guardian saw, as curves; what is over; and changes in words."""

from __future__ import annotations

import pytest

from equipoise.charts import Line
from equipoise.reports import diagnosis, looks, story
from equipoise.reports.report import report

CHANGE = {
    "kind": "change",
    "step": 8,
    "seen": 1024,
    "reason": "total collapse: noise",
    "knobs": {"instance_noise": 0.1},
}
FINDING = {
    "kind": "finding", "step": 8, "seen": 1024, "symptom": "total collapse", "severity": "severe",
    "evidence": {"apart": 0.1}, "meaning": "almost all samples are alike", "advice": "go back",
}  # fmt: skip


def look(step, shares, *ill):
    return {"kind": "look", "step": step, "seen": 128 * step, "signals": {}, "shares": shares, "ill": list(ill)}


ILL, WELL = look(8, [1.0, 0, 0, 0], "total collapse"), look(16, [0.25] * 4)
STILL = look(16, [1.0, 0, 0, 0], "total collapse")


def test_the_effective_number_of_modes():
    assert looks.effective([0.25] * 4) == pytest.approx(4)
    assert looks.effective([1.0, 0, 0, 0]) == 1
    assert 1 < looks.effective([0.9, 0.1, 0, 0]) < 2


@pytest.mark.parametrize(
    ("seen", "over"), [([ILL, WELL], ["total collapse"]), ([ILL, STILL], []), ([], []), ([WELL], ["total collapse"])]
)
def test_what_the_last_look_no_longer_finds_is_over(recorded, seen, over):
    assert looks.over([*seen, FINDING]) == over
    run = recorded("run", events=[*seen, FINDING])
    told = story.told(run)
    assert story.is_bad(told) != bool(over)
    assert any("is over: total collapse" in text for text in story.what_is_wrong(told)) == bool(over)
    found = diagnosis.of_run(run)
    assert found.is_severe != bool(over)
    assert ("total collapse was found, and is over" in found.notes) == bool(over)


def test_changes_are_numbered_in_the_curves_and_told_in_words(recorded):
    back = CHANGE | {"seen": 2048, "reason": "divergence: other data", "knobs": {}, "back_to": 8}
    run = recorded("run", events=[ILL, CHANGE, WELL, back])
    page = report(run)
    assert "Modes that are drawn" in page
    assert '<span class="count">1</span>' in page
    assert "total collapse: noise (instance_noise=0.1)" in page
    assert '<span class="count">2</span>' in page
    assert "divergence: other data (back to step 8)" in page
    marks = looks.marks(looks.modes("", [ILL, WELL]), [CHANGE, back])
    assert [(mark.x, mark.name) for mark in marks] == [(1.024, "1"), (2.048, "2")]


def test_a_change_where_nothing_falls_short_is_marked_too():
    assert [mark.y for mark in looks.marks(Line("", [1.024], [0.0]), [CHANGE])] == [0.0]


def test_a_run_that_the_guardian_stopped_is_not_fine(recorded):
    run = recorded("run", events=[ILL, CHANGE | {"stop": True}])
    assert story.is_it_fine(story.told(run)) == "No. The guardian stopped it: total collapse: noise."
