"""The log of any trainer: each illness planted in a healthy log is found, and healthy logs are left alone."""

from __future__ import annotations

import numpy as np
import pytest

from equipoise.diagnosis.levels import (
    COLUMNS,
    LEAST,
    MARGIN,
    QUALITY,
    SEVERE,
    THREE,
    fell,
    goodness,
    logit,
    rhythm,
    scatter,
)
from equipoise.diagnosis.trainer_log import REMEDIES, WORSENING, findings, unarmed, verdict

LOOKS, EVERY, LOSSES_A_LOOK = 60, 2000, 20
AT = np.arange(1, LOOKS + 1) * EVERY  # steps of evaluations
LOGGED = np.arange(1, LOOKS * LOSSES_A_LOOK + 1) * (EVERY // LOSSES_A_LOOK)  # steps of losses
HALFWAY = LOOKS * EVERY // 2


def healthy(seed=0, noise=0.03):
    """FID falls to its floor, the other figures rise to theirs, losses and norms stay; all with noise."""
    draw = np.random.default_rng(seed)
    learnt = 1 - np.exp(-6 * np.linspace(0, 1, LOOKS))
    log = {"fid": (AT, (15 + 120 * (1 - learnt)) * np.exp(draw.normal(0, noise, LOOKS)))}
    for name, ceiling in {"is": 9, "precision": 0.7, "recall": 0.55, "density": 0.9, "coverage": 0.85}.items():
        log[name] = AT, ceiling * (0.2 + 0.8 * learnt) * np.exp(draw.normal(0, noise / 2, LOOKS))
    for name, mean, sd in (("d_loss", 1.1, 0.15), ("g_loss", 1.4, 0.3), ("d_real", 1, 0.3), ("d_fake", -1, 0.3)):
        log[name] = LOGGED, draw.normal(mean, sd, len(LOGGED))
    for name in ("grad_norm_g", "grad_norm_d"):
        log[name] = LOGGED, np.exp(draw.normal(0, 0.5, len(LOGGED)))
    return log


def changed(log, **factors):
    """Columns times a factor for each step; 1 before the illness."""
    return log | {name: (log[name][0], log[name][1] * factor(log[name][0])) for name, factor in factors.items()}


def ramp(end, over=20 * EVERY, start=HALFWAY):
    """From 1 at `start` to `end`, geometrically, and on at that."""
    return lambda steps: end ** np.clip((steps - start) / over, 0, 1)


def symptoms(log):
    return {finding.symptom: finding.severity for _, finding in findings(log)}


def found(log, symptom):
    return next((step, finding) for step, finding in findings(log) if finding.symptom == symptom)


def only(log, *names):
    return {name: log[name] for name in names}


# ------------------------------------------------------------------------------------------------ left alone


@pytest.mark.parametrize("noise", [0.01, 0.03, 0.05, 0.1])
def test_healthy_logs_are_left_alone(noise):
    called = [symptoms(healthy(seed, noise)) for seed in range(100)]
    wrong = [each for each in called if set(each.values()) - {"note"}]
    assert len(wrong) <= 2, wrong
    assert all(set(each) <= {"plateau"} for each in called if each not in wrong)


@pytest.mark.parametrize(("noise", "most"), [(0.03, 0), (0.05, 2), (0.1, 4)])
def test_healthy_logs_are_left_alone_at_every_evaluation(noise, most):
    """Of 20 logs, looked at 28 times each, how many are called ill once or more."""

    def ever(seed):
        log = only(healthy(seed, noise), *QUALITY)
        looks = ({name: (at[:n], y[:n]) for name, (at, y) in log.items()} for n in range(LEAST, LOOKS + 1, 2))
        return any(set(symptoms(look).values()) - {"note"} for look in looks)

    assert sum(ever(seed) for seed in range(20)) <= most


def test_flat_noise_comes_five_deviations_from_its_best_in_few_logs():
    """What NOISES says, without the margin."""
    draws = np.random.default_rng(0)
    logs = np.exp(draws.normal(3, 0.05, (300, 100)))
    called = [
        any(fell("fid", np.arange(n), log[:n], margin=1.0) for n in range(10, 101, 3)) for log in logs
    ]  # the first ten tell the scatter
    assert np.mean(called) < 0.1


def test_a_steady_gain_is_healthy():
    log = {"fid": (AT, np.geomspace(200, 10, LOOKS))}
    assert symptoms(log) == {}
    assert verdict([]) == "healthy"


@pytest.mark.parametrize("column", sorted(COLUMNS))
def test_each_column_alone_is_enough_to_be_read(column):
    assert set(symptoms(only(healthy(1), column))) <= {"plateau"}


def test_one_bad_evaluation_is_an_outlier():
    log = only(healthy(), "fid")
    log["fid"][1][50] *= 3
    assert not {"past its best", "collapsing"} & set(symptoms(log))


def test_a_run_that_came_back_is_healthy():
    bump = np.where((AT > HALFWAY) & (AT < HALFWAY + 20 * EVERY), 3.0, 1.0)
    log = {"fid": (AT, healthy()["fid"][1] * bump)}
    assert "past its best" not in symptoms(log)


def test_few_values_tell_nothing_and_it_is_said():
    log = {name: (at[:4], y[:4]) for name, (at, y) in healthy().items()}
    assert findings(log) == []
    assert unarmed(log)[0] == "fid is not judged: 4 values, 5 are needed"
    assert len(unarmed(log)) == len(log)
    assert unarmed(healthy()) == []
    assert findings({}) == []


# ------------------------------------------------------------------------------------------------ divergence


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("column", ["d_loss", "g_loss", "grad_norm_g", "fid"])
def test_numbers_that_are_not_finite_are_divergence(column, value):
    log = healthy()
    steps, values = log[column]
    values[-3:] = value
    step, finding = found(log, "not finite")
    assert (step, finding.severity, finding.evidence["values"]) == (steps[-3], "severe", 3)
    assert column in finding.meaning
    assert verdict(each for _, each in findings(log)) == "diverging"


def test_a_step_that_mixed_precision_skipped_is_a_warning():
    log = healthy()
    log["grad_norm_g"][1][100] = np.inf
    assert symptoms(log)["not finite"] == "warning"


@pytest.mark.parametrize(
    ("column", "symptom"),
    [("g_loss", "exploding loss"), ("d_loss", "exploding loss"), ("grad_norm_d", "exploding gradients")],
)
def test_explosions(column, symptom):
    log = changed(healthy(), **{column: ramp(1000)})
    step, finding = found(log, symptom)
    assert finding.severity == "severe"
    assert HALFWAY < step < HALFWAY + 20 * EVERY
    assert finding.evidence["last"] > 50 * finding.evidence["before"]
    assert verdict(each for _, each in findings(log)) == "diverging"
    assert symptom not in symptoms(changed(healthy(), **{column: ramp(5)}))


def test_a_negative_loss_explodes_too():
    log = {"d_loss": (LOGGED, -ramp(1000)(LOGGED))}
    assert symptoms(log) == {"exploding loss": "severe"}


def test_vanishing_gradients_of_g():
    log = changed(healthy(), grad_norm_g=ramp(1e-5))
    step, finding = found(log, "vanishing gradients")
    assert finding.severity == "severe"
    assert step > HALFWAY
    assert verdict(each for _, each in findings(log)) == "D too strong"
    assert "vanishing gradients" not in symptoms(changed(healthy(), grad_norm_g=ramp(0.05)))


# ------------------------------------------------------------------------------------------------ the balance


def test_a_d_whose_loss_is_nothing_is_too_strong():
    log = changed(only(healthy(), "d_loss", "g_loss"), d_loss=ramp(1e-3), g_loss=ramp(3))
    step, finding = found(log, "D too strong")
    assert finding.severity == "warning"
    assert HALFWAY < step < HALFWAY + 20 * EVERY
    worse = changed(healthy(), d_loss=ramp(1e-3), fid=ramp(2))
    assert found(worse, "D too strong")[1].severity == "severe", "the samples suffer"


def test_a_d_loss_that_falls_with_g_loss_is_another_thing():
    assert "D too strong" not in symptoms(
        changed(only(healthy(), "d_loss", "g_loss"), d_loss=ramp(1e-3), g_loss=ramp(0.1))
    )


def test_a_wasserstein_loss_has_no_scale():
    draw = np.random.default_rng(0)
    critic = {"d_loss": (LOGGED, draw.normal(0, 1e-9, len(LOGGED))), "g_loss": (LOGGED, np.full(len(LOGGED), 0.3))}
    apart = {"d_real": (LOGGED, np.full(len(LOGGED), 300.0)), "d_fake": (LOGGED, np.full(len(LOGGED), -300.0))}
    assert symptoms(critic | apart) == {}


@pytest.mark.parametrize("as_probabilities", [True, False])
def test_a_d_that_is_always_right_is_too_strong(as_probabilities):
    n = len(LOGGED)
    real, fake = (3.9 + np.zeros(n), -3.9 + np.zeros(n))
    if as_probabilities:
        real, fake = (1 / (1 + np.exp(-x)) for x in (real, fake))
    finding = found({"d_real": (LOGGED, real), "d_fake": (LOGGED, fake)}, "D too strong")[1]
    assert finding.evidence["logits_apart"] == pytest.approx(7.8)


def test_probabilities_of_nine_in_ten_are_no_illness():
    n = len(LOGGED)
    log = {"d_real": (LOGGED, np.full(n, 0.9)), "d_fake": (LOGGED, np.full(n, 0.1))}
    assert symptoms(log) == {}
    assert logit(np.array([0.5])) == 0


def test_answers_are_compared_at_the_same_steps():
    log = {
        "d_real": (LOGGED[::2], np.full(len(LOGGED[::2]), 9.0)),
        "d_fake": (LOGGED[1::2], np.zeros(len(LOGGED[1::2]))),
    }
    assert symptoms(log) == {}


def test_a_g_that_always_deceives_is_too_strong():
    log = changed(only(healthy(), "d_loss", "g_loss"), g_loss=ramp(1e-3), d_loss=ramp(3))
    assert symptoms(log) == {"G too strong": "warning"}
    assert verdict(each for _, each in findings(log)) == "G too strong"


def test_d_overfits_when_its_answers_drift_apart_while_samples_worsen():
    log = changed(healthy(), fid=ramp(1.8), d_real=ramp(2.5), d_fake=ramp(2.5))
    step, finding = found(log, "D overfitting")
    assert finding.severity == "severe"
    assert step > HALFWAY
    assert finding.evidence["logits_apart"] > 1.5 * finding.evidence["at_the_best"]
    assert verdict(each for _, each in findings(log)) == "D overfitting"
    assert "D overfitting" not in symptoms(changed(healthy(), d_real=ramp(2.5), d_fake=ramp(2.5)))
    assert "D overfitting" not in symptoms(changed(healthy(), fid=ramp(1.8)))


@pytest.mark.parametrize("column", ["fid", "g_loss"])
def test_cycling(column):
    log = changed(healthy(), **{column: lambda steps: 1 + 0.4 * np.sin(2 * np.pi * steps / (10 * EVERY))})
    _, finding = found(log, "cycling")
    assert finding.severity == "warning"
    assert finding.evidence["period_steps"] == pytest.approx(10 * EVERY, rel=0.1)


def test_one_event_is_no_rhythm_and_noise_neither():
    fallen = np.concatenate([np.zeros(36), np.linspace(0, 10, 10), np.full(54, 10)])
    assert rhythm(fallen + np.random.default_rng(0).normal(0, 0.3, 100) + 20) is None
    noise = [rhythm(np.random.default_rng(seed).normal(10, 3, 60)) for seed in range(500)]
    assert not any(each and each.chance < 1e-4 for each in noise)
    assert rhythm(np.ones(100)) is None
    assert rhythm(np.ones(5)) is None


# ------------------------------------------------------------------------------------------------ the samples


def test_past_its_best():
    log = changed(only(healthy(), "fid"), fid=ramp(2))
    step, finding = found(log, "past its best")
    assert finding.severity == "severe"
    assert HALFWAY < step < HALFWAY + 20 * EVERY
    assert finding.evidence["best_at_step"] < HALFWAY + 5 * EVERY
    assert finding.evidence["factor"] > SEVERE
    assert verdict([finding]) == "past its best"


@pytest.mark.parametrize("end", [1.2, 1.5, 2, 5])
def test_decline_is_noticed_in_every_log(end):
    """From where it had settled, with noise of 1.5%; the smallest is a warning."""
    noise = (np.exp(np.random.default_rng(seed).normal(0, 0.015, LOOKS)) for seed in range(100))
    called = [symptoms({"fid": (AT, 15 * each * ramp(end)(AT))}).get("past its best") for each in noise]
    assert called.count("severe" if end > SEVERE else "warning") >= 95


def test_without_fid_most_of_the_others_must_agree():
    log = {name: series for name, series in healthy().items() if name in QUALITY and name != "fid"}
    most = changed(log, **{name: ramp(0.5) for name in ("is", "precision", "density")})
    assert symptoms(most)["past its best"] == "severe"
    assert "past its best" not in symptoms(changed(log, density=ramp(0.5)))


def test_figures_with_too_few_values_to_be_judged_have_no_say():
    fell = changed(only(healthy(), "recall"), recall=ramp(0.5))
    few = {name: (AT[: LEAST - 1], healthy()[name][1][: LEAST - 1]) for name in ("fid", "density")}
    assert symptoms(fell)["past its best"] == symptoms(fell | few)["past its best"] == "severe"


def test_the_figures_that_agree_are_named():
    log = changed(healthy(), fid=ramp(2), **{"is": ramp(0.6)})
    assert found(log, "past its best")[1].meaning.endswith("worse as well: is")


@pytest.mark.parametrize("column", ["recall", "coverage"])
def test_collapse_is_diversity_lost_while_samples_look_real(column):
    log = changed(only(healthy(), "precision", "recall", "coverage"), **{column: ramp(0.6)})
    _, finding = found(log, "collapsing")
    assert finding.severity == "severe"
    assert column in finding.meaning
    assert "as real as before" in finding.meaning
    blurred = changed(only(healthy(), "precision", column), precision=ramp(0.6), **{column: ramp(0.6)})
    assert "collapsing" not in symptoms(blurred), "samples that look like nothing lie near nothing"
    gone = changed(only(healthy(), "precision", column), precision=ramp(0.6), **{column: ramp(0.2)})
    assert "collapsing" in symptoms(gone)


def test_rates_near_nothing_have_no_ratios():
    draw = np.random.default_rng(0)
    log = {"recall": (AT, np.abs(draw.normal(0, 0.01, LOOKS)))}
    assert set(symptoms(log)) <= {"plateau"}
    assert goodness("recall", np.zeros(1)) == np.log(0.05)


def test_no_gain_is_a_plateau():
    log = {"fid": (AT, 20 + np.random.default_rng(0).normal(0, 0.2, LOOKS))}
    step, finding = found(log, "plateau")
    assert finding.severity == "note"
    assert step == AT[-1] - finding.evidence["patience_steps"]
    assert finding.evidence["best"] == log["fid"][1].min()
    assert finding.evidence["best_at_step"] == AT[log["fid"][1].argmin()]
    assert verdict([finding]) == "plateau"


def test_levels_are_medians_of_three():
    values = np.array([*np.geomspace(64, 4, 9), 0.5, 4.2, 9, 8, 7])
    worse = fell("fid", np.arange(len(values)), values, MARGIN)
    assert worse is not None
    assert (worse.best, worse.now, worse.best_step) == (pytest.approx(4), 8, 9)
    assert worse.factor == pytest.approx(2)
    assert THREE == 3


def test_scatter_is_that_of_noise_on_a_smooth_curve():
    draw = np.random.default_rng(0)
    smooth = np.exp(-np.linspace(0, 5, 40))
    assert np.median([scatter(smooth + draw.normal(0, 0.1, 40)) for _ in range(200)]) == pytest.approx(0.1, rel=0.1)
    assert scatter(smooth) < 0.005


# ------------------------------------------------------------------------------------------------ what is said


def test_every_finding_says_what_it_means_and_what_to_do():
    told = changed(
        healthy(), fid=ramp(2), recall=ramp(0.4), d_loss=ramp(1e-3), grad_norm_g=ramp(1e-5), grad_norm_d=ramp(1e3)
    )
    all_found = findings(told)
    assert len(all_found) >= 5
    for _, finding in all_found:
        assert finding.evidence and finding.meaning and finding.advice and finding.source
        assert all(np.isfinite(value) for value in finding.evidence.values())
    severities = [finding.severity for _, finding in all_found]
    assert severities == sorted(severities, key=("severe", "warning", "note").index)


def test_verdicts_are_the_words_of_the_manual():
    words = {remedy.verdict for remedy in REMEDIES.values()} | {"healthy"}
    assert words == {"healthy", "D too strong", "G too strong", "collapsing", "cycling", "D overfitting", "diverging",
                     "plateau", "past its best"}  # fmt: skip
    assert set(REMEDIES) > WORSENING
