"""The rule that moves p: the paper's speed and bounds, its state, and what it does in a game."""

import json
import math

import pytest
import torch

from equipoise import build
from equipoise.games.adaptive import P_MOST, ROUNDS, Adaptive, Steady
from equipoise.knobs import Knobs
from equipoise.processes import ALONE, Processes

CPU = torch.device("cpu")
KNOBS = Knobs(augment_target=0.6)


def told(pace, signs, knobs=KNOBS, shown=64, processes=ALONE):
    """p after each round."""
    ps = []
    for sign in signs:
        pace.hear(torch.tensor(sign), shown, knobs, processes)
        ps.append(pace.turned(knobs).augment_p)
    return ps


def test_p_is_moved_every_four_rounds_at_the_speed_of_the_paper():
    ps = told(Adaptive(), [0.9] * 9)
    step = 4 * 64 / 500_000
    assert ps == pytest.approx([0, 0, 0, step, step, step, step, 2 * step, 2 * step])


@pytest.mark.parametrize("shown", [125, 500])
def test_from_nothing_to_one_it_takes_500_kimg_whatever_the_batch(shown):
    rounds = 250_000 // shown // ROUNDS * ROUNDS
    assert told(Adaptive(), [1.0] * rounds, shown=shown)[-1] == pytest.approx(0.5, abs=ROUNDS * shown / 500_000)
    faster = Knobs(augment_target=0.6, augment_speed_kimg=50)
    assert told(Adaptive(), [1.0] * (rounds // 10), faster, shown)[-1] == pytest.approx(0.5, abs=0.05)


def test_p_stays_within_its_bounds():
    fast = Knobs(augment_target=0.6, augment_p=0.3, augment_speed_kimg=1)
    pace = Adaptive()
    rises = told(pace, [1.0] * 40, fast)
    assert rises[-1] == P_MOST == max(rises)
    sinks = told(pace, [0.1] * 40, fast)
    assert sinks[-1] == 0 == min(sinks)
    assert told(pace, [1.0] * 4, fast)[-1] == pytest.approx(4 * 64 / 1000)  # at once: nothing was piled up below 0


def test_only_the_mean_of_four_rounds_counts():
    assert told(Adaptive(), [0.0, 0.0, 1.0, 1.0])[-1] == 0
    assert told(Adaptive(), [0.2, 0.5, 1.0, 1.0])[-1] > 0
    assert told(Adaptive(), [1.0, 1.0, 1.0, math.nan])[-1] == 0


def test_schedules_and_interventions_move_p_beside_the_rule():
    pace, fast = Adaptive(), Knobs(augment_target=0.6, augment_p=0.1, augment_speed_kimg=2)
    assert told(pace, [1.0] * 4, fast)[-1] == pytest.approx(0.1 + 0.128)
    assert pace.turned(fast.model_copy(update={"augment_p": 0.3})).augment_p == pytest.approx(0.3 + 0.128)
    off = fast.model_copy(update={"augment_target": 0.0})
    assert told(pace, [1.0] * 8, off) == pytest.approx([0.1 + 0.128] * 8)


def test_without_a_rule_the_knobs_are_as_they_are():
    knobs = Knobs(augment_p=0.9)
    assert Steady().turned(knobs) is knobs
    assert Steady().hear(torch.tensor(1.0), 8, knobs, ALONE) == {}
    assert Steady().state_dict() == {}


@pytest.mark.parametrize("cut", range(9))
def test_the_state_of_the_rule_is_all_that_it_depends_on(cut):
    signs = [0.9, 0.8, 0.3, 0.7, 0.9, 0.8, 0.55, 0.62, 0.9, 0.9, 0.4, 0.41, 0.5]
    knobs = Knobs(augment_target=0.6, augment_p=0.2, augment_speed_kimg=3)
    whole = told(Adaptive(), signs, knobs)
    before, after = Adaptive(), Adaptive()
    told(before, signs[:cut], knobs)
    after.load_state_dict(json.loads(json.dumps(before.state_dict())))
    assert told(after, signs[cut:], knobs) == whole[cut:]
    lost = told(Adaptive(), signs[cut:], knobs)
    assert (lost == whole[cut:]) == (cut == 0)


def test_all_processes_move_by_the_mean_of_what_they_see():
    class Two(Processes):
        def average(self, tensors):
            for t in tensors:
                t.copy_((t + 0.5) / 2)  # the other process saw .5

    assert told(Adaptive(), [0.69] * 4, processes=Two())[-1] == 0  # .595
    assert told(Adaptive(), [0.71] * 4, processes=Two())[-1] > 0


def played(config, steps=12):
    """(p as D's samples were augmented in each call, p as recorded in each step, the game)."""
    data = build.splits(config.data)
    game, batches = build.game(config, build.form(config, data), CPU), build.batches(config, data, CPU)
    asked, augment = [], game.augment

    def noting(x, knobs, call, drawn):
        asked.append(knobs.augment_p)
        return augment(x, knobs, call, drawn)

    game.augment = noting
    recorded = [game.step(batches).get("augment_p") for _ in range(steps)]
    return asked, recorded, game


@pytest.mark.parametrize(("settings", "way"), [(["knobs.g_lr=0", "knobs.d_lr=.01"], 1), (["knobs.d_lr=0"], -1)])
def test_in_a_game_p_rises_where_D_wins_and_sinks_where_it_knows_nothing(settings, way, tiny):
    rule = ["knobs.augment_p=.4", "knobs.augment_target=.6", "knobs.augment_speed_kimg=1", "knobs.r1=0", "knobs.r2=0"]
    asked, recorded, _ = played(tiny("digits", *rule, *settings), steps=40)
    assert [float(p) for p in recorded] == pytest.approx(asked[:: len(asked) // len(recorded)])
    assert (asked[-1] - 0.4) * way > 0.15
    assert 0 <= min(asked) <= max(asked) <= P_MOST


def test_a_game_that_begins_at_p_0_has_its_pipeline_once_p_has_risen(tiny):
    rule = ["knobs.augment_target=.01", "knobs.augment_speed_kimg=.1", "knobs.g_lr=0", "augment=[ada-blit]"]
    x = torch.rand(64, 1, 8, 8)
    config = tiny("digits", *rule)
    _, recorded, game = played(config, steps=0)
    assert game.augmented(x, "real") is x
    asked, recorded, game = played(config, steps=30)
    assert recorded[0] == 0
    assert asked[-1] > 0.5
    assert not torch.equal(game.augmented(x, "real"), x)
    assert played(tiny("digits"), steps=1)[1] == [None]
