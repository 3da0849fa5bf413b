"""The rule that moves p: the paper's speed and bounds, its state, and what it does in a game."""

import copy
import json
import math

import pytest
import torch
from torch import nn

from equipoise import build
from equipoise.ema import EMA
from equipoise.games.adaptive import P_MOST, ROUNDS, Adaptive, AgainstHeldOut, Pairs, Steady
from equipoise.games.gan import GAN
from equipoise.knobs import Knobs
from equipoise.nets import mlp
from equipoise.processes import ALONE, Processes
from equipoise.streams import Stream

CPU = torch.device("cpu")
KNOBS = Knobs(augment_target=0.6)


def told(pace, signs, knobs=KNOBS, shown=64, processes=ALONE):
    """p after each round."""
    ps = []
    for sign in signs:
        pace.hear({"paired_sign": torch.tensor(sign)}, shown, knobs, processes)
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
    assert Steady().hear({"paired_sign": torch.tensor(1.0)}, 8, knobs, ALONE) == {}
    assert Steady().asked(None) == {}
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


@pytest.mark.parametrize("cut", [3, 4, 6, 9])
def test_a_rule_that_hears_held_out_reals_goes_on_where_it_was(cut):
    def heard(game, rounds):
        return [float(game.step(batches)["augment_p"]) for _ in range(rounds)]

    batches = Reals("reals", few=16)
    game = alone(AgainstHeldOut(Reals("held out")))
    heard(game, cut)
    state, taken = copy.deepcopy(game.state_dict()), batches.taken
    state["augment"] = json.loads(json.dumps(state["augment"]))
    whole, lost = heard(game, 10), {"added": 0.0, "shown": 0, "heard": []}
    assert len(set(whole)) > 2
    for known, same in ((state["augment"], True), (lost, False)):
        again = alone(AgainstHeldOut(Reals("held out")))
        again.load_state_dict(copy.deepcopy(state | {"augment": known}))
        batches.taken = taken
        assert (heard(again, 10) == whole) == same


def test_all_processes_move_by_the_mean_of_what_they_see():
    class Two(Processes):
        def average(self, tensors):
            for t in tensors:
                t.copy_((t + 0.5) / 2)  # the other process saw .5

    assert told(Adaptive(), [0.69] * 4, processes=Two())[-1] == 0  # .595
    assert told(Adaptive(), [0.71] * 4, processes=Two())[-1] > 0
    for fake, way in ((-1.0, -1), (-0.1, 1)):  # with (.5, .5, .5) the means are (.8, .3, ...): r is .48, and .83
        pace = Adaptive(AgainstHeldOut(nobody), added=0.4)
        for _ in range(4):
            pace.hear(logits(1.1, 0.1, fake), 64, Knobs(augment_target=0.5), Two())
        assert (pace.added - 0.4) * way > 0


def logits(real, held_out, fake):
    """What a round tells in which D was asked about held-out reals."""
    named = {"real_logit": real, "held_out_logit": held_out, "fake_logit": fake, "paired_sign": 1.0}
    return {name: torch.tensor(value) for name, value in named.items()}


def nobody(drawn):
    raise AssertionError("D was not to be asked")


@pytest.mark.parametrize(("level", "scale"), [(0, 1), (1000, 1), (-7, 0.01)])
@pytest.mark.parametrize(("by_heart", "way"), [(0.0, -1), (0.49, -1), (0.51, 1), (1.0, 1), (1.5, 1)])
def test_r_is_the_part_of_what_D_knows_that_is_learnt_by_heart_whatever_its_level(by_heart, way, level, scale):
    """Karras et al. 2020, eq. 1: 0 where held-out reals are like those in training, 1 where they are like fakes."""
    knobs = Knobs(augment_target=0.5, augment_p=0.4)
    pace, asked = Adaptive(AgainstHeldOut(nobody)), logits(level + scale, level + scale * (1 - by_heart), float(level))
    silent = {name: value for name, value in asked.items() if name != "held_out_logit"}
    for told in (silent, silent, silent, asked):
        pace.hear(told, 64, knobs, ALONE)
    assert pace.turned(knobs).augment_p == pytest.approx(0.4 + way * 4 * 64 / 500_000)


def test_a_D_that_takes_fakes_for_more_real_than_what_it_learns_from_knows_nothing_by_heart():
    knobs = Knobs(augment_target=0.5, augment_p=0.4)
    cases = [(0.0, -5.0, 1.0, -1), (1.0, 1.0, 1.0, -1), (math.nan, 0.0, 0.0, 0), (2.0, math.nan, 1.0, 0)]
    for real, held_out, fake, way in cases:
        pace = Adaptive(AgainstHeldOut(nobody))
        for _ in range(ROUNDS):
            pace.hear(logits(real, held_out, fake), 64, knobs, ALONE)
        assert pace.turned(knobs).augment_p == pytest.approx(0.4 + way * 4 * 64 / 500_000)


class Plain(nn.Module):
    """A generator whose fakes are its latents: normal, independent."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))

    def forward(self, z, y):
        return self.scale * z


class Reals:
    """Normal samples about `shift`: the same `few` again and again, or new ones each time."""

    def __init__(self, name, shift=0.0, few=0):
        self.stream, self.shift, self.few, self.taken = Stream(0, name), shift, few, 0

    def __call__(self, index):
        x = torch.randn(self.few or 32, 64, generator=self.stream.at(0 if self.few else index)) + self.shift
        return x[torch.arange(32) % len(x)], torch.zeros(32, dtype=torch.long)

    def __iter__(self):
        return self

    def __next__(self):
        self.taken += 1
        return self(self.taken)


def alone(figure, norms="none", **more):
    """A game in which D alone learns."""
    torch.manual_seed(0)
    G, D = Plain(), mlp.Discriminator((64,), widths=(128, 128), norms=norms)
    knobs = Knobs(g_lr=0, d_lr=1e-3, augment_p=0.4, augment_target=0.5, augment_speed_kimg=20, **more)
    return GAN(
        G, D, torch.optim.SGD(G.parameters()), torch.optim.Adam(D.parameters(), betas=(0.0, 0.99)), EMA(G), 64,
        Stream(0, "latents"), Stream(0, "chords"), knobs, pace=Adaptive(figure),
    )  # fmt: skip


MEMORISING = {"shift": 0.0, "few": 16}  # nothing but these 16 tells reals from fakes
STRONG = {"shift": 0.5}  # reals are others than fakes, and endless


@pytest.mark.parametrize(("reals", "rises"), [(MEMORISING, True), (STRONG, False)], ids=["memorising", "strong"])
def test_held_out_reals_tell_a_D_that_learns_by_heart_from_one_that_is_strong(reals, rises):
    heard, paired = (alone(figure) for figure in (AgainstHeldOut(Reals("held out", reals["shift"])), Pairs()))
    for game in (heard, paired):
        batches = Reals("reals", **reals)
        told = [game.step(batches) for _ in range(80)]
        assert told[-1]["paired_sign"] > 0.9, "D wins in both games"
    assert (heard.pace.added > 0.1) == rises
    assert (heard.pace.added < -0.1) != rises
    assert paired.pace.added > 0.1, "the control: pairs cannot tell"


@pytest.mark.parametrize("norms", ["none", "batch"])
def test_D_is_asked_about_held_out_reals_in_one_round_of_four_and_learns_nothing_of_them(norms):
    asked = []

    def held_out(drawn):
        asked.append(drawn)
        return Reals("held out", 3.0)(drawn)

    game, other = (
        alone(figure, norms, loss="nonsaturating", d_steps=2) for figure in (AgainstHeldOut(held_out), Pairs())
    )
    for players in (game, other):
        batches = Reals("reals")
        told = [players.step(batches) for _ in range(9)]
        assert ["held_out_logit" in signals for signals in told] == [players is game and i in (3, 7) for i in range(9)]
    assert asked == sorted(set(asked)) and len(asked) == 2
    assert all(torch.equal(a, b) for a, b in zip(*(g.D.state_dict().values() for g in (game, other)), strict=True))
    game.knobs = game.knobs.model_copy(update={"augment_target": 0.0})
    for _ in range(8):
        game.step(batches)
    assert len(asked) == 2, "without a rule nobody is asked"


def test_held_out_reals_tell_nothing_while_some_reals_are_drawn_oftener_and_p_stays():
    game, batches = alone(AgainstHeldOut(Reals("held out")), focus=0.3), Reals("reals", few=16)
    told = [game.step(batches) for _ in range(10)]
    assert game.pace.added == 0
    assert not any("held_out_logit" in signals for signals in told)
    game.knobs = game.knobs.model_copy(update={"focus": 0.0})
    told = [game.step(batches) for _ in range(2)]
    assert ["held_out_logit" in signals for signals in told] == [False, True]
    assert game.pace.added != 0


def played(config, steps=12):
    """(p as D's samples were augmented in each call, p as recorded in each step, the game)."""
    data = build.splits(config.data)
    batches, held_out = build.batches(config, data, CPU), build.held_out(config, data, CPU)
    game = build.game(config, build.form(config, data), CPU, held_out=held_out)
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
