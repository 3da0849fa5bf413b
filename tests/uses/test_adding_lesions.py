"""Lesions: exact outside the mask, in pictures and in scans of 16 bits; masks held against rules and refused."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from equipoise import build
from equipoise.config import Translation
from equipoise.config.masks import MaskRules, rules_at
from equipoise.data import dicom
from equipoise.data.scans import Scan, Window
from equipoise.data.whole import Whole
from equipoise.errors import ConfigError, DataError
from equipoise.generator import TrainedGenerator
from equipoise.uses import lesions
from equipoise.uses.mask_rules import broken, elongation


@pytest.fixture(scope="module")
def trained() -> TrainedGenerator:
    nets = Translation(generator="gated", g_width=4, g_norm="none", d_norm="spectral", d_width=4, d_focus="hole",
                       init="he")  # fmt: skip
    form = build.Form((1, 16, 16), 0, given=2, told=2)
    G, _ = build.networks(nets, form, seed=0)
    return TrainedGenerator(G.eval().requires_grad_(False), nets, form, "lesion")


def disc(side=16, middle=(8, 8), radius=3.0):
    rows, columns = np.ogrid[:side, :side]
    return (rows - middle[0]) ** 2 + (columns - middle[1]) ** 2 <= radius**2


def slice_of(side=16):
    return torch.rand(1, side, side, generator=torch.Generator().manual_seed(1)) * 2 - 1


@pytest.mark.parametrize("side", [16, 40])  # as learnt, and in tiles
def test_outside_the_mask_every_bit_stays_and_inside_something_is_drawn(trained, side):
    x, mask = slice_of(side), disc(side, (9, 11))
    made = lesions.added(trained, x, mask)
    assert torch.equal(made[:, ~torch.from_numpy(mask)], x[:, ~torch.from_numpy(mask)])
    assert (made != x)[0, torch.from_numpy(mask)].all()


def test_what_lay_under_the_mask_is_not_looked_at(trained):
    x, mask = slice_of(), disc()
    other = torch.where(torch.from_numpy(mask), -x, x)
    assert torch.equal(lesions.added(trained, x, mask), lesions.added(trained, other, mask))


def test_in_a_scan_of_16_bits_all_levels_outside_stay_even_those_beyond_the_window(trained):
    stored = np.random.default_rng(0).integers(-32768, 32767, (3, 16, 16)).astype(np.int16)
    scan = Scan("a", "p", stored, (1.0, 1.0, 1.0))
    mask = np.stack([np.zeros((16, 16), bool), disc(), np.zeros((16, 16), bool)])
    made = lesions.in_scan(trained, scan, mask, Window(-100, 300))
    assert made.dtype == np.int16 and (made[~mask] == stored[~mask]).all()
    assert made[mask].min() >= -100 and made[mask].max() <= 300
    with pytest.raises(ConfigError, match="no DICOM headers"):
        dicom.write(scan, made, Path("nowhere"))


def test_stages_begin_with_the_healthy_slice_and_change_only_under_their_own_mask(trained):
    x = slice_of()
    stages = [disc(radius=r)[None] for r in (2, 3, 4)]
    found = list(lesions.grown(trained, Whole("a", x, torch.zeros(1, 16, 16)), stages))
    assert torch.equal(found[0], x)
    for picture, mask in zip(found[1:], stages, strict=True):
        assert torch.equal((picture != x)[0], torch.from_numpy(mask[0]))


def test_masks_of_another_size_empty_and_whole_ones_are_refused():
    for mask, words in (
        (disc(8)[None], "1 x 8 x 8 pixels"), (np.zeros((1, 16, 16), bool), "is empty"),
        (np.ones((1, 16, 16), bool), "whole slice"),
    ):  # fmt: skip
        with pytest.raises(DataError, match=words) as error:
            lesions.require_mask(mask, (1, 16, 16), "m.png")
        assert error.value.exit_code == 3


def test_a_rectangle_is_as_much_longer_than_wide_as_it_is_and_a_disc_is_round():
    mask = np.zeros((32, 32), bool)
    mask[3:5, 2:22] = True  # 2 x 20 pixels
    assert elongation(mask) == pytest.approx(10)
    assert elongation(disc(64, (32, 32), 20)) == pytest.approx(1, abs=0.01)
    turned = np.array([[abs(i - j) < 2 for i in range(40)] for j in range(40)])
    assert elongation(turned) > 10  # along the diagonal, where its box is square


def test_each_rule_finds_the_mask_that_breaks_it_and_no_other():
    ring = disc(32, (16, 16), 9) & ~disc(32, (16, 16), 4)
    two = disc(32, (6, 6), 3) | disc(32, (24, 24), 3)
    round_one, organ = disc(32, (16, 16), 5), disc(32, (16, 16), 12)
    rules = MaskRules(area_pixels=(20, 300), elongation=2, parts=1, holes=False)
    assert list(broken(rules, round_one, organ)) == []
    assert "holes" in " ".join(broken(rules, ring, organ))
    assert "2 pieces" in " ".join(broken(rules, two))
    assert "inside the organ" in " ".join(broken(rules, disc(32, (2, 2), 2), organ))
    assert "pixels" in " ".join(broken(rules, disc(32, (16, 16), 1)))
    assert "mm2" in " ".join(broken(MaskRules(area_mm2=(0, 10)), round_one, pixel_mm2=0.25))
    with pytest.raises(DataError, match="area_mm2"):
        list(broken(MaskRules(area_mm2=(0, 10)), round_one))


def test_an_organ_counts_slice_by_slice():
    mask, organ = np.zeros((3, 32, 32), bool), np.zeros((3, 32, 32), bool)
    mask[1], organ[1] = disc(32, (16, 16), 5), disc(32, (16, 16), 12)
    inside = MaskRules(inside=1)
    lesions.require_rules(inside, mask, "m", organ, None)
    lesions.require_rules(inside, mask, "m", organ[1:2], None)  # one for all slices
    with pytest.raises(DataError, match="slice 1 of the mask m breaks the rules: 0% of it lie inside"):
        lesions.require_rules(inside, mask, "m", organ.take([1, 0, 2], 0), None)
    with pytest.raises(DataError, match="the organ has 2 x 32 x 32 pixels"):
        lesions.require_rules(inside, mask, "m", organ[:2], None)


def test_rules_are_read_from_a_file_and_a_wrong_name_is_told(tmp_path):
    (tmp_path / "r.yaml").write_text("area_mm2: [4, 400]\nparts: 1\n")
    assert rules_at(tmp_path / "r.yaml") == MaskRules(area_mm2=(4, 400), parts=1)
    (tmp_path / "r.yaml").write_text("elongaton: 2\n")
    with pytest.raises(ConfigError, match="elongation"):
        rules_at(tmp_path / "r.yaml")


def test_at_the_command_line_a_picture_gets_a_lesion_and_says_that_it_is_synthetic(trained, tmp_path):
    from equipoise.cli import lesion

    healthy = np.random.default_rng(0).integers(0, 255, (16, 16), np.uint8)
    Image.fromarray(healthy).save(tmp_path / "healthy.png")
    mask = disc()
    (tmp_path / "stages").mkdir()
    for name in ("mask.png", "stages/a.png", "stages/b.png"):
        Image.fromarray(mask.astype(np.uint8) * 255).save(tmp_path / name)
    trained.save(tmp_path / "g.safetensors")
    out = tmp_path / "out.png"
    lesion.add(
        tmp_path / "g.safetensors", tmp_path / "healthy.png", tmp_path / "mask.png", out, None, None, None, "last"
    )
    made = Image.open(out)
    assert (np.asarray(made)[~mask] == healthy[~mask]).all() and (np.asarray(made)[mask] != healthy[mask]).any()
    assert "generative network" in made.info["Synthetic"]
    folder = tmp_path / "grown"
    lesion.grow(tmp_path / "g.safetensors", tmp_path / "healthy.png", tmp_path / "stages", folder, None, None, "last")
    assert sorted(each.name for each in folder.iterdir()) == ["000.png", "001.png", "002.png"]
    assert (np.asarray(Image.open(folder / "000.png")) == healthy).all()


def test_made_up_lesions_lie_in_masks_of_others_and_change_nothing_else(trained):
    chance = torch.Generator().manual_seed(3)
    healthy = torch.rand(3, 1, 16, 16, generator=chance) * 0.5
    masks = torch.stack([torch.from_numpy(disc(middle=(7, c), radius=2.0))[None] for c in (6, 10)])
    drawn = list(lesions.made_up(trained, healthy, masks, 5, seed=0))
    assert len(drawn) == 5
    for x, mask in drawn:
        assert any(torch.equal(mask, each) for m in masks for each in (m, m.flip(2)))
        assert any(torch.equal(x[~mask], h[~mask]) and (x != h).any() for h in healthy)
    black = healthy.clone()
    black[:, :, :, :8] = -1  # the organ is the right half
    for _, mask in lesions.made_up(trained, black, masks, 3, seed=0):
        assert not mask[..., :8].any()
    with pytest.raises(DataError, match="no healthy slices"):
        list(lesions.made_up(trained, healthy[:0], masks, 1, seed=0))
    with pytest.raises(DataError, match="no mask of 2 fits"):
        list(lesions.made_up(trained, healthy, masks, 1, seed=0, rules=MaskRules(area_pixels=(100, 200))))
