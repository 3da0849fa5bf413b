"""What is kept of a record while its page is open: the same words as the report's, whatever its length."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from equipoise.cli.following import follow, sparkline
from equipoise.dashboard.catalogue import Catalogue, key_of
from equipoise.dashboard.digest import Digest
from equipoise.dashboard.shown import shown
from equipoise.dashboard.tail import PIECE, Tail
from equipoise.reports import diagnosis, story
from equipoise.reports.pace import paces
from equipoise.reports.verdict import verdict

FINDING = {
    "kind": "finding", "step": 40, "seen": 4000, "symptom": "total collapse", "severity": "severe",
    "evidence": {"vendi": 0.1}, "meaning": "almost all samples are alike", "advice": "go back",
}  # fmt: skip


def signals(n, first=1):
    return [{"kind": "signals", "step": i, "seen": 100 * i, "d_loss": i / n} for i in range(first, first + n)]


def look(step, ill=(), **values):
    return {"kind": "look", "step": step, "seen": 100 * step, "signals": {"vendi": 1.0, **values}, "shares": [0.5, 0.5],
            "ill": list(ill)}  # fmt: skip


def change(step, reason, **knobs):
    return {"kind": "change", "step": step, "seen": 100 * step, "reason": reason, "knobs": knobs}


def read_all(run):
    digest = Digest(run)
    while digest.refresh():
        pass
    return digest


@pytest.mark.parametrize(
    "events",
    [
        [],
        signals(5),
        [*signals(50), FINDING, look(45, ["total collapse"])],
        [*signals(50), FINDING, look(45)],
        [*signals(50), {"kind": "diverged", "step": 51, "seen": 5100, "signals": ["d_loss"]}],
        [*signals(50), change(50, "total collapse: noise", r1=0.5) | {"stop": True}],
    ],
)
def test_page_report_and_diagnose_say_the_same(events, recorded):
    run = recorded("run", events=events)
    told = shown(read_all(run))
    assert told["verdict"]["sentence"] == story.is_it_fine(story.told(run))
    assert told["verdict"]["word"] == diagnosis.of_run(run).verdict
    assert [each["said"][0]["words"] for each in told["answers"]] == [
        said[0].words for said in story.answers(story.told(run)).values()
    ]


def test_a_finding_makes_the_verdict_and_its_end_unmakes_it(recorded):
    ill = verdict([*signals(50), FINDING, look(45, ["total collapse"])])
    assert (ill.word, ill.mood, ill.symbol) == ("collapsing", "bad", "!")
    assert verdict([*signals(50), FINDING, look(45)]).mood == "good"
    assert verdict([]).word == "warming up"


def test_a_growing_record_is_read_as_it_grows_and_again_when_it_was_cut(recorded):
    run = recorded("run", events=signals(10))
    digest = read_all(run)
    lines = run.events.read_bytes().splitlines(keepends=True)
    with run.events.open("ab") as file:
        file.write(json.dumps(signals(1, 11)[0]).encode() + b"\n" + b'{"kind": "sig')
    assert digest.refresh()
    assert len(digest.steps) == 11
    assert not digest.refresh(), "a line that is not whole waits"
    run.events.write_bytes(b"".join(lines[:4]) + b"".join(lines[:9]))  # a resumed run takes rows back, and goes on
    digest.refresh()
    assert len(digest.steps) == 13
    assert digest.epoch == 2


def test_a_tail_reads_large_files_in_pieces(tmp_path):
    path = tmp_path / "log"
    line = b"x" * 999 + b"\n"
    path.write_bytes(line * (2 * PIECE // 1000 + 500))
    tail, count = Tail(path), 0
    while lines := tail.lines()[0]:
        assert len(lines) <= PIECE // 1000
        count += len(lines)
    assert count == 2 * PIECE // 1000 + 500


def test_memory_is_bounded_by_kinds_not_by_rows(recorded):
    rows = [row for i in range(1, 3000) for row in (look(i), change(i, f"reason {i}", r1=0.5 + i))]
    digest = read_all(recorded("run", events=rows))
    assert len(digest.rows) < 600
    assert len(digest.looks) <= 400
    assert shown(digest)["timeline"][-1]["cause"] == "Reason 2999"


def test_an_intervention_is_told_with_cause_act_effect_and_undo(recorded):
    worth = {
        "kind": "calibration", "n": 10, "features": "pixels", "trials": 3, "power": {},
        "nulls": {"coverage": {"mean": 1.0, "sd": 0.01, "limit": 0.9, "false_alarms": 0.0}},
    }  # fmt: skip
    before, after = ([look(i, coverage=c) for i in range(*span)] for span, c in (((1, 5), 0.1), ((5, 12), 0.95)))
    events = [worth, *before, change(4, "total collapse: more R1", r1=2.0), *after, change(11, "asked by me", r1=1.0)]
    first, second = shown(read_all(recorded("run", "knobs.r1=0.5", events=events)))["timeline"]
    assert first["act"] == "r1 0.5 → 2"
    assert first["undo"] == {"r1": 0.5}
    assert first["effect"].startswith("better: shortfall")
    assert (second["undo"], second["effect"]) == ({"r1": 2.0}, "too early to tell")


def test_the_time_left_has_a_range(recorded):
    clock = [
        {"kind": "started"},
        *({"kind": "speed", "step": 10 * i, "seconds": i * (9 + i / 10)} for i in range(1, 11)),
    ]
    assert paces(clock)[0] == pytest.approx(0.91)
    run = recorded("run", "kimg=20", events=signals(100), clock=clock)
    digest = read_all(run)
    with run.locked():
        left = shown(digest)["left"]
        assert digest.state() == "running"
    assert left["low"] < left["seconds"] < left["high"]
    assert left["seconds"] == pytest.approx(100, rel=0.1)  # a second a step, and 100 steps to go
    assert shown(digest)["left"]["words"] == "", "nobody plays it"


def test_runs_are_listed_and_one_that_is_broken_does_no_harm(recorded):
    good = recorded("good", events=[*signals(50), FINDING, look(45, ["total collapse"])])
    bad = recorded("bad")
    bad.config.write_text('{"recipe": "digits", "kimg": "x", "seed": 0}')
    lines = {line["name"]: line for line in Catalogue(good.path.parent).told()}
    assert (lines["good"]["word"], lines["good"]["mood"]) == ("collapsing", "bad")
    assert lines["bad"]["state"] == "unreadable"


def test_the_page_imports_no_torch():
    faces = "equipoise.dashboard.server, equipoise.cli.watch, equipoise.cli.following"
    code = f"import sys, {faces}; print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"


def test_a_terminal_is_told_the_same(recorded, capsys):
    run = recorded("run", events=[*signals(50), FINDING, look(45, ["total collapse"])])
    follow(run, 1.0, once=True)
    told = capsys.readouterr().out
    assert "! collapsing" in told
    assert "▁▁▁▂▂" in told
    assert sparkline([0.0] * 100 + [1.0] * 100, 4) == "▁▁██"
    assert sparkline([3.0, 3.0]) == "▁▁"


def test_rows_of_another_shape_are_passed_over(recorded):
    odd = [{"kind": "calibration"}, {"kind": "finding"}, {"kind": "look", "seen": "?", "signals": {}, "shares": []}]
    digest = read_all(recorded("run", events=[*odd, *signals(2), look(2)]))
    assert sorted(row["kind"] for row in digest.rows) == ["look", "signals"]
    assert digest.looks.last("vendi") == 1


@pytest.mark.parametrize("seen_between", [True, False])
def test_a_run_that_was_replaced_is_told_with_its_own_config(seen_between, recorded):
    """rm -r, and train again with the same --out, while its page is open."""
    run = recorded("run", "seed=1", "knobs.r1=0.5", events=signals(10))
    digest = read_all(run)
    run.env.write_text('{"python": "new"}')
    assert (digest.config.seed, digest.env) == (1, {})
    shutil.rmtree(run.path)
    if seen_between:
        digest.refresh()
        assert digest.config.seed == 1, "what cannot be read leaves the old"
    recorded("run", "seed=2", "knobs.r1=2.0", events=signals(10, 11))
    run.env.write_text('{"python": "new"}')
    digest.refresh()
    assert (digest.config.seed, digest.env) == (2, {"python": "new"})
    assert {knob["name"]: knob["value"] for knob in shown(digest)["knobs"]}["r1"] == 2.0


def test_two_links_to_runs_of_one_name_are_two_runs(recorded, tmp_path):
    for i in "12":
        recorded(f"{i}/run", f"seed={i}", events=signals(3))
        (tmp_path / "home").mkdir(exist_ok=True)
        (tmp_path / "home" / f"link{i}").symlink_to(tmp_path / i / "run")
    catalogue = Catalogue(tmp_path / "home")
    assert {(line["name"], line["seed"]) for line in catalogue.told()} == {("link1", 1), ("link2", 2)}
    assert {catalogue.find(line["key"]).path.name for line in catalogue.told()} == {"link1", "link2"}


def test_a_run_has_a_name_wherever_one_stands(recorded, monkeypatch):
    run = recorded("run")
    monkeypatch.chdir(run.path)
    assert key_of(Path()) == key_of(run.path) == key_of(Path("samples/.."))
