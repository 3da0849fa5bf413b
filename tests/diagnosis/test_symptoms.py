"""Each symptom on histories whose illness is planted, and silence on the same histories without it."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from histories import AT, COLLAPSED, FALLEN, ILL, LOOKS, NULLS, SEEN, calibration, played

from equipoise.config import override
from equipoise.diagnosis.causes import KNOWN, found
from equipoise.diagnosis.history import Look, of_steps
from equipoise.diagnosis.signs import OF_SAMPLES
from equipoise.diagnosis.symptoms import AGREE, OF, RANK, symptoms
from equipoise.diagnosis.watch import ABSENCE, Watch
from equipoise.knobs import Knobs
from equipoise.recipes import recipe


def named(history, of=None, burn_in=0):
    return [finding.symptom for finding in symptoms(history, of or calibration(), burn_in)]


@pytest.mark.parametrize("symptom", ILL)
def test_what_is_planted_is_named_and_nothing_else(symptom):
    for seed in range(10):
        history = played(seed, **ILL[symptom])
        assert named(history) == [symptom], seed
        assert named(history[:AT]) == [], seed


def test_a_run_that_learns_and_stays_well_names_nothing():
    """Every look of 60 runs, the first ones too: fewer than one in 50 runs is ever told anything."""
    alarmed = 0
    for seed in range(60):
        history = played(seed)
        alarmed += any(named(history[:n]) for n in range(LOOKS + 1))
    assert alarmed <= 1


def test_samples_as_good_as_reals_name_nothing():
    """Looks at reals in place of fakes, with the noise that the calibration found."""
    alarmed = 0
    for seed in range(60):
        draw = np.random.default_rng(seed)
        looks = [
            Look(SEEN * (i + 1), {name: mean + sd * draw.normal() for name, (mean, sd) in NULLS.items()})
            for i in range(LOOKS)
        ]
        alarmed += any(named(looks[:n]) for n in range(4, LOOKS + 1))
    assert alarmed <= 1


@pytest.mark.parametrize("pace", [0.5, 2, 5])
def test_samples_that_become_better_alarm_no_one(pace):
    assert sum(any(named(played(seed, pace=pace)[:n]) for n in range(0, LOOKS + 1, 2)) for seed in range(8)) == 0


@pytest.mark.parametrize("symptom", [symptom for symptom in ILL if symptom != "divergence"])
def test_one_bad_look_is_no_alarm(symptom):
    for seed in range(10):
        ill, well = played(seed, **ILL[symptom]), played(seed)
        assert named([*well[: LOOKS - 1], ill[-1]]) == [], "the last one"
        assert named([*well[: LOOKS - 2], ill[-2], well[-1]]) == [], "the one before"


@pytest.mark.parametrize("symptom", [symptom for symptom in ILL if symptom not in ("divergence", "cycling")])
def test_two_bad_looks_of_the_last_three_are_an_alarm(symptom):
    assert (AGREE, OF) == (2, 3)
    for seed in range(5):
        ill, well = played(seed, **ILL[symptom]), played(seed)
        assert symptom in named([*well[: LOOKS - 3], ill[-3], well[-2], ill[-1]])
        assert symptom in named([*well[: LOOKS - 2], *ill[-2:]])


@pytest.mark.parametrize("symptom", ["D overfitting", "D too weak", "dead units", "vanishing gradients", "memorising"])
def test_an_alarm_ends_with_the_first_look_that_is_well(symptom):
    ill, well = played(0, **ILL[symptom]), played(0)
    assert named([*ill[:-1], well[-1]]) == []


def test_a_d_that_guesses_is_too_weak_as_long_as_the_samples_are_unlike_the_data():
    guesses = {"d_tells": 0.5, "paired_sign": -0.2}
    unlike = {"coverage": 0.6, "vendi": 0.7, "class_jsd": 0.03}
    for seed in range(10):
        ill = played(seed, at=0, pace=1e-9, **guesses, **unlike)
        assert "D too weak" in named(ill), seed
        assert "D too weak" not in named([*ill[:-1], played(seed, **unlike)[-1]]), "it tells them apart again"
    assert named(played(0, **guesses)) == [], "of samples like the data nobody can say more"


def test_one_burst_of_a_gradient_is_divergence():
    ill, well = played(0, **ILL["divergence"]), played(0)
    (finding,) = symptoms([*well[:-1], ill[-1]], calibration(), 0)
    assert finding.symptom == "divergence"
    assert finding.evidence["d_grad_norm_peak"] > 50 * finding.evidence["d_grad_norm_before"] > 50


def test_numbers_that_are_not_finite_are_divergence_at_once():
    (finding,) = symptoms(played(0, looks=1, at=0, d_loss_nonfinite=1), calibration(), burn_in=10**9)
    assert (finding.symptom, finding.severity) == ("divergence", "severe")
    assert finding.evidence == {"d_loss_nonfinite": 1}
    assert "finite" in finding.meaning
    assert named(played(0, looks=1, at=0, d_nonfinite=0)) == [], "a count of none"


def test_gradients_are_judged_after_looks_that_have_none():
    """A norm that was not finite, or a look before any step was recorded, is one value less and not the end."""
    for symptom in ("divergence", "exploding gradients", "vanishing gradients"):
        history = played(0, **ILL[symptom])
        for i in (0, 7):
            kept = {name: value for name, value in history[i].signals.items() if "grad_norm" not in name}
            history[i] = Look(history[i].seen, kept, history[i].shares)
        assert named(history) == [symptom]
    bare = Look(history[-1].seen + SEEN, {"d_auc": 0.5})
    assert named([*history, bare]) == [], "a look without gradients says nothing of them"


def test_a_net_that_was_not_played_before_has_no_usual_gradient():
    still = {"g_grad_norm": 0.0, "g_grad_norm_peak": 0.0}
    waited = [Look(look.seen, look.signals | still, look.shares) for look in played(0)[:-1]]
    assert named(waited) == named([*waited, played(0)[-1]]) == []


def test_a_mode_that_was_never_there_is_partial_collapse():
    of_classes = named(played(0, at=0, class_jsd=0.35, missing=0.25, jsd=0.2, coverage=0.7))
    assert of_classes == ["partial collapse"]
    without = calibration("class_jsd")
    assert named(played(0, at=0, missing=0.3, jsd=0.2, coverage=0.65), without) == ["partial collapse"]
    poor = played(0, at=0, missing=0.3, jsd=0.2, coverage=0.3, density=0.2, precision=0.5)
    assert named(poor, without) == [], "samples that are not yet good cannot be counted"
    late = played(0, pace=8, missing=0.3, without=("class_jsd",))
    for i, look in enumerate(late):
        late[i] = Look(look.seen, look.signals | {"missing": 0.9 * 0.93**i})
    assert named(late, without) == [], "still being learnt"


def test_what_was_never_there_waits_for_ten_looks():
    history = played(0, at=0, class_jsd=0.35, missing=0.25, jsd=0.2, coverage=0.7)
    assert [named(history[:n]) == [] for n in range(1, 13)] == [True] * 9 + [False] * 3


def test_samples_that_are_looked_at_late_are_judged_by_the_looks_that_they_have():
    history = played(0, looks=14, at=0, class_jsd=0.35, missing=0.25, jsd=0.2, coverage=0.7)
    for i in range(8):
        history[i] = Look(history[i].seen, {"d_auc": 0.5})
    assert named(history) == []


def test_a_bad_look_of_samples_is_not_repeated_by_looks_without_samples():
    ill = played(0, **ILL["quality loss"])
    assert named(ill) == ["quality loss"]
    bare = {name: value for name, value in ill[-1].signals.items() if name not in OF_SAMPLES}
    assert "quality loss" not in named([*ill, Look(ill[-1].seen + SEEN, bare)])


def test_without_a_classifier_modes_are_counted_in_bins():
    without = calibration("class_jsd")
    assert named(played(0, **FALLEN), without) == ["partial collapse"]
    assert named(played(0, jsd=0.15), without) == ["imbalance"]
    assert named(played(0, jsd=0.15)) == [], "the classes say that all is well"


@pytest.mark.parametrize("symptom", ["partial collapse", "imbalance", "shrinkage", "quality loss"])
def test_what_is_not_armed_sounds_no_alarm(symptom):
    blind = calibration(*OF_SAMPLES)
    assert blind.armed == ()
    for seed in range(5):
        assert named(played(seed, **ILL[symptom]), blind) == []


def test_total_collapse_is_not_told_where_duplicates_are_never_seen():
    history = played(0, **COLLAPSED)
    blind = calibration("apart")
    assert named(history, blind) == ["total collapse"], "seen in one of twenty trials: gross enough"
    blind.power["duplicates"]["apart"] = 0.0
    assert "total collapse" not in named(history, blind)


def test_total_collapse_needs_no_better_time_before():
    assert named(played(0, looks=2, at=0, **COLLAPSED)) == ["total collapse"]
    assert named(played(0, looks=1, at=0, **COLLAPSED)) == []


def test_a_fall_needs_looks_to_fall_from():
    assert named(played(0, looks=3, at=0, pace=0.1, **FALLEN)) == []


def test_fakes_upon_each_other_that_cover_the_data_are_no_total_collapse():
    assert "total collapse" not in named(played(0, apart=0.1))


def test_coverage_and_variety_tell_shrinkage_from_quality_loss():
    assert named(played(0, coverage=0.6, apart=0.6)) == ["shrinkage"]
    assert named(played(0, coverage=0.6)) == ["quality loss"]
    assert named(played(0, coverage=0.6, apart=0.6, precision=0.4)) == ["quality loss"]
    assert named(played(0, class_jsd=0.12, precision=0.4)) == ["quality loss"], "poor samples are read as any class"
    assert named(played(0, apart=0.6)) == [], "alone, it says too little"


def test_copies_need_both_of_their_signs():
    assert named(played(0, copy_rate=0.4)) == []
    assert named(played(0, c_t=-9)) == []


def test_D_that_knows_its_data_is_a_note_as_long_as_the_samples_are_well():
    def severity(of=None, **ill):
        found = symptoms(played(0, **ill), of or calibration(), 0)
        return next(finding.severity for finding in found if finding.symptom == "D overfitting")

    knows = ILL["D overfitting"]
    assert severity(**knows) == "note"
    for harm in ("quality loss", "partial collapse", "memorising"):
        assert severity(**knows, **ILL[harm]) == "warning"

    def unseen(d_auc):
        (finding,) = symptoms(played(0, d_auc=d_auc), None, 0)
        return finding.severity

    assert unseen(0.75) == "note", "nobody sees the samples"
    assert unseen(0.95) == "warning"


def test_D_is_too_strong_where_samples_are_not_yet_good():
    wins = {"d_tells": 0.999, "paired_sign": 0.995}
    for seed in range(10):
        assert named(played(seed, at=0, coverage=0.4, **wins)) == ["D too strong"]
        assert named(played(seed, **wins)) == [], "the samples are good all the same"
        assert named(played(seed, at=0, coverage=0.4, d_tells=0.97, paired_sign=0.9)) == []
        (finding,) = symptoms(played(seed, **wins), None, 0)
        assert finding.symptom == "D too strong", "nobody sees the samples"


def test_the_same_samples_in_other_places_are_no_cycling():
    assert named(played(0, motion=0.9)) == [], "each moves, but the bins keep their shares"
    assert named(played(0, swaps=True)) == [], "the bins change, but the samples hardly move"
    without = [Look(look.seen, look.signals) for look in played(0, swaps=True, motion=0.9)]
    assert named(without) == [], "no shares were counted"


def test_each_net_has_dead_units_and_gradients_of_its_own():
    assert named(played(0, d_dead=0.97)) == ["dead units"]
    assert named(played(0, d_dead=0.97, g_dead=0.97)) == ["dead units"] * 2
    assert named(played(0, d_grad_norm=37, d_grad_norm_peak=60)) == ["exploding gradients"]
    assert named(played(0, d_grad_norm=1e-4, d_grad_norm_peak=2e-4)) == [], "D has won or lost, which others tell"


def test_gradients_have_no_scale_of_their_own():
    for scale in (1e-6, 1, 1e6):
        history = [
            Look(look.seen, {name: scale * value for name, value in look.signals.items() if "grad_norm" in name})
            for look in played(0, g_grad_norm=24, g_grad_norm_peak=40)
        ]
        assert named(history) == ["exploding gradients"]
        assert named(history[:AT]) == []


@pytest.mark.parametrize("symptom", ILL)
def test_before_the_burn_in_only_gradients_are_judged(symptom):
    history = played(0, **ILL[symptom])
    early = named(history, burn_in=SEEN * LOOKS + 1)
    assert early == ([symptom] if "gradients" in symptom or symptom == "divergence" else [])
    assert named(history, burn_in=SEEN * AT // 2) == [symptom]


def test_what_was_best_before_the_burn_in_is_no_standard():
    history = played(0, at=8, **ILL["quality loss"])
    assert named(history) == ["quality loss"]
    assert named(history, burn_in=SEEN * 9) == []


def test_no_history_has_no_symptom():
    assert symptoms([], calibration(), 0) == []
    assert symptoms([Look(0, {})], calibration(), 0) == []


def test_nobody_who_sees_samples_means_that_only_the_players_are_judged():
    for symptom, ill in ILL.items():
        of_players = {"divergence", "D overfitting", "D too weak", "cycling", "dead units"}
        told = [finding.symptom for finding in symptoms(played(0, **ill), None, 0)]
        assert told == ([symptom] if symptom in of_players or "gradients" in symptom else [])


def test_the_worst_comes_first():
    history = played(0, **ILL["D overfitting"], **ILL["dead units"], **ILL["memorising"], **ILL["divergence"])
    severities = [finding.severity for finding in symptoms(history, calibration(), 0)]
    assert severities == sorted(severities, key=RANK.index)
    assert severities[0] == "severe" and severities[-1] == "warning"
    history = played(0, **ILL["D overfitting"], **ILL["dead units"])
    assert [f.severity for f in symptoms(history, calibration(), 0)] == ["warning", "note"]


def test_the_evidence_is_what_was_seen():
    history = played(0, **ILL["quality loss"])
    (finding,) = symptoms(history, calibration(), 0)
    assert set(finding.evidence) == {"precision", "precision_best", "coverage", "coverage_best"}
    assert finding.evidence["precision"] == np.median([look.signals["precision"] for look in history[-OF:]])
    assert finding.evidence["precision_best"] == pytest.approx(0.8, abs=0.03)
    json.dumps(finding.evidence, allow_nan=False)


# -- what is news


def fed(watch, history):
    """The symptoms that each look brings as news."""
    return [[finding.symptom for finding in watch.add(look.seen, look.signals, look.shares)] for look in history]


def test_a_finding_is_told_once():
    told = fed(Watch(calibration(), 0), played(0, **ILL["dead units"]))
    assert told == [[]] * (AT + 1) + [["dead units"]] + [[]] * (LOOKS - AT - 2)


def test_a_finding_is_told_again_after_an_absence():
    ill, well = played(0, at=0, looks=80, **ILL["dead units"]), played(0, looks=80)

    def told(absence):
        parts = [*well[:3], *ill[3:6], *well[6 : 6 + absence], *ill[6 + absence : 12 + absence]]
        return [i for i, news in enumerate(fed(Watch(calibration(), 0), parts)) if news]

    assert told(1) == [4], "it comes and goes"
    assert told(ABSENCE - 2) == [4]
    assert told(ABSENCE - 1) == [4, 6 + ABSENCE], "the first look that is ill again does not bring it back"


def test_what_becomes_worse_is_news():
    history = played(0, looks=12, d_auc=0.75, at=6)
    worse = played(0, looks=20, at=12, d_auc=0.95)
    watch = Watch(None, 0)
    told = [[finding.severity for finding in watch.add(look.seen, look.signals)] for look in [*history, *worse[12:]]]
    assert [news for news in told if news] == [["note"], ["warning"]]


def test_the_steps_between_two_looks_are_one_number_each():
    watch = Watch(None, 0)
    for value in (1.0, 9.0, 2.0):
        watch.heed({"d_grad_norm": value, "d_loss": value})
    watch.heed({"d_loss": 3.0})
    watch.add(1, {"d_auc": 0.5, "c_t": float("nan")})
    assert watch.history[0].signals == {"d_grad_norm": 2, "d_grad_norm_peak": 9, "d_loss": 2.5, "d_auc": 0.5}
    watch.add(2, {})
    assert watch.history[1].signals == {}, "they are forgotten after the look"


def test_steps_that_are_not_finite_are_counted():
    rows = [{"g_loss": 1.0, "d_loss": float("nan")}, {"g_loss": 2.0, "d_loss": float("inf")}, {"g_loss": 6.0}]
    assert of_steps(rows) == {"g_loss": 2, "d_loss_nonfinite": 2}
    assert of_steps([]) == {}
    watch = Watch(None, 10**9)
    watch.heed(rows[0])
    assert [finding.symptom for finding in watch.add(1, {})] == ["divergence"]


def test_one_step_in_many_that_the_game_says_was_not_finite_is_divergence():
    watch = Watch(None, 10**9)
    for i in range(10):
        watch.heed({"d_nonfinite": 2.0 if i == 4 else 0.0, "d_loss": 1.0})
    (finding,) = watch.add(1, {})
    assert (finding.symptom, finding.evidence) == ("divergence", {"d_nonfinite": 2})


@pytest.mark.parametrize("symptom", ["partial collapse", "cycling", "divergence"])
def test_a_resumed_watch_says_what_an_uninterrupted_one_does(symptom):
    history = played(0, **ILL[symptom])
    whole, first, second = (Watch(calibration(), 3 * SEEN) for _ in range(3))
    said = fed(whole, history)
    half = AT + 1
    before = fed(first, history[:half])
    first.heed({"d_loss": 1.0})
    second.load_state_dict(json.loads(json.dumps(first.state_dict(), allow_nan=False)))
    assert second.findings() == first.findings()
    assert (second.history, second.steps) == (first.history, [{"d_loss": 1.0}])
    second.steps.clear()
    assert before + fed(second, history[half:]) == said
    assert second.findings() == whole.findings()


def test_a_state_does_not_follow_the_watch_that_it_was_taken_from():
    watch = Watch(None, 0)
    fed(watch, played(0, looks=2))
    state = watch.state_dict()
    before = json.dumps(state)
    watch.heed({"d_loss": 1.0})
    fed(watch, played(0, looks=2))
    assert json.dumps(state) == before


# -- what is known


@pytest.mark.parametrize("symptom", KNOWN)
def test_of_each_symptom_meaning_advice_and_source_are_known(symptom):
    finding = found(symptom, {"x": 1.0})
    assert finding.meaning and finding.advice and re.search(r"(19|20)\d\d", finding.source)
    assert finding.severity in RANK
    assert found(symptom, {}, "otherwise").meaning == "otherwise"


@pytest.mark.parametrize("symptom", KNOWN)
def test_the_settings_that_are_advised_exist(symptom):
    advice = KNOWN[symptom].advice
    for knob in re.findall(r"knobs\.(\w+)", advice):
        assert knob in Knobs.model_fields
    settings = re.findall(r"--set ([\w.]+=[^ ),]+)", advice)
    assert settings or "--set" not in advice
    of_words = any(each.startswith(("knobs.temperature", "knobs.imitation")) for each in settings)
    override(recipe("text-mle" if of_words else "digits"), [setting.replace("...", "1e-4") for setting in settings])


def test_every_symptom_that_can_be_told_was_planted():
    source = Path(sys.modules[symptoms.__module__].__file__).read_text(encoding="utf-8")
    told = set(re.findall(r'found\(\s*"([^"]+)"', source)) | {"shrinkage", "quality loss"}
    assert told == {*ILL, "D too strong"}


def test_a_diagnosis_needs_no_torch():
    script = (
        "import pkgutil, sys, importlib, equipoise.diagnosis as d\n"
        "for m in pkgutil.iter_modules(d.__path__): importlib.import_module('equipoise.diagnosis.' + m.name)\n"
        "print('torch' in sys.modules, 'equipoise.diagnosis.symptoms' in sys.modules)"
    )
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert run.stdout.split() == ["False", "True"]


def test_labels_are_not_asked_for_while_samples_are_bad_or_where_there_are_none():
    for seed in range(5):
        assert "labels ignored" not in named(played(seed, coverage=0.3, obeyed=0.05))
        assert named(played(seed, without=("obeyed",))) == []
