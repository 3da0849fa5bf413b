"""One change at a time, judged by its before and after: on histories in which what a remedy does is written down."""

import json
from dataclasses import asdict, fields, replace
from itertools import pairwise

import pytest
from histories import COLLAPSED, ILL, SEEN, calibration, played

from equipoise.diagnosis.history import Look
from equipoise.diagnosis.remedies import LADDER, Setting
from equipoise.diagnosis.snapshots import CONFIRMED, Snapshot, kept
from equipoise.diagnosis.treatment import CALM, FAILURES, RESCUES, VISITS, Treatment
from equipoise.diagnosis.watch import Watch
from equipoise.knobs import At, Change, Knobs

START = Knobs(loss="nonsaturating")
LOOKS = 100


class Play:
    """A run whose looks are told to it; the changes are made, and noted."""

    def __init__(self, **more):
        self.setting = Setting(start=START, images=True, batch_norm=False, apart2=50.0, deviation=0.5)
        self.treatment = Treatment(self.setting, Watch(calibration(), burn_in=0), images=SEEN * LOOKS, **more)
        self.knobs, self.changes, self.step = START, [], 0

    def look(self, signals, shares=(), over=False):
        self.step += 1
        self.treatment.watch.history.append(Look(SEEN * self.step, signals, shares))
        return self.made(self.treatment.propose(At(self.step, SEEN * self.step, over=over), self.knobs))

    def made(self, change):
        if change:
            self.changes.append((self.step, change))
            self.knobs = change.knobs
        return change

    def looks(self, history):
        return [self.look(look.signals, look.shares) for look in history]


def healthy(n=20, seed=0):
    return played(seed, looks=n, at=n)


def collapsed(n=1, seed=0, **other):
    return played(seed, looks=n, at=0, **(COLLAPSED | other))


def mended(n, seed=0):
    """As a healthy run at rest."""
    return played(seed, looks=30 + n, at=30 + n)[-n:]


@pytest.mark.parametrize("seed", range(10))
def test_a_healthy_run_is_left_alone(seed):
    play = Play()
    play.looks(healthy(40, seed))
    assert play.changes == []


@pytest.mark.parametrize("symptom", sorted(ILL.keys() & LADDER.keys()))
def test_each_illness_is_treated_by_its_ladder_and_held(symptom):
    play = Play()
    play.looks(healthy(18))
    more = {"d_auc": 0.95, "d_tells": 0.4} if symptom == "D overfitting" else {}  # less is no more than a note
    play.looks(played(looks=26, at=18, **(ILL[symptom] | more))[18:])
    (step, first), *later = play.changes
    expected = {rung.words for rung in LADDER[symptom]}
    assert first.reason.removeprefix(f"{symptom}: ") in expected
    assert all(other - step >= 3 for other, _ in later), "held until it can be judged"


def test_labels_that_are_ignored_are_told_and_nothing_is_turned():
    play = Play()
    play.looks(played(looks=30, at=18, **ILL["labels ignored"]))
    assert play.changes == []


def test_what_does_not_help_is_undone_and_after_two_failures_banned():
    play = Play()
    play.looks(collapsed(90))
    reasons = [change.reason for _, change in play.changes]
    assert reasons[0] == "total collapse: the relativistic loss with R1 and R2"
    assert reasons[1] == "total collapse: undone, because it did not help: the relativistic loss with R1 and R2"
    assert play.changes[1][1].knobs == START
    begun = [reason for reason in reasons if "undone" not in reason]
    assert max(begun.count(reason) for reason in begun) <= FAILURES
    assert len(set(begun)) >= 3, "other rungs are tried"
    assert not play.treatment.trial
    assert play.knobs == START


def test_while_a_remedy_helps_nothing_else_is_touched():
    play = Play()
    play.looks(collapsed(4))
    assert len(play.changes) == 1
    ill, well = collapsed(60)[-1].signals, mended(1)[0].signals
    for i in range(60):
        part = min(i / 50, 1)
        play.look({name: (1 - part) * value + part * well[name] for name, value in ill.items() if name in well})
    told = [change.reason for _, change in play.changes]
    assert [text for text in told if not text.startswith("healthy")] == told[:1]
    assert play.knobs.loss == "relativistic"


def test_samples_that_become_better_by_themselves_are_not_touched():
    play = Play()
    ill, well = collapsed(60)[-1].signals, mended(1)[0].signals
    for i in range(40):
        part = min(i / 39, 1)
        play.look({name: (1 - part) * value + part * well[name] for name, value in ill.items() if name in well})
    told = [change.reason for _, change in play.changes]
    assert told == [] or told == ["total collapse: the relativistic loss with R1 and R2"], "before it could be seen"


def harmed_by_its_remedy(visited, lost=False):
    """A run that has gone back to where the remedy began so often before; and what comes of it."""
    play = Play()
    for look in played(looks=24, at=18, **ILL["quality loss"]):
        if play.look(look.signals):
            break
    step, change = play.changes[0]
    assert change.reason == "quality loss: the relativistic loss with R1 and R2"
    assert step in play.treatment.steps
    play.treatment.visited += [SEEN * step] * visited
    play.treatment.forget([step] if lost else [])
    play.looks(collapsed(16))
    undone = play.changes[1][1]
    assert undone.reason.startswith("quality loss: undone")
    assert undone.knobs == START
    return play.treatment, step, undone.back_to


def test_a_remedy_that_harms_is_undone_with_the_weights():
    treatment, step, back_to = harmed_by_its_remedy(visited=VISITS - 1)
    assert back_to == step
    assert treatment.given_up > 0
    assert treatment.visits(SEEN * step) == VISITS


def test_where_it_went_back_often_enough_a_remedy_is_undone_without_the_weights():
    treatment, _, back_to = harmed_by_its_remedy(visited=VISITS)
    assert back_to is None
    assert treatment.given_up == 0


def test_where_the_state_it_began_with_is_lost_a_remedy_is_undone_without_the_weights():
    treatment, _, back_to = harmed_by_its_remedy(visited=0, lost=True)
    assert back_to is None
    assert treatment.given_up == 0


def test_a_remedy_that_harms_at_first_has_time_while_the_samples_become_better():
    play = Play()
    for look in played(looks=24, at=18, **ILL["quality loss"]):
        if play.look(look.signals):
            break
    play.looks(collapsed(8))
    ill, well = collapsed(1)[0].signals, mended(1)[0].signals
    for i in range(20):
        part = i / 19
        play.look({name: (1 - part) * value + part * well[name] for name, value in ill.items() if name in well})
    assert [change.reason for _, change in play.changes] == ["quality loss: the relativistic loss with R1 and R2"]


# -- going back


def test_from_numbers_that_are_not_finite_one_goes_back_to_a_confirmed_snapshot():
    play = Play()
    play.looks(healthy(20))
    change = play.treatment.propose(At(20, 20 * SEEN + 5, broken=True), play.knobs)
    assert change.back_to == 20 - CONFIRMED
    assert change.knobs.g_lr < START.g_lr
    assert change.back_to in play.treatment.steps


def test_what_is_lost_is_forgotten_and_an_older_snapshot_is_gone_back_to():
    play = Play()
    play.looks(healthy(20))
    newest = 20 - CONFIRMED
    assert play.treatment.best.step in play.treatment.steps
    play.treatment.forget([newest, play.treatment.best.step])
    assert play.treatment.best is None
    change = play.treatment.propose(At(20, 20 * SEEN + 5, broken=True), play.knobs)
    assert change.back_to in play.treatment.steps
    assert change.back_to < newest
    play.treatment.forget(play.treatment.steps)
    assert play.treatment.steps == []
    assert play.treatment.trial.step is None
    assert play.treatment.propose(At(20, 20 * SEEN + 5, broken=True), play.knobs) is None


def test_before_the_first_look_nothing_can_be_gone_back_to():
    assert Play().treatment.propose(At(1, SEEN, broken=True), START) is None


def test_a_run_that_never_was_healthy_goes_back_to_where_its_numbers_were_finite():
    play = Play()
    play.looks(collapsed(20))
    change = play.treatment.propose(At(20, 20 * SEEN + 5, broken=True), play.knobs)
    assert change.back_to == 20 - CONFIRMED


def test_one_region_is_gone_back_to_so_often_and_no_more():
    play = Play()
    play.looks(healthy(20))
    went = []
    for i in range(10):
        change = play.treatment.propose(At(20, 20 * SEEN + 10 * i, broken=True), play.knobs)
        if change is None:
            break
        play.made(change)
        went.append(change.back_to)
    assert change is None
    assert 1 <= len(went) <= 2 * VISITS, "each rung fails, and is banned"
    assert went == sorted(went, reverse=True), "deeper each time"
    near = [step for step in went if abs(step - went[0]) <= 5]
    assert len(near) <= VISITS


def test_no_more_than_a_part_of_the_run_is_given_up():
    play = Play()
    play.looks(healthy(20))
    late = round((0.2 + RESCUES + 0.01) * LOOKS) * SEEN
    assert play.treatment.propose(At(90, late, broken=True), play.knobs) is None
    assert (
        play.treatment.propose(At(40, round((0.2 + RESCUES - 0.06) * LOOKS) * SEEN, broken=True), play.knobs)
        is not None
    )


def test_what_was_given_up_before_is_not_counted_again():
    play = Play()
    play.looks(healthy(20))
    assert play.treatment.propose(At(20, 20 * SEEN + 5, broken=True), play.knobs)
    lost = play.treatment.given_up
    assert play.treatment.propose(At(20, 20 * SEEN + 69, broken=True), play.knobs)
    assert play.treatment.given_up - lost < 5 * SEEN


def test_what_was_played_before_an_earlier_rescue_is_given_up_too():
    """A remedy was undone with its weights, which cost 5 looks: that makes no state of long ago cheap."""
    play = Play()
    play.looks(healthy(20))
    play.looks(collapsed(1))
    treatment = play.treatment
    treatment.given_up += treatment.lost(60 * SEEN, 55 * SEEN)
    treatment.noted(60 * SEEN, play.knobs, Change(knobs=play.knobs, reason="undone", back_to=55))
    assert treatment.propose(At(61, 61 * SEEN + 5, broken=True), play.knobs) is None


def test_a_remedy_that_has_helped_did_not_fail_when_numbers_are_lost():
    play = Play()
    play.looks(healthy(20))
    play.looks(collapsed(3))
    held = play.treatment.trial
    for before, failed in ((held.before, 1), ({}, 0)):
        play.treatment.trial = replace(held, before=before)
        play.treatment.failed.clear()
        play.treatment.propose(At(play.step, play.step * SEEN + 5, broken=True), play.knobs)
        assert play.treatment.failed.get(held.rung, 0) == failed


def test_the_knobs_of_a_remedy_that_diverged_are_taken_back():
    play = Play()
    play.looks(healthy(20))
    play.looks(collapsed(3))
    assert play.knobs.loss == "relativistic"
    change = play.treatment.propose(At(play.step, play.step * SEEN + 5, broken=True), play.knobs)
    assert change.knobs.loss == "nonsaturating"
    assert change.knobs.g_lr < START.g_lr


def test_after_going_back_the_looks_before_are_no_standard():
    play = Play()
    for look in played(looks=24, at=18, **ILL["quality loss"]):
        if play.look(look.signals):
            break
    while len(play.changes) < 2:
        play.looks(collapsed(1))
    assert play.changes[1][1].back_to, "it harmed"
    before = 2
    ill = played(looks=40, at=0, **ILL["quality loss"])[20:]
    play.looks(ill)
    (step, again), *_ = play.changes[before:]
    assert step - play.changes[before - 1][0] >= 3
    assert "undone" not in again.reason
    assert play.treatment.trial is None or play.treatment.trial.shortfall < 30


def test_gradients_are_held_against_those_since_the_game_was_changed():
    play = Play()
    play.looks(healthy(18))
    play.looks(collapsed(4))
    assert play.knobs.loss == "relativistic"
    grown = {"d_grad_norm": 30.0, "d_grad_norm_peak": 40.0}
    play.looks(played(looks=60, at=0, **grown)[-20:])
    assert "exploding gradients" not in {f.symptom for f in play.treatment.watch.findings()}
    control = Play()
    control.looks([*healthy(18), *played(looks=60, at=0, **grown)[-4:]])
    assert "exploding gradients" in {f.symptom for f in control.treatment.watch.findings()}


def test_what_came_shortly_before_an_illness_is_no_healthy_snapshot():
    play = Play()
    play.looks(played(looks=21, at=18, **ILL["partial collapse"]))
    ill = min(step for step, _ in play.changes)
    assert play.treatment.confirmed
    assert all(snapshot.step < ill - CONFIRMED for snapshot in play.treatment.confirmed)


def test_a_run_that_is_ill_at_its_end_ends_as_it_was_when_it_was_healthy():
    play = Play()
    play.looks(healthy(30))
    play.looks(collapsed(2))
    change = play.look(collapsed(1)[0].signals, over=True)
    assert change.back_to in range(1, 30 - CONFIRMED + 1)
    well = Play()
    well.looks(healthy(30))
    assert well.look(mended(1)[0].signals, over=True) is None


def test_the_best_of_a_run_that_is_ill_for_most_of_its_time_is_not_forgotten():
    play = Play()
    play.looks(healthy(30))
    best = play.treatment.best
    play.looks(collapsed(69))
    assert not [s for s in play.treatment.snapshots if s.step > 10 and s.healthy], "the ring has only the beginning"
    assert best.step in play.treatment.steps, "its state is kept"
    change = play.look(collapsed(1)[0].signals, over=True)
    assert change.back_to == best.step


def test_a_look_without_samples_is_never_the_best():
    play = Play()
    play.look({})
    play.looks(healthy(30))
    assert play.treatment.best.step > 1
    play.looks(collapsed(2))
    assert play.look(collapsed(1)[0].signals, over=True).back_to == play.treatment.best.step


def test_where_nothing_is_left_and_it_was_better_before_the_run_stops():
    play = Play(failed={rung.name: FAILURES for ladder in LADDER.values() for rung in ladder})
    play.looks(healthy(20))
    change = next(change for change in play.looks(collapsed(6)) if change)
    assert change.stop
    assert change.back_to in range(1, 20)
    never = Play(failed={rung.name: FAILURES for ladder in LADDER.values() for rung in ladder})
    never.looks(collapsed(30))
    assert never.changes == [], "it was never better: it plays on"


# -- what is for a time only, and state


def test_noise_is_taken_back_by_and_by_once_the_game_is_healthy():
    play = Play()
    play.knobs = START.model_copy(update={"instance_noise": 0.2})
    play.looks(healthy(60))
    noises = [change.knobs.instance_noise for _, change in play.changes]
    assert noises == sorted(noises, reverse=True)
    assert noises[0] == pytest.approx(0.1)
    assert noises[-1] == 0
    play.treatment.setting = replace(play.setting, start=START.model_copy(update={"instance_noise": 0.15}))
    play.knobs = START.model_copy(update={"instance_noise": 0.2})
    play.looks(healthy(60)[-20:])
    assert play.knobs.instance_noise == 0.15, "as it was asked for, and no less"
    steps = [step for step, _ in play.changes]
    assert all(b - a >= CALM for a, b in pairwise(steps))


def test_rates_and_penalties_go_back_to_where_they_began_or_to_a_tenth():
    play = Play()
    gamma = 0.01 * play.setting.apart2
    rates = {"g_lr": START.g_lr / 9, "d_lr": 2 * START.d_lr}
    rates_and_penalties = ("g_lr", "d_lr", "r1", "r2")
    play.knobs = begun = START.model_copy(update=rates | {"r1": gamma, "r2": 0.3 * gamma})
    play.looks(healthy(60))
    rates = [change.knobs.g_lr / START.g_lr for _, change in play.changes]
    assert rates == pytest.approx([2 / 9, 4 / 9, 8 / 9, 1, *[1] * (len(rates) - 4)])
    turned = [{name for name in rates_and_penalties if getattr(a, name) != getattr(b, name)}
              for a, b in pairwise([begun, *(change.knobs for _, change in play.changes)])]  # fmt: skip
    assert all(names <= {"g_lr", "d_lr"} or names <= {"r1", "r2"} for names in turned), "one thing at a time"
    assert play.knobs.d_lr == 2 * START.d_lr, "it was not lowered"
    assert (play.knobs.r1, play.knobs.r2) == pytest.approx((gamma / 10, gamma / 10))


LOWERED = START.model_copy(update={"g_lr": START.g_lr / 9, "d_lr": START.d_lr / 9})


def test_what_had_to_be_begun_twice_stays():
    play = Play(tried={"slower": 1, "slower G": 1, "back, slower G": 1})
    play.knobs = LOWERED
    play.looks(healthy(60))
    assert play.knobs == LOWERED
    play.treatment.tried = {"slower": 1, "slower G": 1}
    play.looks(healthy(60)[-20:])
    assert play.knobs.g_lr > LOWERED.g_lr


def test_what_failed_was_not_begun_twice():
    play = Play(tried={"slower": 2}, failed={"slower": 1})
    play.knobs = LOWERED
    play.looks(healthy(60))
    assert play.knobs == START


def test_a_trouble_that_passes_leaves_no_marks():
    """Each knob that a remedy may have turned is where it began, or a tenth of what was brought."""
    play = Play()
    play.knobs = LOWERED.model_copy(
        update={
            "focus": 0.5,
            "accumulate": 4,
            "d_steps": 3,
            "augment_p": 0.4,
            "smooth_real": 0.1,
            "instance_noise": 0.2,
        }
    )
    play.looks(healthy(99))
    play.looks(healthy(99)[-60:])
    assert play.knobs == START
    assert not play.treatment.stays


def misses(knob, worth):
    """A run that falls ill whenever the knob is below what it is worth."""
    play = Play()
    play.knobs = START.model_copy(update={"augment_p": 0.4, "instance_noise": 0.2, "accumulate": 4})
    well, ill = healthy(99), played(looks=99, at=0, **ILL["quality loss"])
    for i in range(80):
        there = getattr(play.knobs, knob) >= worth
        play.look((well if there else ill)[i].signals)
    return play


def test_what_is_missed_is_put_back_and_stays_and_the_rest_goes():
    play = misses("augment_p", 0.3)
    (back,) = [change for _, change in play.changes if "put back" in change.reason]
    assert back.reason == "quality loss: put back, because it was missed: augmentation in front of D"
    assert back.knobs.augment_p == 0.4
    assert play.treatment.stays == ["augmented"]
    assert play.knobs.augment_p == 0.4
    assert (play.knobs.instance_noise, play.knobs.accumulate) == (0, 1)
    assert play.knobs.loss == START.loss, "no remedy was begun for what easing had done"


def test_what_a_person_sets_is_not_taken_back():
    play = Play()
    play.looks(healthy(10))
    asked = {"g_lr": START.g_lr / 10, "r1": 10.0, "instance_noise": 0.3}
    play.knobs = play.knobs.model_copy(update=asked)
    play.treatment.overruled(asked)
    play.looks(healthy(60)[-50:])
    assert play.knobs == START.model_copy(update=asked)
    resumed = Play()
    resumed.treatment.load_state_dict(json.loads(json.dumps(play.treatment.state_dict())))
    assert resumed.treatment.setting == play.treatment.setting


# -- noise


def at_rest_with_everything_tried(seed, ill):
    play = Play(failed={rung.name: FAILURES for ladder in LADDER.values() for rung in ladder})
    looks = played(seed, looks=70, at=40, **ill)
    return any((change := play.look(look.signals)) and change.stop for look in looks)


def test_a_run_whose_samples_did_not_become_worse_is_not_stopped_by_a_lucky_look():
    """D alone is ill, and all is tried: one look in forty lies far above the others by chance."""
    players = {"d_auc": 0.95, "d_tells": 0.4}
    assert sum(at_rest_with_everything_tried(seed, players) for seed in range(20)) <= 6
    assert all(at_rest_with_everything_tried(seed, ILL["quality loss"]) for seed in range(20))


def test_a_remedy_that_turned_a_warning_into_a_note_has_helped(monkeypatch):
    """A note is not treated, so it is no reason for an undoing."""
    play = Play()
    play.looks(healthy(18))
    ill = played(looks=60, at=18, d_auc=0.95, d_tells=0.4)
    for look in ill[18:30]:
        if play.look(look.signals):
            break
    assert play.knobs.augment_p > 0
    found = play.treatment.watch.findings()
    monkeypatch.setattr(play.treatment.watch, "findings", lambda: [replace(f, severity="note") for f in found])
    play.looks(ill[30:45])
    assert not [change for _, change in play.changes if "undone" in change.reason]


def test_the_same_looks_give_the_same_changes_after_a_resume():
    history = [*healthy(20), *collapsed(25), *mended(10), *collapsed(10)]
    straight = Play()
    straight.looks(history)
    assert len(straight.changes) > 2
    for cut in (5, 22, 26, 40):
        first = Play()
        first.looks(history[:cut])
        second = Play()
        second.knobs, second.step = first.knobs, first.step
        second.treatment.watch.load_state_dict(json.loads(json.dumps(first.treatment.watch.state_dict())))
        second.treatment.load_state_dict(json.loads(json.dumps(first.treatment.state_dict())))
        for part in fields(Treatment):
            if part.name not in ("watch", "setting", "ladder"):
                there, here = (
                    json.dumps(getattr(play.treatment, part.name), default=asdict) for play in (first, second)
                )
                assert here == there
        second.looks(history[cut:])
        assert first.changes + second.changes == straight.changes


def test_snapshots_become_rarer_with_their_age_and_stay_within_reach():
    ring: list[Snapshot] = []
    for look in range(200):
        ring = kept([Snapshot(look, look, look, 0.0, True), *ring])
        ages = [look - snapshot.look for snapshot in ring]
        assert ages[: min(look, CONFIRMED) + 1] == list(range(min(look, CONFIRMED) + 1))
        assert len(ages) <= 3 + look.bit_length()
        for bits in range(2, look.bit_length()):
            assert any(2 ** (bits - 1) <= age < 2**bits for age in ages), "none of the doublings is empty"


def test_in_a_loop_of_unknown_length_a_remedy_is_judged_too():
    play = Play()
    play.treatment.images = None
    play.looks(collapsed(40))
    assert len(play.changes) > 2
    steps = [step for step, _ in play.changes]
    assert steps == sorted(set(steps))
