"""Spoilt pictures: by another program's resizing, by counts of pixels, and by draws that only their place decides."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.ndimage import label
from torch.testing import assert_close

from equipoise import build
from equipoise.build.data import of_the_data
from equipoise.config import Arrays, Degrade, Digits, Pictures
from equipoise.data import degraded
from equipoise.data.batches import Batches
from equipoise.data.convert import convert_arrays
from equipoise.data.degraded import (
    DRAWN,
    LEAST,
    MOST,
    Degraded,
    boxes,
    degrading,
    drawn,
    greyed,
    holed,
    holing,
    lowered,
    lowering,
    noise_at,
    noising,
    noisy,
    strokes,
    unspoilt,
)  # fmt: skip
from equipoise.data.sides import Side
from equipoise.data.source import InMemory, Part, everything, split
from equipoise.errors import DataError
from equipoise.processes import ALONE, Processes
from equipoise.streams import Stream

CPU = torch.device("cpu")
MASKS = {"box": boxes, "free": strokes}
HOWS = ("superres-x2", "superres-x4", "inpaint-box", "inpaint-free", "denoise", "colorize")


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def images(n=4, channels=3, h=16, w=16, seed=0):
    return torch.rand(n, channels, h, w, generator=generator(seed)) * 2 - 1


def uniform(n, seed=0):
    return torch.rand(n, DRAWN, generator=generator(seed))


# what is done to a picture


@pytest.mark.parametrize("factor", [2, 4])
@pytest.mark.parametrize("size", [(16, 16), (24, 32), (21, 16)])
def test_lowering_is_what_pillow_makes_of_a_picture(factor, size):
    x = images(2, 3, *size)
    h, w = size
    for one, made in zip(x.flatten(0, 1), lowered(x, factor).flatten(0, 1), strict=True):
        small = Image.fromarray(one.numpy()).resize((w // factor, h // factor), Image.Resampling.BICUBIC)
        clamped = Image.fromarray(np.asarray(small).clip(-1, 1))
        large = np.asarray(clamped.resize((w, h), Image.Resampling.BICUBIC)).clip(-1, 1)
        assert_close(made, torch.from_numpy(large), atol=1e-5, rtol=0)


def test_lowering_loses_what_is_fine_and_keeps_what_is_coarse():
    stripes = (torch.arange(32) % 2 * 2.0 - 1).expand(1, 1, 32, 32)
    wave = torch.sin(torch.arange(32) * 2 * torch.pi / 32).expand(1, 1, 32, 32) * 0.8
    for factor in (2, 4):
        lost = lowered(stripes, factor)[..., 8:-8]
        assert lost.abs().max() < 0.1
        assert (lowered(wave, factor) - wave)[..., 4:-4].abs().max() < 0.1
        every = stripes[..., ::factor].repeat_interleave(factor, 3)
        assert every.abs().min() == 1, "the control: without a filter they come back as something else"
    flat = torch.full((1, 3, 16, 16), 0.3)
    assert_close(lowered(flat, 4), flat)


def test_a_hole_is_filled_with_the_mean_colour_of_the_rest_and_told_in_the_last_channel():
    x, masks = images(8), boxes(uniform(8), 16, 16)
    made = holed(x, masks)
    assert made.shape == (8, 4, 16, 16)
    assert torch.equal(made[:, 3:], masks)
    for one, mask, given in zip(x, masks.squeeze(1).bool(), made, strict=True):
        assert torch.equal(given[:3, ~mask], one[:, ~mask])
        assert_close(given[:3, mask], one[:, ~mask].mean(1, keepdim=True).expand(-1, int(mask.sum())))


@pytest.mark.parametrize("masks", MASKS.values(), ids=MASKS)
def test_nothing_of_what_was_in_a_hole_is_left(masks):
    x, hole = images(8), masks(uniform(8), 16, 16)
    other = torch.where(hole > 0, images(8, seed=1), x)
    assert not torch.equal(other, x)
    assert torch.equal(holed(other, hole), holed(x, hole))
    outside = torch.where(hole > 0, x, images(8, seed=1))
    assert not torch.equal(holed(outside, hole), holed(x, hole)), "the control"


def test_noise_has_its_deviation_and_stays_within_black_and_white():
    x, noise = torch.zeros(4, 3, 64, 64), torch.randn(4, 3, 64, 64, generator=generator())
    assert noisy(x, noise, 0.1).std().item() == pytest.approx(0.2, rel=0.02), "black to white is 2"
    assert_close(noisy(x, noise, 0.1), 0.2 * noise)
    strong = noisy(x, noise, 0.5)
    assert strong.min() == -1
    assert strong.max() == 1


def test_grey_is_the_luma_that_pillow_has():
    pixels = np.random.default_rng(0).integers(0, 256, (16, 16, 3)).astype(np.uint8)
    x = torch.from_numpy(pixels).permute(2, 0, 1)[None] / 127.5 - 1
    grey = (greyed(x)[0, 0] + 1) * 127.5
    expected = torch.from_numpy(np.array(Image.fromarray(pixels).convert("L")))
    assert (grey - expected).abs().max() < 1.01, "Pillow rounds"
    assert_close(greyed(torch.full((1, 3, 2, 2), 0.5)), torch.full((1, 1, 2, 2), 0.5))
    for colour, luma in zip(torch.eye(3), (0.299, 0.587, 0.114), strict=True):
        assert_close(greyed(colour.view(1, 3, 1, 1)).item(), luma)


@pytest.mark.parametrize("channels", [1, 4])
def test_what_is_grey_already_cannot_be_colourised(channels):
    with pytest.raises(DataError, match=f"colorize needs pictures in colour, of 3 channels, and these have {channels}"):
        greyed(torch.zeros(1, channels, 8, 8))
    assert DataError.exit_code == 3


# holes


@pytest.mark.parametrize("size", [(8, 8), (9, 13), (32, 32), (48, 24)])
@pytest.mark.parametrize("masks", MASKS.values(), ids=MASKS)
def test_holes_take_a_tenth_to_two_fifths_of_the_picture(masks, size):
    found = masks(uniform(1000), *size)
    assert found.shape == (1000, 1, *size)
    assert set(found.unique().tolist()) == {0.0, 1.0}
    share = found.mean((1, 2, 3))
    assert share.min() >= LEAST
    assert share.max() <= MOST
    assert share.min() < LEAST + 0.04
    assert share.max() > MOST - 0.04
    assert share.mean().item() == pytest.approx((LEAST + MOST) / 2, abs=0.02)


@pytest.mark.parametrize("end", [0.0, 1 - 2**-24])
@pytest.mark.parametrize("masks", MASKS.values(), ids=MASKS)
def test_the_ends_of_the_draws_are_holes_too(masks, end):
    for side in (8, 11, 64):
        share = masks(torch.full((1, DRAWN), end), side, side).mean()
        assert LEAST <= share <= MOST


def test_boxes_are_rectangles_and_lie_anywhere():
    found = boxes(uniform(2000), 32, 32).squeeze(1)
    rows, columns = found.amax(2), found.amax(1)
    assert torch.equal(found, rows[:, :, None] * columns[:, None])
    for lines in (rows, columns):
        assert ((lines.diff(dim=1) == 1).sum(1) + lines[:, 0] == 1).all(), "in one piece"
    assert found.mean(0).min() > 0, "a corner, too"
    ratio = rows.sum(1) / columns.sum(1)
    assert ratio.min() > 0.4
    assert ratio.max() < 2.5
    assert ratio.max() > 1.6
    assert ratio.min() < 0.6


def test_free_holes_are_a_few_strokes_and_no_rectangles():
    found = strokes(uniform(300), 32, 32).squeeze(1)
    pieces = [label(one.numpy(), np.ones((3, 3)))[1] for one in found]
    assert set(pieces) == {1, 2}
    assert found.mean(0).min() > 0.02
    rectangles = found.amax(2)[:, :, None] * found.amax(1)[:, None]
    assert (found == rectangles).flatten(1).all(1).float().mean() < 0.02
    scattered = (torch.rand(300, 32, 32, generator=generator()) < 0.25).numpy()
    assert min(label(one, np.ones((3, 3)))[1] for one in scattered) > 5, "the control"


# draws


def test_a_draw_is_a_function_of_its_place_alone():
    stream = Stream(3, "spoilt")
    places = torch.arange(100, 130)
    for draw in (lambda at: drawn(stream, at), lambda at: noise_at(stream, at, (3, 4, 4))):
        whole = draw(places)
        assert torch.equal(torch.cat([draw(places[:7]), draw(places[7:])]), whole)
        assert torch.equal(draw(places.flip(0)).flip(0), whole)
        assert len({row.tobytes() for row in whole.numpy()}) == 30
    assert not torch.equal(drawn(Stream(4, "spoilt"), places), drawn(stream, places))
    assert noise_at(stream, torch.arange(300), (3, 8, 8)).std().item() == pytest.approx(1, abs=0.01)


WAYS = {
    "box": lambda stream: holing(boxes, stream), "free": lambda stream: holing(strokes, stream),
    "noise": lambda stream: noising(0.1, stream), "lower": lambda stream: lowering(2),
}  # fmt: skip


@pytest.mark.parametrize("way", WAYS)
def test_two_processes_spoil_as_one_does(way):
    x, spoil = images(12), WAYS[way](Stream(0, "spoilt"))
    whole = degrading(spoil)(x, 24)
    both = [Processes(rank, 2) for rank in range(2)]
    assert torch.equal(torch.cat([degrading(spoil, each)(each.part(x), 24) for each in both]), whole)
    assert torch.equal(torch.cat([degrading(spoil)(x[:4], 24), degrading(spoil)(x[4:], 28)]), whole)
    assert torch.equal(whole[:, -3:], x)
    if way != "lower":
        assert not torch.equal(degrading(spoil)(x, 36), whole)
        second = Processes(1, 2)
        assert not torch.equal(degrading(spoil)(second.part(x), 24), whole[6:]), "the control: places of its own"


# as data


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("pictures")
    for i in range(20):
        pixels = np.random.default_rng(i).integers(0, 256, (16, 16, 3)).astype(np.uint8)
        Image.fromarray(pixels).save(root / f"{i}.png")
    return root


def asked(folder, how, **options):
    return Degrade(of=Pictures(path=str(folder), size=16), how=how, **options)


def config_of(tiny, folder, how, **options):
    return tiny("digits").model_copy(update={"data": asked(folder, how, **options)})


def shown(config, count, position=0, processes=None, data=None):
    data = data or build.splits(config.data)
    batches = build.batches(config, data, CPU, *([processes] if processes else []))
    batches.load_state_dict({"position": position})
    return [x for _, (x, _) in zip(range(count), batches, strict=False)]


@pytest.mark.parametrize("how", HOWS)
def test_targets_are_the_pictures_as_they_are_read_alone(how, folder):
    alone, splits = build.splits(Pictures(path=str(folder), size=16)), build.splits(asked(folder, how))
    given = {"inpaint-box": 4, "inpaint-free": 4, "colorize": 1}.get(how, 3)
    assert splits.given == given
    for part in ("train", "validation", "test"):
        source, plain = getattr(splits, part), everything(getattr(alone, part))[0]
        x, y = everything(source)
        assert source.shape == x.shape[1:] == (given + 3, 16, 16)
        assert torch.equal(x[:, given:], plain)
        assert y.tolist() == [0] * len(plain)
        assert x.abs().max() <= 1
        assert not torch.equal(x[:, : min(given, 3)], plain[:, : min(given, 3)])


@pytest.mark.parametrize("how", HOWS)
def test_batches_are_spoilt_and_resume_to_the_bit(how, tiny, folder):
    config = config_of(tiny, folder, how, augment={"flip_x": True})
    data = build.splits(config.data)
    straight = shown(config, 6, data=data)
    assert straight[0].shape == (8, *data.train.shape)
    for done in (1, 4):
        resumed = shown(config, 6 - done, position=8 * done, data=data)
        assert all(torch.equal(a, b) for a, b in zip(resumed, straight[done:], strict=True))
    halves = [shown(config, 2, processes=Processes(rank, 2), data=data) for rank in range(2)]
    assert all(torch.equal(torch.cat(both), one) for *both, one in zip(*halves, straight[:2], strict=True))


def test_targets_are_varied_first_and_then_spoilt(tiny, folder):
    config = config_of(tiny, folder, "superres-x2", augment={"turn_degrees": 90, "hue": 0.2})
    plain = config_of(tiny, folder, "superres-x2")
    (x,), (before,) = shown(config, 1), shown(plain, 1)
    assert not torch.equal(x[:, 3:], before[:, 3:])
    assert torch.equal(x[:, :3], lowered(x[:, 3:], 2))
    turned = config_of(tiny, folder, "inpaint-box", augment={"turn_degrees": 90})
    (x,) = shown(turned, 1)
    assert torch.equal(x[:, :4], holed(x[:, 4:], x[:, 3:4])), "holes are not turned with the picture"


@pytest.mark.parametrize("how", ["inpaint-box", "inpaint-free", "denoise"])
def test_training_sees_new_holes_and_noise_in_each_epoch_and_the_others_the_same(how, tiny, folder):
    config = config_of(tiny, folder, how)
    data = build.splits(config.data)
    given = data.given
    seen = {}
    for x in shown(config, 10, data=data):
        for one in x:
            seen.setdefault(one[given:].numpy().tobytes(), []).append(one[:given])
    assert len(seen) == 16
    for each in seen.values():
        assert len(each) == 5
        assert len({one.numpy().tobytes() for one in each}) == 5, "each epoch its own"
    again = build.splits(asked(folder, how))
    for part in ("train", "validation", "test"):
        assert torch.equal(everything(getattr(data, part))[0], everything(getattr(again, part))[0])
    held = everything(data.validation)[0], everything(data.test)[0]
    masks = torch.cat(held)[:, 3] if given == 4 else torch.cat(held)[:, :3] - torch.cat(held)[:, 3:]
    assert len({one.numpy().tobytes() for one in masks}) == len(masks), "each sample its own"


@pytest.mark.parametrize("how", ["inpaint-box", "inpaint-free", "denoise"])
def test_runs_of_other_seeds_draw_other_holes_and_noise(how, tiny, folder):
    config = config_of(tiny, folder, how)
    x = images(8)
    first, again, other = (
        of_the_data(config.model_copy(update={"seed": seed}), 0, CPU, ALONE)(x, 24) for seed in (0, 0, 1)
    )
    assert torch.equal(again, first)
    assert not torch.equal(other, first)


def test_a_sample_is_spoilt_in_one_way_whatever_it_is_taken_with():
    source = Degraded(InMemory(images(10)), holing(strokes, Stream(0, "spoilt")), "free")
    whole = everything(source)[0]
    assert torch.equal(source.take(torch.tensor([7, 2]))[0], whole[[7, 2]])
    assert torch.equal(Part(source, torch.tensor([5, 7])).take(torch.tensor([1]))[0], whole[[7]])


def test_another_way_is_another_set(folder):
    sums = [build.splits(asked(folder, how)).sha256() for how in HOWS]
    sums += [build.splits(asked(folder, "denoise", sigma=0.2)).sha256()]
    sums += [build.splits(Pictures(path=str(folder), size=16)).sha256()]
    assert len(set(sums)) == len(sums)
    assert build.splits(asked(folder, "denoise")).sha256() == sums[HOWS.index("denoise")]


def test_what_is_behind_a_degraded_source_is_found_again():
    splits = split((images(10) * 127 + 127).to(torch.uint8), None)
    spoilt = degraded.degraded(splits, lowering(2), "x2")
    assert (spoilt.given, spoilt.train.shape) == (3, (6, 16, 16))
    for part in ("train", "validation", "test"):
        before, after = getattr(splits, part), getattr(spoilt, part)
        assert torch.equal(everything(unspoilt(after))[0], everything(before)[0])
        assert unspoilt(before) is before
    alone = degraded.spoilt(splits.train.source, lowering(2), "x2")
    assert torch.equal(everything(unspoilt(alone))[0], everything(splits.train.source)[0])


def test_classes_are_forgotten_in_batches_as_in_the_set(tiny, tmp_path):
    config = tiny("digits").model_copy(update={"data": Degrade(of=Digits(), how="superres-x2")})
    data = build.splits(config.data)
    batches = build.batches(config, data, CPU)
    assert isinstance(batches.source.source, InMemory), "which may go to a device"
    np.savez(tmp_path / "x.npz", x=np.zeros((12, 8, 8), np.uint8), y=np.arange(12) % 3)
    convert_arrays(tmp_path / "x.npz", tmp_path / "set", 8)
    kept = config.model_copy(update={"data": Degrade(of=Arrays(path=str(tmp_path / "set")), how="superres-x2")})
    ondisk = build.batches(kept, build.splits(kept.data), CPU)
    for source in (batches, ondisk):
        assert source.source.classes == 0
        assert next(source)[1].tolist() == [0] * 8
    assert build.splits(Arrays(path=str(tmp_path / "set"))).train.classes == 3, "the control"


def test_colorize_of_grey_pictures_is_refused_before_anything_is_trained(tmp_path):
    for i in range(4):
        Image.fromarray(np.full((16, 16), i, np.uint8)).save(tmp_path / f"{i}.png")
    with pytest.raises(DataError, match="colorize needs pictures in colour"):
        build.splits(asked(tmp_path, "colorize"))
    with pytest.raises(DataError, match="colorize needs pictures in colour"):
        build.splits(Degrade(of=Digits(), how="colorize"))
    assert build.splits(asked(tmp_path, "denoise")).given == 1


def test_arrays_and_digits_can_be_spoilt(tmp_path):
    np.savez(tmp_path / "x.npz", x=np.random.default_rng(0).integers(0, 256, (10, 8, 8)).astype(np.uint8))
    made = build.splits(Degrade(of=Arrays(path=str(tmp_path / "x.npz"), size=8), how="inpaint-free"))
    assert (made.given, made.train.shape) == (2, (3, 8, 8))
    ten = build.splits(Degrade(of=Digits(), how="superres-x2"))
    assert (ten.given, ten.train.shape, ten.train.classes, len(ten.train)) == (1, (2, 8, 8), 0, 1439)


def test_the_source_is_told_what_is_due():
    told = []

    class Told(Side):
        def expect(self, indices):
            told.extend(indices.tolist())

    source = Degraded(Told(InMemory(images(10)), slice(None)), lowering(2), "x2")
    next(Batches(source, 2, 0))
    assert len(told) == 8
