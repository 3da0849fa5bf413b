"""The command line as its users meet it: what it prints, and what it answers to wrong input."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from equipoise.cli import screen
from equipoise.recipes import RECIPES
from equipoise.runs import checkpoint
from equipoise.runs.folder import RunFolder


def sets(*assignments: str) -> list[str]:
    return [word for assignment in assignments for word in ("--set", assignment)]


SMALL = sets("nets.g_widths=[12]", "nets.d_widths=[12]", "machine.threads=1", "save.every_kimg=1")


@pytest.fixture
def trained(equipoise) -> Path:
    assert equipoise("train", "digits", "--steps", "30", "--out", "run", *SMALL)[0] == 0
    return Path("run")


def assert_kind(code: int, expected: int, err: str, *words: str) -> None:
    """The documented exit code, one to three lines, and no traceback."""
    assert code == expected, err
    lines = err.strip().splitlines()
    assert 1 <= len(lines) <= 3, err
    assert "Traceback" not in err
    for word in words:
        assert word in err


def test_help_imports_no_torch():
    code = (
        "import sys; from equipoise.cli.main import app; app(['--help'], standalone_mode=False); print([*sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert "train" in out
    assert "'torch'" not in out
    assert "'pydantic'" not in out


def test_train_writes_the_folder_that_the_contract_names(equipoise, trained):
    names = {p.name for p in trained.iterdir()}
    assert names >= {
        "config.json",
        "env.json",
        "events.jsonl",
        "samples",
        "checkpoints",
        "model.safetensors",
        "RESUME.txt",
    }
    assert trained.joinpath("RESUME.txt").read_text() == "equipoise resume run\n"
    rows = [json.loads(line) for line in trained.joinpath("events.jsonl").read_text().splitlines()]
    assert {row["kind"] for row in rows} >= {
        "signals",
        "checkpoint",
        "protocol",
        "metrics",
        "best",
        "look",
        "calibration",
    }
    wanted = {"d_loss", "g_loss", "real_logit", "fake_logit", "d_accuracy", "paired_sign", "d_grad_norm", "g_grad_norm",
              "real_input_grad", "fake_input_grad", "g_update_ratio", "d_update_ratio", "g_dead", "d_dead",
              "d_nonfinite", "g_nonfinite"}  # fmt: skip
    assert wanted <= next(row for row in rows if row["kind"] == "signals").keys()
    env = json.loads(trained.joinpath("env.json").read_text())
    assert env["packages"]["torch"]
    assert env["seed"] == 0


def test_a_training_ends_with_its_report_and_the_film_is_written_alone(equipoise, trained):
    assert "<h2>Samples over time</h2>" in trained.joinpath("report.html").read_text()
    assert equipoise("report", "run", "-o", "film.gif")[0] == 0
    with Image.open("film.gif") as film:
        assert film.n_frames >= 2
    assert_kind(*pick(equipoise("report", "run", "-o", "no/film.gif"), 5), "cannot write")


def test_the_config_of_a_run_repeats_it(equipoise, trained):
    assert equipoise("train", "--config", "run/config.json", "--out", "again")[0] == 0
    assert Path("again/model.safetensors").read_bytes() == Path("run/model.safetensors").read_bytes()
    assert Path("again/events.jsonl").read_bytes() == Path("run/events.jsonl").read_bytes()


def test_time_is_resolved_to_images_and_written_down(equipoise):
    began = time.monotonic()
    assert equipoise("train", "digits", "--time", "2s", "--out", "timed", *SMALL)[0] == 0
    config = json.loads(Path("timed/config.json").read_text())
    assert config["kimg"] > 0
    assert config["machine"]["threads"] == 1
    assert all(config[name]["every_kimg"] for name in ("record", "samples", "save"))
    assert time.monotonic() - began < 60


def test_sample_writes_pictures_arrays_and_folders(equipoise, trained):
    assert equipoise("sample", "run", "-n", "9", "-o", "grid.png")[0] == 0
    with Image.open("grid.png") as grid:
        assert grid.size == (3 * 50 + 2, 3 * 50 + 2)
    assert equipoise("sample", "run", "-n", "5", "-o", "five.npz")[0] == 0
    with np.load("five.npz", allow_pickle=False) as arrays:
        five = arrays["x"]
    assert (five.dtype, five.shape) == (np.uint8, (5, 8, 8, 1))
    assert equipoise("sample", "run/model.safetensors", "-n", "5", "-o", "folder")[0] == 0
    pictures = sorted(Path("folder").glob("*.png"))
    for path, expected in zip(pictures, five, strict=True):
        with Image.open(path) as picture:
            assert np.array_equal(np.asarray(picture), expected.squeeze(2))
    assert equipoise("sample", "run", "-n", "5", "--seed", "1", "-o", "other.npy")[0] == 0
    assert not np.array_equal(np.load("other.npy", allow_pickle=False), five)


def test_an_older_checkpoint_gives_other_samples(equipoise, trained):
    steps = [checkpoint.step_of(p) for p in checkpoint.newest_first(trained / "checkpoints")]
    assert equipoise("sample", "run", "-o", "last.npy")[0] == 0
    assert equipoise("sample", "run", "-o", "first.npy", "--checkpoint", str(min(steps)))[0] == 0
    last, first = (np.load(name, allow_pickle=False) for name in ("last.npy", "first.npy"))
    assert not np.array_equal(last, first)


def test_reading_verbs_print_one_json_object(equipoise, trained):
    for verb in (["recipes"], ["recipes", "digits"], ["runs", "."], ["env"]):
        code, out, _ = equipoise(*verb, "--json")
        assert code == 0
        assert isinstance(json.loads(out), dict)
    runs = json.loads(equipoise("runs", ".", "--json")[1])["runs"]
    assert [(r["run"], r["state"], r["step"], r["progress"]) for r in runs] == [("run", "finished", 30, 1.0)]


def test_auto_has_a_page_of_what_it_chooses_by_what(equipoise):
    code, out, err = equipoise("recipes", "auto")
    assert (code, err) == (0, "")
    assert "fewer than 1,000 pictures\n    small-diffaugment" in out
    assert max(map(len, out.splitlines())) <= 120
    told = json.loads(equipoise("recipes", "auto", "--json")[1])
    assert told["recipe"] == "auto"
    assert {"by": "anything else", "choice": "r3gan-s"} in told["rules"]
    assert "recipes auto" in equipoise("recipes")[2]


def test_recipes_lists_all_and_prints_one(equipoise):
    code, out, _ = equipoise("recipes")
    assert code == 0
    assert all(name in out for name in RECIPES)
    assert "d_steps: 5" in equipoise("recipes", "wgan-gp")[1]


@pytest.mark.parametrize("how", [["--dry-run"], ["--steps", "2", "--out", "run"]])
def test_what_is_seldom_meant_is_told_before_training(how, equipoise):
    code, _, err = equipoise("train", "digits", *how, *SMALL, *sets("data.augment.flip_x=true"))
    assert code == 0
    assert err.startswith("equipoise: data.augment.flip_x: this makes signs that are no digits")
    assert "knobs.augment_p=0.3" in err


def test_a_dry_run_tells_and_writes_nothing(equipoise):
    code, out, err = equipoise("train", "digits", "--dry-run", "--time", "60s", *SMALL)
    assert code == 0
    assert "kimg:" in out
    assert all(word in err for word in ("parameters", "ms a step", "steps in about", "MiB"))
    assert list(Path().iterdir()) == []
    facts = json.loads(equipoise("train", "digits", "--dry-run", "--json", *SMALL)[1])
    assert facts["forecast"]["ms_per_step"] > 0


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["train", "digitz"], 2, ["unknown recipe 'digitz'", "did you mean 'digits'"]),
        (["train"], 2, ["recipe", "--config"]),
        (["train", "digits", "--set", "knobs.r11=1"], 2, ["unknown key 'knobs.r11'", "did you mean 'knobs.r1'"]),
        (["train", "digits", "--set", "optim.g.lrr=1"], 2, ["did you mean 'optim.g.lr'"]),
        (["train", "digits", "--set", "batch=many"], 2, ["batch"]),
        (["train", "digits", "--set", "batch"], 2, ["key.path=value"]),
        (["train", "digits", "--set", "loss=hinge", "--set", "knobs.smooth_real=.1"], 2, ["label smoothing"]),
        (["train", "digits", "--set", "nets.d_norm=batch"], 2, ["BatchNorm"]),
        (["train", "digits", "--set", "optim.g={kind: sgd, nesterov: true}"], 2, ["nesterov needs a momentum"]),
        (["train", "digits", "--set", "optim.g.betas=[1.5, .9]"], 2, ["optim.g.betas.0"]),
        (["train", "digits", "--set", "nets.g_widths=[0]"], 2, ["nets.g_widths.0"]),
        (["train", "digits", "--seed", "99999999999999999999"], 2, ["seed"]),
        (["train", "digits", "--steps", "5", "--kimg", "1"], 2, ["choose one"]),
        (["train", "digits", "--time", "soon"], 2, ["is not a time"]),
        (["train", "digits", "--config", "x.yaml"], 2, ["either a recipe or --config"]),
        (["train", "--config", "x.yaml"], 2, ["x.yaml"]),
        (["train", "digits", "--data", "nowhere"], 3, ["nowhere"]),
        (["train", "digits", "--set", "machine.device=cuda"], 6, ["CUDA"]),
        (["train", "ring", "--set", "nets.kind=dcgan", "--set", "nets.d_norm=none"], 2, ["makes images"]),
        (["resume", "nowhere"], 2, ["nowhere is not a run"]),
        (["sample", "nowhere"], 2, ["nowhere is not a run"]),
        (
            [
                "train",
                "digits",
                "--out",
                "/proc/run",
                "--steps",
                "3",
                "--guardian",
                "off",
                "--set",
                "evaluate.metrics=[]",
            ],
            5,
            ["cannot make the run folder", "--out"],
        ),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_wrong_input_gets_a_short_answer_and_its_exit_code(arguments, code, words, equipoise):
    ended, _, err = equipoise(*arguments)
    if "machine.device=cuda" in arguments and ended == 0:
        pytest.skip("this machine has a CUDA device")
    assert_kind(ended, code, err, *words)
    assert list(Path().iterdir()) == [], "nothing was written"


@pytest.mark.parametrize("arguments", [["train", "--sett", "a=1"], ["trian", "digits"], ["sample", "run", "-n", "0"]])
def test_wrong_options_are_usage_errors(arguments, equipoise):
    code, _, err = equipoise(*arguments)
    assert code == 2
    assert "Traceback" not in err


def test_a_folder_without_pictures_is_exit_3(equipoise):
    Path("empty").mkdir()
    assert_kind(*pick(equipoise("train", "dcgan", "--data", "empty"), 3), "it is empty")
    Path("texts").mkdir()
    Path("texts/poem.txt").write_text("a rose is a rose")
    assert_kind(*pick(equipoise("train", "dcgan", "--data", "texts"), 3), "no picture in", ".txt")


def pick(result: tuple[int, str, str], expected: int) -> tuple[int, int, str]:
    return result[0], expected, result[2]


def test_a_broken_picture_is_named_before_anything_is_trained(equipoise):
    Path("photos").mkdir()
    for i in range(5):
        Image.fromarray(np.full((16, 16, 3), 40 * i, np.uint8)).save(f"photos/{i}.png")
    Path("photos/broken.png").write_bytes(Path("photos/1.png").read_bytes()[:60])
    assert_kind(*pick(equipoise("train", "dcgan", "--data", "photos"), 3), "broken.png", "1 of 6")


def test_a_folder_of_pictures_trains(equipoise):
    Path("photos").mkdir()
    for i in range(40):
        pixels = np.random.default_rng(i).integers(0, 255, (20, 16, 3), np.uint8)
        Image.fromarray(pixels).save(f"photos/{i}.{'png' if i % 2 else 'jpg'}")
    narrow = sets("nets.g_width=4", "nets.d_width=4", "batch=8", "machine.threads=1")
    code, _, err = equipoise("train", "dcgan", "--data", "photos", "--steps", "4", "--out", "run", *narrow)
    assert code == 0, err
    assert equipoise("sample", "run", "-n", "2", "-o", "two.npy")[0] == 0
    assert np.load("two.npy", allow_pickle=False).shape == (2, 16, 16, 3)


def test_a_locked_run_is_refused_and_nothing_is_lost(equipoise, trained):
    before = Path("run/events.jsonl").read_bytes()
    with RunFolder(trained).locked():
        assert_kind(*pick(equipoise("resume", "run"), 7), "is being written by process")
        assert json.loads(equipoise("runs", ".", "--json")[1])["runs"][0]["state"] == "running"
    assert Path("run/events.jsonl").read_bytes() == before


def test_a_run_folder_that_exists_is_not_overwritten(equipoise, trained):
    before = {p: p.read_bytes() for p in trained.rglob("*") if p.is_file()}
    assert_kind(*pick(equipoise("train", "digits", "--out", "run"), 2), "equipoise resume run")
    assert {p: p.read_bytes() for p in trained.rglob("*") if p.is_file()} == before


def flip_a_bit(path: Path) -> None:
    blob = bytearray(path.read_bytes())
    blob[len(blob) // 2] ^= 16
    path.write_bytes(blob)


def test_a_flipped_bit_falls_back_loudly_to_the_checkpoint_before(equipoise, trained):
    whole = Path("run/model.safetensors").read_bytes()
    newest, before, *_ = checkpoint.newest_first(trained / "checkpoints")
    flip_a_bit(newest / "state.pt")
    code, _, err = equipoise("sample", "run", "-o", "grid.png")
    assert code == 0
    assert "damaged" in err
    code, _, err = equipoise("resume", "run")
    assert code == 0
    assert "damaged" in err
    assert "set aside as damaged-" in err
    assert (newest.parent / f"damaged-{newest.name}").exists(), "kept"
    assert before.exists()
    assert Path("run/model.safetensors").read_bytes() == whole, "and the run ends at the same bits"


def test_without_any_good_checkpoint_resume_gives_up_with_exit_5(equipoise, trained):
    for path in checkpoint.newest_first(trained / "checkpoints"):
        flip_a_bit(path / "state.pt")
    record = Path("run/events.jsonl").read_bytes()
    for _ in range(2):  # and again: what is set aside is not a run without a beginning
        code, _, err = equipoise("resume", "run")
        assert code == 5
        assert "no checkpoint of run is left undamaged" in err
        assert "Traceback" not in err
        assert Path("run/events.jsonl").read_bytes() == record


@pytest.mark.parametrize("log", ["events.jsonl", "clock.jsonl"])
def test_a_damaged_line_of_a_log_is_exit_5_and_the_run_is_listed(log, equipoise, trained):
    path = trained / log
    whole = path.read_bytes()
    path.write_bytes(whole.replace(b"kind", b"ki\x00d", 1))
    assert_kind(*pick(equipoise("resume", "run"), 5), log, "line 1")
    assert "unreadable" in json.loads(equipoise("runs", ".", "--json")[1])["runs"][0]["state"]
    path.write_bytes(whole)
    assert equipoise("resume", "run")[0] == 0, "once it is put back"


def test_a_changed_config_is_noticed_on_resume(equipoise, trained):
    config = json.loads(Path("run/config.json").read_text())
    Path("run/config.json").write_text(json.dumps(config | {"batch": 64}))
    assert_kind(*pick(equipoise("resume", "run"), 2), "was changed")


def test_a_game_that_diverges_is_exit_4_and_its_last_checkpoint_is_finite(equipoise):
    hot = sets("optim.g={kind: sgd}", "optim.d={kind: sgd}", "optim.d.lr=1e6", "optim.g.lr=1e6")
    code, _, err = equipoise("train", "digits", "--steps", "300", "--out", "run", *SMALL, *hot)
    assert code == 4, err
    assert "diverged at step" in err
    assert "Traceback" not in err
    rows = [json.loads(line) for line in Path("run/events.jsonl").read_text().splitlines()]
    assert rows[-1]["kind"] == "diverged"
    for path in checkpoint.newest_first(Path("run/checkpoints")):
        assert checkpoint.finite(checkpoint.load(path)[0])


def test_a_class_that_is_not_there_is_said_so(equipoise, trained):
    assert_kind(*pick(equipoise("sample", "run", "--class", "3"), 2), "no classes")
    conditional = sets("nets.conditioning=projection")
    assert equipoise("train", "digits", "--steps", "5", "--out", "labelled", *SMALL, *conditional)[0] == 0
    assert equipoise("sample", "labelled", "--class", "3", "-o", "threes.png")[0] == 0
    assert_kind(*pick(equipoise("sample", "labelled", "--class", "12"), 2), "classes 0 to 9")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGUSR1, 138)])
def test_a_signal_saves_says_how_to_go_on_and_exits(number, code, tmp_path):
    command = [sys.executable, "-m", "equipoise.cli.main", "train", "digits", "--kimg", "1e5", "--out", "run", *SMALL]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True, env=environment)
    events = tmp_path / "run" / "events.jsonl"
    while not (events.exists() and events.stat().st_size):
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(number)
    began = time.monotonic()
    _, err = process.communicate(timeout=60)
    assert time.monotonic() - began < 10
    assert process.returncode == code, err
    assert "equipoise resume run" in err
    assert "Traceback" not in err
    found, complaints = checkpoint.latest(tmp_path / "run" / "checkpoints")
    assert checkpoint.step_of(found) > 0
    assert complaints == []


def test_runs_passes_over_the_folders_of_others(equipoise, trained):
    Path("llm").mkdir()
    Path("llm/config.json").write_text('{"architectures": ["Other"]}')
    Path("torn").mkdir()
    Path("torn/config.json").write_text("")
    assert [r["run"] for r in json.loads(equipoise("runs", ".", "--json")[1])["runs"]] == ["run"]


def test_a_system_error_is_exit_5_and_no_traceback(equipoise, trained, monkeypatch):
    def full(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Image.Image, "save", full)
    assert_kind(*pick(equipoise("sample", "run", "-o", "grid.png"), 5), "No space left")
    ended = equipoise("train", "digits", "--steps", "30", "--out", "other", *SMALL)
    assert_kind(ended[0], 5, ended[2].splitlines()[-1], "No space left", "resume")


class Full(io.StringIO):
    """What is behind a file on a full disk."""

    def write(self, text: str) -> int:
        raise OSError(28, "No space left on device")


def test_words_that_nobody_can_be_told_end_nothing(equipoise, monkeypatch):
    """As in a batch job whose log lies on a full disk."""
    monkeypatch.setattr(screen, "console", Console(file=Full()))
    assert equipoise("train", "digits", "--steps", "8", "--out", "run", *SMALL)[0] == 0
    assert Path("run/model.safetensors").exists()
    assert equipoise("train", "digits", "--steps", "8", "--out", "run", *SMALL)[0] == 2, "refused all the same"


def photos(path: Path, count: int) -> Path:
    path.mkdir()
    for i in range(count):
        Image.fromarray(np.random.default_rng(i).integers(0, 256, (8, 8), np.uint8)).save(path / f"{i}.png")
    return path


def test_data_convert_writes_a_set_that_trains(equipoise, tmp_path):
    photos(tmp_path / "photos", 20)
    code, _, err = equipoise("data", "convert", "photos", "-o", "set", "--size", "16")
    assert (code, err) == (0, "set: train on it with --data set\n")
    assert {p.name for p in Path("set").iterdir()} == {"images.npy", "labels.npy", "set.json"}
    assert equipoise("train", "digits", "--data", "set", "--steps", "5", "--out", "run", *SMALL)[0] == 0
    code, _, err = equipoise("data", "convert", "photos", "-o", "set")
    assert_kind(code, 2, err, "nothing is overwritten")


def test_converting_what_is_built_in_is_refused(equipoise):
    code, _, err = equipoise("data", "convert", "digits", "-o", "set")
    assert_kind(code, 2, err, "built in")


def test_a_few_bad_pictures_are_told_and_many_are_listed(equipoise, tmp_path):
    photos(tmp_path / "photos", 100)
    (tmp_path / "photos" / "torn.png").write_bytes(b"torn")
    code, _, err = equipoise("train", "digits", "--data", "photos", "--steps", "5", "--out", "run", *SMALL)
    assert code == 0
    assert "torn.png (not a picture of a known format)" in err
    (tmp_path / "photos" / "worn.png").write_bytes(b"")
    code, _, err = equipoise("train", "digits", "--data", "photos", "--steps", "5", "--out", "again", *SMALL)
    assert code == 3
    assert err.splitlines()[2:] == ["  torn.png: not a picture of a known format", "  worn.png: an empty file"]
    assert not Path("again").exists()
