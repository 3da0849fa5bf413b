"""Sources and splits: nothing is lost, nothing is shown twice, and the same samples are held out every time."""

from dataclasses import replace

import pytest
import torch
from torch.testing import assert_close

from equipoise.data.degraded import degraded, greyed
from equipoise.data.sides import Coloured, Side
from equipoise.data.source import InMemory, Part, everything, near, parted_by_group, scaled, split, to_uint8, whose
from equipoise.errors import DataError

PARTS = ("train", "validation", "test")


def parts(splits):
    return [getattr(splits, name) for name in PARTS]


def numbered(n):
    return torch.arange(n, dtype=torch.float32)[:, None]


def held(splits):
    return [sorted(everything(part)[0].flatten().tolist()) for part in parts(splits)]


@pytest.mark.parametrize(
    ("n", "sizes"), [(3, (1, 1, 1)), (10, (8, 1, 1)), (19, (17, 1, 1)), (20, (16, 2, 2)), (1797, (1439, 179, 179))]
)
def test_splits_are_disjoint_and_together_everything(n, sizes):
    found = held(split(numbered(n), None))
    assert tuple(map(len, found)) == sizes
    assert sorted(i for part in found for i in part) == list(range(n))


def test_every_call_holds_out_the_same_samples_and_another_seed_others():
    torch.manual_seed(1)
    first = held(split(numbered(100), None))
    torch.manual_seed(2)
    assert held(split(numbered(100), None)) == first
    assert held(split(numbered(100), None, seed=1)) != first


def test_splits_are_random():
    ranks = torch.tensor(held(split(numbered(10_000), None))[1])
    assert ranks.mean().item() == pytest.approx(5_000, abs=4 * 10_000 / 12**0.5 / 1000**0.5)


def test_the_share_that_is_held_out_can_be_chosen():
    assert [len(part) for part in parts(split(numbered(100), None, held_out=0.25))] == [50, 25, 25]


def test_labels_stay_with_their_samples():
    for part in parts(split(numbered(50), torch.arange(50) % 7)):
        x, y = everything(part)
        assert_close(x.flatten() % 7, y.float())


@pytest.mark.parametrize("n", [0, 1, 2])
def test_too_few_samples_cannot_be_split(n):
    with pytest.raises(DataError, match=f"only {n} sample"):
        split(numbered(n), None)


def test_all_parts_have_the_classes_of_the_whole():
    assert [part.classes for part in parts(split(numbered(10), torch.arange(10)))] == [10, 10, 10]


def test_whose_a_sample_is_is_known_in_any_form_of_it():
    patients = torch.tensor([0, 0, 1, 1, 2, 2, 3, 3])
    pictures = InMemory(torch.zeros(8, 3, 16, 16, dtype=torch.uint8), torch.zeros(8), classes=2)
    splits = parted_by_group(pictures, patients)
    for part in parts(splits):
        own = patients[part.indices]
        spoilt = degraded(replace(splits, train=part), lambda x, at: greyed(x), "grey").train
        for form in (part, Side(part, slice(1)), Coloured(Side(part, slice(1))), spoilt, Side(spoilt, slice(1))):
            assert set(whose(form).tolist()) == set(own.tolist())
    assert whose(Side(pictures, slice(1))) is None


def test_a_source_knows_its_shape_and_classes():
    source = InMemory(torch.zeros(5, 3, 8, 8, dtype=torch.uint8), torch.tensor([0, 4, 1, 1, 0]), classes=7)
    assert (len(source), source.shape, source.classes) == (5, (3, 8, 8), 7)
    assert InMemory(torch.zeros(5, 2)).classes == split(numbered(5), None).train.classes == 0


def test_images_are_scaled_and_floats_are_taken_as_they_are():
    images = InMemory(torch.tensor([0, 255, 51], dtype=torch.uint8)[:, None])
    assert images.take(torch.tensor([2, 0, 1, 0]))[0].flatten().tolist() == pytest.approx([-0.6, -1, 1, -1])
    points = InMemory(torch.tensor([[300.0, -7.0]]))
    assert points.take(torch.tensor([0]))[0].tolist() == [[300, -7]]


def test_without_labels_every_label_is_zero():
    _, y = everything(InMemory(torch.zeros(4, 2)))
    assert y.dtype == torch.long
    assert y.tolist() == [0, 0, 0, 0]


def test_every_byte_survives_scaling_and_back():
    bytes_ = torch.arange(256, dtype=torch.uint8)
    assert torch.equal(to_uint8(scaled(bytes_)), bytes_)
    assert (scaled(bytes_).min(), scaled(bytes_).max()) == (-1, 1)


def test_what_a_picture_cannot_hold_is_rounded_and_clamped():
    x = torch.tensor([-9, -1, -1 + 0.6 / 127.5, 0.1 / 127.5, 1, 9])
    assert to_uint8(x).tolist() == [0, 0, 1, 128, 255, 255]


def test_a_set_that_fits_moves_to_the_device_and_gives_the_same_batches():
    x = torch.randint(0, 256, (10, 4, 4, 3), dtype=torch.uint8).permute(0, 3, 1, 2)
    part = Part(InMemory(x, torch.arange(10), 10), torch.tensor([3, 1, 4, 1, 5]))
    moved = near(part, torch.device("cpu"), room=x.nbytes)
    wanted = torch.tensor([0, 2, 4])
    assert all(torch.equal(a, b) for a, b in zip(moved.take(wanted), part.take(wanted), strict=True))
    assert near(part, torch.device("meta"), room=x.nbytes).source.x.device.type == "meta"
    assert near(part, torch.device("meta"), room=x.nbytes - 1) is part
