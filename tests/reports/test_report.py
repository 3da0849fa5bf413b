"""The page of a run in every state that a run can be in: whole, inert, and true to the rows."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

from equipoise.errors import ConfigError
from equipoise.figures import history, protocols
from equipoise.pictures import grid
from equipoise.reports import story
from equipoise.reports.report import MOST, PANELS, moments, report

PANELS_OF = [name for names in PANELS.values() for name in names]
HOSTILE = "<script>alert('&')</script>"
STARTED = {"kind": "started", "host": "vm", "pid": 1, "unix_time": 1795272983}
VOID = {"meta", "img", "br", "link", "hr", "input"}


class Page(HTMLParser):
    """What a browser would see: sections, words, attributes; tags must be closed in order."""

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.attributes, self.titles, self.words = [], [], [], [], []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs

    def handle_data(self, data):
        if "style" in self.open:
            assert "url(" not in data
            assert "@import" not in data
        elif self.open and self.open[-1] == "h2":
            self.titles.append(data)
        else:
            self.words.append(data)

    @property
    def text(self):
        return " ".join(" ".join(self.words).split())


def estimate(value, half=None, n=2000):
    ends = {"low": None, "high": None} if half is None else {"low": value - half, "high": value + half}
    return {"value": value, **ends, "n_fake": n, "n_real": 179}


def signals(step, **more):
    return {"kind": "signals", "step": step, "seen": 128 * step, "d_loss": 0.5, "g_loss": 1.0 + step, **more}


def judged(step, fd, net="average", part="validation"):
    figures = {
        "fd": estimate(fd, 1.0),
        "precision": estimate(0.8),
        "recall": estimate(0.5),
        "odd_<one>": estimate("nan"),
    }
    return {"kind": "metrics", "step": step, "seen": 128 * step, "net": net, "part": part, "figures": figures}


def finding(step, severity="warning", symptom="past its best"):
    return {
        "kind": "finding", "step": step, "seen": 128 * step, "symptom": symptom, "severity": severity,
        "evidence": {"gain": -0.8, "best_at_kimg": 1.28}, "meaning": f"they are worse {HOSTILE}", "advice": "stop here",
    }  # fmt: skip


def everything():
    """One row of each kind, and more than one where that matters."""
    features = {"name": "classifier", "sha256": "1f3a9c77" * 8}
    protocol = {"metric": "frechet", "k": 5, "features": features, "data": {"part": "validation"}}
    protocols = dict.fromkeys(("fd", "precision", "recall"), protocol)
    return [
        {"kind": "left_out", "count": 2, "files": {HOSTILE: "no picture", "b.png": "empty"}},
        *(signals(step) for step in range(1, 6)),
        {"kind": "protocol", "step": 5, "seen": 640, "figures": protocols},
        judged(5, 30.0), judged(5, 35.0, net="generator"), {"kind": "best", "step": 5, "seen": 640, "value": 30.0},
        judged(10, 20.0), judged(10, 25.0, net="generator"), {"kind": "best", "step": 10, "seen": 1280, "value": 20.0},
        judged(15, 28.0), finding(15), {"kind": "checkpoint", "step": 15, "seen": 1920},
        {"kind": "look", "step": 15, "seen": 1920, "signals": {}, "shares": [0.5, 0.5], "ill": []},
        {"kind": "change", "step": 16, "seen": 2048, "reason": f"less {HOSTILE}", "knobs": {"r1": 0.5}},
        {"kind": "rolled_back", "step": 17, "seen": 2176, "to": HOSTILE},
        signals(20, d_grad_norm="nan", g_grad_norm="inf"),
        judged(10, 21.0, net="best", part="test"),
    ]  # fmt: skip


SECTIONS = ["Figures", "Figures over time", "Samples over time", "Modes, and nearest training images",
            "What the guardian saw", "What was changed, and what came of it", "Signals of the game",
            "What happened", "Settings", "How to repeat it"]  # fmt: skip


@pytest.fixture
def whole(recorded):
    """A finished run with all that a run can have, under a hostile name."""
    clock = [STARTED, {"kind": "finished", "step": 20, "seconds": 75.0, "ms_per_step": 3.0}]
    run = recorded("<b>run & 'co'", "knobs.r1=0.3", "kimg=2.56", events=everything(), clock=clock)
    run.env.write_text(json.dumps({"python": "3.11", "cuda": None, "packages": {"torch": HOSTILE}}))
    run.figures.mkdir()
    picture = grid(np.zeros((4, 8, 8, 1), np.uint8))
    for path in (*(run.grid(step) for step in (0, 5, 9, 20)), run.figures / "modes.png", run.figures / "nearest.png"):
        picture.save(path)
    return run


def answers(run):
    found = story.answers(story.told(run))
    return {
        question: " ".join(filter(None, (word for said in texts for word in said))) for question, texts in found.items()
    }


def test_the_page_of_a_whole_run_has_all_sections_and_nothing_from_outside(whole):
    text = report(whole)
    page = Page(text)
    assert page.titles == SECTIONS
    assert not {"script", "link", "iframe", "b", "object", "base", "form"} & set(page.tags)
    sources = [value.partition(";base64,")[0] for name, value in page.attributes if name == "src"]
    assert sources == ["data:image/gif", *["data:image/png"] * 6]
    assert not [name for name, _ in page.attributes if name in ("href", "action", "srcset") or name.startswith("on")]
    assert "default-src 'none'" in text
    assert "://" not in text
    assert HOSTILE in page.text
    assert "<b>run & 'co'" in page.text


def test_the_page_tells_what_the_rows_say(whole):
    text = Page(report(whole)).text
    for words in (
        "Not quite: past its best.", "Past its best: they are worse", "gain -0.8", "Stop here.",
        "Of the best checkpoint, against test data", "20 to 22", "features: classifier (sha256 1f3a9c77..)",
        "Frechet distance from 30 to 28", "The best checkpoint is from 1.28 kimg.", "1 look since found nothing better",
        "in 1 min 15 s", "knobs.r1", "r1=0.5", "rolled back", "2 files", "b.png", "at the start: step 0",
        "nearest to the best: step 9", "last: step 20", "trains an MLP on digits", "R1 of 0.3, R2 of 3",
    ):  # fmt: skip
        assert words in text, words


def test_the_commands_repeat_the_run(whole):
    again, recipe = story.repeating(story.told(whole)).values()
    assert shlex.split(again)[:4] == ["equipoise", "train", "--config", str(whole.config)]
    assert shlex.split(recipe) == [
        "equipoise",
        "train",
        "digits",
        "--seed",
        "0",
        "--set",
        "kimg=2.56",
        "--set",
        "knobs.r1=0.3",
    ]


def test_a_run_that_has_just_begun(recorded):
    run = recorded("new", clock=[STARTED])
    with run.locked():
        page, said = Page(report(run)), answers(run)
    assert page.titles == ["Settings", "How to repeat it"]
    assert "too early" in said["Is it fine?"]
    assert said["What will happen?"] == "It is at 0% of its length."
    run.events.unlink()
    run.clock.unlink()
    assert "no step was recorded yet" in Page(report(run)).text


def test_a_run_in_progress_tells_the_time_left(recorded):
    """100 steps of 200 took 50 ms each: 5 seconds are left."""
    clock = [STARTED, {"kind": "speed", "step": 90, "seconds": 4.6, "ms_per_step": 50.0}]
    run = recorded("run", "kimg=25.6", events=[signals(1), signals(100)], clock=clock)
    with run.locked():
        said = answers(run)
    assert said["What will happen?"] == "It is at 50% of its length, and needs about 5 s more."
    assert "not measured" in said["Is it fine?"]
    assert "Ctrl-C" in said["What can I do?"]


def test_a_diverged_run_says_that_a_setting_must_change(recorded):
    row = {"kind": "diverged", "step": 7, "seen": 896, "signals": ["d_loss"]}
    run = recorded(
        "run", events=[signals(1), {"kind": "checkpoint", "step": 5, "seen": 640}, signals(6), row], clock=[STARTED]
    )
    said = answers(run)
    assert said["Is it fine?"] == "No. The game left the finite numbers at step 7."
    assert "d_loss" in said["What is wrong?"]
    assert "from step 5" in said["What will happen?"]
    assert "--set optim.g.lr=0.00035 --set optim.d.lr=0.00035" in said["What can I do?"]
    assert "It diverged, after 7 steps" in Page(report(run)).text


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ({"kind": "stopped", "step": 5, "signal": 15}, "Nothing until it is resumed: then it goes on from step 5"),
        ({"kind": "finished", "step": 5, "seconds": 1.0}, "Nothing more: it is finished."),
        (
            {"kind": "speed", "step": 3, "seconds": 1.0},
            "it was interrupted at about step 5. Resumed, it goes on from step 3",
        ),
    ],
)
def test_what_comes_depends_on_how_it_ended(recorded, row, words):
    events = [signals(1), {"kind": "checkpoint", "step": 3, "seen": 384}, signals(5)]
    run = recorded("run", events=events, clock=[STARTED, row])
    assert words in answers(run)["What will happen?"]
    assert ("equipoise resume" in answers(run)["What can I do?"]) == (row["kind"] != "finished")


@pytest.mark.parametrize(
    ("severities", "verdict", "wrong"),
    [
        (["note", "severe", "warning"], "No: symptom 1.", ["Symptom 1", "Symptom 2"]),
        (["warning"], "Not quite: symptom 0.", ["Symptom 0"]),
        (["note"], "As far as its figures tell, yes: 1 look at its samples found nothing to mend.", []),
    ],
)
def test_the_worst_finding_is_the_verdict_and_notes_are_not_wrong(recorded, severities, verdict, wrong):
    found = [finding(9, severity, f"symptom {i}") for i, severity in enumerate(severities)]
    said = answers(recorded("run", events=[signals(1), judged(5, 3.0), *found]))
    assert said["Is it fine?"] == verdict
    assert [word for word in ("Symptom 0", "Symptom 1", "Symptom 2") if word in said["What is wrong?"]] == wrong
    assert said["What can I do?"].count("Stop here.") == len(severities)


def test_time_is_summed_over_sittings(recorded):
    speed = [
        {"kind": "speed", "step": step, "seconds": s, "ms_per_step": 1.0} for step, s in ((1, 10), (2, 30), (3, 5))
    ]
    clock = [STARTED, *speed[:2], {**STARTED, "kind": "resumed"}, speed[2]]
    assert story.told(recorded("run", clock=clock)).seconds == 35


def test_a_last_look_that_is_the_best_asks_for_more(recorded):
    rows = [row for step, fd in ((5, 9.0), (10, 8.0), (15, 7.0)) for row in (judged(step, fd), signals(step))]
    rows.append({"kind": "best", "step": 15, "seen": 1920, "value": 7.0})
    assert "may gain from more training" in answers(recorded("run", events=rows))["What will happen?"]


def test_a_picture_that_is_cut_short_is_left_out(whole):
    before = report(whole).count("<img")
    path = whole.grid(20)
    path.write_bytes(path.read_bytes()[:60])
    whole.grid(0).write_bytes(b"")
    assert report(whole).count("<img") == before - 2  # of four that moved, two still do


def test_a_long_run_of_large_pictures_stays_below_the_limit(whole):
    """Noise is the worst that a picture can hold: as PNG, four of these alone would have 4.8 MB, in base64 6.4."""
    random = np.random.default_rng(0)
    for step in (0, 5, 9, 20):
        Image.fromarray(random.integers(0, 256, (632, 632, 3), dtype=np.uint8)).save(whole.grid(step), compress_level=0)
    for name in ("modes", "nearest"):
        (whole.figures / f"{name}.png").write_bytes(whole.grid(20).read_bytes())
    long = [signals(step, **dict.fromkeys(PANELS_OF, 1 / step)) for step in range(1, 1000)]
    with whole.events.open("a") as file:
        file.writelines(json.dumps(row) + "\n" for row in [*long, *(finding(step) for step in range(1000))])
    text = report(whole)
    assert 100_000 < len(text.encode()) <= MOST
    assert text.count("<img") == 7
    assert "rows between the first and the last 200" in text
    assert text.count("<tr>") < 1000


def test_moments_are_the_nearest_that_were_drawn(recorded):
    run = recorded("run")
    assert moments(story.told(run)) == {}
    run.grid(0).touch()
    assert moments(story.told(run)) == {0: "at the start"}
    for step in range(0, 101, 20):
        run.grid(step).touch()
    assert moments(story.told(run)) == {0: "at the start", 20: "after a quarter", 40: "half way", 100: "last"}


def test_figures_of_an_evaluation_stand_in_for_final_ones(recorded):
    row = {
        "kind": "evaluation", "date": "2026-11-21T12:00:00", "what": "run", "against": HOSTILE, "checkpoint": "last",
        "metrics": {"kid": estimate(0.125) | {"protocol": {"subsets": 100}}}, "refused": {},
    }  # fmt: skip
    text = Page(report(recorded("run", events=[signals(1)], evaluations=[row]))).text
    assert f"By equipoise evaluate: checkpoint last against {HOSTILE}." in text
    assert "KID" in text
    assert "subsets: 100" in text


def test_what_figures_share_is_said_once():
    features = {"features": {"name": "random"}}
    rows = [
        {"kind": "protocol", "figures": {"a": {"k": 5, **features}, "b": {"k": 3, **features}, "c": {"k": 5}}},
        {
            "kind": "metrics",
            "seen": 1,
            "net": "average",
            "part": "validation",
            "figures": {n: estimate(1) for n in "abc"},
        },
    ]
    usual, own = protocols(history(rows)[0].figures)
    assert usual == "samples: 2,000; reals: 179; features: random; k: 5"
    assert own == {"a": "", "b": "k: 3", "c": "features: none"}


def test_a_config_that_cannot_be_read_is_said_so(recorded):
    run = recorded("run")
    run.config.write_text("{")
    with pytest.raises(ConfigError):
        report(run)


def test_pages_and_comparisons_import_no_torch():
    modules = "equipoise.reports.report, equipoise.reports.comparison, equipoise.cli.show"
    code = f"import sys, {modules}; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
