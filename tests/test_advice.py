"""Each warning comes when it should, says what to use instead, and stays away otherwise."""

import pytest

from equipoise.advice import warnings
from equipoise.config import override
from equipoise.recipes import RECIPES, recipe

PHOTOS = "data={kind: pictures, path: photos}"
MIRRORED_DIGITS, MIXED, TURNED = "signs that are no digits", "mixes the three digits", "some digits into others"
LEAKS, LEFT_RIGHT, FLIP_IN_FRONT = "leaks into the samples", "harmless for most photographs", "flips in front of D leak"


def warned(name, *settings):
    return warnings(override(recipe(name), settings))


@pytest.mark.parametrize(
    ("name", "settings", "expected"),
    [
        ("digits", ["data.augment.flip_x=true"], [MIRRORED_DIGITS]),
        ("digits", ["data.augment.flip_y=true"], [LEAKS, MIRRORED_DIGITS]),
        ("digits", ["data.augment.turn_degrees=31"], [LEAKS, TURNED]),
        ("digits", ["data.augment.turn_degrees=30"], [LEAKS]),
        ("stacked-digits", ["data.augment.hue=.1"], [LEAKS, MIXED]),
        ("stacked-digits", ["data.augment.saturation=.1"], [LEAKS, MIXED]),
        ("digits", ["data.augment.hue=.1"], [LEAKS]),
        ("digits", ["augment=[flip]", "knobs.augment_p=.9"], [FLIP_IN_FRONT]),
        ("digits", ["augment=[ada-blit]", "knobs.augment_p=.9"], [FLIP_IN_FRONT]),
        ("digits", ["augment=[flip]", "knobs.augment_p=.5"], []),
        ("digits", ["knobs.augment_p=1"], []),
        ("dcgan", [PHOTOS, "data.augment.flip_x=true"], [LEFT_RIGHT]),
        ("dcgan", [PHOTOS, "data.augment.flip_y=true"], [LEAKS]),
        ("dcgan", [PHOTOS, "data.augment.turn_degrees=90"], [LEAKS]),
        *(
            ("dcgan", [PHOTOS, f"data.augment.{name}=.1"], [LEAKS])
            for name in ("crop", "shift", "scale", "brightness", "contrast", "saturation", "hue")
        ),
        ("dcgan", [PHOTOS], []),
        ("ring", [], []),
    ],
)
def test_what_is_seldom_meant_is_told(name, settings, expected):
    found = warned(name, *settings)
    assert len(found) == len(expected)
    for text, words in zip(found, expected, strict=True):
        assert words in text
        assert len(text.splitlines()) <= 2
        leak = words in (LEAKS, MIRRORED_DIGITS, TURNED, MIXED)
        assert ("knobs.augment_p=0.3" in text) == leak


def test_a_warning_names_the_keys_and_the_paper():
    (text,) = warned("dcgan", PHOTOS, "data.augment.shift=.1", "data.augment.turn_degrees=5", "data.augment.hue=.1")
    assert "data.augment.turn_degrees, data.augment.shift, data.augment.hue: this leaks" in text
    assert "turned and shifted and recoloured" in text
    assert "arXiv:2006.06676, section 2.2" in text


@pytest.mark.parametrize("name", sorted(RECIPES))
def test_no_recipe_warns(name):
    assert warned(name) == []
