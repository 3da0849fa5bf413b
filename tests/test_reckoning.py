from __future__ import annotations

import pytest
import torch
from torch.profiler import ProfilerActivity, profile
from torch.utils.flop_counter import FlopCounterMode

from equipoise import auto, build, forecast
from equipoise.config import TrainConfig, override
from equipoise.data.source import InMemory, Splits
from equipoise.onlookers import Onlookers
from equipoise.recipes import recipe
from equipoise.reckoning import Count, Pace, Reckoning, reckoned

CPU = torch.device("cpu")
NARROW = ["nets.g_width=8", "nets.d_width=8", "batch=8", "machine.precision=fp32"]
SETTINGS = {
    "dcgan": NARROW,
    "wgan-gp": NARROW,
    "r3gan-xs": ["nets.width=32", "batch=4"],
    "stylegan2": ["nets.capacity=512", "nets.max_width=32", "batch=4", "knobs.r1_every=1", "knobs.path_every=1"],
    "small-ada": NARROW,
}


def narrow(name: str) -> TrainConfig:
    return override(recipe(name), SETTINGS[name])


def real_step(config: TrainConfig, form: build.Form):
    game = build.game(config, form, CPU)
    x = (torch.rand(config.batch, *form.shape) * 2 - 1).to(memory_format=build.layout(config.nets))

    def reals():
        while True:
            yield x, torch.zeros(config.batch, dtype=torch.long)

    return lambda: game.step(reals())


def test_a_product_is_counted_and_what_was_freed_is_no_longer_held():
    with Count() as count:
        a, b = torch.ones(30, 40), torch.ones(40, 50)
        product = a @ b
        before = count.memory.now
        del a, b
        after = count.memory.now
    assert count.operations == 2 * 30 * 40 * 50
    assert before == 4 * (30 * 40 + 40 * 50 + 30 * 50) == count.most
    assert after == product.nbytes


def test_the_arithmetic_is_what_torch_counts_in_a_real_step():
    """Without a penalty of slopes, with which torch's counter cannot be used."""
    config, form = narrow("dcgan"), build.Form((3, 32, 32), 0)
    step = real_step(config, form)
    with FlopCounterMode(display=False) as counter:
        step()
    found = reckoned(config, form)
    assert found is not None
    assert found.operations == counter.get_total_flops()


def test_lazy_penalties_are_reckoned_with():
    form = build.Form((3, 32, 32), 0)
    lazy, none = (
        reckoned(override(narrow("stylegan2"), settings), form)
        for settings in (["knobs.r1_every=16", "knobs.path_every=4"], ["knobs.r1=0", "knobs.path_length=0"])
    )
    assert lazy is not None and none is not None
    assert lazy.operations > 1.3 * none.operations
    assert lazy.held > none.held


def held_in_truth(step) -> int:
    """The most that torch's allocator held beside what was there before, after its own record."""
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as watched:
        step()
    now = most = 0
    for event in sorted(watched.profiler.kineto_results.events(), key=lambda event: event.start_ns()):
        if event.name() == "[memory]":
            now += event.nbytes()
            most = max(most, now)
    return most


@pytest.mark.parametrize("name", ["dcgan", "r3gan-xs"])
def test_a_picture_more_holds_what_the_allocator_hands_out_more_in_a_real_step(name):
    form, few, many = build.Form((3, 32, 32), 0), *(override(narrow(name), [f"batch={n}"]) for n in (8, 16))
    one, other = reckoned(few, form), reckoned(many, form)
    assert one is not None and other is not None
    truth = held_in_truth(real_step(many, form)) - held_in_truth(real_step(few, form))
    assert other.held - one.held == pytest.approx(truth, rel=0.1)


def test_a_picture_of_auto_holds_what_auto_reckons_with():
    form = build.Form((3, 64, 64), 0)
    two, four = (reckoned(override(recipe("r3gan-xs"), [f"batch={n}"]), form) for n in (2, 4))
    assert two is not None and four is not None
    assert (four.held - two.held) / 2 == pytest.approx(2**20 * auto.HELD_MIB["r3gan-xs"] * (64 - 12), rel=0.1)


def test_parts_hold_less_and_take_as_long_as_the_whole():
    config, form = narrow("r3gan-xs"), build.Form((3, 32, 32), 0)
    whole = reckoned(override(config, ["batch=8"]), form)
    parts = reckoned(override(config, ["batch=2", "knobs.accumulate=4"]), form)
    assert whole is not None and parts is not None
    assert parts.held < whole.held
    assert parts.operations == pytest.approx(whole.operations, rel=0.01)
    pace = Pace(operations=1e11, moved=1e10)
    assert Reckoning(0, operations=2e11, moved=1e10).seconds(pace) == pytest.approx(3)


def test_a_game_whose_course_depends_on_numbers_is_not_reckoned():
    """The rule of ADA reads a signal once in four rounds; here in each."""
    config = override(narrow("small-ada"), ["knobs.augment_target=.6", "knobs.d_steps=1"])
    form = build.Form((3, 32, 32), 0)
    assert reckoned(config, form) is not None

    def reading(game: object, hands: object) -> None:
        raise AssertionError if float(torch.zeros(()) + torch.zeros(())) else ValueError

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("equipoise.games.gan.GAN.update_D", reading)
        assert reckoned(config, form) is None


def test_small_pictures_and_points_are_tried_without_a_word():
    assert forecast.beforehand(narrow("r3gan-xs"), build.Form((3, 64, 64), 0), CPU) is None
    assert forecast.beforehand(recipe("ring"), build.Form((2,), 0), CPU) is None


def test_what_is_told_beforehand():
    config = override(narrow("r3gan-xs"), ["batch=2", "knobs.accumulate=8"])
    expected = forecast.beforehand(config, build.Form((3, 128, 128), 0), CPU)
    assert expected is not None
    assert (expected.pictures, expected.at_once, expected.side) == (16, 2, 128)
    assert expected.held < expected.free
    text = expected.told()
    assert text.startswith("a step on 16 pictures of 128 pixels, 2 at a time, will hold about ")
    assert "on one thread" in text and "Halve batch" not in text


def test_a_look_holds_its_fakes_twice_and_what_the_players_are_asked_about():
    data = Splits(*(InMemory(torch.zeros(n, 3, 128, 128, dtype=torch.uint8)) for n in (60, 30, 30)))
    config = override(narrow("r3gan-xs"), ["evaluate.n=20", "guardian.n=25"])
    picture = 3 * 128 * 128

    def held(*settings):
        onlookers = Onlookers(override(config, settings), data, CPU)
        return forecast.held_by_looks(onlookers) / picture, onlookers.there.asked

    found, asked = held()
    assert found == 2 * 25 + 4 * 4 * asked
    assert held("guardian.n=1000")[0] == 2 * 30 + 4 * 4 * asked, "no more than are held out"
    assert held("guardian.mode=off")[0] == 2 * 20
    assert held("guardian.mode=off", "evaluate.metrics=[]")[0] == 0


def test_looks_are_told_and_come_with_advice_where_they_are_too_large():
    expected = forecast.Beforehand(8, 8, 1024, 2**30, 2**31, None, looks=3 * 2**31, room=2**32)
    assert expected.told() == (
        "a step on 8 pictures of 1024 pixels will hold about 1.0 GiB. A look at samples will hold about 6.0 GiB.\n"
        "For looks there are 4.0 GiB: lower evaluate.n and guardian.n."
    )


def test_more_than_there_is_comes_with_advice():
    expected = forecast.Beforehand(32, 32, 1024, held=70 * 2**30, free=12 * 2**30, seconds=90.0)
    assert expected.told() == (
        "a step on 32 pictures of 1024 pixels will hold about 70.0 GiB and take about 1 min 30 s on one thread. "
        "Here are 12.0 GiB.\nHalve batch and double knobs.accumulate, which is the same step in smaller parts."
    )
