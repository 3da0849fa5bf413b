"""Knobs and their schedules: at both ends and in the middle."""

import math

import pytest
from pydantic import TypeAdapter, ValidationError

from equipoise.knobs import (
    SCHEDULABLE,
    WHOLE,
    Change,
    Constant,
    Knobs,
    Phases,
    Schedule,
    Slope,
    ramp,
    scheduled,
    two_phase,
)


@pytest.mark.parametrize("progress", [0, 0.5, 1])
def test_a_constant_is_constant(progress):
    assert Constant(value=3.5).at(progress) == 3.5


@pytest.mark.parametrize(
    ("progress", "linear", "cosine"),
    [
        (0.0, 10, 10),
        (0.2, 10, 10),
        (0.3, 8, 10 - 8 * (1 - math.cos(math.pi / 4)) / 2),
        (0.4, 6, 6),
        (0.6, 2, 2),
        (1.0, 2, 2),
    ],
)
def test_a_slope_leads_from_start_to_end_between_after_and_until(progress, linear, cosine):
    between = {"start": 10, "end": 2, "after": 0.2, "until": 0.6}
    assert Slope(kind="linear", **between).at(progress) == pytest.approx(linear)
    assert Slope(kind="cosine", **between).at(progress) == pytest.approx(cosine)


def test_a_cosine_is_flat_at_both_ends_and_steep_in_the_middle():
    wave = Slope(kind="cosine", start=1, end=0)
    at_start, in_middle, at_end = ((wave.at(p) - wave.at(p + 0.01)) / 0.01 for p in (0, 0.495, 0.99))
    assert at_start == pytest.approx(at_end, rel=1e-6)
    assert at_start == pytest.approx(0, abs=0.03)
    assert in_middle == pytest.approx(math.pi / 2, rel=1e-3)


@pytest.mark.parametrize(("after", "until"), [(0.5, 0.5), (0.6, 0.4), (-0.1, 1), (0, 1.1), (1, 1)])
def test_a_slope_must_end_after_it_starts_and_within_the_run(after, until):
    with pytest.raises(ValidationError):
        Slope(kind="linear", start=1, after=after, until=until)


@pytest.mark.parametrize(("progress", "value"), [(0, 1), (0.29, 1), (0.3, 5), (0.69, 5), (0.7, 2), (1, 2)])
def test_phases_hold_from_their_start_on(progress, value):
    assert Phases(starts=(0, 0.3, 0.7), values=(1, 5, 2)).at(progress) == value


@pytest.mark.parametrize(
    ("starts", "values"),
    [((), ()), ((0.1,), (1,)), ((0, 0.5), (1,)), ((0, 0.5, 0.5), (1, 2, 3)), ((0, 2, 1), (1, 2, 3))],
)
def test_phases_must_rise_from_zero_with_a_value_each(starts, values):
    with pytest.raises(ValidationError, match="starts that rise from 0"):
        Phases(starts=starts, values=values)


@pytest.mark.parametrize(
    ("written", "value_in_the_middle"),
    [
        ({"kind": "constant", "value": 2}, 2),
        ({"kind": "linear"}, 0.5),
        ({"kind": "linear", "start": 1}, 0.5),
        ({"kind": "cosine", "start": 1}, 0.5),
        ({"kind": "phases", "starts": [0, 0.5], "values": [1, 2]}, 2),
    ],
)
def test_a_schedule_is_read_by_its_kind(written, value_in_the_middle):
    assert TypeAdapter(Schedule).validate_python(written).at(0.5) == pytest.approx(value_in_the_middle)


@pytest.mark.parametrize(("progress", "g_steps", "d_steps"), [(0, 3, 1), (0.39, 3, 1), (0.4, 1, 5), (1, 1, 5)])
def test_two_phases_favour_G_first_and_D_later(progress, g_steps, d_steps):
    knobs = scheduled(Knobs(), two_phase(switch=0.4, early_g_steps=3, late_d_steps=5), progress)
    assert (knobs.g_steps, knobs.d_steps) == (g_steps, d_steps)
    assert type(knobs.g_steps) is type(knobs.d_steps) is int


def test_a_schedule_is_a_factor_on_the_named_knob_and_no_other():
    knobs = Knobs(loss="hinge", r1=8, g_lr=1e-3)
    now = scheduled(knobs, {"r1": Slope(kind="linear", start=1, end=0)}, 0.25)
    assert now == knobs.model_copy(update={"r1": 6.0})
    assert knobs.r1 == 8


def test_a_knob_that_is_turned_keeps_its_schedule():
    decay = {"r1": Slope(kind="cosine", start=1, end=0.1)}
    low, high = (scheduled(Knobs(r1=gamma), decay, 0.3).r1 for gamma in (1, 10))
    assert high == pytest.approx(10 * low)
    assert scheduled(Knobs(r1=0), decay, 0.3).r1 == 0


@pytest.mark.parametrize(("d_steps", "factor", "steps"), [(1, 5, 5), (3, 2, 6), (5, 0.2, 1), (3, 1 / 3, 1)])
def test_a_number_of_steps_stays_whole(d_steps, factor, steps):
    now = scheduled(Knobs(d_steps=d_steps), {"d_steps": Constant(value=factor)}, 0.5).d_steps
    assert now == steps
    assert type(now) is int


def test_without_schedules_the_knobs_are_the_same_object():
    knobs = Knobs()
    assert scheduled(knobs, {}, 0.5) is knobs


def test_what_can_be_scheduled_are_the_numbers():
    assert WHOLE < SCHEDULABLE
    assert {"r1", "g_lr", "smooth_real", "ema_halflife_kimg"} < SCHEDULABLE
    assert not {"loss", "ls_targets", "ema_ramp"} & SCHEDULABLE


def test_what_a_change_does_not_turn_stays_on_its_way():
    low, high = Knobs(r1=0, r2=0), Knobs(r1=10, r2=4)
    began = ramp(low, None, Change(knobs=high, reason="up", over=100), 0)
    faster = Change(knobs=high.model_copy(update={"g_lr": 1e-3}), reason="at once")
    assert ramp(high, began, faster, 50) == began
    other = faster.model_copy(update={"knobs": high.model_copy(update={"r1": 1.0})})
    left = ramp(high, began, other, 50)
    assert (left.at(other.knobs, 50).r1, left.at(other.knobs, 50).r2, left.at(other.knobs, 100).r2) == (1, 2, 4)
    for change, seen in ((faster, 100), (faster.model_copy(update={"back_to": 3}), 50)):
        assert ramp(high, began, change, seen) is None, "it has ended, or the game is another"
    again = ramp(high, began, faster.model_copy(update={"over": 100}), 50)
    assert (again.at(high, 50).r1, again.at(high, 150).r1) == (5, 10), "from where it stood"


def test_knobs_are_frozen_and_closed():
    with pytest.raises(ValidationError, match="frozen"):
        Knobs().r1 = 3
    with pytest.raises(ValidationError, match="Extra inputs"):
        Knobs(r3=1)


@pytest.mark.parametrize(
    "wrong", [{"loss": "hing"}, {"r1": -1}, {"d_steps": 0}, {"g_steps": 1.5}, {"smooth_real": 1}, {"ema_ramp": 0}]
)
def test_knobs_refuse_values_out_of_range(wrong):
    with pytest.raises(ValidationError):
        Knobs(**wrong)


def test_lazy_r1_beside_r2_is_refused_in_words():
    with pytest.raises(ValidationError, match="set r1_every to 1, or r2 to 0"):
        Knobs(r1=1, r2=1, r1_every=16)
    assert Knobs(r1=1, r1_every=16).r1_every == 16


def test_knobs_survive_being_written():
    knobs = Knobs(loss="least-squares", ls_targets=(-1, 1, 0), ema_ramp=None, r1=0.3)
    assert Knobs(**knobs.model_dump()) == Knobs.model_validate_json(knobs.model_dump_json()) == knobs
