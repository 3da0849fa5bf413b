"""What a person asks of a run: obeyed once, recorded, and to the same bits when the run is resumed or repeated."""

from __future__ import annotations

import json
import os
import resource
import signal
from pathlib import Path

import pytest
import torch

from equipoise import launch
from equipoise.config import TrainConfig
from equipoise.controller import HandsOff
from equipoise.errors import ConfigError, Stopped, StorageError
from equipoise.onlookers import Onlookers
from equipoise.processes import ALONE, Processes
from equipoise.requests import (
    LONGEST,
    Guard,
    Inbox,
    Pause,
    Request,
    Resume,
    Set,
    Snapshot,
    Step,
    ask,
    repeated,
)
from equipoise.runs import folder
from equipoise.runs.checkpoint import newest_first, step_of
from equipoise.runs.folder import RunFolder
from equipoise.training.attending import refusal
from test_resume import Cut, assert_equal_runs, cut_at, differences, final_state, watched_by

SLOWER = Set(id="a", who="page", at_seen=160, knobs={"d_lr": 0.0})


def rows(run: Path, kind: str) -> list[dict]:
    return [row for row in folder.rows(RunFolder(run).events) if row["kind"] == kind]


def play(config: TrainConfig, out: Path, *requests: Request, **how: object) -> Path:
    launch.start(config, out, requests=requests, **how)  # type: ignore[arg-type]
    return out


def unheard(line: str, why: str) -> None:
    raise AssertionError(f"{line}: {why}")


@pytest.fixture(scope="module")
def plain(tiny, tmp_path_factory) -> Path:
    return play(tiny("digits"), tmp_path_factory.mktemp("plain") / "run")


@pytest.fixture(scope="module")
def slowed(tiny, tmp_path_factory) -> Path:
    return play(tiny("digits"), tmp_path_factory.mktemp("slowed") / "run", SLOWER)


def test_a_knob_is_set_when_asked_and_the_record_says_by_whom(slowed, plain):
    (asked,), (change,) = rows(slowed, "request"), rows(slowed, "change")
    assert (asked["do"], asked["who"], asked["seen"], asked["knobs"]) == ("set", "page", 160, {"d_lr": 0.0})
    assert (change["seen"], change["knobs"], change["reason"]) == (160, {"d_lr": 0.0}, "asked by page")
    later = {row["d_update_ratio"] for row in rows(slowed, "signals") if row["seen"] > 168}
    assert later == {0.0}
    assert 0.0 not in {row["d_update_ratio"] for row in rows(plain, "signals") if row["seen"] > 168}


def test_a_run_is_repeated_to_the_bit_from_its_events(slowed, plain, tiny, tmp_path):
    again = play(tiny("digits"), tmp_path / "again", *repeated(folder.rows(RunFolder(slowed).events)))
    assert_equal_runs(slowed, again)
    assert differences(final_state(slowed)["game.D"], final_state(plain)["game.D"]), "the control: it made a difference"


def test_a_live_request_is_obeyed_at_the_same_round_after_a_cut(tiny, tmp_path):
    """Asked at once, in mid-run: what the clock decided in the first sitting is kept in the second."""
    out = tmp_path / "run"

    def reporter(seen, signals, news=""):
        if seen == 200:
            ask(RunFolder(out).requests, SLOWER.model_copy(update={"at_seen": None}))
        if rows(out, "request") and seen > rows(out, "request")[0]["seen"] + 8:
            raise Cut

    with pytest.raises(Cut):
        play(tiny("digits", "save.every_kimg=0.08", steps=4000), out, watch=watched_by(reporter))
    (heard,) = rows(out, "request")
    with pytest.raises(Cut):
        launch.resume(out, watch=cut_at(heard["seen"] + 400))
    assert rows(out, "request") == [heard]
    assert newest_first(RunFolder(out).checkpoints), "it did not begin again"


def test_a_pause_waits_for_resume_and_costs_no_bits(plain, tiny, tmp_path):
    out, seen_while_waiting = tmp_path / "run", []

    def reporter(seen, signals, news=""):
        if "asked: pause" in news:
            ask(RunFolder(out).requests, Step(id="s", rounds=3))
        if "asked: step" in news:
            ask(RunFolder(out).requests, Resume(id="r"))
        seen_while_waiting.append((seen, news))

    play(tiny("digits"), out, Pause(id="p"), watch=watched_by(reporter))
    assert differences(final_state(out)["game.G"], final_state(plain)["game.G"]) == []
    assert [row["do"] for row in rows(out, "request")] == ["pause", "step", "resume"]
    kinds = [row["kind"] for row in folder.rows(RunFolder(out).clock)]
    assert kinds.count("waits") == 2
    assert kinds.count("goes on") == 1


def test_a_run_that_waits_answers_ctrl_c(tiny, tmp_path):
    def reporter(seen, signals, news=""):
        if "asked: pause" in news:
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(Stopped):
        play(tiny("digits"), tmp_path / "run", Pause(at_seen=80), watch=watched_by(reporter))
    launch.resume(tmp_path / "run")  # nobody waits any more
    assert rows(tmp_path / "run", "signals")[-1]["seen"] == 480


def test_a_snapshot_is_kept_and_what_makes_no_sense_is_refused(tiny, tmp_path):
    config = tiny("digits", "save.keep=1", "guardian.mode=off")
    asked = [
        Snapshot(id="s", at_seen=104),
        Set(id="b", at_seen=112, knobs={"g_lr": -1.0}),
        Set(id="c", at_seen=112, knobs={"lecam": 0.3}),  # not with a relativistic loss
        Set(id="d", at_seen=112, knobs={"learning_rate": 1}),
        Guard(id="e", at_seen=120, mode="on"),
    ]
    out = play(config, tmp_path / "run", *asked)
    assert 13 in {step_of(path) for path in newest_first(RunFolder(out).checkpoints)}
    refused = {row["id"]: row["refused"] for row in rows(out, "request") if "refused" in row}
    assert refused.keys() == {"b", "c", "d", "e"}
    assert "greater than or equal to 0" in refused["b"]
    assert rows(out, "change") == []


def test_the_guardian_is_told_to_mend_and_the_run_resumes(tiny, tmp_path):
    config = tiny("digits", "guardian.mode=watch")
    whole = play(
        config, tmp_path / "whole", Guard(id="g", at_seen=160, mode="on"), Guard(at_seen=320, id="h", mode="off")
    )
    looks = [row["seen"] for row in rows(whole, "look")]
    assert max(looks) <= 320 < rows(whole, "signals")[-1]["seen"]
    assert "controller.treatment" in final_state(whole)
    with pytest.raises(Cut):
        asked = repeated(folder.rows(RunFolder(whole).events))
        play(config, tmp_path / "cut", *asked, watch=cut_at(400))
    launch.resume(tmp_path / "cut")
    assert_equal_runs(whole, tmp_path / "cut")


def test_a_focus_is_obeyed_where_somebody_knows_the_bins_and_refused_elsewhere(tiny, tmp_path):
    focus = {"focus": 0.5, "focus_on": [0]}
    asked = Set(id="f", at_seen=112, knobs=focus)
    watched = play(tiny("digits", "guardian.mode=watch"), tmp_path / "watched", asked)
    assert ["nobody knows the bins" in row["refused"] for row in rows(watched, "request")] == [True]
    set_so = ["knobs.focus=0.5", "knobs.focus_on=[0]"]
    focused = play(tiny("digits", "guardian.mode=watch", *set_so), tmp_path / "focused")
    places = differences(final_state(focused), final_state(watched))
    assert any(place.startswith("/game.G/") for place in places), "from the start, while the guardian watches"
    with pytest.raises(ConfigError, match="only the guardian knows them"):
        tiny("digits", "guardian.mode=off", *set_so)
    with pytest.raises(ConfigError, match="names no bin that holds training data"):
        play(tiny("digits", "guardian.mode=watch", set_so[0], "knobs.focus_on=[999]"), tmp_path / "nowhere")
    mended = play(tiny("digits", "guardian.mode=watch"), tmp_path / "on", Guard(at_seen=104, id="g", mode="on"), asked)
    assert ["refused" in row for row in rows(mended, "request")] == [False, False]


def test_what_would_be_obeyed_in_vain_is_refused_with_what_to_do_instead(tiny, tmp_path):
    asked = (Set(id="t", at_seen=112, knobs={"augment_target": 0.5}), Guard(id="w", at_seen=120, mode="watch"))
    blind = play(tiny("digits", "guardian.mode=off"), tmp_path / "blind", *asked)
    refused = {row["id"]: row["refused"] for row in rows(blind, "request")}
    assert "heard by games that began with one" in refused["t"] and "nobody watches this run" in refused["w"]
    assert rows(blind, "change") == []
    began = tiny("digits", "guardian.mode=watch", "knobs.augment_target=.3", "knobs.augment_speed_kimg=1")
    heard = play(began, tmp_path / "heard", *asked)
    assert not [row for row in rows(heard, "request") if "refused" in row]


class Two(Processes):
    def told(self, text: str) -> str:
        return text


@pytest.mark.parametrize("processes", [ALONE, Two(0, 2)])
def test_what_several_processes_could_not_begin_with_is_refused_to_them(processes, tiny, tmp_path):
    config = tiny("digits", "guardian.mode=off", "knobs.loss=nonsaturating")
    run = folder.create("digits", tmp_path / "run")
    launch.describe(run, config)
    onlookers = Onlookers(config, launch.build.splits(config.data), torch.device("cpu"))
    with launch.assembled(config, run, onlookers, HandsOff(), processes) as playing:
        told = refusal(playing, Set(knobs={"unroll": 1}))
    assert ("looks ahead on one process's samples alone" in told) if processes.count > 1 else told == ""


def test_lines_that_are_no_requests_are_passed_over_and_told(tmp_path):
    told, path = [], tmp_path / "requests.jsonl"
    bad = [b"{", b"[]", b'{"do": "rm"}', b'{"do": "set", "knobs": {}}', b'{"do": "pause", "x": 1}', b"\xff\xfe"]
    path.write_bytes(b"\n".join([*bad, b"x" * (LONGEST + 1), b'{"do": "pause"}', b'{"do": "resume"}']))
    inbox = Inbox(path, lambda line, why: told.append(why))
    assert [due.request.do for due in inbox.due(0)] == ["pause"], "the last line is not whole yet"
    assert len(told) == len(bad) + 1
    assert all(told)


def test_the_file_is_looked_at_now_and_then_and_each_request_is_obeyed_once(tmp_path):
    path, now = tmp_path / "requests.jsonl", [0.0]
    inbox = Inbox(path, unheard, now=lambda: now[0])
    assert inbox.due(0) == []
    ask(path, Pause(id="p"))
    assert inbox.due(0) == [], "not asked again so soon"
    now[0] = 1.0
    assert [due.request.id for due in inbox.due(0)] == ["p"]
    ask(path, Pause(id="p"))
    path.write_text(path.read_text() + json.dumps({"do": "resume"}) + "\n")
    now[0] = 2.0
    (due,) = inbox.due(0)
    assert (due.request.do, len(due.request.id)) == ("resume", 12)
    other = Inbox(path, unheard)
    other.remember(
        [{"kind": "request", "id": "p", "do": "pause"}], [{"kind": "heard", "id": due.request.id, "seen": 80}]
    )
    assert other.due(72) == []
    assert [(d.request.do, d.again) for d in other.due(80)] == [("resume", True)]


def test_a_line_that_fits_in_part_is_taken_back_and_said(tmp_path):
    """As on a disk that is nearly full, where the system writes as much as it can."""
    path, (soft, hard) = tmp_path / "requests.jsonl", resource.getrlimit(resource.RLIMIT_FSIZE)
    ask(path, Pause(id="p"))
    resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size + 10, hard))
    try:
        with pytest.raises(StorageError, match="cannot write"):
            ask(path, Resume(id="r"))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    ask(path, Snapshot(id="s"))
    assert [due.request.id for due in Inbox(path, unheard).due(0)] == ["p", "s"]


def test_a_line_without_its_end_harms_no_other(tmp_path):
    told, path = [], tmp_path / "requests.jsonl"
    path.write_text('{"do": "pau')
    ask(path, Resume(id="r"))
    inbox = Inbox(path, lambda line, why: told.append(line))
    assert [due.request.id for due in inbox.due(0)] == ["r"]
    assert told == ['{"do": "pau\n']


def test_a_fork_obeys_a_line_that_its_parent_obeyed_and_no_line_twice(tmp_path):
    path = tmp_path / "requests.jsonl"
    path.write_text('{"do": "snapshot"}\n')
    (first,) = Inbox(path, unheard).due(0)
    record = [{"kind": "request", "id": first.request.id, "do": "snapshot", "step": 1}]
    clock = [{"kind": "forked", "id": "a1", "from": "run", "step": 1}]

    def asked(events, clock):
        inbox = Inbox(path, unheard)
        inbox.remember(events, clock)
        return [due.request.id for due in inbox.due(0)]

    assert asked(record, []) == [], "the control: the run itself"
    (own,) = asked(record, clock)
    assert own != first.request.id
    assert asked([*record, record[0] | {"id": own}], clock) == []
    assert asked(record, [{"kind": "forked", "from": "run", "step": 1}]) == [], "a fork of an earlier version, resumed"
