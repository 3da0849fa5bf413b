"""Runs of sentences: trained, stopped, resumed to the bit, sampled and scored."""

import json
import os
import signal
from contextlib import contextmanager

import pytest

from equipoise import generator, launch
from equipoise.config import override
from equipoise.configuring import configured
from equipoise.errors import ConfigError, DataError, Stopped
from equipoise.runs import checkpoint
from equipoise.runs.folder import RunFolder, rows
from equipoise.scoring import Asked
from equipoise.texts import are_asked, score_text, separated
from equipoise.uses.writing import write, written

WHO, DOES, WHAT = (
    ("a cat", "a dog", "the old man", "my aunt"),
    ("sees", "eats", "hides"),
    ("fish", "bread", "it all", "us"),
)
LINES = [f"{who} {does} {what} ." for who in WHO for does in DOES for what in WHAT] * 3


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    path = tmp_path_factory.mktemp("text") / "lines.txt"
    path.write_text("\n".join(LINES), encoding="utf-8")
    return path


def tiny(name, file, *settings):
    return configured(name, data=str(file), kimg=0.12, settings=[
        "batch=8", "data.length=8", "nets.z_dim=8", "nets.embedding=6", "nets.g_width=8", "nets.d_filters=3",
        "record.every_kimg=0.02", "samples.every_kimg=0.06", "save.every_kimg=0.04", "evaluate.every_kimg=0.06",
        "evaluate.n=10", "guardian.mode=off", "machine.threads=1", "machine.device=cpu", "machine.precision=fp32",
        "speech.rollouts=2", *settings,
    ])  # fmt: skip


@pytest.fixture(scope="module")
def run(file, tmp_path_factory):
    return launch.start(tiny("text-mle", file), tmp_path_factory.mktemp("runs") / "run")


def stopped_after(images):
    """Ctrl-C, once so many sentences were seen."""

    @contextmanager
    def watch(label, total, done):
        sent = []

        def report(seen, signals, news=""):
            if seen >= images and not sent:
                sent.append(os.kill(os.getpid(), signal.SIGINT))

        yield report

    return watch


@pytest.mark.parametrize("name", ["text-mle", "text-relgan", "text-seqgan"])
def test_a_run_that_was_stopped_has_the_bits_of_one_that_was_not(name, file, tmp_path):
    config = tiny(name, file, "knobs.d_steps=1", *(["nets.d_views=4"] if name == "text-relgan" else []))
    whole = launch.start(config, tmp_path / "whole")
    with pytest.raises(Stopped):
        launch.start(config, tmp_path / "cut", watch=stopped_after(72))
    resumed = launch.resume(tmp_path / "cut")
    a, b = (checkpoint.load(checkpoint.latest(each.checkpoints)[0])[0] for each in (whole, resumed))
    assert a.keys() == b.keys()
    for part in ("game.G", "game.G_ema", "game.D"):
        assert all((a[part][k] == b[part][k]).all() for k in a[part])
    assert whole.events.read_bytes() == resumed.events.read_bytes()


def test_samples_over_time_are_text_files(run):
    assert len(list(run.samples.glob("step-*.txt"))) >= 3


def test_the_judge_has_figures_of_sentences(run):
    told = [row for row in rows(run.events) if row["kind"] == "metrics"]
    assert {"fd", "bleu_2", "self_bleu_5", "repeats"} <= told[-1]["figures"].keys()


def test_a_saved_generator_writes_what_its_run_writes(run):
    of_run, of_file = (generator.opened(path)[0] for path in (run.path, run.model))
    assert written(of_run, 5, seed=3) == written(of_file, 5, seed=3)


def test_writing_begins_as_asked_and_the_first_lines_stay(run):
    trained, _ = generator.opened(run.path)
    lines = written(trained, 6, begin="the old man")
    assert all(line.startswith("the old man") for line in lines)
    assert written(trained, 3) == written(trained, 6)[:3]
    assert len(set(written(trained, 20, temperature=1e-3))) == 1


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"begin": "a zebra"}, "does not have zebra"),
        ({"begin": "a " * 8}, "begin shorter"),
        ({"temperature": 0.0}, "above 0"),
        ({"label": 1}, "no classes"),
    ],
)
def test_what_cannot_be_written_is_told(run, asked, said):
    with pytest.raises(ConfigError, match=said):
        written(generator.opened(run.path)[0], 2, **asked)


def test_sentences_are_no_pictures(run, tmp_path):
    with pytest.raises(ConfigError, match="would not be text"):
        write(["a"], tmp_path / "a.png")


def test_files_are_scored(file, tmp_path):
    (tmp_path / "same.txt").write_text("\n".join(LINES[:40]), encoding="utf-8")
    (tmp_path / "one.txt").write_text("\n".join([LINES[0]] * 40), encoding="utf-8")
    real = str(tmp_path / "same.txt")
    good, collapsed = (
        score_text(Asked(str(tmp_path / f"{name}.txt"), real, train=str(file))).figures for name in ("same", "one")
    )
    assert good["bleu_4"].value == pytest.approx(1) and good["verbatim"].value == 1
    assert collapsed["self_bleu_4"].value == pytest.approx(1) and good["self_bleu_4"].value < 0.99
    assert collapsed["repeats"].value == pytest.approx(39 / 40)
    assert collapsed["back_bleu_2"].value < good["back_bleu_2"].value
    assert collapsed["fd"].value > good["fd"].value


def test_a_run_is_scored_against_its_own_test_part(run):
    assert are_asked(Asked(str(run.path)))
    found = score_text(Asked(str(run.path), n=12, metrics=["bleu"], checkpoint="last"))
    assert set(found.figures) == {f"{way}bleu_{n}" for way in ("", "back_") for n in range(2, 6)}
    assert found.reference.data["part"] == "test" and found.step
    assert json.loads(RunFolder(run.path).evaluations.read_text().splitlines()[-1])["kind"] == "evaluation"


def test_lines_without_spaces_are_cut_into_characters():
    assert separated(["床前明月光", "疑是地上霜"]) == "character"
    assert separated(LINES) == "word"


def test_what_cannot_be_scored_is_told(file):
    with pytest.raises(ConfigError, match="give --against"):
        score_text(Asked(str(file)))
    with pytest.raises(DataError, match="no images"):
        score_text(Asked(str(file), str(file), metrics=["ssim"], n=10))


def test_a_folder_trains_a_generator_that_is_told_the_class(file, tmp_path):
    for name in ("calm", "loud"):
        (tmp_path / f"{name}.txt").write_text("\n".join(LINES if name == "calm" else map(str.upper, LINES)))
    run = launch.start(tiny("text-conditional", tmp_path), tmp_path / "run")
    trained, _ = generator.opened(run.path)
    assert trained.form.classes == 2
    assert written(trained, 4, label=0) != written(trained, 4, label=1)


def test_what_does_not_go_together_is_refused(file):
    config = tiny("text-mle", file)
    for change, said in (
        ("data.length=9", "the same number"), ("evaluate.metrics=[style]", "sentences that are restyled"),
        ("play=pairs", "noise"), ("knobs.accumulate=2", "for pictures"),
    ):  # fmt: skip
        with pytest.raises(ConfigError, match=said):
            override(config, [change])


def test_the_guardian_watches_sentences(tmp_path):
    """It learns what their features are worth, and sees that an untrained G says nothing of the kind."""
    lines = [
        f"{line} {where} {when}" for line in LINES[:48] for where in ("here", "there") for when in ("now", "so", "oft")
    ]
    (tmp_path / "lines.txt").write_text("\n".join(lines), encoding="utf-8")
    config = override(tiny("text-mle", tmp_path / "lines.txt", "guardian.n=20"), ["guardian.mode=watch", "kimg=0.04"])
    run = launch.start(config, tmp_path / "run")
    assert any(row["kind"] == "look" and row["signals"] for row in rows(run.events))
