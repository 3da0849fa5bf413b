from __future__ import annotations

import re
from dataclasses import replace

import pytest

from equipoise.config import override, settings
from equipoise.config.files import known_keys
from equipoise.diagnosis.apt import SETTING, apt
from equipoise.diagnosis.causes import KNOWN, found
from equipoise.recipes import recipe


def advised(symptom, name, *changed):
    config = override(recipe(name), changed)
    return apt(found(symptom, {}), settings(config)).advice


@pytest.mark.parametrize(
    ("symptom", "way", "given_by", "not_by"),
    [
        ("data too sparse", "augment in front of D", ["dcgan"], ["small-diffaugment", "small-ada", "fastgan"]),
        ("D overfitting", "augment_p=.3", ["dcgan", "digits"], ["small-ada"]),
        ("memorising", "augment_p=.3", ["digits"], ["small-diffaugment"]),
        ("data imbalanced", "condition on", ["dcgan"], ["cgan", "cgan-projection", "acgan"]),
        ("labels ignored", "projection", ["cgan"], ["cgan-projection"]),
        ("D too strong", "d_norm=spectral", ["digits"], ["sngan", "r3gan-xs"]),  # R3GAN's D has no such setting
        ("vanishing gradients", "does not saturate", ["hinge"], ["digits", "dcgan"]),
        ("total collapse", "relativistic", ["hinge", "stacked-digits-ns"], ["stacked-digits"]),
    ],
)  # fmt: skip
def test_what_a_game_does_already_or_cannot_it_is_not_advised(symptom, way, given_by, not_by):
    for name in given_by:
        assert way in advised(symptom, name), name
    for name in not_by:
        assert way not in advised(symptom, name), name


def test_of_numbers_at_least_as_much_is_asked_for():
    for p, given in ((0.2, True), (0.3, False), (1, False)):
        assert ("augment_p" in advised("D overfitting", "digits", f"knobs.augment_p={p}")) == given
    part = ["loss=relativistic", "knobs.r1=1", "knobs.r2=.1"]
    assert "knobs.r2=1" in advised("total collapse", "hinge", *part), "one of three is missing"


@pytest.mark.parametrize("symptom", KNOWN)
def test_something_is_always_left(symptom):
    """Where nothing that it sets exists."""
    assert apt(found(symptom, {}), {}).advice


def test_words_of_its_own_stay():
    finding = replace(found("D overfitting", {}), advice="augment (--set knobs.augment_p=.3)")
    assert apt(finding, {}) == finding


@pytest.mark.parametrize("symptom", KNOWN)
def test_each_setting_that_is_advised_exists(symptom):
    advice = KNOWN[symptom].advice
    asked = SETTING.findall(advice)
    assert len(asked) == len(re.findall("--set", advice))
    assert {name for name, _, _ in asked} <= set(known_keys())
