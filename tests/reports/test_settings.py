"""Which settings set a run apart, and that they can be given again."""

from __future__ import annotations

import pytest

from equipoise.config import override
from equipoise.recipes import RECIPES, recipe
from equipoise.reports.settings import assignments, departures, settings, spelled

OTHERS = [
    ["knobs.r1=0.3", "kimg=12.5", "nets.g_widths=[8,8]"],
    ["loss=hinge", "knobs.r1=0", "knobs.r2=0", "schedules={}", "optim.g.kind=sgd", "optim.g.momentum=0.9"],
    ["data.kind=pictures", 'data.path="/photos of 2026: [a]"', "data.size=32", "nets.kind=dcgan", "nets.d_norm=none"],
    ["schedules.d_lr={kind: linear, end: .5}", "data.augment.flip_x=true", "knobs.g_lr=1e-5"],
    ["evaluate.stop_when_converged=true", "evaluate.patience_kimg=7", "evaluate.metrics=[fd]"],
]


@pytest.mark.parametrize("name", sorted(RECIPES))
def test_a_recipe_does_not_depart_from_itself(name):
    assert departures(recipe(name)) == {}


@pytest.mark.parametrize("changes", OTHERS)
def test_departures_given_to_set_make_the_same_settings_again(changes):
    config = override(recipe("digits"), changes)
    again = override(recipe("digits"), assignments(departures(config)))
    assert settings(again) == settings(config) != settings(recipe("digits"))


@pytest.mark.parametrize(
    "change",
    ["seed=7", "machine.threads=1", "machine.precision=bf16", "record.every_kimg=1", "samples.every_kimg=1",
     "save.every_kimg=1", "save.keep=9", "evaluate.every_kimg=1", "evaluate.patience_kimg=3"],
)  # fmt: skip
def test_seed_machine_and_cadences_set_nothing_apart(change):
    assert departures(override(recipe("digits"), [change])) == {}


def test_patience_counts_where_it_ends_a_run():
    stopping = override(recipe("digits"), ["evaluate.stop_when_converged=true", "evaluate.patience_kimg=3"])
    assert departures(stopping)["evaluate.patience_kimg"] == 3


def test_another_kind_departs_by_what_is_not_its_default():
    changes = ["data.kind=pictures", "data.path=photos", "nets.kind=dcgan", "nets.d_norm=none", "nets.z_dim=100"]
    found = departures(override(recipe("digits"), changes))
    assert found == {"data.kind": "pictures", "data.path": "photos", "nets.kind": "dcgan", "nets.d_norm": "none"}


def test_of_an_unknown_recipe_everything_departs():
    config = recipe("digits").model_copy(update={"recipe": "mine"})
    assert departures(config) == settings(config)


def test_names_stay_short():
    assert spelled({"knobs.r1": 0.3, "loss": "hinge"}) == "knobs.r1=0.3 loss=hinge"
    long = spelled({f"key{i}": "x" * 99 for i in range(9)})
    assert long.endswith("and 5 more")
    assert len(long) < 200
