from __future__ import annotations

import pytest
import torch

from equipoise import build, forecast
from equipoise.config import override
from equipoise.onlookers import Onlookers
from equipoise.processes import ALONE
from equipoise.recipes import recipe

CPU = torch.device("cpu")
CONFIG = override(recipe("digits"), ["nets.g_widths=[8]", "nets.d_widths=[8]"])


def measured(seconds):
    """As if the machine had been measured: one thread, fp32, and so many seconds a step."""
    return lambda config, *rest: (config.machine.model_copy(update={"threads": 1, "device": "cpu"}), seconds)


@pytest.fixture
def data():
    return build.splits(CONFIG.data)


@pytest.fixture
def rehearsals(monkeypatch):
    """Plays back times of a step by (threads, precision), on a machine of two cores with units for bf16."""

    def played(times):
        monkeypatch.setattr(forecast, "cores", lambda: 2)
        monkeypatch.setattr(forecast, "has_bf16_units", lambda device: True)
        machine = lambda config: config.machine  # noqa: E731
        monkeypatch.setattr(
            forecast, "rehearsed", lambda config, *rest: times[machine(config).threads, machine(config).precision]
        )

    return played


@pytest.mark.parametrize(
    ("times", "chosen"),
    [
        ({(1, "fp32"): 0.010, (2, "fp32"): 0.004, (2, "bf16"): 0.002}, (2, "bf16", 0.002)),
        ({(1, "fp32"): 0.010, (2, "fp32"): 0.004, (2, "bf16"): 0.0039}, (2, "fp32", 0.004)),
        ({(1, "fp32"): 0.010, (2, "fp32"): 0.0095, (1, "bf16"): 0.005}, (1, "bf16", 0.005)),
        ({(1, "fp32"): 0.010, (2, "fp32"): 0.200, (1, "bf16"): 0.030}, (1, "fp32", 0.010)),
    ],
    ids=["both are faster", "bf16 gains little", "a thread gains little", "the machine is busy and has slow bf16"],
)
def test_a_choice_that_is_not_the_plainest_must_earn_its_place(times, chosen, data, rehearsals):
    rehearsals(times)
    machine, seconds = forecast.fastest(CONFIG, build.form(CONFIG, data), data, CPU, ALONE)
    assert (machine.threads, machine.precision, seconds) == chosen


def test_what_was_asked_for_is_not_measured(data, rehearsals):
    rehearsals({(2, "fp32"): 0.01})
    config = override(CONFIG, ["machine.threads=2", "machine.precision=fp32"])
    machine, _ = forecast.fastest(config, build.form(config, data), data, CPU, ALONE)
    assert (machine.threads, machine.precision, machine.compile) == (2, "fp32", False)


def test_of_a_step_in_parts_one_is_rehearsed_and_counts_for_each(data, monkeypatch):
    played = []
    monkeypatch.setattr(forecast, "rehearsed", lambda config, *rest: played.append(config) or 0.01)
    config = override(CONFIG, ["machine.threads=1", "machine.precision=fp32", "knobs.accumulate=8", "batch=16"])
    _, seconds = forecast.fastest(config, build.form(config, data), data, CPU, ALONE)
    assert (played[0].batch, played[0].knobs.accumulate, seconds) == (16, 1, pytest.approx(0.08))


def test_time_becomes_images_and_every_cadence_a_number(data, monkeypatch):
    monkeypatch.setattr(forecast, "fastest", measured(0.01))
    config, expected = forecast.resolve(Onlookers(CONFIG, data, CPU), time_s=100)
    assert config.kimg == pytest.approx(forecast.SHARE_OF_TIME * 100 * 128 / 0.01 / 1000)
    assert expected.seconds == pytest.approx(forecast.SHARE_OF_TIME * 100, rel=0.001)
    assert config.record.every_kimg == pytest.approx(config.kimg / 500)
    assert config.samples.every_kimg == pytest.approx(config.kimg / 20)
    assert config.save.every_kimg == pytest.approx(config.kimg / 10)
    assert (config.machine.threads, config.machine.device) == (1, expected.device)


@pytest.mark.parametrize(("seconds", "every_s"), [(10, 5), (1000, 100), (36000, 300)])
def test_checkpoints_are_between_five_seconds_and_five_minutes_apart(seconds, every_s, data, monkeypatch):
    monkeypatch.setattr(forecast, "fastest", measured(0.01))
    config, _ = forecast.resolve(Onlookers(CONFIG, data, CPU), time_s=seconds / forecast.SHARE_OF_TIME)
    assert config.save.every_kimg == pytest.approx(every_s * 128 / 0.01 / 1000)


def test_looks_that_are_much_of_the_time_are_told_and_taken_off():
    told: list[str] = []
    assert forecast.for_steps(forecast.Looks(1, 1), 100, told.append) == pytest.approx(forecast.SHARE_OF_TIME * 100)
    assert forecast.for_steps(forecast.Looks(0, 0), 100, told.append) == pytest.approx(forecast.SHARE_OF_TIME * 100)
    assert told == []
    assert forecast.for_steps(forecast.Looks(5, 4), 100, told.append) == pytest.approx(91 - 31)
    assert "31 s" in told[0] and len(told[0].splitlines()) == 2
    assert forecast.for_steps(forecast.Looks(50, 4), 100, told.append) == 50


def test_what_the_config_says_is_not_measured(data):
    chosen = override(CONFIG, ["machine.threads=1", "save.every_kimg=7", "record.every_kimg=3", "samples.every_kimg=5"])
    config, _ = forecast.resolve(Onlookers(chosen, data, CPU))
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
