from __future__ import annotations

import json
import resource
from contextlib import closing

import pytest

from equipoise.errors import Damaged, StorageError
from equipoise.runs.events import Log, read


def test_rows_come_back_in_order(tmp_path):
    with closing(Log(tmp_path / "log")) as log:
        for step in range(5):
            log.append("signals", step=step, d_loss=step / 10)
    assert [row["step"] for row in read(tmp_path / "log")] == [0, 1, 2, 3, 4]


def test_numbers_that_json_does_not_know_become_words(tmp_path):
    with closing(Log(tmp_path / "log")) as log:
        log.append("signals", a=float("nan"), b=float("-inf"), c=1.5)
    text = (tmp_path / "log").read_text()
    assert json.loads(text, parse_constant=lambda name: f"bare {name}") == {
        "kind": "signals", "a": "nan", "b": "-inf", "c": 1.5,
    }  # fmt: skip


def test_a_last_line_cut_short_is_left_out(tmp_path):
    (tmp_path / "log").write_bytes(b'{"kind": "a"}\n{"kind": "b"')
    assert [row["kind"] for row in read(tmp_path / "log")] == ["a"]


@pytest.mark.parametrize("line", [b'{"kin\x00": 1}', b"\xff", b"5", b'{"step": 1}', b""])
def test_a_damaged_line_is_named_by_its_number_unless_it_lies_behind_what_is_read(line, tmp_path):
    (tmp_path / "events.jsonl").write_bytes(b'{"kind": "a"}\n' + line + b'\n{"kind": "b"}\n')
    with pytest.raises(Damaged, match=r"events\.jsonl is damaged: line 2 .*\n.*from a copy.*\n.* --from"):
        list(read(tmp_path / "events.jsonl"))
    assert list(read(tmp_path / "events.jsonl", before=14)) == [{"kind": "a"}]
    (tmp_path / "events.jsonl").rename(tmp_path / "clock.jsonl")
    with pytest.raises(Damaged, match=r"clock\.jsonl is damaged: line 2 .*\n.*take that line out"):
        list(read(tmp_path / "clock.jsonl"))


def test_a_torn_line_is_taken_away_when_the_log_is_opened_again(tmp_path):
    (tmp_path / "log").write_bytes(b'{"kind": "a"}\n{"kind": "b"')
    with closing(Log(tmp_path / "log")) as log:
        log.append("c")
    assert [row["kind"] for row in read(tmp_path / "log")] == ["a", "c"]


def test_a_full_disk_is_said_once(tmp_path):
    (tmp_path / "log").symlink_to("/dev/full")
    with closing(Log(tmp_path / "log")) as log, pytest.raises(StorageError, match="No space left"):
        log.append("a")


def test_a_row_that_fits_in_part_is_taken_back(tmp_path):
    """As on a disk that is nearly full, where the system writes as much as it can."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    with closing(Log(tmp_path / "log")) as log:
        log.append("a")
        resource.setrlimit(resource.RLIMIT_FSIZE, (log.offset + 10, hard))
        try:
            with pytest.raises(StorageError, match="cannot write"):
                log.append("b")
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        log.append("c")
    assert [row["kind"] for row in read(tmp_path / "log")] == ["a", "c"]


def test_a_restored_log_takes_back_what_came_later(tmp_path):
    with closing(Log(tmp_path / "log")) as log:
        log.append("a")
        state = log.state_dict()
        log.append("b")
    with closing(Log(tmp_path / "log")) as log:
        log.load_state_dict(state)
        log.append("c")
    assert [row["kind"] for row in read(tmp_path / "log")] == ["a", "c"]
