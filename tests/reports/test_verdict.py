"""What is said of a run is what its last look says."""

import pytest

from equipoise.reports.verdict import findings, verdict


def look(step, ill):
    return {"kind": "look", "step": step, "seen": 100 * step, "signals": {}, "shares": [], "ill": ill}


def finding(step, severity):
    return {
        "kind": "finding", "step": step, "seen": 100 * step, "symptom": "D overfitting", "severity": severity,
        "evidence": {}, "meaning": "", "advice": "",
    }  # fmt: skip


BEGINNING = [{"kind": "signals", "step": 1, "seen": 100}]


@pytest.mark.parametrize(("now", "mood"), [("warning", "bad"), ("note", "good"), ("severe", "bad")])
def test_a_finding_is_as_severe_as_the_last_look_has_it(now, mood):
    """A warning that became a note, which is news, and a warning again, which is none."""
    events = [
        *BEGINNING, look(1, {"D overfitting": "warning"}), finding(1, "warning"), look(2, {"D overfitting": "note"}),
        finding(2, "note"), look(3, {"D overfitting": now}),
    ]  # fmt: skip
    assert findings(events)[0]["severity"] == now
    assert verdict(events).mood == mood
    assert verdict(events).word == ("healthy" if now == "note" else "D overfitting")


def test_a_note_before_the_first_step_names_no_run():
    sparse = {**finding(0, "note"), "symptom": "data too sparse"}
    assert verdict([sparse]).word == "warming up"
    assert verdict([sparse, *BEGINNING, look(1, {})])[:2] == ("healthy", "good")


def test_that_samples_no_longer_gain_names_a_run():
    converged = {**finding(2, "note"), "symptom": "converged"}
    assert verdict([*BEGINNING, look(1, {}), converged])[:2] == ("plateau", "good")


def test_records_of_before_knew_the_symptoms_alone():
    events = [*BEGINNING, look(1, ["D overfitting"]), finding(1, "warning"), look(2, ["D overfitting"])]
    assert [row["severity"] for row in findings(events)] == ["warning"]
    assert findings([*events, look(3, [])]) == []
