"""What the words of sentences tell: each symptom by its name, and what is done about it, further and further back."""

import json
from dataclasses import replace

import numpy as np
import pytest
from histories import SEEN, calibration, played

from equipoise.diagnosis.calibration import Null
from equipoise.diagnosis.history import Look
from equipoise.diagnosis.remedies import FIRMER, LADDER, LADDER_OF_TEXT, REMEDIES, Case, Setting, ladder_of
from equipoise.diagnosis.signs import OF_WORDING
from equipoise.diagnosis.symptoms import symptoms
from equipoise.diagnosis.treatment import Treatment
from equipoise.diagnosis.watch import Watch
from equipoise.knobs import At, Knobs

ILL = {
    "repeated sentences": {"repeats": 0.4}, "shrinking vocabulary": {"vocabulary": 0.6},
    "rising self-BLEU": {"self_bleu": 0.3},
}  # fmt: skip
WELL = {"repeats": 0.02, "vocabulary": 0.98, "self_bleu": 0.01}
LOOKS, AT = 40, 24


def of_sentences():
    known = calibration()
    nulls = {"repeats": Null(0.01, 0.005, 0.02, 0.05), "vocabulary": Null(1.0, 0.02, 0.96, 0.05)}
    nulls["self_bleu"] = Null(0.0, 0.01, 0.02, 0.05)
    power = {defect: {**seen, **dict.fromkeys(OF_WORDING, 1.0)} for defect, seen in known.power.items()}
    return replace(known, nulls={**known.nulls, **nulls}, power=power)


def spoken(looks=LOOKS, seed=0, at=AT, **ill):
    """A run whose words fall ill at one look, gradually as all else stays as it is."""
    draw = np.random.default_rng(seed)
    history = []
    for i, look in enumerate(played(seed, looks=looks, at=looks)):
        words = {**WELL, **(ill if i >= at else {})}
        noisy = {name: value + 0.005 * draw.normal() for name, value in words.items()}
        history.append(Look(look.seen, {**look.signals, **noisy}, look.shares))
    return history


@pytest.mark.parametrize("symptom", ILL)
def test_each_is_named(symptom):
    history = spoken(**ILL[symptom])
    found = {finding.symptom for finding in symptoms(history, of_sentences(), 0)}
    assert symptom in found and not found & (ILL.keys() - {symptom})


@pytest.mark.parametrize("seed", range(10))
def test_words_that_are_well_are_not_named(seed):
    history, known = spoken(seed=seed), of_sentences()
    named = {f.symptom for i in range(1, len(history) + 1) for f in symptoms(history[:i], known, 0)}
    assert not named & ILL.keys()


def test_half_of_all_said_again_needs_no_better_time_before():
    history = spoken(at=0, repeats=0.7)
    assert "repeated sentences" in {f.symptom for f in symptoms(history, of_sentences(), 0)}


def test_pictures_and_sentences_have_their_own_ladders():
    setting = Setting(Knobs(), images=False, batch_norm=False, apart2=1.0, deviation=1.0)
    assert ladder_of(setting) is LADDER and ladder_of(replace(setting, imitates=0)) is LADDER_OF_TEXT
    assert REMEDIES["colder"].turn(Case(Knobs(), setting, ())) is None, "by rewards there are no soft words"
    imitates = replace(setting, plays=False)
    assert REMEDIES["imitating"].turn(Case(Knobs(), imitates, ())) is None, "it does nothing else"
    assert REMEDIES["imitating"].turn(Case(Knobs(), setting, ())).imitation > 0
    colder = REMEDIES["colder"].turn(Case(Knobs(), replace(setting, soft=True), ()))
    assert colder.temperature == pytest.approx(1 / FIRMER)
    assert REMEDIES["imitating"].turn(Case(Knobs(imitation=2.0), setting, ())) is None


def treated(imitates, history):
    """All changes, as a loop makes them."""
    setting = Setting(Knobs(), False, False, 1.0, 1.0, imitates=imitates, soft=True)
    watch = Watch(of_sentences(), burn_in=0)
    treatment = Treatment(setting, watch, SEEN * len(history), LADDER_OF_TEXT)
    knobs, changes = Knobs(), []
    for step, look in enumerate(history, 1):
        watch.history.append(look)
        if change := treatment.propose(At(step, look.seen), knobs):
            knobs, _ = change.knobs, changes.append((step, change))
    return treatment, changes


def test_what_does_not_help_is_followed_by_the_next_and_at_last_by_the_end_of_imitation():
    treatment, changes = treated(10 * SEEN, spoken(looks=200, at=60, repeats=0.4))
    reasons = [change.reason for _, change in changes]
    assert reasons[0] == "repeated sentences: a lower temperature of soft words"
    assert any("imitation beside the game" in reason for reason in reasons)
    back = [change for _, change in changes if "end of imitation" in change.reason]
    assert len(back) == 1 and back[0].back_to == 10 and back[0].knobs.g_lr < Knobs().g_lr
    assert 10 in treatment.steps
    again = Treatment(treatment.setting, treatment.watch, treatment.images, LADDER_OF_TEXT)
    again.load_state_dict(json.loads(json.dumps(treatment.state_dict())))
    assert again.imitated == treatment.imitated and again.steps == treatment.steps


def test_sentences_that_are_well_are_left_alone():
    assert treated(10 * SEEN, spoken(looks=100))[1] == []
