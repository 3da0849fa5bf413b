"""`equipoise diagnose` as its users meet it: verdict on stdout, words on stderr, exit codes, and no torch."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest


def written(name, end, noise=0.02):
    """A log whose FID falls to 20 and then goes to `end` times that; a loss at every second step between."""
    draw = np.random.default_rng(0)
    fid = 20 + 100 * np.exp(-np.arange(60) / 8)
    fid *= np.exp(draw.normal(0, noise, 60)) * end ** np.clip((np.arange(60) - 45) / 10, 0, 1)
    rows = [
        f"{500 * i},{draw.normal(1.2, 0.1):.4f},{fid[i // 2]:.4f}" if i % 2 else f"{500 * i},1.2," for i in range(120)
    ]
    Path(name).write_text("\n".join(["step,d_loss,FID", *rows]) + "\n")


def test_a_severe_finding_is_exit_code_one(equipoise):
    written("log.csv", end=2)
    code, out, err = equipoise("diagnose", "log.csv")
    assert code == 1
    assert out.startswith("past its best\n\nsevere: past its best, since step ")
    assert all(word in out for word in ("fid is worse than at step", "evidence: fid now", "advice: ", "source: Brock"))
    assert err == ""


@pytest.mark.parametrize("end", [0.9, 1])
def test_a_healthy_log_is_exit_code_zero(equipoise, end):
    written("log.csv", end)
    code, out, _ = equipoise("diagnose", "log.csv")
    assert code == 0
    assert out.splitlines()[0] in ("healthy", "plateau")


def test_a_warning_is_exit_code_zero(equipoise):
    written("log.csv", end=1.2, noise=0.005)
    code, out, _ = equipoise("diagnose", "log.csv")
    assert (code, out.splitlines()[0]) == (0, "past its best")
    assert "warning: past its best" in out


def test_json_is_one_object(equipoise):
    written("log.csv", end=2)
    code, out, _ = equipoise("diagnose", "log.csv", "--json")
    told = json.loads(out)
    assert code == 1
    assert told.keys() == {"verdict", "findings"}
    assert told["verdict"] == "past its best"
    assert {"symptom", "severity", "step", "evidence", "advice"} <= told["findings"][0].keys()
    assert isinstance(told["findings"][0]["step"], int)


def test_notes_go_to_stderr(equipoise):
    Path("log.csv").write_text("step,fid,lr\n1,9,0\n2,8,0\n")
    code, out, err = equipoise("diagnose", "log.csv", "--json")
    assert (code, json.loads(out)) == (0, {"verdict": "healthy", "findings": []})
    assert err.splitlines() == ["not read: lr", "fid is not judged: 2 values, 5 are needed"]


@pytest.mark.parametrize(
    ("what", "code", "words"),
    [
        ("nowhere.csv", 3, ["nowhere.csv: No such file", "run folder"]),
        ("empty.csv", 3, ["empty.csv is empty"]),
        ("picture.csv", 3, ["picture.csv is no text"]),
        ("torn.csv", 3, ["torn.csv, line 2", "3 cells"]),
        (".", 2, ["is not a run"]),
    ],
)
def test_wrong_inputs_are_refused_in_words(equipoise, what, code, words):
    Path("empty.csv").touch()
    Path("picture.csv").write_bytes(b"\x89PNG\r\n")
    Path("torn.csv").write_text("step,fid\n1,2,3\n")
    found, out, err = equipoise("diagnose", what)
    assert (found, out) == (code, "")
    assert all(word in err for word in words), err
    assert err.startswith("equipoise: ")
    assert len(err.splitlines()) <= 3


def test_a_run_folder_is_read_for_its_own_findings(equipoise):
    Path("run").mkdir()
    Path("run/config.json").write_text("{}")
    finding = {"symptom": "converged", "severity": "note", "evidence": {"gain": 0.1}, "meaning": "m", "advice": "a"}
    Path("run/events.jsonl").write_text(json.dumps({"kind": "finding", "step": 7, "seen": 448, **finding}) + "\n")
    code, out, _ = equipoise("diagnose", "run")
    assert (code, out.splitlines()[0]) == (0, "plateau")
    assert "note: converged, since step 7: m" in out


def test_torch_is_not_imported(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    written("log.csv", end=2)
    program = (
        "import sys; from equipoise.cli import main; sys.argv = ['equipoise', 'diagnose', 'log.csv']\n"
        "try: main.main()\nexcept SystemExit as end: assert end.code == 1, end.code\n"
        "assert 'torch' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
