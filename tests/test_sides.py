"""Two domains as one set: what is stacked is what lies in the files, partners stay together, and parts stay apart."""

from __future__ import annotations

import shutil
import zipfile

import numpy as np
import pytest
import torch
from PIL import Image

from equipoise import build
from equipoise.config import Arrays, Degrade, Digits, Domains, Pairs, Pictures, override, read, write
from equipoise.configuring import configured
from equipoise.data.convert import convert_arrays
from equipoise.data.domains import Asked, named
from equipoise.data.images import pictures
from equipoise.data.ondisk import SET
from equipoise.data.pairs import pairs
from equipoise.data.sides import Coloured, Paired, Side, Unpaired, given_and_wanted, near, once, samples_with
from equipoise.data.sides import domain as one_domain
from equipoise.data.source import InMemory, Part, Splits, everything, parted, parted_by_group, to_uint8
from equipoise.data.streamed import Streamed
from equipoise.data.unpaired import domains
from equipoise.errors import ConfigError, DataError
from equipoise.processes import Processes

CPU = torch.device("cpu")


def pixels(number, side=8, channels=3):
    """uint8 [side, side] or [side, side, 3], its own for each number; the first pixel tells the number."""
    shape = (side, side) if channels == 1 else (side, side, 3)
    made = np.random.default_rng(number).integers(0, 256, shape).astype(np.uint8)
    made[0, 0] = number
    return made


def saved(path, array):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path)


def folders(root, count=6, channels=(3, 3), side=8, a="A", b="B"):
    """Number i of A has partner 100 + i, whose name is the same."""
    for i in range(count):
        saved(root / a / f"{i}.png", pixels(i, side, channels[0]))
        saved(root / b / f"{i}.png", pixels(100 + i, side, channels[1]))
    return root


def side_by_side(root, count=6, side=8):
    for i in range(count):
        saved(root / f"{i}.png", np.concatenate([pixels(i, side), pixels(100 + i, side)], axis=1))
    return root


def zipped(root, folder):
    with zipfile.ZipFile(root / "set.zip", "w") as archive:
        for path in sorted(folder.rglob("*.png")):
            archive.write(path, f"some set/{path.relative_to(folder)}")
    return root / "set.zip"


def npz(path, count=6, channels=(3, 3), **others):
    a = np.stack([pixels(i, 8, channels[0]) for i in range(count)])
    b = np.stack([pixels(100 + i, 8, channels[1]) for i in range(count)])
    np.savez(path, **({"a": a, "b": b} | others))
    return path


def chw(array):
    return torch.from_numpy(array.reshape(*array.shape[:2], -1)).permute(2, 0, 1)


def stacked(i, partner=None, channels=(3, 3)):
    """What the files of a pair hold, uint8 [Ca + Cb, H, W]."""
    return torch.cat([chw(pixels(i, channels=channels[0])), chw(pixels(partner or 100 + i, channels=channels[1]))])


def samples(*parts):
    return [sample for part in parts for sample in to_uint8(everything(part)[0])]


def all_of(splits):
    return samples(splits.train, splits.validation, splits.test)


def numbers(*parts, channel=0):
    return [int(sample[channel, 0, 0]) for sample in samples(*parts)]


WAYS = {
    "folders": lambda root: Asked(folders(root), size=8),
    "folders of a zip": lambda root: Asked(zipped(root, folders(root / "unpacked")), size=8),
    "two places": lambda root: Asked(folders(root) / "A", root / "B", size=8),
    "trainA and trainB": lambda root: Asked(folders(root, a="trainA", b="trainB"), size=8),
    "side by side": lambda root: Asked(side_by_side(root), size=8),
    "arrays": lambda root: Asked(npz(root / "set.npz"), size=8),
}


@pytest.mark.parametrize("swap", [False, True])
@pytest.mark.parametrize("way", WAYS)
def test_a_sample_is_the_two_pictures_of_a_pair_as_their_files_hold_them(way, swap, tmp_path):
    asked = WAYS[way](tmp_path)
    splits = pairs(Asked(asked.path, asked.to, swap, asked.size))
    found = all_of(splits)
    assert splits.given == 3
    assert splits.train.shape == (6, 8, 8)
    assert splits.train.classes == 0
    assert [len(part) for part in (splits.train, splits.validation, splits.test)] == [4, 1, 1]
    first = {int(x[3 if swap else 0, 0, 0]): x for x in found}
    assert sorted(first) == list(range(6))
    for i, x in first.items():
        assert torch.equal(x.roll(3, 0) if swap else x, stacked(i))


def test_labels_of_pairs_are_zeros(tmp_path):
    assert everything(pairs(Asked(folders(tmp_path))).train)[1].tolist() == [0] * 4


@pytest.mark.parametrize("channels", [(1, 3), (3, 1), (1, 1)])
@pytest.mark.parametrize("way", ["folders", "arrays"])
def test_grey_pictures_of_a_pair_stay_grey(way, channels, tmp_path):
    path = folders(tmp_path, channels=channels) if way == "folders" else npz(tmp_path / "set.npz", channels=channels)
    splits = pairs(Asked(path, size=8))
    assert splits.given == channels[0]
    by_number = {int(x[0, 0, 0]): x for x in all_of(splits)}
    assert all(torch.equal(x, stacked(i, channels=channels)) for i, x in by_number.items())


def test_pairs_are_cropped_and_resized_as_each_picture_is_alone(tmp_path):
    for i in range(6):
        saved(tmp_path / "A" / f"{i}.png", np.concatenate([pixels(i, 24), pixels(50 + i, 24)], axis=0))
        saved(tmp_path / "B" / f"{i}.png", np.concatenate([pixels(100 + i, 24), pixels(150 + i, 24)], axis=0))
    splits = pairs(Asked(tmp_path))
    assert splits.train.shape == (6, 32, 32), "the power of two that is nearest to 24 by ratio"
    alone = [pictures(tmp_path / name, 32) for name in "AB"]  # in the same order, so with the same samples held out
    for part in ("train", "validation", "test"):
        expected = torch.cat([everything(getattr(one, part))[0] for one in alone], 1)
        assert torch.equal(everything(getattr(splits, part))[0], expected)


def test_halves_of_other_sizes_are_resized_each_on_its_own(tmp_path):
    splits = pairs(Asked(side_by_side(tmp_path / "both", side=24), size=8))
    folders(tmp_path / "apart", side=24)
    apart = pairs(Asked(tmp_path / "apart", size=8))
    assert torch.equal(everything(splits.train)[0], everything(apart.train)[0])


def test_partners_may_have_other_suffixes(tmp_path):
    folders(tmp_path)
    for i in range(6):
        (tmp_path / "B" / f"{i}.png").unlink()
        saved(tmp_path / "B" / f"{i}.bmp", pixels(100 + i))
    found = {int(x[0, 0, 0]): x for x in all_of(pairs(Asked(tmp_path, size=8)))}
    assert all(torch.equal(x, stacked(i)) for i, x in found.items())


@pytest.mark.parametrize(
    ("name", "domain", "part", "rest"),
    [
        ("A/x.png", "A", None, "x"),
        ("b/deep/x.y.png", "B", None, "deep/x.y"),
        ("trainA/x.png", "A", "train", "x"),
        ("train_B/x.png", "B", "train", "x"),
        ("val/A/x.png", "A", "validation", "x"),
        ("B/testing/x.png", "B", "test", "x"),
        ("test/x.png", None, "test", "x"),
        ("A/b/x.png", "A", None, "b/x"),
        ("cats/A/x.png", None, None, "cats/A/x"),
        ("x.png", None, None, "x"),
    ],
)
def test_folders_tell_domain_and_part(name, domain, part, rest):
    found = named(name)
    assert (found.domain, found.part, found.key) == (domain, part, (part, rest))


OFFICIAL = {
    "A/train": ("A/{}", "B/{}"),
    "train/A": ("{}/A", "{}/B"),
    "trainA": ("{}A", "{}B"),
}


@pytest.mark.parametrize("names", [("train", "val", "test"), ("train", "test")])
@pytest.mark.parametrize("way", [*OFFICIAL, "side by side"])
def test_official_parts_are_kept(way, names, tmp_path):
    for k, part in enumerate(names):
        for i in range(10 * k, 10 * k + 5):
            if way == "side by side":
                saved(tmp_path / part / f"{i}.png", np.concatenate([pixels(i), pixels(100 + i)], axis=1))
                continue
            for where, number in zip(OFFICIAL[way], (i, 100 + i), strict=True):
                saved(tmp_path / where.format(part) / f"{i}.png", pixels(number))
    splits = pairs(Asked(tmp_path, size=8))
    official = {part: set(range(10 * k, 10 * k + 5)) for k, part in enumerate(names)}
    assert set(numbers(splits.test)) == official["test"]
    assert set(numbers(splits.train, *([] if "val" in names else [splits.validation]))) == official["train"]
    assert splits.held_out == (() if "val" in names else ("validation",))
    assert all(x[3, 0, 0] == x[0, 0, 0] + 100 for x in all_of(splits))


# groups


@pytest.mark.parametrize("words", [False, True])
def test_no_group_is_in_two_parts(words, tmp_path):
    rng = np.random.default_rng(0)
    group = rng.permutation(np.repeat(np.arange(12), 5)) * 7 + 3
    names = np.array([f"patient {g}" for g in group]) if words else group
    splits = pairs(Asked(npz(tmp_path / "set.npz", 60, group=names), size=8))
    owners = [{int(group[i]) for i in numbers(part)} for part in (splits.train, splits.validation, splits.test)]
    assert not owners[0] & owners[1]
    assert not owners[0] & owners[2]
    assert not owners[1] & owners[2]
    assert set.union(*owners) == set(group.tolist())
    assert sorted(numbers(splits.train, splits.validation, splits.test)) == list(range(60))
    assert [len(owner) for owner in owners] == [10, 1, 1]
    plain = pairs(Asked(npz(tmp_path / "plain.npz", 60), size=8))
    assert {int(group[i]) for i in numbers(plain.train)} & {int(group[i]) for i in numbers(plain.test)}, "the control"


def test_three_groups_are_the_fewest(tmp_path):
    source = InMemory(torch.arange(9.0)[:, None])
    splits = parted_by_group(source, torch.arange(9) % 3)
    assert [len(part) for part in (splits.train, splits.validation, splits.test)] == [3, 3, 3]
    with pytest.raises(DataError, match=r"only 2 group\(s\)") as caught:
        pairs(Asked(npz(tmp_path / "set.npz", group=np.arange(6) % 2), size=8))
    assert caught.value.exit_code == 3


# what is wrong


def missing_partners(root):
    folders(root)
    for i in range(10, 15):
        saved(root / "A" / f"{i}.png", pixels(i))
    (root / "A" / "2.png").unlink()
    return root


def other_size(root):
    folders(root)
    saved(root / "B" / "3.png", pixels(103, 16))
    return root


def odd_width(root):
    side_by_side(root)
    saved(root / "1.png", np.zeros((8, 17, 3), np.uint8))
    return root


def plain_pictures(root):
    for i in range(5):
        saved(root / f"{i}.png", pixels(i))
    return root


def without_b(root):
    folders(root)
    shutil.rmtree(root / "B")
    return root


def empty_b(root):
    without_b(root)
    (root / "B").mkdir()
    return root


def one_name_twice(root):
    folders(root)
    saved(root / "A" / "1.bmp", pixels(1))
    return root


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (missing_partners, r"5 of 10 pictures of A have no partner in B: A/10.png, A/11.png, A/12.png and 2 more\.\n"
         r"1 of 6 pictures of B have no partner in A: B/2.png\."),
        (other_size, r"1 of 6 pairs have pictures of different sizes in pixels: A/3.png 8 x 8 and B/3.png 16 x 16\."),
        (odd_width, r"(?s)1 of 6 pairs .* cannot be read.*1.png: 17 x 8 pixels, where two .* twice as wide as high"),
        (plain_pictures, r"no pairs in .*: it has no folders A and B, and .* \(0.png has 8 x 8 pixels\)"),
        (without_b, "has no picture in B"),
        (empty_b, "has no picture in B"),
        (one_name_twice, r"A/1.bmp and A/1.png have one name"),
        (lambda root: root, "no picture in"),
        (lambda root: root / "nothing", "is not a folder"),
        (lambda root: npz(root / "s.npz", b=np.zeros((5, 8, 8, 3), np.uint8)), "6 images in a and 5 in b"),
        (lambda root: npz(root / "s.npz", b=np.zeros((6, 9, 8, 3), np.uint8)), "8 x 8 pixels in a and 8 x 9 in b"),
        (lambda root: npz(root / "s.npz", b=np.zeros((6, 8, 8, 3))), r"a and b, uint8 .*\n.*b float64\[6, 8, 8, 3\]"),
        (lambda root: npz(root / "s.npz", group=np.arange(5)), r"group of .* is int64\[5\]: 6 samples need"),
        (lambda root: npz(root / "s.npz", group=np.arange(6.0)), r"group of .* is float64\[6\]"),
    ],
)  # fmt: skip
def test_pairs_that_are_none_are_refused_in_a_few_words(make, words, tmp_path):
    with pytest.raises(DataError, match=words) as caught:
        pairs(Asked(make(tmp_path)))
    assert str(caught.value).count("\n") < 4


@pytest.mark.parametrize("lost", ["a", "b"])
def test_an_npz_without_one_of_its_arrays_is_refused(lost, tmp_path):
    np.savez(tmp_path / "s.npz", **{"ab".replace(lost, ""): np.zeros((6, 8, 8), np.uint8)})
    with pytest.raises(DataError, match=r"holds no pairs: they are two arrays, a and b"):
        pairs(Asked(tmp_path / "s.npz"))


def test_an_npz_needs_room_and_no_second_place(tmp_path):
    path = npz(tmp_path / "s.npz")
    with pytest.raises(DataError, match=r"needs 0 MiB, above data\.memory_mib=0"):
        pairs(Asked(path, memory_mib=0))
    with pytest.raises(DataError, match=r"leave out data\.to"):
        pairs(Asked(path, path))


@pytest.mark.parametrize("where", ["A", "B", "side by side", "two places"])
def test_a_picture_that_cannot_be_read_is_left_out_with_its_partner_and_told(where, tmp_path):
    if where == "side by side":
        side_by_side(tmp_path, 100)
        asked, broken = Asked(tmp_path, size=8), tmp_path / "7.png"
    else:
        folders(tmp_path, 100)
        asked = Asked(tmp_path / "A", tmp_path / "B", size=8) if where == "two places" else Asked(tmp_path, size=8)
        broken = tmp_path / ("B" if where == "two places" else where) / "7.png"
    broken.write_bytes(broken.read_bytes()[:60])
    told = []
    splits = pairs(asked, warn=told.append)
    found = all_of(splits)
    assert sorted(numbers(splits.train, splits.validation, splits.test)) == [i for i in range(100) if i != 7]
    assert all(torch.equal(x, stacked(int(x[0, 0, 0]))) for x in found)
    assert len(told) == 1
    assert "1 of 100 pairs" in told[0]
    assert "7.png" in told[0]
    reasons = list(splits.left_out.values())
    assert all(name.endswith("7.png") for name in splits.left_out)
    assert len(reasons) == (1 if where == "side by side" else 2)
    assert [reason.startswith("its partner") for reason in reasons] == [False, True][: len(reasons)]


def test_a_link_to_nothing_takes_its_partner_with_it(tmp_path):
    folders(tmp_path, 100)
    (tmp_path / "A" / "7.png").unlink()
    (tmp_path / "A" / "7.png").symlink_to(tmp_path / "nowhere")
    told = []
    splits = pairs(Asked(tmp_path, size=8), warn=told.append)
    assert sorted(numbers(splits.train, splits.validation, splits.test)) == [i for i in range(100) if i != 7]
    assert set(splits.left_out) == {"A/7.png", "B/7.png"}


def test_more_than_one_bad_pair_in_a_hundred_is_an_error(tmp_path):
    folders(tmp_path, 99)
    (tmp_path / "B" / "7.png").write_bytes(b"no picture")
    with pytest.raises(DataError, match="1 of 99 pairs"):
        pairs(Asked(tmp_path, size=8))


# without pairs


def test_domains_without_pairs_have_every_picture_and_forget_names_and_order(tmp_path):
    for i in range(40):
        saved(tmp_path / "A" / f"{i:03}.png", pixels(i))
    for i in range(100, 115):
        saved(tmp_path / "B" / f"{i - 100:03}.png", pixels(i))
    splits = domains(Asked(tmp_path, size=8))
    a, b = numbers(splits.train), numbers(splits.train, channel=3)
    assert splits.given == 3
    assert splits.train.shape == (6, 8, 8)
    assert [len(part) for part in (splits.train, splits.validation, splits.test)] == [32, 4, 4]
    parts = splits.train, splits.validation, splits.test
    assert sorted(numbers(*parts)) == list(range(40))
    assert {*numbers(*parts, channel=3)} == set(range(100, 115))
    times = [b.count(i) for i in set(b)]
    assert len(times) == 13
    assert {*times} == {2, 3}, "the smaller goes round"
    in_b = [numbers(part, channel=3) for part in parts]
    assert not {*in_b[0]} & {*in_b[1], *in_b[2]}
    assert not {*in_b[1]} & {*in_b[2]}
    for x in samples(*parts):
        assert torch.equal(x, stacked(int(x[0, 0, 0]), int(x[3, 0, 0])))
    assert a != sorted(a)


def test_partners_by_name_meet_no_more_often_than_by_chance(tmp_path):
    x = torch.arange(400)[:, None, None, None].expand(-1, 1, 8, 8).float()
    met = everything(Unpaired(InMemory(x), InMemory(x)))[0][:, :, 0, 0]
    assert (met[:, 0] == torch.arange(400)).all()
    assert sorted(met[:, 1].tolist()) == list(range(400))
    assert (met[:, 0] == met[:, 1]).sum() < 8, "one is expected"
    together = everything(Paired(InMemory(x), InMemory(x)))[0][:, :, 0, 0]
    assert (together[:, 0] == together[:, 1]).all(), "the control"


def test_each_picture_meets_another_one_in_each_epoch_and_all_in_turn():
    a, b = (InMemory(start + torch.arange(count).view(-1, 1, 1, 1).float()) for start, count in ((0, 3), (10, 5)))
    config = override(configured("cyclegan"), ["batch=2"])
    parts = Splits(*[Unpaired(a, b)] * 3, given=1)
    shown = torch.cat([x for (x, _), _ in zip(build.batches(config, parts, CPU), range(15), strict=False)])[:, :, 0, 0]
    epochs = shown[:25].long().view(5, 5, 2)
    for epoch in epochs:
        assert epoch[:, 1].sort().values.tolist() == [10, 11, 12, 13, 14]
        assert sorted(epoch[:, 0].tolist()) == [0, 0, 1, 1, 2]
    met = {tuple(pair) for pair in shown[:25].long().tolist()}
    assert len(met) > len({tuple(pair) for pair in epochs[0].tolist()}) * 2  # a fixed pairing has five


@pytest.mark.parametrize("sizes", [(3, 7), (7, 3), (5, 5)])
def test_the_larger_domain_sets_the_number_of_samples(sizes):
    a, b = (InMemory(torch.arange(n)[:, None, None, None].expand(-1, 1, 4, 4).float()) for n in sizes)
    source = Unpaired(a, b)
    x = everything(source)[0]
    assert len(source) == max(sizes)
    for k, n in enumerate(sizes):
        counts = torch.bincount(x[:, k, 0, 0].long(), minlength=n)
        assert counts.min() >= max(sizes) // n
        assert counts.max() <= -(-max(sizes) // n)


@pytest.mark.parametrize("sizes", [(3, 7), (7, 3)])
def test_of_a_domain_alone_each_picture_is_there_once(sizes):
    """Or most reals of a small domain would have copies of themselves for neighbours."""
    a, b = (InMemory(torch.arange(n)[:, None, None, None].expand(-1, 1, 4, 4).float()) for n in sizes)
    source = Unpaired(a, b)
    for channels, n in zip((slice(0, 1), slice(1, None)), sizes, strict=True):
        alone = everything(one_domain(source, channels))[0][:, 0, 0, 0]
        assert sorted(alone.tolist()) == list(range(n))
        held = everything(once(source, channels))[0][:, channels][:, 0, 0, 0]
        assert sorted(held.tolist()) == list(range(n))
        found = source.take(samples_with(source, channels, torch.arange(n)))[0][:, channels][:, 0, 0, 0]
        assert torch.equal(found, alone)
    pairs = Paired(a, a)
    assert once(pairs, slice(0, 1)) is pairs
    assert isinstance(one_domain(pairs, slice(0, 1)), Side)


def test_official_parts_of_domains_are_kept(tmp_path):
    for name, start, count in (("trainA", 0, 10), ("testA", 20, 3), ("trainB", 100, 8), ("testB", 120, 5)):
        for i in range(start, start + count):
            saved(tmp_path / name / f"{i}.png", pixels(i))
    splits = domains(Asked(tmp_path, size=8))
    assert {*numbers(splits.test)} == {20, 21, 22}
    assert {*numbers(splits.test, channel=3)} == set(range(120, 125))
    assert {*numbers(splits.train, splits.validation)} == set(range(10))
    assert {*numbers(splits.train, splits.validation, channel=3)} == set(range(100, 108))
    assert splits.held_out == ("validation",)


def converted(root):
    np.savez(root / "x.npz", x=np.stack([pixels(i) for i in range(6)]))
    convert_arrays(root / "x.npz", root / "set", 8)
    assert (root / "set" / SET).is_file()
    return root / "set"


def an_npz(root):
    np.savez(root / "x.npz", x=np.stack([pixels(i) for i in range(6)]))
    return root / "x.npz"


@pytest.mark.parametrize("first", [an_npz, converted, lambda root: zipped(root, folders(root / "f", a="x", b="x"))])
@pytest.mark.parametrize("swap", [False, True])
def test_domains_may_be_any_two_places(first, swap, tmp_path):
    for i in range(100, 106):
        saved(tmp_path / "b" / f"{i}.png", pixels(i))
    splits = domains(Asked(first(tmp_path), tmp_path / "b", swap, 8))
    found = all_of(splits)
    assert len(found) == 6
    for x in found:
        x = x.roll(3, 0) if swap else x
        assert x[3, 0, 0] >= 100
        assert torch.equal(x, stacked(int(x[0, 0, 0]), int(x[3, 0, 0])))


def test_domains_of_two_sizes_come_to_the_smaller_unless_one_is_asked_for(tmp_path):
    for i in range(6):
        saved(tmp_path / "a" / f"{i}.png", pixels(i, 64))
        saved(tmp_path / "b" / f"{i}.png", pixels(i, 16))
    assert domains(Asked(tmp_path / "a", tmp_path / "b")).train.shape == (6, 16, 16)
    assert domains(Asked(tmp_path / "a", tmp_path / "b", size=32)).train.shape == (6, 32, 32)
    assert domains(Asked(tmp_path / "a", converted(tmp_path))).train.shape == (6, 8, 8)


@pytest.mark.parametrize("grey", [0, 1])
def test_a_grey_domain_gets_three_channels_beside_a_coloured_one(grey, tmp_path):
    channels = (1, 3) if grey == 0 else (3, 1)
    splits = domains(Asked(folders(tmp_path, channels=channels), size=8))
    assert splits.given == 3
    x = torch.stack(all_of(splits)).split(3, 1)
    assert torch.equal(x[grey], x[grey][:, :1].expand(-1, 3, -1, -1))
    assert not torch.equal(x[1 - grey], x[1 - grey][:, :1].expand(-1, 3, -1, -1))
    both = domains(Asked(folders(tmp_path / "grey", channels=(1, 1)), size=8))
    assert (both.given, both.train.shape) == (1, (2, 8, 8))


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda root: Asked(plain_pictures(root)), r"holds one domain, for it has no folders A and B"),
        (lambda root: Asked(an_npz(root)), r"holds one domain: say where .* data\.to"),
        (lambda root: Asked(without_b(root)), "has no picture in B"),
        (lambda root: Asked(root / "A", folders(root) / "C"), "is not a folder"),
        (lambda root: Asked(folders(root, 2)), r"only 2 sample\(s\)"),
        (
            lambda root: Asked(npz(root / "x.npz", x=np.zeros((6, 8, 8, 4), np.uint8)), folders(root) / "A", size=8),
            "A has 4 channels and B has 3",
        ),
    ],
)
def test_domains_that_are_none_are_refused(make, words, tmp_path):
    with pytest.raises(DataError, match=words) as caught:
        domains(make(tmp_path))
    assert str(caught.value).count("\n") < 3


def test_a_bad_picture_of_a_domain_is_left_out_alone_and_told(tmp_path):
    folders(tmp_path, 100)
    (tmp_path / "B" / "7.png").write_bytes(b"")
    told = []
    splits = domains(Asked(tmp_path, size=8), warn=told.append)
    parts = splits.train, splits.validation, splits.test
    assert {*numbers(*parts)} == set(range(100))
    assert {*numbers(*parts, channel=3)} == {*range(100, 200)} - {107}
    assert dict(splits.left_out) == {"B/7.png": "an empty file"}
    assert "1 of 100 pictures" in told[0]


# in memory, streamed, on a device; identities


@pytest.mark.parametrize(("make", "workers"), [(folders, 0), (side_by_side, 1)])
def test_what_does_not_fit_into_memory_is_streamed_to_the_same_bits(make, workers, tmp_path):
    make(tmp_path, 12)
    kept, streamed = (pairs(Asked(tmp_path, size=8, memory_mib=mib, workers=0 if mib else workers)) for mib in (64, 0))
    source = streamed.train.source
    assert isinstance(source.a, Streamed)
    for part in ("train", "validation", "test"):
        getattr(streamed, part).expect(torch.arange(len(getattr(streamed, part))))
        assert torch.equal(everything(getattr(streamed, part))[0], everything(getattr(kept, part))[0])
    source.a.close()
    source.b.close()


@pytest.mark.parametrize("memory_mib", [0, 64])
def test_a_set_is_told_from_its_mirror_image_and_from_another_set(memory_mib, tmp_path):
    asked = Asked(side_by_side(tmp_path), size=8, memory_mib=memory_mib, workers=0)
    first, again = pairs(asked), pairs(asked)
    assert first.sha256() == again.sha256()
    swapped = pairs(Asked(tmp_path, swap=True, size=8, memory_mib=memory_mib, workers=0))
    saved(tmp_path / "0.png", np.concatenate([pixels(0), pixels(99)], axis=1))
    assert len({first.sha256(), swapped.sha256(), pairs(asked).sha256()}) == 3


def digest(source):
    return b"".join(source.identity(torch.arange(len(source))))


def test_sides_are_sources_that_nobody_takes_for_each_other(tmp_path):
    splits = pairs(Asked(folders(tmp_path, channels=(1, 3)), size=8))
    a, b = given_and_wanted(splits.train, splits.given)
    assert (a.shape, b.shape) == ((1, 8, 8), (3, 8, 8))
    whole = everything(splits.train)[0]
    assert torch.equal(everything(a)[0], whole[:, :1])
    assert torch.equal(everything(b)[0], whole[:, 1:])
    assert everything(b)[0].is_contiguous()
    assert len({digest(a), digest(b), digest(splits.train)}) == 3
    assert digest(Side(splits.train, slice(-3, None))) == digest(b)
    assert digest(Unpaired(a, a)) != digest(Paired(a, a))


def test_pairs_of_different_lengths_or_sizes_are_refused():
    a, b, c = (InMemory(torch.zeros(n, 1, side, side)) for n, side in ((3, 4), (4, 4), (3, 5)))
    with pytest.raises(DataError, match="3 pictures of A and 4 of B"):
        Paired(a, b)
    for kind in (Paired, Unpaired):
        with pytest.raises(DataError, match="cannot be stacked"):
            kind(a, c)
    assert len(Unpaired(a, b)) == 4


def test_both_domains_go_to_a_device_or_none():
    meta = torch.device("meta")
    a, b = (InMemory(torch.zeros(6, c, 8, 8, dtype=torch.uint8)) for c in (1, 3))
    part = parted(Paired(a, b), {"train": torch.arange(6)}).train
    moved = near(part, meta, room=2 * b.x.nbytes)
    assert moved.source.a.x.device == moved.source.b.x.device == meta
    assert near(part, meta, room=2 * b.x.nbytes - 2) is part
    sides = [parted(x, {"train": torch.arange(6)}).train for x in (a, b)]
    apart = Unpaired(Coloured(sides[0]), sides[1])
    gone = near(apart, meta, room=2 * b.x.nbytes)
    assert gone.a.source.source.x.device == gone.b.source.x.device == meta
    assert near(apart, meta, room=2 * b.x.nbytes - 2) is apart
    here = near(part, CPU, room=10**9)
    assert torch.equal(everything(here)[0], everything(part)[0])
    alone = Part(a, torch.arange(3))
    assert near(alone, meta, room=10**9).source.x.device == meta


# from a config


def batch_of(config, processes=None, position=0):
    data = build.splits(config.data)
    batches = build.batches(config, data, CPU, *([processes] if processes else []))
    batches.load_state_dict({"position": position})
    return next(batches)[0]


def with_data(tiny, data, *settings):
    return tiny("digits", *settings).model_copy(update={"data": data})


GEOMETRY = {"flip_x": True, "flip_y": True, "crop": 0.2, "turn_degrees": 30, "shift": 0.2, "scale": 0.1}


def twins(root, count=24):
    """Both pictures of a pair are the same."""
    for i in range(count):
        for domain in "AB":
            saved(root / domain / f"{i}.png", pixels(i, 16))
    return root


def test_both_pictures_of_a_pair_are_moved_alike(tiny, tmp_path):
    data = Pairs(path=str(twins(tmp_path)), size=16, augment=GEOMETRY)
    x = batch_of(with_data(tiny, data))
    plain = batch_of(with_data(tiny, data.model_copy(update={"augment": Pairs(path="").augment})))
    assert torch.equal(plain[:, :3], plain[:, 3:])
    assert torch.equal(x[:, :3], x[:, 3:])
    assert not any(torch.equal(one, before) for one, before in zip(x, plain, strict=True))


def test_domains_are_moved_and_tinted_each_on_its_own(tiny, tmp_path):
    twins(tmp_path)
    for augment in ({"flip_x": True}, {"hue": 0.3, "saturation": 0.5}):
        plain = batch_of(with_data(tiny, Domains(path=str(tmp_path), size=16)))
        x = batch_of(with_data(tiny, Domains(path=str(tmp_path), size=16, augment=augment)))
        changed = (x != plain).flatten(2).any(2).unflatten(1, (2, 3)).any(2)  # [B, 2]
        assert changed.any(0).all()
        if "flip_x" in augment:
            assert (changed[:, 0] != changed[:, 1]).any()
            halves = [each.unflatten(1, (2, 3)).flatten(0, 1) for each in (x, plain)]
            assert all(torch.equal(a, b) or torch.equal(a, b.flip(2)) for a, b in zip(*halves, strict=True))
        else:
            luma = [each.unflatten(1, (2, 3)).mean(2) for each in (x, plain)]
            assert (luma[0] - luma[1]).abs().median() < 0.05, "three channels at a time: hue keeps the mean of a pixel"


@pytest.mark.parametrize("kind", [Pairs, Domains])
def test_two_processes_see_the_halves_of_what_one_sees(kind, tiny, tmp_path):
    config = with_data(tiny, kind(path=str(twins(tmp_path)), size=16, augment=GEOMETRY))
    whole = batch_of(config, position=8)
    halves = [batch_of(config, Processes(rank, 2), position=8) for rank in range(2)]
    assert torch.equal(torch.cat(halves), whole)
    assert not torch.equal(batch_of(config, position=16), whole), "the control"


def test_colours_of_pairs_are_not_changed_by_chance(tmp_path):
    with pytest.raises(
        ValueError, match=r"data\.augment\.hue, .* set to 0|data\.augment\.brightness, data\.augment\.hue"
    ):
        Pairs(path="x", augment={"brightness": 0.1, "hue": 0.1})
    assert Domains(path="x", augment={"hue": 0.1}).augment.hue == 0.1


def test_splits_of_a_config_tell_how_many_channels_are_given(tmp_path):
    folders(tmp_path, channels=(1, 3))
    config = Pairs(path=str(tmp_path), size=8)
    splits = build.splits(config)
    assert (splits.given, splits.train.shape) == (1, (4, 8, 8))
    swapped = build.splits(Pairs(path=str(tmp_path), size=8, swap=True))
    assert (swapped.given, swapped.train.shape) == (3, (4, 8, 8))
    apart = build.splits(Domains(path=str(tmp_path / "A"), to=str(tmp_path / "B"), size=8))
    assert (apart.given, apart.train.shape) == (3, (6, 8, 8))
    assert build.splits(Digits()).given == 0


# what is asked for by a person


@pytest.fixture
def recipe_file(tiny, tmp_path):
    def make(data):
        write(tiny("digits").model_copy(update={"data": data}), tmp_path / "recipe.json")
        return tmp_path / "recipe.json"

    return make


@pytest.mark.parametrize("kind", [Pairs, Domains])
def test_data_given_to_a_recipe_of_two_domains_is_where_they_are(kind, recipe_file, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photos").mkdir()
    asked = kind(path="x", to="y", size=32, swap=True)
    found = configured(file=recipe_file(asked), data="photos").data
    assert found == kind(path=str(tmp_path / "photos"), size=32, swap=True)
    both = configured(file=recipe_file(asked), data="photos", settings=["data.to=paintings"]).data
    assert both == kind(path=str(tmp_path / "photos"), to=str(tmp_path / "paintings"), size=32, swap=True)
    for wrong in ("nothing", "digits"):
        with pytest.raises(DataError, match="is not there"):
            configured(file=recipe_file(asked), data=wrong)


def test_data_given_to_a_recipe_that_spoils_is_what_is_spoilt(recipe_file, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photos").mkdir()
    np.savez("x.npz", x=np.zeros((4, 8, 8), np.uint8))
    asked = Degrade(of=Pictures(path="x", size=32), how="denoise", sigma=0.2)
    here = str(tmp_path / "photos"), str(tmp_path / "x.npz")
    for data, of in (
        ("photos", Pictures(path=here[0], size=32)), ("x.npz", Arrays(path=here[1], size=32)), ("digits", Digits()),
    ):  # fmt: skip
        found = configured(file=recipe_file(asked), data=data).data
        assert found == Degrade(of=of, how="denoise", sigma=0.2)
    with pytest.raises(DataError, match="ring cannot be spoilt"):
        configured(file=recipe_file(asked), data="ring")
    kept = configured(file=recipe_file(asked), settings=["data.of.size=16", "data.how=superres-x2"]).data
    assert kept == Degrade(of=Pictures(path=str(tmp_path / "x"), size=16), how="superres-x2", sigma=0.2)


def test_one_domain_is_still_one_domain(recipe_file, tmp_path):
    found = configured("dcgan", data=str(folders(tmp_path) / "A")).data
    assert found == Pictures(path=str(tmp_path / "A"))
    with pytest.raises(ConfigError, match="auto chooses for one domain"):
        configured("auto", data="digits", settings=["data.kind=pairs", f"data.path={tmp_path}"])


@pytest.mark.parametrize(
    "data",
    [
        Pairs(path="a", to="b", swap=True, size=64, augment={"flip_x": True}),
        Domains(path="a", size=16, augment={"hue": 0.1}),
        Degrade(of=Arrays(path="x.npz", size=16), how="inpaint-free", augment={"crop": 0.1}),
        Degrade(of=Digits(), how="superres-x4"),
    ],
)
def test_a_written_config_of_two_domains_reads_back_the_same(data, tiny, tmp_path):
    config = with_data(tiny, data)
    write(config, tmp_path / "config.json")
    assert read(tmp_path / "config.json") == config


def test_a_config_that_was_written_before_there_were_two_domains_still_reads(tmp_path):
    old = """{"recipe": "dcgan", "seed": 3, "kimg": 1.5, "batch": 64,
      "data": {"augment": {"crop": 0.1, "turn_degrees": 0.0, "shift": 0.0, "scale": 0.0, "brightness": 0.0,
                           "contrast": 0.0, "saturation": 0.0, "hue": 0.0, "flip_x": true, "flip_y": false},
               "kind": "pictures", "path": "/photos", "size": 32, "resize": "crop-lanczos", "memory_mib": 4096,
               "workers": null},
      "nets": {"kind": "mlp", "z_dim": 4}, "start": null, "freeze_d": 0, "shared_fakes": false,
      "augment": ["color", "translation", "cutout"], "schedules": {}}"""
    (tmp_path / "config.json").write_text(old)
    assert read(tmp_path / "config.json").data == Pictures(
        path="/photos", size=32, augment={"crop": 0.1, "flip_x": True}
    )


def test_pictures_are_varied_in_one_place_only(tmp_path):
    with pytest.raises(ValueError, match=r"set data\.augment, and not data\.of\.augment"):
        Degrade(of=Digits(augment={"flip_x": True}), how="denoise")
