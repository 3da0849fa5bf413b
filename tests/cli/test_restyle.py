"""restyle, as its users meet it."""

import io
import sys
from pathlib import Path

import pytest

from equipoise import generator, launch
from equipoise.errors import ConfigError, DataError
from equipoise.runs.folder import rows
from equipoise.scoring import Asked
from equipoise.texts import score_text
from equipoise.uses.restyling import lines_in, restyled, worded
from made_up import two_styles


@pytest.fixture(scope="module", params=["text-restyle", "text-aligned"])
def run(request, tiny, tmp_path_factory):
    return launch.start(tiny(request.param, "guardian.mode=off", steps=12), tmp_path_factory.mktemp("runs") / "run")


def given(monkeypatch, raw):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(raw)))


def test_a_line_for_each_line(equipoise, run, monkeypatch):
    given(monkeypatch, b"the place was good\n\nour food was fine\r\n   \nxyzzy")
    assert equipoise("restyle", str(run.path), "--to", "loud", "-o", "out.txt")[0] == 0
    lines = Path("out.txt").read_text(encoding="utf-8").split("\n")
    assert len(lines) == 6 and lines[1] == lines[3] == lines[5] == ""


def test_a_wrong_style_names_those_that_exist(equipoise, run):
    code, _, err = equipoise("restyle", str(run.path), "--to", "lout")
    assert code == 2 and "calm, loud" in err and "did you mean 'loud'" in err


def test_another_encoding_is_refused_with_the_line(equipoise, run, monkeypatch):
    given(monkeypatch, "fine\ncaf\u00e9".encode("latin-1"))
    code, _, err = equipoise("restyle", str(run.path), "--to", "loud")
    assert code == 3 and "line 2 has the byte 0xe9" in err


def test_what_restyles_draws_no_samples(equipoise, run):
    code, _, err = equipoise("sample", str(run.path))
    assert code == 2 and "equipoise restyle RUN" in err


def test_the_judge_and_the_score_have_figures_of_style(run):
    told = [row for row in rows(run.events) if row["kind"] == "metrics"]
    assert {"style_accuracy", "style_kept", "style_score", "style_perplexity"} <= told[-1]["figures"].keys()
    found = score_text(Asked(str(run.path), n=12, metrics=["style"]))
    assert found.figures["style_accuracy"].n_fake == 12 and found.reference.data["part"] == "test"


def test_lines_that_are_cut_are_counted_and_the_same_sentence_is_told_the_same(run):
    trained, _ = generator.opened(run.path)
    told = restyled(trained, ["the place was good", "the " * 9, "the place was good"], "loud")
    assert told.cut == 1 and told.lines[0] == told.lines[2]


def test_unknown_words_stay_where_they_are_said_to_stand(run):
    vocabulary = generator.opened(run.path)[0].form.vocabulary
    the, was = vocabulary.number["the"], vocabulary.number["was"]
    assert worded(vocabulary, [the, 1, was, 1, 1, 0, the], "the Bistro was Tolle") == "the Bistro was Tolle <?>"


def test_lines_are_those_of_the_file():
    assert lines_in(b"a\n\n b \n") == ["a", "", "b"] and lines_in(b"") == [] and lines_in(b"\n") == [""]


def test_one_style_only_is_refused(tiny, tmp_path):
    for source in two_styles().iterdir():
        (tmp_path / "one").mkdir(exist_ok=True)
        (tmp_path / "one" / "calm.txt").write_text(source.read_text())
    with pytest.raises(DataError, match=r"one style only.*\nGive a folder") as refused:
        launch.start(tiny("text-restyle", f"data.path={tmp_path / 'one'}"), tmp_path / "run")
    assert refused.value.exit_code == 3


def test_what_does_not_fit_is_told(tiny):
    for change, said in (
        ("play=noise", "needs play=restyle"), ("guardian.mode=on", "no remedies for restyling"),
        ("nets.heads=3", "choose a multiple"), ("knobs.imitation=1", "of nets.kind=language"),
    ):  # fmt: skip
        with pytest.raises(ConfigError, match=said):
            tiny("text-restyle", change)
    with pytest.raises(ConfigError, match="sentences that are restyled"):
        tiny("text-mle", "evaluate.metrics=[style]")
