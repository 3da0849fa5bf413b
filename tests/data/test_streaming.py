"""Sets that do not fit into memory give the same batches as those that do, in flat memory, and end cleanly."""

from __future__ import annotations

import gc
import json
import os
import re
import signal
import subprocess
import sys
import time
import zipfile
from concurrent.futures import Future
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch
from PIL import Image
from pyarrow import parquet

from equipoise.data import convert
from equipoise.data.arrays import arrays
from equipoise.data.batches import AHEAD, Batches
from equipoise.data.convert import convert_arrays, convert_pictures
from equipoise.data.images import pictures
from equipoise.data.ondisk import OnDisk
from equipoise.data.readers import Crew, Here
from equipoise.data.source import InMemory, everything, whose
from equipoise.data.streamed import Streamed
from equipoise.errors import ConfigError, DataError, MachineError, StorageError

PARTS = ("train", "validation", "test")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """70 pictures with classes and official parts; one grey picture among coloured ones."""
    root = tmp_path_factory.mktemp("pictures")
    for i in range(70):
        pixels = np.random.default_rng(i).integers(0, 256, (20, 24, 3) if i else (20, 24), np.uint8)
        path = root / ("test" if i < 10 else "train") / "abc"[i % 3] / f"{i}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path)
    return root


def shown(splits, name, count=12, size=16):
    part = getattr(splits, name)
    return [(x.clone(), y) for _, (x, y) in zip(range(count), Batches(part, size, 3), strict=False)]


def assert_same(a, b):
    for name in PARTS:
        assert len(getattr(a, name)) == len(getattr(b, name))
        for (x, y), (other_x, other_y) in zip(shown(a, name), shown(b, name), strict=True):
            assert torch.equal(x, other_x)
            assert x.stride() == other_x.stride(), "another layout in memory may choose another convolution"
            assert torch.equal(y, other_y)
    assert (a.train.shape, a.train.classes, a.class_names) == (b.train.shape, b.train.classes, b.class_names)


def closed(splits):
    splits.train.source.close()


@pytest.mark.parametrize("workers", [0, 1, 2])
def test_streamed_batches_equal_those_in_memory(folder, workers):
    inside, streamed = pictures(folder, 16), pictures(folder, 16, memory_mib=0, workers=workers)
    assert isinstance(inside.train.source, InMemory)
    assert isinstance(streamed.train.source, Streamed)
    assert_same(inside, streamed)
    closed(streamed)


@pytest.mark.parametrize("memory_mib", [64, 0])
def test_a_converted_set_equals_the_one_it_came_from(folder, tmp_path, memory_mib):
    convert_pictures(folder, tmp_path / "set", 16, memory_mib, 0)
    converted = arrays(tmp_path / "set", None)
    assert isinstance(converted.train.source, OnDisk)
    assert_same(pictures(folder, 16), converted)


def test_a_zip_equals_its_folder(folder, tmp_path):
    with zipfile.ZipFile(tmp_path / "set.zip", "w") as archive:
        for path in folder.rglob("*.png"):
            archive.write(path, f"top/{path.relative_to(folder)}")
    inside = pictures(folder, 16)
    assert_same(inside, pictures(tmp_path / "set.zip", 16))
    streamed = pictures(tmp_path / "set.zip", 16, memory_mib=0, workers=1)
    assert_same(inside, streamed)
    closed(streamed)


@pytest.mark.parametrize("shape", ["bytes", "Hugging Face"])
@pytest.mark.parametrize("words", [True, False])
def test_parquet_equals_its_folder(folder, tmp_path, shape, words):
    paths = sorted((folder / "train").rglob("*.png"))
    cells = [
        path.read_bytes() if shape == "bytes" else {"bytes": path.read_bytes(), "path": path.name} for path in paths
    ]
    labels = [path.parent.name if words else "abc".index(path.parent.name) for path in paths]
    table = pa.table({"label": labels, "image": cells})
    parquet.write_table(table, tmp_path / "set.parquet", row_group_size=7)
    expected, found = pictures(folder / "train", 16), pictures(tmp_path / "set.parquet", 16)
    assert torch.equal(everything(expected.train)[0], everything(found.train)[0])
    assert torch.equal(everything(expected.train)[1], everything(found.train)[1])
    assert found.class_names == (("a", "b", "c") if words else ())


def test_parquet_larger_than_the_memory_is_refused_with_a_way_out(tmp_path, folder):
    cells = [path.read_bytes() for path in folder.rglob("*.png")]
    parquet.write_table(pa.table({"image": cells}), tmp_path / "set.parquet")
    with pytest.raises(DataError, match=r"data\.memory_mib"):
        pictures(tmp_path / "set.parquet", 16, memory_mib=0)


def test_without_pyarrow_the_message_says_what_to_install(tmp_path, monkeypatch):
    (tmp_path / "set.parquet").write_bytes(b"PAR1")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MachineError, match=r"pip install equipoise\[data\]"):
        pictures(tmp_path / "set.parquet", 16)


def test_official_parts_are_respected_by_every_source(folder):
    splits = pictures(folder, 16)
    assert (len(splits.train), len(splits.validation), len(splits.test)) == (54, 6, 10)
    test, _ = everything(splits.test)
    train, _ = everything(splits.train)
    assert not (test[:, None] == train[None]).flatten(2).all(2).any()


def test_npz_with_an_official_test_is_respected(tmp_path):
    x = np.arange(40, dtype=np.uint8)[:, None, None].repeat(8, 1).repeat(8, 2)
    np.savez(tmp_path / "a.npz", x_train=x[:30], y_train=np.arange(30) % 2, x_test=x[30:], y_test=np.arange(10) % 2)
    splits = arrays(tmp_path / "a.npz", None)
    values, labels = everything(splits.test)
    assert ((values[:, 0, 0, 0] + 1) * 127.5).round().tolist() == list(range(30, 40))
    assert labels.tolist() == [0, 1] * 5
    assert (len(splits.train), len(splits.validation)) == (27, 3)


@pytest.mark.parametrize("zipped", [False, True])
def test_idx_files_come_with_the_labels_beside_them(tmp_path, zipped):
    import gzip
    import struct

    x = np.random.default_rng(0).integers(0, 256, (20, 28, 28), np.uint8)
    y = np.arange(20, dtype=np.uint8) % 4
    pack = gzip.compress if zipped else bytes
    end = ".gz" if zipped else ""
    images = pack(struct.pack(">HBBIII", 0, 8, 3, *x.shape) + x.tobytes())
    (tmp_path / f"t10k-images-idx3-ubyte{end}").write_bytes(images)
    (tmp_path / f"t10k-labels-idx1-ubyte{end}").write_bytes(pack(struct.pack(">HBBI", 0, 8, 1, 20) + y.tobytes()))
    np.savez(tmp_path / "same.npz", x=x, y=y)
    assert_same(arrays(tmp_path / f"t10k-images-idx3-ubyte{end}", 28), arrays(tmp_path / "same.npz", 28))
    assert arrays(tmp_path / "same.npz", None).train.shape == (1, 32, 32)


# Asking ahead.


class Counting:
    """Readers that say what they were asked for, and answer by themselves."""

    def __init__(self, readers):
        self.readers, self.asked, self.cancelled = readers, [], 0

    def submit(self, indices, pixels) -> Future:
        self.asked.append(indices.tolist())
        return self.readers.submit(indices, pixels)

    def close(self): ...


@pytest.fixture
def streamed(folder):
    source = pictures(folder, 16, memory_mib=0, workers=0).train.source
    source._readers = Counting(source._readers)
    return source


def groups(*starts):
    return [torch.arange(start, start + 4) for start in starts]


def test_what_was_announced_is_not_asked_for_again(streamed):
    a, b = groups(0, 8)
    for group in (a, b, a):
        streamed.expect(group)
    asked = list(streamed._readers.asked)
    assert sorted(i for some in asked for i in some) == [*range(4), *range(8, 12)]
    streamed.take(b)
    streamed.take(a)
    assert streamed._readers.asked == asked
    streamed.take(a)
    assert len(streamed._readers.asked) > len(asked)


def test_any_order_of_expecting_and_taking_gives_the_same_samples(streamed, folder):
    inside = pictures(folder, 16).train.source
    a, b, c = groups(20, 3, 50)
    streamed.expect(a)
    streamed.expect(b)
    for group in (b, c, a, c.flip(0), torch.tensor([7, 7, 1])):
        assert torch.equal(streamed.take(group)[0], inside.take(group)[0])
        assert torch.equal(streamed.take(group)[1], inside.take(group)[1])


def test_what_is_announced_in_vain_does_not_pile_up(streamed):
    for group in groups(*range(0, 60, 2)):
        streamed.expect(group)
    assert len(streamed._ahead) <= 8


def test_batches_announce_what_comes_next_and_nothing_twice(streamed):
    batches = Batches(streamed, 8, 0)
    for taken in range(1, 12):
        next(batches)
        asked = [i for some in streamed._readers.asked for i in some]
        assert asked == batches.indices(0, 8 * (taken + AHEAD)).tolist()


def test_a_picture_that_changes_in_mid_run_is_named(tmp_path):
    for i in range(9):
        Image.new("L", (16, 16), i).save(tmp_path / f"{i}.png")
    source = pictures(tmp_path, 16, memory_mib=0, workers=0).train.source
    Image.new("L", (16, 16), 99).save(tmp_path / "4.png")
    (tmp_path / "7.png").unlink()
    source.take(torch.tensor([0, 1, 2, 3]))
    for changed in (4, 7):
        with pytest.raises(DataError, match=rf"{changed}\.png was changed or removed"):
            source.take(torch.tensor([0, changed]))


# Processes.


def test_a_reader_that_is_killed_is_an_error_and_not_a_wait(folder):
    source = pictures(folder, 16, memory_mib=0, workers=1).train.source
    assert isinstance(source._readers, Crew)
    source.take(torch.arange(4))
    (reader,) = source._readers.close.peek()[2][1]
    began = time.monotonic()
    os.kill(reader.process.pid, signal.SIGKILL)
    with pytest.raises(MachineError, match=r"ended from outside \(signal 9\)"):
        source.take(torch.arange(4))
    assert time.monotonic() - began < 3
    source.close()


def test_readers_leave_when_they_are_not_needed_any_more(folder):
    source = pictures(folder, 16, memory_mib=0, workers=2).train.source
    processes = [reader.process for reader in source._readers.close.peek()[2][1]]
    assert [process.poll() for process in processes] == [None, None]
    source.expect(torch.arange(9))
    del source
    gc.collect()
    assert [process.poll() for process in processes] == [0, 0]


def test_a_script_without_a_main_guard_may_load_and_reading_imports_no_torch(folder, tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        "import sys\n"
        "from pathlib import Path\n"
        "import numpy as np\n"
        "from equipoise.data.readers import Crew\n"
        f"root = Path({str(folder)!r})\n"
        "names = [str(p.relative_to(root)) for p in root.rglob('*.png')]\n"
        "print(Crew(root, names, 16, 2).submit(np.arange(9), True).result().pixels.shape)\n"
        "assert 'torch' not in sys.modules\n"
    )
    found = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, timeout=30)
    assert (found.stdout, found.stderr) == ("(9, 16, 16, 3)\n", "")


def test_readers_answer_the_same_here_and_elsewhere(folder):
    from equipoise.data.places import Folder as Place

    names = Place(folder).listing().names
    crew, here = Crew(folder, names, 16, 1), Here(Place(folder), names, 16)
    for pixels in (True, False):
        indices = np.array([5, 0, 69])
        a, b = crew.submit(indices, pixels).result(), here.submit(indices, pixels).result()
        assert (a.bad, a.channels) == (b.bad, b.channels)
        assert np.array_equal(a.digests, b.digests)
        assert np.array_equal(a.pixels, b.pixels)
    crew.close()


# Memory.


def resident_mib() -> float:
    return int(re.search(r"VmRSS:\s+(\d+) kB", Path("/proc/self/status").read_text())[1]) / 1024


def growth(source, epochs=2, size=32) -> float:
    """MiB that the process gained while it took all samples, after a few."""
    batches = Batches(source, size, 0)
    for _ in range(8):
        next(batches)
    before, most = resident_mib(), 0.0
    for _ in range(epochs * len(source) // size):
        next(batches)
        most = max(most, resident_mib())
    return most - before


linux = pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is read as Linux gives it")


@linux
def test_a_file_four_times_the_budget_is_read_in_flat_memory(tmp_path):
    budget = 16
    np.save(tmp_path / "a.npy", np.zeros((4 * budget * 2**20 // (64 * 64 * 4), 64, 64, 4), np.uint8))
    source = arrays(tmp_path / "a.npy", None, memory_mib=budget).train
    assert isinstance(source.source, OnDisk)
    assert growth(source) < budget / 2
    inside = arrays(tmp_path / "a.npy", None).train
    assert len(inside) == len(source)


@linux
def test_pictures_of_four_times_the_budget_are_streamed_in_flat_memory(tmp_path):
    budget = 4
    for i in range(4 * budget * 2**20 // (128 * 128 * 3)):
        Image.new("RGB", (128, 128), (i % 256, 1, 2)).save(tmp_path / f"{i}.bmp")
    splits = pictures(tmp_path, 128, memory_mib=budget, workers=1)
    assert isinstance(splits.train.source, Streamed)
    assert growth(splits.train, size=8) < 2 * budget
    closed(splits)


# Converting.


def tree(path):
    return sorted(str(p.relative_to(path)) for p in path.rglob("*"))


def stopped_at(place, error):
    def track(items, label, count):
        for i, item in enumerate(items):
            if i == place:
                raise error
            yield item

    return track


@pytest.mark.parametrize("place", [0, 35, 69])
@pytest.mark.parametrize("error", [KeyboardInterrupt(), OSError(28, "No space left on device")])
def test_converting_leaves_all_or_nothing(folder, tmp_path, place, error):
    np.savez(tmp_path / "a.npz", x=np.zeros((70, 16, 16), np.uint8))
    expected = KeyboardInterrupt if isinstance(error, KeyboardInterrupt) else StorageError
    with pytest.raises(expected):
        convert_arrays(tmp_path / "a.npz", tmp_path / "set", track=stopped_at(place, error))
    assert tree(tmp_path) == ["a.npz"]


def test_converting_overwrites_nothing(folder, tmp_path):
    (tmp_path / "set").mkdir()
    for job in (convert_pictures, convert_arrays):
        with pytest.raises(ConfigError, match="nothing is overwritten"):
            job(folder, tmp_path / "set")
    assert tree(tmp_path) == ["set"]


class Full:
    free = 0


def test_converting_asks_for_room_first(tmp_path, monkeypatch):
    np.savez(tmp_path / "a.npz", x=np.zeros((70, 16, 16), np.uint8))
    monkeypatch.setattr(convert.shutil, "disk_usage", lambda path: Full())
    with pytest.raises(StorageError, match="its disk has 0 MiB free"):
        convert_arrays(tmp_path / "a.npz", tmp_path / "set")
    assert tree(tmp_path) == ["a.npz"]


@linux
def test_a_large_npz_is_converted_in_bounded_memory(tmp_path):
    x = np.random.default_rng(0).integers(0, 256, (1, 32, 32, 3), np.uint8).repeat(30_000, 0)  # 88 MiB
    np.savez(tmp_path / "a.npz", x=x, y=np.arange(30_000) % 7)
    del x
    with pytest.raises(DataError, match="data convert"):
        arrays(tmp_path / "a.npz", None, memory_mib=8)
    before = resident_mib()
    most = [0.0]

    def watched(items, label, count):
        for i, item in enumerate(items):
            if i % 1000 == 0:
                most[0] = max(most[0], resident_mib())
            yield item

    convert_arrays(tmp_path / "a.npz", tmp_path / "set", track=watched)
    assert most[0] - before < 44
    assert_same(arrays(tmp_path / "a.npz", None), arrays(tmp_path / "set", None))


def test_a_converted_set_that_was_damaged_is_refused(folder, tmp_path):
    convert_pictures(folder, tmp_path / "set", 16, workers=0)
    with pytest.raises(DataError, match="convert again with --size 32"):
        arrays(tmp_path / "set", 32)
    splits = arrays(tmp_path / "set", None)
    whole = (tmp_path / "set" / "images.npy").read_bytes()
    (tmp_path / "set" / "images.npy").write_bytes(whole[:-1])
    with pytest.raises(StorageError, match="was cut short"):
        everything(splits.test)
    with pytest.raises(DataError, match="cannot be read"):
        arrays(tmp_path / "set", None)
    for text in ("", "[]", "{}", '{"shape": [3, 16, 16]}'):
        (tmp_path / "set" / "set.json").write_text(text)
        with pytest.raises(DataError, match=r"set\.json"):
            arrays(tmp_path / "set", None)


@pytest.mark.parametrize("memory_mib", [64, 0])
def test_the_digest_tells_sets_apart_and_knows_the_same(tmp_path, memory_mib):
    def digest():
        return pictures(tmp_path, 16, memory_mib=memory_mib, workers=0).sha256()

    for i in range(9):
        Image.new("L", (16, 16), i).save(tmp_path / f"{i}.png")
    first = digest()
    assert digest() == first
    Image.new("L", (16, 16), 200).save(tmp_path / "3.png")
    changed = digest()
    assert changed != first
    Image.new("L", (16, 16), 3).save(tmp_path / "3.png")
    assert digest() == first
    Image.new("L", (16, 16), 9).save(tmp_path / "9.png")
    assert digest() not in (first, changed)


def parts_of(splits):
    return {name: set(whose(getattr(splits, name)).tolist()) for name in PARTS}


def test_no_patient_is_in_two_parts_after_converting(tmp_path):
    x = np.random.default_rng(0).integers(0, 256, (400, 8, 8), np.uint8)
    patient = np.random.default_rng(1).permutation(np.arange(400) // 20)  # 20 patients, 20 slices each
    np.savez(tmp_path / "a.npz", x=x, patient=np.array([f"p{i:03}" for i in patient]))
    convert_arrays(tmp_path / "a.npz", tmp_path / "set")
    converted, plain = arrays(tmp_path / "set", None), arrays(tmp_path / "a.npz", None)
    found = parts_of(converted)
    assert {name: len(patients) for name, patients in found.items()} == {"train": 16, "validation": 2, "test": 2}
    assert set.union(*found.values()) == set(range(20))
    assert found == parts_of(plain)
    assert_same(plain, converted)
    facts = json.loads((tmp_path / "set/set.json").read_text())
    assert facts["sha256"]["groups.npy"] == convert.sha256(tmp_path / "set/groups.npy")
    np.save(tmp_path / "set/groups.npy", np.zeros(399, np.int64))
    with pytest.raises(DataError, match="convert it again"):
        arrays(tmp_path / "set", None)


def test_a_set_without_groups_is_read_as_before(tmp_path):
    """Also one that an earlier version wrote, which lost them: the control of the test above."""
    x = np.random.default_rng(0).integers(0, 256, (400, 8, 8), np.uint8)
    np.savez(tmp_path / "a.npz", x=x)
    convert_arrays(tmp_path / "a.npz", tmp_path / "set")
    assert not (tmp_path / "set/groups.npy").exists()
    converted = arrays(tmp_path / "set", None)
    assert whose(converted.train) is None
    assert_same(arrays(tmp_path / "a.npz", None), converted)
    patients = [set((converted.train.indices // 20).tolist()), set((converted.validation.indices // 20).tolist())]
    assert patients[0] & patients[1]
