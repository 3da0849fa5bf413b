"""`equipoise evaluate` as its users meet it: figures on stdout, words on stderr, exit codes as documented."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from equipoise import build
from equipoise.config import Arrays

WEIGHTS = {"conv_final.weight": np.zeros((10, 512, 1, 1), np.float32)}


def pictures(folder, n=30, side=16, mode="RGB"):
    Path(folder).mkdir(parents=True)
    draw = np.random.default_rng(n)
    for i in range(n):
        pixels = draw.integers(0, 256, (side, side, 3) if mode == "RGB" else (side, side), np.uint8)
        Image.fromarray(pixels).save(f"{folder}/{i:03d}.png")


@pytest.fixture
def inputs(equipoise):
    """Right and wrong things to score."""
    pictures("photos")
    pictures("others", 31)
    pictures("large", side=32)
    pictures("grey", mode="L")
    pictures("few", 4)
    pictures("beside_text")
    Path("beside_text/notes.txt").write_text("taken in May")
    Path("texts").mkdir()
    Path("texts/poem.txt").write_text("a rose is a rose")
    Path("empty").mkdir()
    x = np.random.default_rng(0).integers(0, 256, (40, 16, 16, 3), np.uint8)
    np.savez("parts.npz", x_train=x, x_test=x[:20])
    np.savez("one_class.npz", x=x, y=np.zeros(40, np.int64))
    np.save("no_images.npy", x[:0])
    np.save("zero_to_one.npy", (x / 255).astype(np.float32))
    np.save("both_signs.npy", (x / 127.5 - 1).astype(np.float32))
    np.save("outside.npy", x.astype(np.float32) * 3)
    f = np.random.default_rng(1).normal(size=(120, 8)).astype(np.float32)
    np.save("features.npy", f)
    np.save("narrow.npy", f[:, :4])
    np.save("five.npy", f[:5])
    np.save("nothing.npy", f[:0])
    np.save("whole_numbers.npy", f.astype(np.int64))
    f[7, 2] = np.nan
    np.save("nan.npy", f)
    np.savez("weights.npz", **WEIGHTS)
    Path("torn.npy").write_bytes(b"\x93NUMPY\x01\x00torn")


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        ("photos", 2, ["photos is no run", "--against"]),
        ("photos --against large", 3, ["16 pixels", "32", "--size 16"]),
        ("photos --against grey", 3, ["3 channels", "grey"]),
        ("features.npy --against narrow.npy", 3, ["[8]", "[4]"]),
        ("features.npy --against photos", 3, ["[8]", "[3, 16, 16]", "Images are compared with images"]),
        ("one_class.npz --against one_class.npz --features classifier", 3, ["two classes", "random"]),
        ("few --against photos --metrics prdc", 3, ["6 samples", "has 4"]),
        ("few --against photos --metrics bins,birthday", 3, ["bins:", "birthday:"]),
        ("photos --against others --metrics birthday -n 20", 3, ["100 samples", "has 20"]),
        ("nan.npy --against features.npy", 3, ["1 of 120 rows of nan.npy", "NaN"]),
        ("features.npy --against nan.npy", 3, ["1 of 120 rows of nan.npy"]),
        ("zero_to_one.npy --against photos", 3, ["from 0 to 1", "uint8", "x * 255"]),
        ("both_signs.npy --against photos", 3, ["from -1 to 1", "(x + 1) * 127.5"]),
        ("outside.npy --against photos", 3, ["from 0 to 765", "uint8"]),
        ("texts --against photos", 3, ["no picture in texts", ".txt"]),
        ("photos --against empty", 3, ["no picture in empty", "it is empty"]),
        ("photos --against others --features weights.npz", 3, ["weights.npz", "SqueezeNet"]),
        ("photos --against others --features squeezenet=parts.npz", 3, ["parts.npz", "missing"]),
        ("photos --against others --features squeezenet=nowhere.npz", 3, ["nowhere.npz", "No such file"]),
        ("photos --against others --features squeezenet", 2, ["squeezenet=FILE"]),
        ("photos --against others --features pixel", 2, ["did you mean 'pixels'"]),
        ("features.npy --against features.npy --features random", 2, ["compared as they are"]),
        ("nowhere --against photos", 3, ["nowhere is no folder"]),
        ("nowhere", 3, ["nowhere is no folder"]),
        ("photos --against nowhere", 3, ["nowhere is no folder"]),
        ("photos --against others --train nowhere", 3, ["nowhere is no folder"]),
        ("nowhere.safetensors --against photos", 5, ["nowhere.safetensors"]),
        ("photos --against others --metrics fdd", 2, ["'fdd'", "did you mean 'fd'", "There are: fd, kid"]),
        ("photos --against others --metrics fid", 2, ["inception"]),
        ("parts.npz#tset --against photos", 2, ["no part 'tset'", "did you mean 'test'"]),
        ("photos --against parts.npz#trian", 2, ["no part 'trian'", "did you mean 'train'"]),
        ("features.npy#test --against features.npy", 2, ["without parts"]),
        ("no_images.npy --against photos", 3, ["no_images.npy"]),
        ("nothing.npy --against features.npy", 3, ["empty array [0, 8]"]),
        ("whole_numbers.npy --against features.npy", 3, ["int64[120, 8]"]),
        ("torn.npy --against features.npy", 3, ["torn.npy cannot be read"]),
        ("photos --against others --metrics ssim", 3, ["30 samples and 31 reals"]),
        ("photos --against others --metrics psnr -n 10", 3, ["30 samples and 31 reals"]),
        ("photos --against photos --metrics ms_ssim", 3, ["176 pixels"]),
        ("photos --against others --metrics copies", 3, ["--train"]),
        ("photos --against others --metrics is", 3, ["no classes"]),
        ("digits --against photos --size 16", 3, ["digits is built in", "8 pixels"]),
    ],
)  # fmt: skip
def test_wrong_input_gets_a_short_answer_and_its_exit_code(arguments, code, words, equipoise, inputs):
    before = {path: path.read_bytes() for path in Path().rglob("*") if path.is_file()}
    ended, out, err = equipoise("evaluate", *arguments.split())
    assert (ended, out) == (code, ""), err
    lines = err.strip().splitlines()
    assert 1 <= len(lines) <= 3
    assert "Traceback" not in err
    for word in words:
        assert word.lower() in err.lower()
    assert {path: path.read_bytes() for path in Path().rglob("*") if path.is_file()} == before, "nothing was written"


@pytest.mark.parametrize("arguments", [["-n", "9"], ["--size", "4"], ["--seed", "-1"], ["--metric", "fd"], []])
def test_wrong_options_are_usage_errors(arguments, equipoise):
    code, _, err = equipoise("evaluate", *(["photos", *arguments] if arguments else []))
    assert code == 2
    assert "Traceback" not in err


def test_a_text_beside_the_pictures_is_passed_over(equipoise, inputs):
    code, out, _ = equipoise("evaluate", "beside_text", "--against", "photos", "--metrics", "fd", "--json")
    assert code == 0
    assert json.loads(out)["metrics"]["fd"]["n_fake"] == 30


def test_a_table_of_figures_and_the_protocol_in_words(equipoise, inputs):
    code, out, err = equipoise("evaluate", "photos", "--against", "others", "--metrics", "fd,prdc")
    assert code == 0
    lines = [" ".join(line.split()) for line in out.splitlines()]
    assert lines[0] == "value 95% interval better fakes reals"
    assert [line.split()[0] for line in lines[1:6]] == ["fd", "precision", "recall", "density", "coverage"]
    assert lines[2].endswith("higher 30 30")
    assert "photos against all of others, at 16 pixels. Features: random (sha256" in out
    assert "256 dimensions" in out
    assert "without full rank" in err
    assert max(map(len, out.splitlines()[:6])) <= 80


def test_what_says_nothing_here_is_told_in_a_line_each(equipoise, inputs):
    code, out, err = equipoise("evaluate", "five.npy", "--against", "features.npy")
    assert code == 0
    assert "fd" in out and "precision" not in out
    told = [line for line in err.splitlines() if line.startswith("without ")]
    assert "without is, classes: the features 'given' name no classes." in told
    assert any(line.startswith("without prdc: ") and "6 samples" in line for line in told)
    assert len(told) == 6, "families with one reason share a line"


def test_json_has_the_figures_their_protocols_and_what_was_refused(equipoise, inputs):
    code, out, _ = equipoise("evaluate", "photos", "--against", "photos", "--json")
    assert code == 0
    found = json.loads(out, parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))
    assert found.keys() == {"what", "against", "checkpoint", "step", "metrics", "refused", "notes"}
    assert {"fd", "kid", "precision", "recall", "density", "coverage"} <= found["metrics"].keys()
    for figure in found["metrics"].values():
        assert figure.keys() == {"value", "low", "high", "n_fake", "n_real", "protocol"}
        assert figure["protocol"]["metric"]
        assert figure["protocol"]["data"]["part"] == "all"
    assert found["metrics"]["fd"]["protocol"]["features"]["name"] == "random"
    assert "no classes" in found["refused"]["is"]
    same = json.loads(equipoise("evaluate", "photos", "--against", "photos", "--metrics", "psnr", "--json")[1])
    assert float(same["metrics"]["psnr"]["value"]) == float("inf")


def test_resizing_is_asked_for(equipoise, inputs):
    asked = ("evaluate", "photos", "--against", "large", "--metrics", "fd", "--json")
    assert equipoise(*asked)[0] == 3
    code, out, _ = equipoise(*asked, "--size", "16")
    assert code == 0
    assert json.loads(out)["metrics"]["fd"]["protocol"]["data"]["size"] == 16


SMALL = [
    "nets.g_widths=[12]",
    "nets.d_widths=[12]",
    "machine.threads=1",
    "evaluate.features=pixels",
    "save.every_kimg=.3",
]


@pytest.fixture
def run(equipoise):
    settings = [word for value in SMALL for word in ("--set", value)]
    assert equipoise("train", "digits", "--steps", "6", "--out", "run", *settings)[0] == 0
    return Path("run")


def test_a_run_is_scored_with_no_more_words(equipoise, run):
    code, out, err = equipoise("evaluate", "run", "-n", "200", "--metrics", "fd,prdc", "--features", "pixels")
    assert code == 0, err
    assert "run (checkpoint best, step " in out and "against the test part of digits, at 8 pixels" in out
    assert len(Path("run/evaluations.jsonl").read_text().splitlines()) == 1
    last = ("evaluate", "run", "-n", "50", "--metrics", "fd", "--features", "pixels", "--json", "--checkpoint")
    assert json.loads(equipoise(*last, "last")[1])["step"] == 6
    first = min(int(path.name.removeprefix("step-")) for path in run.glob("checkpoints/step-*"))
    assert json.loads(equipoise(*last, str(first))[1])["step"] == first
    code, _, err = equipoise(*last, "7")
    assert code == 2 and "no checkpoint '7'" in err
    assert len(Path("run/evaluations.jsonl").read_text().splitlines()) == 3


def test_what_a_run_cannot_be_asked(equipoise, run):
    pictures("photos", 20)
    for arguments, code, word in (
        (["--size", "16"], 2, "--size 8"),
        (["--against", "photos"], 3, "--size 8"),
        (["--against", "ring"], 3, "[2]"),
        (["--metrics", "ssim"], 3, "no partner"),
        (["--against", "run#tets"], 2, "did you mean 'test'"),
    ):
        ended, out, err = equipoise("evaluate", "run", *arguments, "-n", "20", "--features", "pixels")
        assert (ended, out) == (code, ""), err
        assert word in err
        assert len(err.strip().splitlines()) <= 3
    assert not Path("run/evaluations.jsonl").exists()
    shutil.rmtree("run/checkpoints")
    shutil.rmtree("run/best")
    code, _, err = equipoise("evaluate", "run")
    assert code == 5, "as of sample and resume"
    assert "holds no checkpoint" in err and len(err.strip().splitlines()) == 1


def test_a_generator_alone_must_be_told_against_what(equipoise, run):
    model = "run/model.safetensors"
    code, _, err = equipoise("evaluate", model)
    assert code == 2 and "--against" in err
    code, _, err = equipoise("evaluate", "digits", "--against", model)
    assert code == 3 and "holds no data" in err
    asked = (model, "--against", "digits#test", "-n", "50", "--features", "pixels", "--metrics", "fd")
    assert equipoise("evaluate", *asked)[0] == 0


def test_what_takes_long_is_shown(equipoise, inputs, monkeypatch):
    from equipoise.cli import screen

    monkeypatch.setattr(screen, "LINE_S", 0)
    monkeypatch.setenv("EQUIPOISE_CACHE", "nothing_seen_before")
    _, _, err = equipoise("evaluate", "photos", "--against", "others", "--metrics", "fd")
    assert "reading pictures: 30" in err
    assert "looking (random)" in err
    assert "scoring: 1" in err


def slices(patients, seed):
    """uint8 [patients * 5, 8, 8]: those of a patient are alike."""
    chance = np.random.default_rng(seed)
    middles = chance.integers(60, 196, (patients, 1, 8, 8))
    return (middles + chance.integers(-20, 21, (patients, 5, 8, 8))).astype(np.uint8).reshape(-1, 8, 8)


def test_privacy_catches_a_planted_memoriser_and_lets_new_patients_pass(equipoise):
    patient = np.repeat(np.arange(60), 5)
    np.savez("real.npz", images=slices(60, 0), patient=patient)
    train = build.splits(Arrays(path="real.npz")).train
    np.savez("copied.npz", x=slices(60, 0)[train.indices.numpy()])
    np.savez("new.npz", x=slices(50, 1))
    asked = ("--against", "real.npz#test", "--privacy", "--features", "pixels")
    code, out, err = equipoise("evaluate", "copied.npz", *asked)
    assert code == 1 and "membership" in out and "do not share these" in err
    code, out, _ = equipoise("evaluate", "new.npz", *asked, "--json")
    found = json.loads(out)
    assert code == 0 and found["leaks"] == [] and set(found["metrics"]) == {"nearest_person", "copied", "membership"}
    assert found["metrics"]["membership"]["protocol"]["held_out_people"] == 6  # and not their 30 slices
