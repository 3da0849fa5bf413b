from __future__ import annotations

import errno
import os
import random

import pytest
import torch

from equipoise.errors import Damaged, Diverged, StorageError
from equipoise.runs import checkpoint

STATE = {
    "game.G": {"w": torch.arange(400.0)},
    "game.seen": 640,
    "game.opt": {"state": {0: {"step": torch.tensor(3.0)}}},
}


def test_what_is_saved_is_loaded_to_the_bit(tmp_path):
    state, manifest = checkpoint.load(checkpoint.save(tmp_path, 12, STATE, seen=640))
    assert torch.equal(state["game.G"]["w"], STATE["game.G"]["w"])
    assert state["game.seen"] == 640
    assert manifest["step"] == 12
    assert manifest["seen"] == 640


@pytest.mark.parametrize("name", ["state.pt", "manifest.json"])
def test_every_flipped_bit_is_detected(name, tmp_path):
    path = checkpoint.save(tmp_path, 1, STATE) / name
    blob = path.read_bytes()
    dice = random.Random(0)
    for _ in range(100):
        damaged = bytearray(blob)
        damaged[dice.randrange(len(blob))] ^= 1 << dice.randrange(8)
        path.write_bytes(damaged)
        if name == "manifest.json" and is_harmless(blob, bytes(damaged)):
            continue
        with pytest.raises(StorageError, match="damaged"):
            checkpoint.verify(path.parent)


def is_harmless(blob: bytes, damaged: bytes) -> bool:
    """White space of the JSON text may turn into other white space."""
    return blob.split() == damaged.split()


@pytest.mark.parametrize("name", ["state.pt", "manifest.json"])
@pytest.mark.parametrize("harm", ["truncated", "zeroed", "emptied", "removed", "swapped"])
def test_every_damaged_file_is_detected(name, harm, tmp_path):
    good = checkpoint.save(tmp_path, 1, STATE) / name
    other = checkpoint.save(tmp_path, 2, STATE | {"game.seen": 641}) / "state.pt"
    blob = good.read_bytes()
    match harm:
        case "truncated":
            good.write_bytes(blob[:-7])
        case "zeroed":
            good.write_bytes(blob[:64] + bytes(min(4096, len(blob) - 64)) + blob[4160:])
        case "emptied":
            good.write_bytes(b"")
        case "removed":
            good.unlink()
        case "swapped":
            good.write_bytes(other.read_bytes())
    with pytest.raises(StorageError):
        checkpoint.verify(good.parent)


def test_the_newest_undamaged_checkpoint_is_found_and_the_others_are_named(tmp_path):
    for step in (1, 2, 3):
        checkpoint.save(tmp_path, step, STATE)
    (tmp_path / "step-000000003" / "state.pt").write_bytes(b"?")
    found, complaints = checkpoint.latest(tmp_path)
    assert found.name == "step-000000002"
    assert len(complaints) == 1
    assert "step-000000003" in complaints[0]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_a_state_that_is_not_finite_is_never_saved(value, tmp_path):
    sick = STATE | {"game.D": {"w": torch.tensor([1.0, value])}}
    with pytest.raises(Diverged, match=r"game\.D"):
        checkpoint.save(tmp_path, 5, sick)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES])
@pytest.mark.parametrize("call", ["write", "fsync", "rename"])
def test_a_disk_that_refuses_leaves_the_last_checkpoint_intact(number, call, tmp_path, monkeypatch):
    checkpoint.save(tmp_path, 1, STATE)

    def refuse(*args, **kwargs):
        raise OSError(number, os.strerror(number))

    target = {"write": (checkpoint, "write_synced"), "fsync": (os, "fsync"), "rename": (type(tmp_path), "rename")}[call]
    monkeypatch.setattr(*target, refuse)
    with pytest.raises(StorageError, match="last checkpoint is intact") as error:
        checkpoint.save(tmp_path, 2, STATE)
    assert "MB" in str(error.value)
    monkeypatch.undo()
    assert checkpoint.latest(tmp_path)[0].name == "step-000000001"
    assert [p.name for p in tmp_path.iterdir()] == ["step-000000001"], "nothing half written stays"


@pytest.mark.parametrize("after", range(1, 8))
@pytest.mark.parametrize("step", [1, 2], ids=["the same step again", "the next step"])
def test_a_crash_at_any_system_call_leaves_the_old_or_the_new(step, after, tmp_path, monkeypatch):
    """Kills the save at its n-th call to the system, as a power cut would."""
    checkpoint.save(tmp_path, 1, STATE)
    count = 0

    class PowerCut(BaseException):
        pass

    def counted(real):
        def call(*args, **kwargs):
            nonlocal count
            count += 1
            if count == after:
                raise PowerCut
            return real(*args, **kwargs)

        return call

    for owner, name in ((os, "fsync"), (checkpoint, "write_synced"), (type(tmp_path), "rename")):
        monkeypatch.setattr(owner, name, counted(getattr(owner, name)))
    with pytest.raises(PowerCut):
        checkpoint.save(tmp_path, step, STATE | {"game.seen": 641})
    monkeypatch.undo()
    checkpoint.sweep(tmp_path)
    found, complaints = checkpoint.latest(tmp_path)
    assert checkpoint.load(found)[0]["game.seen"] in (640, 641)
    assert complaints == []
    assert list(tmp_path.glob(".writing-*")) == []


def test_the_newest_three_and_log_spaced_milestones_are_kept(tmp_path):
    for step in range(1, 41):
        checkpoint.save(tmp_path, step, {"n": step})
        checkpoint.prune(tmp_path, keep=3)
    kept = [checkpoint.step_of(path) for path in reversed(checkpoint.newest_first(tmp_path))]
    assert kept == [1, 2, 4, 8, 16, 32, 38, 39, 40]


def test_a_checkpoint_cannot_run_code(tmp_path):
    class Hostile:
        def __reduce__(self):
            return (os.mkdir, (str(tmp_path / "owned"),))

    path = checkpoint.save(tmp_path, 1, {"evil": Hostile()})
    with pytest.raises(Exception, match=r"weights_only|Unsupported|WeightsUnpickler"):
        checkpoint.load(path)
    assert not (tmp_path / "owned").exists()


def test_a_checkpoint_of_another_schema_is_not_called_damaged(tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoint, "SCHEMA", 2)
    path = checkpoint.save(tmp_path, 1, STATE)
    monkeypatch.undo()
    with pytest.raises(StorageError, match="schema 2") as error:
        checkpoint.verify(path)
    assert not isinstance(error.value, Damaged)
