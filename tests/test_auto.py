from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from equipoise import GAN, configuring, launch
from equipoise.auto import CPU_MIB, HELD_MIB, Facts, chosen, parts, rules
from equipoise.config import override
from equipoise.errors import ConfigError
from equipoise.facts import facts_of
from equipoise.recipes import RECIPES, recipe
from equipoise.runs.folder import rows

CHOICES = [
    # samples, side, classes, cuda -> recipe, conditioning, augment_p, kimg
    (1_797, 8, 10, False, "digits", "projection", 0.0, 768),
    (100, 32, 0, True, "small-diffaugment", "none", 1.0, 1_000),
    (5_000, 16, 0, True, "r3gan-xs", "none", 0.3, 1_000),
    (20_000, 32, 100, False, "r3gan-xs", "projection", 0.3, 2_000),
    (20_000, 32, 0, True, "r3gan-s", "none", 0.3, 4_000),
    (60_000, 32, 10, True, "r3gan-s", "projection", 0.15, 12_000),
    (500_000, 64, 5_000, True, "r3gan-s", "projection", 0.15, 20_000),
    (900, 64, 300, True, "small-diffaugment", "none", 1.0, 1_000),
]


@pytest.mark.parametrize(("samples", "side", "classes", "cuda", "name", "labels", "p", "kimg"), CHOICES)
def test_the_choice_for_some_facts(samples, side, classes, cuda, name, labels, p, kimg):
    choice = chosen(Facts(samples, side, classes), cuda)
    config = override(recipe(choice.recipe), choice.settings)
    told = (choice.recipe, config.nets.conditioning, config.knobs.augment_p, config.kimg)
    assert told == (name, labels, p, kimg)
    assert 2 <= len(choice.reasons) <= 6


def test_the_rules_in_words_name_all_that_is_chosen():
    told = "\n".join(f"{by}: {choice}" for by, choice in rules()).replace("r1 and r2", "r1 and knobs.r2")
    for samples, side, classes, cuda, name, *_ in CHOICES:
        choice = chosen(Facts(samples, side, classes), cuda)
        keys = [setting.partition("=")[0] for setting in choice.settings]
        assert all(word in told for word in (name, *keys)), (choice, told)


def test_penalties_grow_with_the_area_and_where_data_is_scarce():
    def gamma(samples, side):
        choice = chosen(Facts(samples, side), cuda=True)
        return override(recipe(choice.recipe), choice.settings).knobs.r1

    assert gamma(70_000, 64) == 4 * gamma(70_000, 32) == 2.0  # FFHQ-64 in R3GAN's table 9
    assert gamma(5_000, 32) > gamma(50_000, 32)


@pytest.mark.parametrize(
    ("side", "batch", "times"), [(64, 64, 1), (128, 32, 2), (256, 16, 4), (512, 8, 8), (1024, 4, 8)]
)
def test_large_pictures_come_in_parts_that_fit_into_the_memory(side, batch, times):
    choice = chosen(Facts(5_000, side), cuda=False)
    config = override(recipe(choice.recipe), choice.settings)
    assert (config.batch, config.knobs.accumulate) == (batch, times)
    assert batch * HELD_MIB[choice.recipe] * (side - 12) <= CPU_MIB
    assert any("at once would hold" in reason for reason in choice.reasons) == (times > 1)


@pytest.mark.parametrize("name", list(HELD_MIB))
@pytest.mark.parametrize("side", [32, 256, 1024, 4096])
@pytest.mark.parametrize("cuda", [False, True])
def test_parts_make_up_a_step_and_have_two_pictures_at_least(name, side, cuda):
    for settings, _ in parts(name, side, cuda):
        config = override(recipe(name), settings)
        assert config.batch >= 2
        assert config.batch * config.knobs.accumulate <= recipe(name).batch


@pytest.mark.parametrize("name", ["ring", "grid", "digits", "stacked-digits"])
def test_a_built_in_set_has_its_own_recipe(name):
    told = []
    config = configuring.configured("auto", data=name, tell=told.append)
    assert config == recipe(name)
    assert told[0] == f"auto: equipoise train {name} --data {name}"


@pytest.fixture
def photos(tmp_path):
    for i in range(60):
        path = tmp_path / "photos" / f"class{i % 2}" / f"{i}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((20, 18, 3), 4 * i, np.uint8)).save(path)
    return tmp_path / "photos"


def test_facts_are_those_that_a_run_will_find(photos, tmp_path):
    assert facts_of(configuring.data_at(str(photos))) == Facts(60, 16, 2)
    np.savez(tmp_path / "x.npz", x=np.zeros((9, 28, 28), np.uint8), y=np.arange(9) % 3)
    assert facts_of(configuring.data_at(str(tmp_path / "x.npz"))) == Facts(9, 32, 3)


def test_the_command_that_is_told_gives_the_same_config(photos):
    told = []
    config = configuring.configured("auto", data=str(photos), settings=["data.size=32", "knobs.r1=7"], tell=told.append)
    assert config.knobs.r1 == 7
    assert config.nets.conditioning == "projection"
    words = told[0].split()
    settings = [words[i + 1] for i, word in enumerate(words) if word == "--set"]
    again = configuring.configured(words[3], data=str(photos), settings=[*settings, "data.size=32", "knobs.r1=7"])
    assert again == config


def test_auto_needs_data():
    with pytest.raises(ConfigError, match="--data"):
        configuring.configured("auto")
    assert "auto" not in RECIPES


def test_the_door_chooses_by_an_array(tmp_path):
    images = np.random.default_rng(0).integers(0, 255, (60, 8, 8, 3), np.uint8)
    small = ["nets.g_widths=[8]", "nets.d_widths=[8]", "machine.threads=1", "guardian.mode=off", "evaluate.metrics=[]"]
    gan = GAN("auto").fit(images, steps=2, out=tmp_path / "run", settings=small, progress=False)
    assert gan.sample(4, truncation=0.5).shape == (4, 8, 8, 3)
    gan.walk(tmp_path / "walk.gif", 4, seconds=1, fps=5)
    assert (tmp_path / "walk.gif").exists()
    more = GAN("auto").fit(
        images, steps=2, out=tmp_path / "more", start=tmp_path / "run", settings=small, progress=False
    )
    assert more.run is not None


@pytest.mark.parametrize("count", [3, 12])
def test_very_few_pictures_are_trained_on_and_what_they_are_too_few_for_is_said(count, tmp_path):
    (tmp_path / "few").mkdir()
    for i in range(count):
        Image.fromarray(np.full((16, 16, 3), 20 * i, np.uint8)).save(tmp_path / "few" / f"{i}.png")
    narrow = ["nets.g_width=4", "nets.d_width=4", "batch=4", "machine.threads=1", "machine.precision=fp32"]
    told: list[str] = []
    config = configuring.configured("auto", data=str(tmp_path / "few"), steps=3, settings=[*narrow, "guardian.mode=on"])
    run = launch.start(config, tmp_path / "run", warn=told.append)
    kinds = [row["kind"] for row in rows(run.events)]
    assert run.model.exists()
    assert "look" in kinds and "metrics" not in kinds
    assert sum("too few samples are held out to judge a run by (1; 10 at least" in text for text in told) == 1
    assert GAN.load(run.path).sample(2).shape == (2, 16, 16, 3)


def test_the_choice_needs_no_torch():
    code = "import sys, equipoise.auto; print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "False\n"
