from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from equipoise.encoders import cache as module
from equipoise.encoders.cache import Cache, home, named, replacing

ENTRY = {"features": torch.arange(12.0).view(3, 4), "count": torch.tensor(7)}


class Maker:
    def __init__(self, tensors: dict[str, Tensor] = ENTRY):
        self.tensors, self.times = tensors, 0

    def __call__(self) -> dict[str, Tensor]:
        self.times += 1
        return dict(self.tensors)


def same(a: dict[str, Tensor], b: dict[str, Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


def entry(folder: Path) -> Path:
    (path,) = folder.glob("*.safetensors")
    return path


def test_home_is_where_the_environment_says(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("EQUIPOISE_CACHE", str(tmp_path / "own"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert home() == tmp_path / "own"
    assert Cache().folder == tmp_path / "own" / "features"
    monkeypatch.delenv("EQUIPOISE_CACHE")
    assert home() == tmp_path / "xdg" / "equipoise"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert home() == Path.home() / ".cache" / "equipoise"


def test_what_was_made_is_not_made_again(tmp_path: Path) -> None:
    make = Maker()
    assert same(Cache(tmp_path).remembered({"a": 1}, make), ENTRY)
    assert same(Cache(tmp_path).remembered({"a": 1}, make), ENTRY)
    assert make.times == 1
    Cache(tmp_path).remembered({"a": 2}, make)
    assert make.times == 2


def test_the_order_of_a_key_does_not_matter() -> None:
    assert named({"a": 1, "b": [1, 2]}) == named({"b": (1, 2), "a": 1}) != named({"a": 1, "b": [2, 1]})


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-5])


def flipped(path: Path) -> None:
    raw = bytearray(path.read_bytes())
    raw[-3] ^= 1  # a number in a tensor: safetensors itself would not see it
    path.write_bytes(raw)


def emptied(path: Path) -> None:
    path.write_bytes(b"")


def replaced(path: Path) -> None:
    path.write_bytes(b"\xff" * 100)


@pytest.mark.parametrize("damage", [cut, flipped, emptied, replaced])
def test_a_damaged_entry_is_made_again(damage: Callable[[Path], None], tmp_path: Path) -> None:
    make, cache = Maker(), Cache(tmp_path)
    cache.remembered({"a": 1}, make)
    damage(entry(tmp_path))
    assert same(cache.remembered({"a": 1}, make), ENTRY)
    assert same(cache.remembered({"a": 1}, make), ENTRY)
    assert make.times == 2


def test_a_file_of_somebody_elses_is_no_entry(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    make, cache = Maker(), Cache(tmp_path)
    cache.remembered({"a": 1}, make)
    save_file({"features": torch.zeros(3)}, entry(tmp_path))
    assert same(cache.remembered({"a": 1}, make), ENTRY)


def test_a_folder_that_cannot_be_written_to_is_told_of_once(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    told: list[str] = []
    make, cache = Maker(), Cache(tmp_path / "file" / "features", warn=told.append)
    for _ in range(3):
        assert same(cache.remembered({"a": 1}, make), ENTRY)
    assert make.times == 3
    assert len(told) == 1 and "EQUIPOISE_CACHE" in told[0]


def test_the_least_recently_used_go_first(tmp_path: Path) -> None:
    big = Maker({"x": torch.zeros(1000)})  # 4 kB
    cache = Cache(tmp_path, most_bytes=10_000)
    for i, key in enumerate("ab"):
        cache.remembered({"key": key}, big)
        path = tmp_path / f"{named({'key': key})}.safetensors"
        os.utime(path, (1000 + i, 1000 + i))
    cache.remembered({"key": "a"}, big)  # used now
    assert big.times == 2
    cache.remembered({"key": "c"}, big)
    assert {path.stem for path in tmp_path.glob("*.safetensors")} == {named({"key": "a"}), named({"key": "c"})}


def test_what_a_killed_process_left_is_removed_in_time(tmp_path: Path) -> None:
    old, new = tmp_path / f"{module.WRITING}old", tmp_path / f"{module.WRITING}new"
    for path in (old, new):
        path.write_bytes(b"half")
    os.utime(old, (time.time() - 2 * module.ABANDONED_S,) * 2)
    Cache(tmp_path).remembered({"a": 1}, Maker())
    assert not old.exists() and new.exists()  # the new one may be another process at work


def test_a_write_that_fails_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"old")
    with pytest.raises(KeyboardInterrupt), replacing(path) as file:
        file.write(b"new")
        raise KeyboardInterrupt
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]
