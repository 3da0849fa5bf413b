"""Each remedy turns what it says, within its bounds, and only where it fits."""

import pytest
from histories import ILL

from equipoise.config import override
from equipoise.diagnosis.causes import KNOWN
from equipoise.diagnosis.remedies import (
    BATCHES,
    GAMMA,
    HEAVIER,
    LADDER,
    LADDER_OF_TEXT,
    P_MOST,
    PASSING,
    REMEDIES,
    SLOWEST,
    Case,
    Setting,
    missing,
)  # fmt: skip
from equipoise.knobs import Knobs
from equipoise.recipes import recipe

PLAIN = Knobs(loss="nonsaturating")


def case(knobs=PLAIN, start=None, drawn=(), **more):
    given = {"images": True, "batch_norm": False, "apart2": 50.0, "deviation": 0.5} | more
    return Case(knobs, Setting(start=start or knobs, **given), drawn)


def turn(name, *args, **more):
    return REMEDIES[name].turn(case(*args, **more))


def changed(knobs, new):
    return {name for name, value in new.model_dump().items() if value != getattr(knobs, name)}


@pytest.mark.parametrize(
    ("name", "knobs", "turned"),
    [
        ("paired", PLAIN, {"loss", "r1", "r2"}),
        ("paired", Knobs(loss="nonsaturating", r1=0.1, r1_every=16), {"loss", "r2", "r1_every"}),
        ("paired", Knobs(loss="least-squares", smooth_real=0.1), {"loss", "smooth_real", "r1", "r2"}),
        ("paired", Knobs(loss="wasserstein", gp=10.0), {"loss", "gp", "r1", "r2"}),
        ("firmer", Knobs(r1=0.1, r2=0.1), {"r1", "r2"}),
        ("softer", Knobs(r1=0.1), {"r1"}),
        ("slower", PLAIN, {"g_lr", "d_lr"}),
        ("slower D", PLAIN, {"d_lr"}),
        ("slower G", PLAIN, {"g_lr"}),
        ("more D", PLAIN, {"d_steps"}),
        ("augmented", PLAIN, {"augment_p"}),
        ("noisy", PLAIN, {"instance_noise"}),
        ("smoothed", PLAIN, {"smooth_real"}),
        ("larger", PLAIN, {"accumulate"}),
        ("as it is", PLAIN, set()),
    ],
)
def test_a_remedy_turns_its_knobs_and_no_others(name, knobs, turned):
    assert changed(knobs, turn(name, knobs)) == turned


@pytest.mark.parametrize(
    ("name", "knobs", "more"),
    [
        ("paired", Knobs(r1=0.1, r2=0.1), {}),
        ("firmer", PLAIN, {}),
        ("softer", PLAIN, {}),
        ("augmented", PLAIN, {"images": False}),
        ("augmented", Knobs(augment_p=0.9), {}),
        ("smoothed", Knobs(loss="hinge"), {}),
        ("smoothed", Knobs(loss="nonsaturating", smooth_real=0.2), {}),
        ("noisy", Knobs(instance_noise=1.0), {}),
        ("more D", Knobs(d_steps=5), {}),
        ("balanced", PLAIN, {}),
        ("slower", Knobs(g_lr=0, d_lr=0), {}),
    ],
)
def test_where_it_does_not_fit_or_is_done_already_nothing_is_turned(name, knobs, more):
    assert turn(name, knobs, **more) is None


def test_the_penalty_follows_the_spread_of_the_data():
    near, far = (turn("paired", apart2=apart2) for apart2 in (2.0, 200.0))
    assert (near.r1, far.r1, far.r2) == (GAMMA * 2, GAMMA * 200, GAMMA * 200)
    assert turn("paired", Knobs(loss="hinge", r1=0.7)).r1 == 0.7, "one that was chosen stays"


def test_batch_norm_in_D_keeps_its_statistics_before_samples_are_paired():
    assert turn("paired", batch_norm=True).frozen_norm
    dcgan = override(recipe("dcgan"), ["data.kind=digits"])
    override(dcgan, ["knobs.frozen_norm=true", "knobs.loss=relativistic", "knobs.r1=1", "knobs.r2=1"])


@pytest.mark.parametrize("name", sorted(REMEDIES.keys() - {"as it is", "softer"}))
def test_again_and_again_a_remedy_comes_to_an_end(name):
    knobs = start = Knobs(loss="nonsaturating", r1=0.01)
    for _ in range(30):
        new = turn(name, knobs, start, drawn=[0.0, 0.3, 0.3, 0.4], shares=[0.25] * 4, soft=True)
        if new is None:
            break
        knobs = new
    assert new is None
    assert knobs != start
    assert knobs.g_lr >= SLOWEST * start.g_lr
    assert knobs.d_lr >= SLOWEST * start.d_lr
    assert knobs.augment_p <= P_MOST
    assert knobs.accumulate <= BATCHES
    assert knobs.d_steps <= 5


def test_missing_bins_are_drawn_at_most_so_many_times_as_often():
    real, drawn = [0.05, 0.15, 0.4, 0.4], [0.01, 0.0, 0.5, 0.49]
    assert missing(real, drawn) == [0, 1]
    new = turn("balanced", shares=real, drawn=drawn)
    assert new.focus_on == (0, 1)
    weight = new.focus / 0.2 + (1 - new.focus)
    assert 1 < weight <= HEAVIER
    assert turn("balanced", shares=real, drawn=real) is None
    assert turn("balanced", shares=real, drawn=[0.0, 0.0, 0.0, 1.0]) is None, "what is missing is most of the data"


def test_the_ladder_knows_every_illness_of_a_game_and_each_rung_a_remedy():
    assert LADDER.keys() <= KNOWN.keys()
    assert ILL.keys() - LADDER.keys() == {"labels ignored"}, "for that there is advice, but no knob"
    ladders = [*LADDER.values(), *LADDER_OF_TEXT.values()]
    assert {rung.remedy for ladder in ladders for rung in ladder} == REMEDIES.keys()
    assert LADDER_OF_TEXT.keys() <= KNOWN.keys()
    assert all(hasattr(PLAIN, name) for names, _ in PASSING for name in names)
    assert {remedy for _, remedies in PASSING for remedy in remedies} <= REMEDIES.keys()


@pytest.mark.parametrize("name", ["imitating", "colder"])
def test_of_sentences_the_knobs_of_the_game_wait_until_it_begins(name):
    setting = Setting(PLAIN, False, False, 1.0, 1.0, imitates=1000, soft=True)
    assert REMEDIES[name].turn(Case(PLAIN, setting, (), seen=1000)) is None
    assert REMEDIES[name].turn(Case(PLAIN, setting, (), seen=1001)) is not None
