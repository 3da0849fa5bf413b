"""From picture to picture, from the first step to a translated file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from equipoise import build, figures, generator, launch, viewpoints
from equipoise import config as c
from equipoise.cli import translation
from equipoise.cli.translation import translate
from equipoise.data.sides import domain
from equipoise.data.source import everything
from equipoise.data.whole import Whole
from equipoise.encoders.looked import identity
from equipoise.errors import ConfigError, DataError
from equipoise.games.cyclegan import BACK
from equipoise.games.dealing import Dealt
from equipoise.runs.folder import rows
from equipoise.scoring import Asked, score
from equipoise.uses import discriminator, translating
from equipoise.uses.export import exported
from equipoise.uses.inversion import inverted

RECIPES = (
    "pix2pix", "cyclegan", "cut", "stylize", "colorize", "superres", "denoise", "inpaint", "medical-translate",
    "lesion",
)  # fmt: skip


@pytest.fixture(scope="module")
def trained(tmp_path_factory, tiny):
    """Runs of a few steps, by recipe."""
    kept = {}

    def run(name):
        if name not in kept:
            path = tmp_path_factory.mktemp("runs") / name
            kept[name] = launch.start(tiny(name, steps=8), path)
        return kept[name]

    return run


def picture(height, width, channels=3, hole=False, name="photo.png"):
    x = torch.rand(channels, height, width, generator=torch.Generator().manual_seed(0)) * 2 - 1
    holes = torch.zeros(1, height, width)
    if hole:
        holes[:, 4:9, 5:12] = 1
    return Whole(name, x, holes)


def pixels(x):
    return x.numpy().tobytes()


def channels_of(found):
    """Of a picture that it can be given."""
    return found.form.given - (found.task in translating.HOLES)


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_trains_and_its_generator_translates_pictures_of_any_size(name, trained):
    found = generator.from_file(trained(name).model)
    given = picture(21, 40, channels_of(found), hole=name in ("inpaint", "lesion"))
    style = picture(30, 12, name="style.png") if name == "stylize" else None
    made = translating.translated(found, given, style)
    factor = 2 if name == "superres" else 1
    assert made.dtype == np.uint8
    assert made.shape == (21 * factor, 40 * factor, found.form.shape[0])
    assert made.std() > 0


@pytest.mark.parametrize("name", ["pix2pix", "superres", "inpaint"])
def test_translations_are_scored_beside_what_they_should_be(name, trained):
    figures = score(Asked(str(trained(name).path), metrics=["psnr", "fd"], features="random")).figures
    assert figures["psnr"].n_fake == figures["psnr"].n_real > 100
    assert 0 < figures["psnr"].value < 60


def test_translations_without_partners_are_not_compared_one_by_one(trained):
    with pytest.raises(DataError, match="these samples have no partner"):
        score(Asked(str(trained("cut").path), metrics=["psnr"], features="random"))


def test_what_lies_outside_a_hole_stays_as_it_was(trained):
    found = generator.from_file(trained("inpaint").model)
    given = picture(24, 24, channels_of(found), hole=True)
    made = translating.translated(found, given)
    before = np.asarray(((given.x + 1) * 127.5).round().clamp(0, 255).to(torch.uint8).permute(1, 2, 0))
    outside = given.hole[0].numpy() == 0
    assert (made[outside] == before[outside]).all()
    assert (made[~outside] != before[~outside]).any()


def test_a_cycle_has_a_generator_for_each_way(trained):
    run = trained("cyclegan")
    there, back = generator.from_file(run.model), generator.from_file(run.model_back)
    x = picture(16, 16)
    assert (translating.translated(there, x) != translating.translated(back, x)).any()
    again, _ = generator.from_run(run, "last", BACK)
    assert (translating.translated(again, x) == translating.translated(back, x)).all()
    looks = [row for row in rows(run.events) if row["kind"] == "look"]
    assert looks and all({"d_tells", "back_d_tells"} <= set(row["signals"]) for row in looks)
    nets = {row["net"] for row in rows(run.events) if row["kind"] == "metrics"}
    assert {"average", "average, back"} <= nets


def test_a_cycle_ends_with_figures_of_both_ways_and_is_known_by_the_way_there(tiny, tmp_path, monkeypatch):
    monkeypatch.setattr(viewpoints, "ENOUGH", 50)  # test pictures: these domains have fewer than a hundred each
    run = launch.start(tiny("cyclegan", "guardian.mode=off", steps=2), tmp_path / "run")
    last = [row for row in rows(run.events) if row["kind"] == "metrics" and row["part"] == "test"]
    assert [row["net"] for row in last] == ["best, back", "best"]
    assert last[0]["figures"]["fd"]["value"] != last[1]["figures"]["fd"]["value"]
    assert figures.final(run).net == "best"


@pytest.mark.parametrize("back", [False, True])
def test_each_way_of_a_cycle_is_scored_against_its_own_domain(back, trained):
    run = trained("cyclegan")
    found = score(Asked(str(run.path), metrics=["fd"], features="pixels", back=back))
    test = build.splits(c.read(run.config).data).test
    a, b = domain(test, slice(3)), domain(test, slice(3, None))
    wanted, given = (a, b) if back else (b, a)
    assert found.reference.data["sha256"] == identity(wanted)
    G = generator.from_file(run.model_back if back else run.model)
    x, y = everything(given)
    made = G.made_of(Dealt(x, y, x))
    assert set(map(pixels, found.fake.pixels)) == set(map(pixels, made))


def test_one_way_has_no_way_back(trained):
    with pytest.raises(ConfigError, match="one way only"):
        score(Asked(str(trained("cut").path), metrics=["fd"], features="pixels", back=True))
    with pytest.raises(ConfigError, match="no run that goes there and back"):
        score(Asked("digits", against="digits", back=True))
    with pytest.raises(ConfigError, match="one way only"):
        generator.from_run(trained("cut"), "last", BACK)


def test_wrong_pictures_are_told_in_words(trained):
    found = {name: generator.from_file(trained(name).model) for name in ("cut", "inpaint", "stylize", "denoise")}
    with pytest.raises(DataError, match=r"2 channels, and this run translates pictures in colour"):
        translating.translated(found["cut"], picture(16, 16, 2))
    with pytest.raises(DataError, match="3 channels, and this run translates grey pictures"):
        translating.translated(found["denoise"], picture(16, 16, 3))
    with pytest.raises(DataError, match="has no hole"):
        translating.translated(found["inpaint"], picture(16, 16, 1))
    with pytest.raises(ConfigError, match="--style FILE"):
        translating.translated(found["stylize"], picture(16, 16))
    with pytest.raises(ConfigError, match="leave it out"):
        translating.translated(found["cut"], picture(16, 16), picture(16, 16))
    with pytest.raises(ConfigError, match="--mask is for recipes that fill holes"):
        translating.require_holes(found["cut"])
    translating.require_holes(found["inpaint"])
    lost = picture(16, 16, 1)
    with pytest.raises(DataError, match="all hole"):
        translating.translated(found["inpaint"], Whole("photo.png", lost.x, torch.ones(1, 16, 16)))
    with pytest.raises(ConfigError, match=r"goes one way: .* model-back\.safetensors"):
        generator.opened(trained("cut").model, "last", BACK)


def test_a_folder_becomes_a_folder_in_which_nothing_is_written_twice(trained, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photos").mkdir()
    for name in ("a.png", "a.bmp", "b.png"):
        Image.fromarray(np.zeros((16, 16, 3), np.uint8)).save(tmp_path / "photos" / name)
    translate(trained("cut").path, Path("photos"), None, None, None, False, None, "last")
    assert sorted(path.name for path in Path("translated").iterdir()) == ["a.png", "b.png"]
    told = " ".join(capsys.readouterr().err.split())
    assert "a.png: translated/a.png is the translation of another" in told and "2 translated" in told
    translate(trained("cut").path, Path("photos/b.png"), None, None, None, False, None, "last")
    assert Path("translated.png").is_file()


def test_a_translator_draws_no_samples_and_a_sampler_translates_nothing(trained, untrained):
    with pytest.raises(ConfigError, match="begins with pictures"):
        generator.from_file(trained("cut").model).sample(4)
    with pytest.raises(ConfigError, match="begins with noise"):
        translating.translated(untrained("digits"), picture(16, 16, 1))


def test_verbs_on_latents_and_on_single_pictures_are_refused_in_words(trained, tmp_path):
    found, pairs = generator.from_file(trained("cut").model), trained("pix2pix")
    with pytest.raises(ConfigError, match=r"begins with pictures: model\.safetensors"):
        exported(found, "safetensors", tmp_path / "g.safetensors")
    assert not list(tmp_path.iterdir())
    with pytest.raises(ConfigError, match="project looks for latents"):
        inverted(found, torch.zeros(3, 16, 16))
    with pytest.raises(ConfigError, match="judges pictures beside those"):
        discriminator.from_run(pairs)


@pytest.mark.parametrize("name", ["cyclegan", "stylize"])
def test_a_D_of_one_domain_judges_its_pictures(name, trained):
    D, _ = discriminator.from_run(trained(name))
    held_out = discriminator.validation(c.read(trained(name).config))
    assert held_out.shape == D.form.shape == (3, 16, 16)
    judged = discriminator.judged(D, torch.zeros(2, 3, 16, 16), lambda: held_out)
    assert judged.real.shape == (2,) and ((judged.real >= 0) & (judged.real <= 1)).all()


def test_grey_is_translated_as_colour_where_colour_was_learnt(trained):
    found = generator.from_file(trained("cut").model)
    grey = picture(16, 16, 1)
    same = Whole("photo.png", grey.x.expand(3, -1, -1), grey.hole)
    assert (translating.translated(found, grey) == translating.translated(found, same)).all()


def test_a_mask_of_another_size_is_refused(tmp_path):
    Image.fromarray(np.zeros((8, 9), np.uint8)).save(tmp_path / "mask.png")
    with pytest.raises(DataError, match=r"9 x 8 pixels, and photo\.png has 16 x 12"):
        translating.with_hole(picture(12, 16), tmp_path / "mask.png")


def test_the_white_of_a_mask_and_what_is_transparent_are_holes(tmp_path):
    mask = np.zeros((12, 16), np.uint8)
    mask[3:6, 2:9] = 255
    Image.fromarray(mask).save(tmp_path / "mask.png")
    by_mask = translating.with_hole(picture(12, 16), tmp_path / "mask.png")
    rgba = np.zeros((12, 16, 4), np.uint8)
    rgba[..., 3] = 255
    rgba[3:6, 2:9, 3], rgba[5, 2:9, 3] = 0, 200
    Image.fromarray(rgba, "RGBA").save(tmp_path / "photo.png")
    found = translating.one(tmp_path / "photo.png")
    assert torch.equal(by_mask.hole, found.hole)
    assert by_mask.hole.sum() == 21
    assert (found.x[0, 3:5, 2:9] == 1).all(), "on white, as when learnt"
    assert (found.x[0][found.hole[0] == 0] == -1).all()


def size_of(path):
    with Image.open(path) as picture:
        return picture.size


def test_a_folder_is_translated_a_broken_picture_is_named_and_originals_stay(trained, tmp_path, capsys):
    photos = tmp_path / "photos"
    photos.mkdir()
    sizes = {"a.png": (31, 20), "b.jpg": (16, 16)}
    for name, size in sizes.items():
        Image.new("RGB", size, (200, 30, 90)).save(photos / name)
    (photos / "broken.png").write_bytes(b"no picture")
    before = (photos / "a.png").read_bytes()
    run = trained("cut").path
    translation.translate(run, photos, tmp_path / "out", None, None, False, None, "last")
    made = {path.name: size_of(path) for path in (tmp_path / "out").iterdir()}
    assert made == {"a.png": (31, 20), "b.png": (16, 16)}
    assert "broken.png" in capsys.readouterr().err
    with pytest.raises(ConfigError, match="originals"):
        translation.translate(run, photos, photos, None, None, False, None, "last")
    assert (photos / "a.png").read_bytes() == before
