"""The line of time of a run that was changed: causes, effects and undoings, from rows written by hand."""

from __future__ import annotations

import pytest

from equipoise.reports.acts import acts
from equipoise.reports.report import intervened
from equipoise.reports.story import told


def look(seen, *ill):
    return {"kind": "look", "step": seen // 100, "seen": seen, "signals": {}, "shares": [], "ill": list(ill)}


def change(seen, reason, **more):
    return {"kind": "change", "step": seen // 100, "seen": seen, "reason": reason, "knobs": {}, **more}


def finding(seen, symptom):
    return {
        "kind": "finding", "step": seen // 100, "seen": seen, "symptom": symptom, "severity": "severe",
        "evidence": {"apart": 0.1}, "meaning": "samples are alike", "advice": "go back",
    }  # fmt: skip


NOISE, PAIRED = "noise on all that D sees", "the relativistic loss with R1 and R2"
ROWS = [
    finding(1000, "cycling"), finding(1000, "total collapse"), look(1000, "total collapse", "cycling"),
    change(1000, f"total collapse: {NOISE}"),
    look(2000, "total collapse"), look(3000, "total collapse"),
    change(3000, f"total collapse: undone, because it did not help: {NOISE}", back_to=10),
    look(4000, "total collapse"),
    change(4000, f"total collapse: {PAIRED}"),
    look(5000, "total collapse"), look(6000),
    change(6000, "healthy: half of the way back"),
]  # fmt: skip


def test_each_change_has_its_cause_its_effect_and_its_undoing():
    noise, paired, eased = acts(ROWS)
    assert [act.number for act in (noise, paired, eased)] == [1, 3, 4], "as the charts count"
    assert noise.cause is not None
    assert noise.cause["symptom"] == "total collapse"
    assert noise.effect == "total collapse was still found after 2 looks"
    assert noise.undoing is not None
    assert noise.undoing[0] == 2
    assert paired.effect == "total collapse was over after 2 looks"
    assert paired.undoing is None
    assert eased.cause is None
    assert eased.effect == ""


def test_an_undoing_belongs_to_the_last_change_of_its_kind():
    again = [*ROWS, change(7000, f"total collapse: {NOISE}"), look(8000)]
    again.append(change(8000, f"total collapse: undone, because it did not help: {NOISE}"))
    first, *_, last = acts(again)
    assert first.undoing is not None
    assert first.undoing[1]["seen"] == 3000
    assert last.undoing is not None
    assert last.undoing[1]["seen"] == 8000


def test_what_a_later_change_did_is_not_told_of_an_earlier_one():
    rows = [look(1000, "cycling"), change(1000, "cycling: a"), look(2000, "cycling"), change(2000, "cycling: b")]
    assert acts([*rows, look(3000)])[0].effect == "cycling was still found after 1 look"


@pytest.mark.parametrize("rows", [[], ROWS])
def test_the_page_tells_what_was_changed_where_something_was(recorded, rows):
    page = intervened(told(recorded("run", events=rows)))
    assert bool(page) == bool(rows)
    if rows:
        assert page.count("<li>") == 3
        assert "At 3 kimg (2), because it did not help, with the weights of step 10." in page
        assert "Total collapse was over after 2 looks." in page
        assert "Total collapse: samples are alike (at 1 kimg: apart 0.1)." in page
