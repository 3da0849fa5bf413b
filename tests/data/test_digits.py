"""Real digits against scikit-learn's own copy, and stacks whose channels spell their class."""

import pytest
import torch
from sklearn.datasets import load_digits
from torch.testing import assert_close

from equipoise.data.digits import digits, stacked_digits
from equipoise.data.source import everything, to_uint8

PARTS = ("train", "validation", "test")


@pytest.fixture(scope="module")
def base():
    return digits()


@pytest.fixture(scope="module")
def stacks():
    return stacked_digits()


def pictures(x):
    """Each picture [H, W] as a tuple of sklearn's levels 0..16."""
    return [tuple(row) for row in ((x + 1) * 8).round().long().flatten(1).tolist()]


def labelled(part):
    x, y = everything(part)
    return dict(zip(pictures(x), y.tolist(), strict=True))


@pytest.fixture(scope="module")
def known(base):
    return {name: labelled(getattr(base, name)) for name in PARTS}


def test_the_splits_are_the_digits_of_scikit_learn(base, known):
    pixels, labels = load_digits(return_X_y=True)
    original = dict(zip((tuple(row) for row in pixels.astype(int).tolist()), labels.tolist(), strict=True))
    assert [len(getattr(base, name)) for name in PARTS] == [1439, 179, 179]
    assert len(original) == 1797  # no two digits are alike, so that equal dictionaries mean a partition
    assert {picture: label for part in known.values() for picture, label in part.items()} == original


def test_digits_are_small_grey_images_of_ten_classes(base):
    for name in PARTS:
        part = getattr(base, name)
        x, y = everything(part)
        assert (part.shape, part.classes) == ((1, 8, 8), 10)
        assert (x.min(), x.max()) == (-1, 1)
        assert set(y.tolist()) == set(range(10))


def test_every_call_holds_out_the_same_digits(base):
    torch.manual_seed(9)
    assert torch.equal(everything(digits().test)[0], everything(base.test)[0])


def test_levels_are_spread_evenly_over_the_bytes(base):
    assert_close(
        to_uint8(everything(base.train)[0]).unique().double(), torch.arange(17).double() * 255 / 16, atol=0.5, rtol=0
    )


@pytest.mark.parametrize("name", PARTS)
def test_the_channels_of_a_stack_are_real_digits_of_its_own_part_that_spell_its_class(stacks, known, name):
    source = getattr(stacks, name)
    x, y = source.take(torch.arange(0, len(source), len(source) // 500))
    spelled = [[known[name][picture] for picture in pictures(channels)] for channels in x]
    assert [100 * h + 10 * t + o for h, t, o in spelled] == y.tolist()


def test_the_parts_of_the_stacks_are_made_of_different_digits(stacks, known):
    for name in PARTS:
        x, _ = getattr(stacks, name).take(torch.arange(200))
        used = set(pictures(x.flatten(0, 1)))
        assert [used <= set(known[other]) for other in PARTS] == [name == other for other in PARTS]


def test_stacks_have_the_sizes_of_the_protocol_and_a_thousand_modes(stacks):
    assert [len(getattr(stacks, name)) for name in PARTS] == [128_000, 26_000, 26_000]
    _, y = everything(stacks.test)
    assert (stacks.test.shape, stacks.test.classes) == ((3, 8, 8), 1000)
    assert len(y.unique()) == 1000


def test_every_call_makes_the_same_stacks(stacks):
    torch.manual_seed(9)
    again = stacked_digits()
    assert torch.equal(again.train.triples, stacks.train.triples)
    assert not torch.equal(again.validation.triples, stacks.test.triples)
