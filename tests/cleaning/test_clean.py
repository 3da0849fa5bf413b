"""From a folder to its report and its copy: nothing is touched, nothing is lost, nothing runs."""

from __future__ import annotations

import hashlib
import json
import os
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from equipoise.cleaning import clean
from equipoise.cleaning.check import check
from equipoise.cleaning.page import page
from equipoise.cli import data as commands
from equipoise.cli.main import app
from equipoise.data.arrays import arrays
from equipoise.data.gathered import gather
from equipoise.errors import ConfigError, DataError


def tree_hash(folder: Path) -> str:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    content = [(str(p.relative_to(folder)), p.stat().st_mtime_ns, p.read_bytes()) for p in files]
    return hashlib.sha256(repr(content).encode()).hexdigest()


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs


def test_check_names_what_is_wrong_and_the_page_is_inert(photos):
    data = gather(photos)
    result = check(data)
    found = {finding.kind: finding for finding in result.findings}
    assert {name for item in found["unreadable"].items for name in item.names} == {
        "train/dogs/half.png",
        "train/dogs/<b>empty.png",
    }
    groups = {item.names[0]: item for item in found["duplicates"].items}
    assert groups["test/cats/copy.png"].names[1] == "train/dogs/004.png"
    assert groups["test/cats/copy.png"].note == "labels differ: cats, dogs; across test, train"
    tags = Tags()
    tags.feed(page("<script>x</script>", data, result))
    assert "script" not in tags.tags and "b" not in tags.tags
    assert not [name for name, _ in tags.attributes if name.startswith("on")]
    assert all(value.startswith("data:image/png") for name, value in tags.attributes if name == "src")
    assert not [value for name, value in tags.attributes if name == "href" and not value.startswith("#")]


def test_check_says_what_lies_beside_official_parts(photos):
    (photos / "preview.png").write_bytes((photos / "train/cats/001.png").read_bytes())
    data = gather(photos)
    assert data.classes == ["cats", "dogs"] and "preview.png" not in data.names
    assert any("left out: preview.png." in note for note in check(data).notes)


def test_clean_copies_what_stays_and_touches_nothing(photos, tmp_path):
    before, out = tree_hash(photos), tmp_path / "out"
    result = clean.chosen(gather(photos))
    clean.write(photos, out, result)
    assert tree_hash(photos) == before
    note = json.loads((out / "cleaned.json").read_text())
    written = {path.relative_to(out).as_posix() for path in out.rglob("*.png")}
    assert written == set(result.kept) == set(note["files"])
    assert written | set(note["left_out"]) == {path.relative_to(photos).as_posix() for path in photos.rglob("*.png")}
    assert all((out / name).read_bytes() == (photos / name).read_bytes() for name in written)
    assert note["kinds_of_files_not_copied"] == [".txt"]
    assert "train/dogs/004.png" in note["left_out"] and any("labels differ" in text for text in note["notes"])
    with pytest.raises(ConfigError, match="exists already"):
        clean.write(photos, out, result)
    with pytest.raises(ConfigError, match="not to be changed"):
        clean.write(photos, photos / "inside", result)
    assert clean.undo(out) == len(written) and not out.exists()
    assert tree_hash(photos) == before


@pytest.mark.parametrize("change", ["edit", "add", "remove", "link", "empty folder"])
def test_undo_refuses_a_folder_that_was_changed(photos, tmp_path, change):
    out = tmp_path / "out"
    clean.write(photos, out, clean.Cleaned(["train/dogs/002.png", "train/dogs/004.png"], {}, []))
    file = out / "train/dogs/002.png"
    match change:
        case "edit":
            file.write_bytes(b"mine")
        case "add":
            (out / "mine.txt").write_text("mine")
        case "remove":
            file.unlink()
        case "link":
            file.unlink()
            file.symlink_to(photos / "train/dogs/002.png")
        case _:
            (out / "mine").mkdir()
    with pytest.raises(DataError, match="was changed since"):
        clean.undo(out)
    assert (out / "train/dogs/004.png").exists()


def test_undo_refuses_what_clean_did_not_make(photos):
    with pytest.raises(DataError, match="was not made by it"):
        clean.undo(photos)
    assert (photos / "notes.txt").exists()


def test_an_interrupted_copy_leaves_nothing(photos, tmp_path):
    def interrupted(steps, label, count):
        yield next(iter(steps))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        clean.write(photos, tmp_path / "out", clean.Cleaned(["train/dogs/002.png", "x"], {}, []), interrupted)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["photos"]


def test_arrays_keep_images_and_labels_together(tmp_path):
    rng = np.random.default_rng(0)
    train, test = rng.integers(0, 256, (40, 9, 9), dtype=np.uint8), rng.integers(0, 256, (20, 9, 9), dtype=np.uint8)
    train[7], test[3] = train[2], train[5]
    y_train, y_test = np.arange(40) % 3, np.arange(20) % 3
    file = tmp_path / "set.npz"
    np.savez(file, x_train=train, y_train=y_train, x_test=test, y_test=y_test, mean=np.ones(4))
    result = clean.chosen(gather(file), ["duplicates"])
    assert set(result.left_out) == {"x_train[7]", "x_train[5]"}
    clean.write(file, tmp_path / "out", result)
    with np.load(tmp_path / "out/set.npz", allow_pickle=False) as kept:
        np.testing.assert_array_equal(kept["x_train"], np.delete(train, [5, 7], axis=0))
        np.testing.assert_array_equal(kept["y_train"], np.delete(y_train, [5, 7]))
        np.testing.assert_array_equal(kept["x_test"], test)
        np.testing.assert_array_equal(kept["mean"], np.ones(4))


def test_parts_of_equal_length_keep_their_labels_and_what_is_of_neither(tmp_path):
    rng = np.random.default_rng(0)
    train, test = (rng.integers(0, 256, (30, 9, 9), dtype=np.uint8) for _ in range(2))
    test[4] = train[9]
    y, file = np.arange(30) % 3, tmp_path / "set.npz"
    np.savez(file, x_train=train, y_train=y, x_test=test, y_test=y[::-1], patient=np.arange(30), mean=np.ones(4))
    result = clean.write(file, tmp_path / "out", clean.chosen(gather(file), ["duplicates"]))
    assert list(result.left_out) == ["x_train[9]"]
    with np.load(tmp_path / "out/set.npz", allow_pickle=False) as kept:
        assert set(kept) == {"x_train", "y_train", "x_test", "y_test", "mean"}
        np.testing.assert_array_equal(kept["y_train"], np.delete(y, 9))
        np.testing.assert_array_equal(kept["y_test"], y[::-1])
    told = "patient is not in the copy: nothing says which of x_train, x_test it belongs to."
    assert told in result.notes and told in json.loads((tmp_path / "out/cleaned.json").read_text())["notes"]


@pytest.mark.parametrize("count", [30, 50])
def test_a_part_that_holds_copies_alone_is_left_out_with_its_labels(tmp_path, count):
    x, file = np.random.default_rng(0).integers(0, 256, (50, 9, 9), dtype=np.uint8), tmp_path / "set.npz"
    y = np.arange(50) % 3
    np.savez(file, x_train=x[:count], y_train=y[:count], x_val=x[:10], y_val=y[:10], x_test=x, y_test=y)
    result = clean.write(file, tmp_path / "out", clean.chosen(gather(file), ["duplicates"]))
    with np.load(tmp_path / "out/set.npz", allow_pickle=False) as kept:
        assert set(kept) == {"x_test", "y_test"} and len(kept["x_test"]) == len(result.kept) == 50
    assert [note for note in result.notes if "none of its images was kept" in note] == [
        f"{name} is not in the copy: none of its images was kept." for name in ("x_train", "x_val")
    ]


@pytest.mark.parametrize("names", [{}, {"y": np.arange(20) % 2}])
def test_arrays_without_a_name_are_looked_at_as_training_takes_them(tmp_path, names):
    x, file = np.random.default_rng(0).integers(0, 256, (20, 9, 9), dtype=np.uint8), tmp_path / "set.npz"
    x[7] = x[3]
    np.savez(file, x, **names)
    data = gather(file)
    assert data.names[:2] == ["arr_0[0]", "arr_0[1]"] and data.classes == (["0", "1"] if names else [])
    assert len(arrays(file, None).train.source) == len(data.names)
    clean.write(file, tmp_path / "out", clean.chosen(data, ["duplicates"]))
    with np.load(tmp_path / "out/set.npz", allow_pickle=False) as kept:
        np.testing.assert_array_equal(kept["arr_0"], np.delete(x, 7, axis=0))
        assert all(len(kept[name]) == 19 for name in kept)


def test_two_arrays_that_may_be_the_training_images_are_refused_by_all(tmp_path):
    x, file = np.random.default_rng(0).integers(0, 256, (20, 9, 9), dtype=np.uint8), tmp_path / "set.npz"
    np.savez(file, x=x, x_train=x[:15], x_test=x[15:])
    for look in (gather, lambda path: arrays(path, None)):
        with pytest.raises(DataError, match="holds images as x and as x_train"):
            look(file)
    np.savez(file, x=x.astype(float), x_train=x[:15], x_test=x[15:])
    assert len(gather(file).names) == 20, "the control: floats are no images"


def test_what_holds_no_pictures_is_told_as_what_it_is(tmp_path):
    for name in ("empty", "scans", "converted"):
        (tmp_path / name).mkdir()
    (tmp_path / "scans/1.dcm").write_bytes(b"scan")
    (tmp_path / "converted/set.json").write_text("{}")
    (tmp_path / "notes.txt").write_text("mine")
    (tmp_path / "brain.nii.gz").write_bytes(b"scan")
    for name, told in {
        "empty": "holds no pictures[.]", "scans": "no pictures, but scans", "brain.nii.gz": "no pictures, but scans",
        "converted": "no pictures, but a set that was converted", "notes.txt": "holds no pictures[.]",
    }.items():  # fmt: skip
        with pytest.raises(DataError, match=told):
            gather(tmp_path / name)


@pytest.mark.parametrize(("bits", "factor"), [(12, 16), (10, 64), (16, None)])
def test_pictures_of_16_bits_that_hold_fewer_are_told_with_a_remedy(tmp_path, bits, factor):
    rng = np.random.default_rng(0)
    for i in range(12):
        Image.fromarray(rng.integers(0, 2**bits, (16, 16), dtype=np.uint16)).save(tmp_path / f"{i}.png")
    told = [note for note in check(gather(tmp_path)).notes if "Multiply" in note]
    assert [f"by {factor} first" in note for note in told] == ([] if factor is None else [True])


def test_what_is_not_converted_is_told_as_what_it_is(tmp_path):
    (tmp_path / "scans").mkdir()
    (tmp_path / "scans/1.dcm").write_bytes(b"scan")
    (tmp_path / "lines.txt").write_text("mine")
    for name, told in (("scans", "holds scans, which are not converted"), ("lines.txt", "holds sentences, which are")):
        with pytest.raises(ConfigError, match=told):
            commands.convert(str(tmp_path / name), tmp_path / "out", None)
    np.save(tmp_path / "x.npy", np.zeros((8, 8, 8), np.uint8))
    commands.convert(str(tmp_path / "x.npy"), tmp_path / "set", None)
    with pytest.raises(ConfigError, match="was converted already"):
        commands.convert(str(tmp_path / "set"), tmp_path / "again", None)


def test_the_commands_and_their_exit_codes(photos, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run = CliRunner()
    checked = run.invoke(app, ["data", "check", str(photos), "--json"])
    assert checked.exit_code == 1
    told = json.loads(checked.stdout)
    assert not told["clean"] and told["facts"]["classes"]["dogs"] == 60
    assert (tmp_path / "photos_check.html").read_text().startswith("<!DOCTYPE html>")
    assert run.invoke(app, ["data", "clean", str(photos), "-o", "kept.json", "--list"]).exit_code == 0
    assert "train/dogs/002.png" in json.loads((tmp_path / "kept.json").read_text())["kept"]
    with pytest.raises(ConfigError, match="--drop knows no sheep"):
        run.invoke(app, ["data", "clean", str(photos), "-o", "x", "--drop", "sheep"], catch_exceptions=False)
    with pytest.raises(DataError, match="does not exist"):
        run.invoke(app, ["data", "check", "nowhere"], catch_exceptions=False)


def test_a_file_name_of_any_bytes_does_not_cost_the_page(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "set").mkdir()
    pixels = np.random.default_rng(0).integers(0, 256, (3, 9, 9), np.uint8)
    for i, image in enumerate(pixels):
        Image.fromarray(image).save(tmp_path / "set" / f"{i}.png")
    (tmp_path / "set" / os.fsdecode(b"caf\xe9.png")).write_bytes(b"no picture")
    found = CliRunner().invoke(app, ["data", "check", "set"], catch_exceptions=False)
    assert found.exit_code == 1
    assert "caf\\udce9.png" in (tmp_path / "set_check.html").read_text()
