"""The verbs on what was trained, as their users meet them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from equipoise.cli.main import app
from equipoise.data.scans import Window
from equipoise.errors import ConfigError
from equipoise.uses import keeping


@pytest.fixture
def run(equipoise, small_run) -> Path:
    shutil.copytree(small_run.path, "run")
    return Path("run")


def frames(path: str) -> int:
    with Image.open(path) as image:
        return getattr(image, "n_frames", 1)


def test_a_day_with_a_trained_generator(equipoise, run):
    assert equipoise("sample", "run", "-n", "3", "-o", "folder")[0] == 0
    assert equipoise("sample", "run", "--truncation", "0.7", "-o", "near.png")[0] == 0
    assert equipoise("walk", "run", "-n", "4", "--seconds", "1", "--fps", "5", "-o", "walk.gif")[0] == 0
    assert frames("walk.gif") > 1
    for i in (0, 1):
        code, _, err = equipoise("project", "run", f"folder/00000{i}.png", "-o", f"found{i}.png")
        assert (code, "of 255 away" in err) == (0, True)
    assert equipoise("sample", "run", "--latent", "found0.npz", "-o", "again.npy")[0] == 0
    with Image.open("found0.png") as beside:
        found = np.asarray(beside)[2:50:6, 52:100:6]
    assert np.array_equal(np.load("again.npy", allow_pickle=False)[0, :, :, 0], found)
    ends = ("--from", "found0.npz", "--to", "found1.npz")
    assert equipoise("walk", "run", *ends, "--seconds", "1", "-o", "between.webp")[0] == 0
    assert equipoise("directions", "run", "-n", "2", "--method", "pca")[0] == 0
    with np.load("directions.npz", allow_pickle=False) as held:
        assert held["directions"].shape == (2, 4)
    assert equipoise("export", "run")[0] == 0
    assert Path("sampler.py").exists() and Path("generator.safetensors").exists()


def test_samples_of_16_bits_are_those_of_8_in_finer_levels(equipoise, run):
    assert equipoise("sample", "run", "-n", "3", "-o", "coarse.npy")[0] == 0
    code, _, told = equipoise("sample", "run", "-n", "3", "--bits", "16", "-o", "fine.npz")
    assert (code, "no data.window was given" in told, "not for diagnosis" in told) == (0, True, True)
    with np.load("fine.npz", allow_pickle=False) as held:
        fine = held["x"]
    assert fine.dtype == np.uint16
    coarse = np.load("coarse.npy", allow_pickle=False)[..., 0]
    assert np.abs(fine / 65535 - coarse / 255).max() <= 0.51 / 255
    assert len(np.unique(fine)) > len(np.unique(coarse)), "in more levels than a byte has"


@pytest.mark.parametrize(
    "name", ["grid.jpg", "grid.jpeg", "grid.webp", "grid.gif", "grid.bmp", "grid.tif", "grid.TIFF"]
)
def test_samples_are_one_picture_of_any_kind(name, equipoise, run):
    assert equipoise("sample", "run", "-n", "4", "-o", name)[0] == 0
    assert equipoise("sample", "run", "-n", "4", "-o", "grid.png")[0] == 0
    with Image.open(name) as image, Image.open("grid.png") as expected:
        assert np.abs(np.asarray(image.convert("L"), float) - np.asarray(expected.convert("L"))).mean() < 8


def test_a_picture_that_its_kind_cannot_hold_is_told(tmp_path):
    with pytest.raises(ConfigError, match=r"1 x 16384 pixels: .*fewer samples"):
        keeping.write_one(Image.new("L", (1, 16_384)), tmp_path / "grid.webp")


def test_a_folder_is_never_of_two_sets_of_samples(equipoise, run):
    assert equipoise("sample", "run", "-n", "3", "-o", "folder")[0] == 0
    assert equipoise("sample", "run", "-n", "3", "--seed", "1", "-o", "folder")[0] == 0  # the same names again
    before = {path.name: path.read_bytes() for path in Path("folder").iterdir()}
    for bits in ("8", "16"):
        code, _, err = equipoise("sample", "run", "-n", "2", "--bits", bits, "-o", "folder")
        assert (code, "folder holds 1 numbered samples that 2 new ones would not replace" in err) == (2, True)
        assert "such as 000002.png" in err and "-o" in err
    assert {path.name: path.read_bytes() for path in Path("folder").iterdir()} == before
    assert equipoise("sample", "run", "-n", "5", "-o", "folder")[0] == 0
    assert len(list(Path("folder").iterdir())) == 5
    Path("dotted.v1").mkdir()
    Path("dotted.v1/notes.png").write_bytes(b"")  # somebody else's
    assert equipoise("sample", "run", "-n", "1", "-o", "dotted.v1")[0] == 0


def test_levels_go_into_an_array_alone_too(tmp_path):
    levels = np.arange(2 * 8 * 8, dtype=np.uint16).reshape(2, 8, 8)
    keeping.write_levels(levels, Window(0, 1), tmp_path / "x.npy")
    assert np.array_equal(np.load(tmp_path / "x.npy", allow_pickle=False), levels)
    with pytest.raises(ConfigError, match=r"x\.png names no kind of file .*\.npz, \.npy, \.nii"):
        keeping.write_levels(levels, Window(0, 1), tmp_path / "x.png")
    assert [path.name for path in tmp_path.iterdir()] == ["x.npy"]


def test_project_looks_for_one_picture(equipoise, run):
    assert equipoise("sample", "run", "-n", "2", "-o", "folder")[0] == 0
    assert equipoise("sample", "run", "-n", "2", "-o", "two.npz")[0] == 0
    for several in ("folder", "two.npz"):
        code, _, err = equipoise("project", "run", several, "-o", "found.png")
        assert (code, f"{several} holds 2 pictures, and project looks for one" in err) == (2, True), err
    Path("folder/000001.png").write_bytes(b"nothing")
    code, _, err = equipoise("project", "run", "folder", "-o", "found.png")
    assert (code, "holds 2 pictures, of which 1 cannot be read (000001.png: " in err) == (2, True), err
    assert not Path("found.png").exists()
    Path("folder/000001.png").unlink()
    assert equipoise("project", "run", "folder", "-o", "found.png")[0] == 0


def test_names_in_capitals_mean_the_same_files(equipoise, run):
    assert equipoise("sample", "run", "-n", "2", "-o", "grid.PNG")[0] == 0
    assert equipoise("sample", "run", "-n", "2", "-o", "two.NPZ")[0] == 0
    assert equipoise("sample", "run", "-n", "2", "-o", "two.NPY")[0] == 0
    for suffix in ("GIF", "WebP"):
        assert equipoise("walk", "run", "-n", "1", "--seconds", "1", "--fps", "5", "-o", f"walk.{suffix}")[0] == 0
        assert frames(f"walk.{suffix}") > 1
    assert equipoise("sample", "run", "-n", "1", "-o", "one")[0] == 0
    Path("one/000000.png").rename("one/SHOT.PNG")
    assert equipoise("project", "run", "one/SHOT.PNG", "-o", "found.PNG")[0] == 0
    Path("found.npz").rename("found.NPZ")
    assert equipoise("sample", "run", "--latent", "found.NPZ", "-o", "again.npy")[0] == 0
    assert equipoise("judge", "run", "two.NPZ")[0] == 0
    Path("run/model.safetensors").rename("model.SafeTensors")
    assert equipoise("sample", "model.SafeTensors", "-n", "2", "-o", "same.NPZ")[0] == 0
    assert Path("same.NPZ").read_bytes() == Path("two.NPZ").read_bytes()
    with np.load("two.NPZ", allow_pickle=False) as held, Image.open("grid.PNG") as grid:
        assert np.array_equal(np.load("two.NPY", allow_pickle=False), held["x"])
        assert grid.format == "PNG"
    written = (
        "grid.PNG two.NPZ two.NPY walk.GIF walk.WebP one found.PNG found.NPZ again.npy model.SafeTensors same.NPZ run"
    )
    assert {path.name for path in Path().iterdir()} == set(written.split())


def test_judge_names_each_picture_and_what_cannot_be_read(equipoise, run):
    assert equipoise("sample", "run", "-n", "3", "-o", "folder")[0] == 0
    Path("folder/broken.png").write_bytes(b"nothing")
    code, out, err = equipoise("judge", "run", "folder")
    assert code == 0
    assert "000002.png" in out
    assert "held-out real pictures" in err
    assert "broken.png cannot be read" in err
    told = json.loads(equipoise("judge", "run", "folder", "--json")[1])
    assert [row["picture"] for row in told["pictures"]] == ["000000.png", "000001.png", "000002.png"]
    assert all(0 <= row["rank"] <= 1 for row in told["pictures"])
    assert list(told["unreadable"]) == ["broken.png"]


@pytest.mark.parametrize("verb", [["project", "run", "images.npz"], ["directions", "run"]])
def test_an_array_beside_the_picture_is_not_overwritten(verb, equipoise, run):
    np.savez("images.npz", x=np.zeros((1, 8, 8), np.uint8))
    before = Path("images.npz").read_bytes()
    code, _, err = equipoise(*verb, "-o", "images.png")
    assert (code, "in the way" in err) == (2, True)
    assert Path("images.npz").read_bytes() == before
    assert not Path("images.png").exists()


def test_a_walk_that_is_stopped_leaves_the_one_before(equipoise, run, monkeypatch):
    assert equipoise("walk", "run", "--seconds", "1", "-o", "walk.gif")[0] == 0
    before = Path("walk.gif").read_bytes()
    save = Image.Image.save

    def stopped(image, path, *rest, **more):
        save(image, path, *rest, **more)
        raise KeyboardInterrupt

    monkeypatch.setattr(Image.Image, "save", stopped)
    equipoise("walk", "run", "--seconds", "2", "-o", "walk.gif")
    assert Path("walk.gif").read_bytes() == before
    assert sorted(path.name for path in Path().iterdir()) == ["run", "walk.gif"]


def test_fine_tuning_from_the_command_line(equipoise, run):
    same = json.loads(Path("run/config.json").read_text())["nets"]
    narrow = [
        "--set",
        "nets.g_widths=[12,12]",
        "--set",
        "nets.d_widths=[12,12]",
        "--set",
        f"nets.z_dim={same['z_dim']}",
    ]
    quick = ["--steps", "2", "--set", "guardian.mode=off", "--set", "evaluate.metrics=[]", "--out", "tuned"]
    frozen = ["--set", "freeze_d=1"]
    assert equipoise("train", "digits", "--from", "run", *narrow, *quick, *frozen)[0] == 0
    config = json.loads(Path("tuned/config.json").read_text())
    assert config["start"]["path"].startswith(str(Path("run/checkpoints").resolve()))
    assert config["freeze_d"] == 1


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["sample", "run", "--class", "3"], 2, ["no classes"]),
        (["sample", "run", "--truncation", "0"], 2, ["leaves no latents"]),
        (["sample", "run", "--truncation", "nan"], 2, ["leaves no latents"]),
        (["sample", "run/config.json"], 5, ["neither a .safetensors file nor a state_dict"]),
        (["sample", "run", "-o", "grid.jgp"], 2, ["grid.jgp names no kind of file", ".png, .jpg", ".npz", "a folder"]),
        (["sample", "run", "--bits", "16", "-o", "grid.png"], 2, ["grid.png names no kind of file", ".npz, .npy"]),
        (["export", "run", "-o", "g.onnx"], 2, ["add --to onnx"]),
        (["export", "run", "-o", "sampler.py"], 2, ["another with -o"]),
        (["sample", "run", "--mix", "2"], 2, ["nets.kind=mlp has none"]),
        (["sample", "run", "--mix", "2", "--truncation", "0.5"], 2, ["--mix and --truncation"]),
        (["sample", "run", "--bits", "12"], 2, ["samples have 8 bits or 16"]),
        (["sample", "run", "--bits", "16", "--latent", "a.npz"], 2, ["--bits 16 does not go together with --latent"]),
        (["sample", "run", "--latent", "nowhere.npz"], 5, ["nowhere.npz"]),
        (["sample", "run", "--latent", "a.npz", "-n", "64"], 2, ["-n would change nothing beside --latent"]),
        (["sample", "run", "--latent", "a.npz", "--seed", "0", "--class", "0"], 2, ["--class and --seed would"]),
        (["walk", "run", "--from", "a.npz", "--to", "b.npz", "--seed", "1"], 2, ["--seed would", "--from and --to"]),
        (["walk", "run", "-o", "walk.png"], 2, [".gif, .webp or .mp4"]),
        (["walk", "run", "--from", "a.npz"], 2, ["give both"]),
        (["project", "run", "nowhere.png"], 3, ["nowhere.png"]),
        (["judge", "run", "nowhere"], 3, ["nowhere"]),
        (["judge", "nowhere", "run"], 2, ["nowhere is not a run"]),
        (["directions", "run", "--method", "sefaa"], 2, ["did you mean 'sefa'"]),
        (["directions", "run", "-n", "99"], 2, ["have 4"]),
        (["export", "run", "--to", "pickle"], 2, ["safetensors, onnx"]),
        (["train", "digits", "--from", "run"], 2, ["--set nets.g_widths=[12,12]"]),
        (["train", "digits", "--set", "freeze_d=2"], 2, ["--from RUN"]),
        (["train", "auto"], 2, ["--data"]),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_wrong_input_gets_a_short_answer_and_its_exit_code(arguments, code, words, equipoise, run):
    ended, _, err = equipoise(*arguments)
    assert ended == code, err
    assert 1 <= len(err.strip().splitlines()) <= 3, err
    assert "Traceback" not in err
    assert all(word in err for word in words), err
    assert [path.name for path in Path().iterdir()] == ["run"], "nothing was written"


def test_each_verb_is_listed():
    names = {command.callback.__name__ for command in app.registered_commands if command.callback}
    assert names >= {"sample", "walk", "project", "judge", "directions", "export"}
