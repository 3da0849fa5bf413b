"""The diagnosis of a CSV file and of a run: what is read, what is refused, and in which words."""

from __future__ import annotations

import json

import numpy as np
import pytest

from equipoise.errors import ConfigError, DataError
from equipoise.reports import diagnosis, trainer_csv
from equipoise.runs.folder import RunFolder


@pytest.fixture
def log(tmp_path):
    """Writes a file and returns its path."""

    def write(content, name="log.csv"):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


def lines(*rows):
    return "".join(f"{row}\n" for row in rows)


# ------------------------------------------------------------------------------------------------ what is read


def test_columns_in_any_case_with_blanks_at_their_own_steps(log):
    read = trainer_csv.read(log("Step, D_Loss ,FID\n100,1.5,\n200, 1.25 ,40\n300,,\n"))
    assert read.notes == ()
    assert {name: (at.tolist(), y.tolist()) for name, (at, y) in read.log.items()} == {
        "d_loss": ([100, 200], [1.5, 1.25]),
        "fid": ([200], [40.0]),
    }


@pytest.mark.parametrize("blank", ["", " ", "-", "None", "null", "NA", "n/a"])
def test_what_counts_as_blank(log, blank):
    assert trainer_csv.read(log(f"step,d_loss\n1,{blank}\n2,1\n")).log["d_loss"][0].tolist() == [2]


@pytest.mark.parametrize("by", [",", ";", "\t"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_separators_ends_of_lines_and_a_byte_order_mark(log, by, end):
    text = end.join([by.join(row) for row in (["step", "fid"], ["1", '"4.5"'], ["2", "4"])])
    assert trainer_csv.read(log(b"\xef\xbb\xbf" + text.encode())).log["fid"][1].tolist() == [4.5, 4]


def test_columns_that_are_not_known_are_named(log):
    read = trainer_csv.read(log("step,fid,lr,fid_50k,grad_norm_G\n1,4,oops,4,1\n"))
    assert list(read.log) == ["fid", "grad_norm_g"]
    assert read.notes == ("not read: lr, fid_50k",)
    assert trainer_csv.read(log("step,fid,dloss\n1,4,2\n")).notes == ("not read: dloss (rename it to d_loss?)",)


def test_of_a_step_that_is_there_twice_the_last_row_counts(log):
    read = trainer_csv.read(log("step,fid\n10,9\n20,8\n30,7\n20,6\n30,5\n"))
    assert read.log["fid"][0].tolist() == [10, 20, 30]
    assert read.log["fid"][1].tolist() == [9, 6, 5]
    assert "resume" in read.notes[0]


def test_a_last_line_that_is_cut_short_is_left_out(log):
    read = trainer_csv.read(log("step,d_loss,fid\n1,2,3\n2,3,4\n3,4"))
    assert read.log["fid"][0].tolist() == [1, 2]
    assert read.notes == ("line 4 is cut short and was left out",)


def test_nan_in_a_loss_is_evidence_and_between_evaluations_a_blank(log):
    read = trainer_csv.read(log("step,d_loss,fid\n1,1,nan\n2,nan,9\n3,inf,nan\n4,-Inf,8\n5,1,NaN\n"))
    assert read.log["fid"][1].tolist() == [9, 8]
    assert np.isfinite(read.log["d_loss"][1]).tolist() == [True, False, False, False, True]


def test_nan_that_stays_in_a_figure_is_evidence(log):
    at_the_end = trainer_csv.read(log("step,fid\n1,9\n2,8\n3,nan\n4,nan\n")).log["fid"][1]
    assert np.isnan(at_the_end).tolist() == [False, False, True, True]
    assert np.isnan(trainer_csv.read(log("step,fid\n1,9\n2,inf\n3,nan\n")).log["fid"][1]).sum() == 1


# ------------------------------------------------------------------------------------------------ what is refused


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", ["is empty", "column step"]),
        ("\n\n", ["is empty"]),
        ("step,fid\n", ["no rows"]),
        ("iteration,fid\n1,2\n", ["no column step", "'iteration,fid'"]),
        ("step\n1\n", ["nothing to judge", "d_loss"]),
        ("step,lr\n1,2\n", ["nothing to judge", "'step,lr'"]),
        ("step,fid,FID\n1,2,3\n", ["2 columns fid"]),
        ("step,step,fid\n1,2,3\n", ["2 columns step"]),
        ("step,fid\n1,2\n2,2,3\n", ["line 3", "3 cells", "header has 2", "'2,2,3'"]),
        ("step,d_loss,fid\n1,2\n2,2,3\n", ["line 2", "2 cells", "header has 3"]),
        ("step,fid\n1,good\n", ["line 2", "fid", "'good'", "no number"]),
        ("step,fid\n1,12,5\n", ["line 2"]),
        ("step;fid\n1;12,5\n", ["line 2", "'12,5'"]),
        ("step,fid\n1,-3\n", ["line 2", "fid is -3", "negative"]),
        ("step,fid\n,3\n", ["line 2", "step is ''"]),
        ("step,fid\n1.5,3\n", ["step is '1.5'", "whole number"]),
        ("step,fid\n-1,3\n", ["step is '-1'"]),
        ("step,fid\nnan,3\n", ["step is 'nan'"]),
        ("step,fid\n1e300,3\n", ["step is '1e300'"]),
        (b"\x89PNG\r\n\x1a\n\x00\x00", ["no text", "byte 0"]),
        (b"step,fid\n1,\xff\n", ["no text", "byte 11"]),
        (f"{'x' * 1000},fid\n1,2\n", ["no column step", "..."]),
        (f"step,fid\n1,{'9' * 200_000}\n", ["line 2"]),
    ],
)
def test_wrong_files_are_refused_in_at_most_three_lines(log, content, words):
    path = log(content)
    with pytest.raises(DataError) as refused:
        diagnosis.of_log(path)
    said = str(refused.value)
    assert said.startswith(str(path))
    assert all(word in said for word in words), said
    assert 2 <= len(said.splitlines()) <= 3
    assert refused.value.exit_code == 3


def test_a_file_that_is_not_there_and_a_folder_that_is_no_run(tmp_path):
    with pytest.raises(DataError, match="No such file"):
        diagnosis.of(tmp_path / "log.csv")
    with pytest.raises(ConfigError, match="is not a run"):
        diagnosis.of(tmp_path)


# ------------------------------------------------------------------------------------------------ the diagnosis


def declining(log, end):
    rows = [f"{1000 * i},1.4,{50 * 0.9**i:.3f}" for i in range(1, 25)]
    return log(
        lines("step,d_loss,fid", *rows, *(f"{1000 * i},1.4,{4 * end ** min(i - 24, 6):.3f}" for i in range(25, 40)))
    )


def test_a_log_from_file_to_findings(log):
    found = diagnosis.of(declining(log, 1.1))
    assert found.verdict == "past its best"
    assert found.is_severe
    step, finding = found.findings[0]
    assert 25_000 < step < 30_000
    assert finding.evidence["best_at_step"] in (24_000, 25_000, 26_000)
    healthy = diagnosis.of(declining(log, 0.95))
    assert not healthy.is_severe


def test_as_json_it_is_a_verdict_and_findings(log):
    told = diagnosis.of(declining(log, 1.1)).as_json()
    assert told.keys() == {"verdict", "findings"}
    for finding in told["findings"]:
        assert {"symptom", "severity", "step", "evidence", "advice", "meaning", "source"} == finding.keys()
    json.dumps(told, allow_nan=False)


def test_a_log_too_short_is_not_called_healthy_silently(log):
    found = diagnosis.of(log("step,fid\n1,9\n2,8\n"))
    assert found.verdict == "healthy"
    assert found.notes == ("fid is not judged: 2 values, 5 are needed",)


def test_of_a_run_the_newest_of_each_of_its_own_findings(tmp_path):
    run = RunFolder(tmp_path)
    own = {"evidence": {"gain": 0.1}, "meaning": "m", "advice": "a"}
    rows = [
        {"kind": "signals", "step": 1, "seen": 64},
        {"kind": "finding", "step": 10, "symptom": "past its best", "severity": "warning", **own},
        {"kind": "finding", "step": 20, "symptom": "converged", "severity": "note", "source": "s", **own},
        {"kind": "finding", "step": 30, "symptom": "past its best", "severity": "severe", **own},
    ]
    run.events.write_text(lines(*map(json.dumps, rows)))
    found = diagnosis.of_run(run)
    assert found.verdict == "past its best"
    assert found.is_severe
    assert [(step, each.symptom, each.source) for step, each in found.findings] == [
        (30, "past its best", ""),
        (20, "converged", "s"),
    ]
    run.events.write_text(lines(json.dumps(rows[2])))
    assert diagnosis.of_run(run).verdict == "plateau"
    run.events.unlink()
    assert diagnosis.of_run(run).verdict == "warming up"
