"""compare and report at the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest


def events(fd):
    one = {"value": fd, "low": fd - 1, "high": fd + 1, "n_fake": 9, "n_real": 9}
    return [
        {"kind": "metrics", "step": 1, "seen": 8, "net": "best", "part": "test", "figures": {"fd": one, "new": one}}
    ]


@pytest.fixture
def four(recorded):
    for seed in range(2):
        recorded(f"a{seed}", f"seed={seed}", events=events(10 + 5 * seed))
        recorded(f"b{seed}", f"seed={seed}", "knobs.r1=0.3", events=events(8 + 5.01 * seed))
    return ["a0", "a1", "b0", "b1"]


def test_compare_prints_arms_figures_and_how_they_were_held_against_each_other(equipoise, four):
    code, out, err = equipoise("compare", *four)
    assert code == 0
    lines = [" ".join(line.split()) for line in out.splitlines()]
    assert {"1 digits 0, 1", "2 digits knobs.r1=0.3 0, 1"} <= set(lines)
    assert "fd 1 12.5 ± 32" in lines
    assert "2 10.5 ± 32 -2 ± 0.064 better" in lines
    assert "2 10.5 ± 32 -2 ± 0.064 lower" in lines
    assert max(map(len, out.splitlines())) <= 80
    assert "Arm 2 against arm 1: paired over 2 seeds." in err


def test_compare_prints_one_json_object(equipoise, four):
    code, out, _ = equipoise("compare", *four, "--metric", "fd", "--json")
    assert code == 0
    found = json.loads(out)
    assert [list(arm["runs"]) for arm in found["arms"]] == [["0", "1"], ["0", "1"]]
    (difference,) = found["metrics"]["fd"]["differences"]
    assert difference["verdict"] == "better"
    assert list(found["metrics"]) == ["fd"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [(["a0"], "at least two"), (["a0", "nowhere"], "nowhere is not a run"), (["a0", "b0", "--metric", "fdd"], "'fd'")],
)
def test_compare_answers_wrong_input_in_words(equipoise, four, arguments, words):
    code, out, err = equipoise("compare", *arguments)
    assert (code, out) == (2, "")
    assert words in err
    assert len(err.strip().splitlines()) <= 3


def test_report_writes_into_the_run_or_where_it_is_told(equipoise, four):
    assert equipoise("report", "a0")[0] == 0
    assert equipoise("report", "a0", "-o", "page.html")[0] == 0
    assert Path("page.html").read_bytes() == Path("a0/report.html").read_bytes()
    assert Path("page.html").read_text().startswith("<!DOCTYPE html>")


def test_report_answers_wrong_input_in_words(equipoise, four):
    code, _, err = equipoise("report", "nowhere")
    assert code == 2
    assert "nowhere is not a run" in err
    code, _, err = equipoise("report", "a0", "-o", "no/such/page.html")
    assert code == 5
    assert "no/such/page.html" in err


def test_runs_are_listed_though_one_cannot_be_read(equipoise, four):
    Path("a1/events.jsonl").write_text('{"kind": "signals", "st\n{"kind": "signals"}\n')
    config = json.loads(Path("b1/config.json").read_text())
    Path("b1/config.json").write_text(json.dumps(config | {"kimg": 0}))
    code, out, _ = equipoise("runs", ".", "--json")
    assert code == 0
    found = {row["run"]: row for row in json.loads(out)["runs"]}
    assert found.keys() == set(four)
    assert found["a0"]["state"] == "interrupted"
    assert found["a1"]["state"].startswith("unreadable: ")
    assert found["b1"]["state"] == "unreadable: division by zero"
    code, out, _ = equipoise("runs", ".")
    assert code == 0
    assert {line.partition(" ")[0] for line in out.splitlines()} >= {"run", *four}
