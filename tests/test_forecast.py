from __future__ import annotations

import pytest

from equipoise import build, forecast
from equipoise.config import override
from equipoise.recipes import recipe

CONFIG = override(recipe("digits"), ["nets.g_widths=[8]", "nets.d_widths=[8]"])


@pytest.fixture
def data():
    return build.splits(CONFIG.data)


@pytest.mark.parametrize(
    ("one", "two", "chosen"),
    [(0.010, 0.004, 2), (0.010, 0.0095, 1), (0.010, 0.200, 1)],
    ids=["two are faster", "two gain little", "the machine is busy"],
)
def test_a_second_thread_must_earn_its_place(one, two, chosen, data, monkeypatch):
    monkeypatch.setattr(forecast, "cores", lambda: 2)
    monkeypatch.setattr(forecast.torch, "set_num_threads", lambda n: None)
    times = iter([one, two])
    monkeypatch.setattr(forecast, "rehearsed", lambda *args: next(times))
    threads, seconds = forecast.fastest_threads(CONFIG, build.form(CONFIG, data), data, build.device(CONFIG.machine))
    assert threads == chosen
    assert seconds == (two if chosen == 2 else one)


def test_time_becomes_images_and_every_cadence_a_number(data, monkeypatch):
    monkeypatch.setattr(forecast, "fastest_threads", lambda *args: (1, 0.01))
    config, expected = forecast.resolve(CONFIG, data, time_s=100)
    assert config.kimg == pytest.approx(forecast.SHARE_OF_TIME * 100 * 128 / 0.01 / 1000)
    assert expected.seconds == pytest.approx(forecast.SHARE_OF_TIME * 100, rel=0.001)
    assert config.record.every_kimg == pytest.approx(config.kimg / 500)
    assert config.samples.every_kimg == pytest.approx(config.kimg / 20)
    assert config.save.every_kimg == pytest.approx(config.kimg / 10)
    assert (config.machine.threads, config.machine.device) == (1, expected.device)


@pytest.mark.parametrize(("seconds", "every_s"), [(10, 5), (1000, 100), (36000, 300)])
def test_checkpoints_are_between_five_seconds_and_five_minutes_apart(seconds, every_s, data, monkeypatch):
    monkeypatch.setattr(forecast, "fastest_threads", lambda *args: (1, 0.01))
    config, _ = forecast.resolve(CONFIG, data, time_s=seconds / forecast.SHARE_OF_TIME)
    assert config.save.every_kimg == pytest.approx(every_s * 128 / 0.01 / 1000)


def test_what_the_config_says_is_not_measured(data):
    chosen = override(CONFIG, ["machine.threads=1", "save.every_kimg=7", "record.every_kimg=3", "samples.every_kimg=5"])
    config, _ = forecast.resolve(chosen, data, time_s=None)
    assert config.kimg == CONFIG.kimg
    assert [getattr(config, s).every_kimg for s in ("record", "samples", "save")] == [3, 5, 7]


def test_a_rehearsal_leaves_the_game_that_follows_alone(data):
    """It plays a game of its own: the weights of the run's first step are those of a run that was not rehearsed."""
    form, device = build.form(CONFIG, data), build.device(CONFIG.machine)
    before = build.game(CONFIG, form, device).state_dict()
    forecast.rehearsed(CONFIG, form, data, device)
    after = build.game(CONFIG, form, device).state_dict()
    assert all((before["G"][k] == after["G"][k]).all() for k in before["G"])
    assert after["seen"] == after["drawn"] == 0
