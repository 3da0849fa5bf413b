"""Runs against runs: intervals against scipy's, pairs, refusals, arms."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from equipoise.errors import ConfigError
from equipoise.figures import Figure
from equipoise.reports.comparison import ALIKE, around, compare, difference, welch

PROTOCOL = {"metric": "frechet", "dimension": 64, "features": {"name": "classifier", "sha256": "ab" * 32}}


def estimate(value, half=None, **changes):
    ends = {"low": None, "high": None} if half is None else {"low": value - half, "high": value + half}
    return {"value": value, **ends, "n_fake": 2000, "n_real": 179, **changes}


def finished(figures, protocol=PROTOCOL):
    """Events of a run that was judged once, and at its end."""
    at = {"step": 10, "seen": 1280}
    return [
        {"kind": "protocol", **at, "figures": {name: protocol for name in figures}},
        {"kind": "metrics", **at, "net": "average", "part": "validation", "figures": {n: estimate(0) for n in figures}},
        {"kind": "metrics", **at, "net": "best", "part": "test", "figures": figures},
    ]


def evaluation(figures, protocol=PROTOCOL, **more):
    metrics = {name: {**one, "protocol": protocol} for name, one in figures.items()}
    row = {
        "kind": "evaluation",
        "date": "2026-11-21T12:00:00",
        "what": "run",
        "against": "digits",
        "checkpoint": "best",
    }
    return {**row, "metrics": metrics, "refused": {}, **more}


@pytest.fixture
def run(recorded):
    """A run of `digits` with one fd."""

    def make(name, fd, seed, *settings):
        return recorded(name, f"seed={seed}", *settings, events=finished({"fd": estimate(fd)}))

    return make


@pytest.fixture
def arms(run):
    """Runs of two arms from their fds by seed."""

    def make(first, second):
        runs = [run(f"a{seed}", fd, seed) for seed, fd in first.items()]
        return runs + [run(f"b{seed}", fd, seed, "knobs.r1=0.3") for seed, fd in second.items()]

    return make


def only(comparison, name="fd"):
    (found,) = comparison.figures[name].differences
    return found


A, B = [9.1, 11.4, 10.2, 9.7], [8.0, 10.9, 8.8, 8.9]


def test_the_interval_of_a_mean_is_students():
    expected = stats.ttest_1samp(A, 0).confidence_interval(0.95)
    assert around(A) == pytest.approx((expected.low, expected.high))
    assert around([3.0]) == (None, None)


def test_arms_with_the_same_seeds_are_paired(arms):
    found = compare(arms(dict(enumerate(A)), dict(enumerate(B))))
    expected = stats.ttest_rel(B, A).confidence_interval(0.95)
    assert (only(found).low, only(found).high) == pytest.approx((expected.low, expected.high))
    assert only(found).value == pytest.approx(np.mean(B) - np.mean(A))
    assert (only(found).by, only(found).verdict) == ("paired over 4 seeds", "better")
    assert [mean.value for mean in found.figures["fd"].means] == pytest.approx([np.mean(A), np.mean(B)])


def test_arms_with_other_seeds_are_not_paired(arms):
    found = compare(arms(dict(enumerate(A)), {10 + i: value for i, value in enumerate(B[:3])}))
    expected = stats.ttest_ind(B[:3], A, equal_var=False).confidence_interval(0.95)
    assert (only(found).low, only(found).high) == pytest.approx((expected.low, expected.high))
    assert "unpaired (Welch)" in only(found).by
    assert only(found).verdict == ALIKE


def test_seeds_without_a_counterpart_take_no_part_in_pairs_and_are_named(arms):
    found = compare(arms({0: 10, 1: 12, 2: 99}, {0: 9, 1: 11.2, 7: 0}))
    expected = stats.ttest_rel([9, 11.2], [10, 12]).confidence_interval(0.95)
    assert (only(found).low, only(found).high) == pytest.approx((expected.low, expected.high))
    assert "arm 2 against arm 1: paired over 2 seeds; without a counterpart: 2, 7." in found.notes


def test_pairing_sees_what_the_seeds_hide(arms):
    """Seeds move the figure by 10, the setting by 1; with the seeds mixed up the same numbers say nothing."""
    by_seed = dict(enumerate([10.0, 20, 30, 40]))
    better = {seed: fd - 1 + 0.05 * seed for seed, fd in by_seed.items()}
    assert only(compare(arms(by_seed, better))).verdict == "better"
    figures = {seed: Figure(fd, None, None, 9, 9, {}) for seed, fd in by_seed.items()}
    mixed = {9 + seed: Figure(fd, None, None, 9, 9, {}) for seed, fd in better.items()}
    assert difference("fd", figures, mixed).verdict == ALIKE


def test_intervals_hold_the_truth_in_95_of_100_draws():
    rng, draws, n = np.random.default_rng(0), 2000, 5
    seeds = rng.normal(0, 10, (draws, n))
    one, other = seeds + rng.normal(0, 1, (draws, n)), seeds + 2 + rng.normal(0, 3, (draws, n))
    paired = [around(list(b - a)) for a, b in zip(one, other, strict=True)]
    alone = [welch(list(a), list(b)) for a, b in zip(one, other[::-1], strict=True)]
    for ends in (paired, alone):
        assert np.mean([low <= 2 <= high for low, high in ends]) == pytest.approx(0.95, abs=0.015)


def test_equal_values_make_an_interval_of_no_width(arms):
    assert only(compare(arms({0: 5, 1: 5}, {0: 5, 1: 5}))).verdict == ALIKE
    assert welch([1.0, 1.0], [3.0, 3.0]) == (2.0, 2.0)


def test_one_seed_is_not_distinguishable_by_itself(recorded):
    a = recorded("a", "seed=0", events=finished({"fd": estimate(10, 0.1), "kid": estimate(1, 1), "is": estimate(3)}))
    b = recorded(
        "b", "seed=0", "batch=32", events=finished({"fd": estimate(99, 1), "kid": estimate(2, 1), "is": estimate(1)})
    )
    found = compare([a, b])
    for name, differ in (("fd", True), ("kid", False), ("is", None)):
        one = only(found, name)
        assert (one.low, one.high, one.by, one.verdict, one.samples_differ) == (None, None, "one seed", ALIKE, differ)
    assert only(found).value == 89
    expected = (
        "one seed: not distinguishable by itself. By their own intervals the samples of these two runs differ in fd."
    )
    assert any(note.endswith(expected) for note in found.notes)


@pytest.mark.parametrize(("name", "shift", "verdict"), [
    ("fd", 5, "worse"), ("fd", -5, "better"), ("precision", 5, "better"), ("vendi", 5, "higher"), ("new", -5, "lower"),
])  # fmt: skip
def test_a_difference_is_named_by_what_the_figure_wants(name, shift, verdict):
    one = {seed: Figure(seed, None, None, 9, 9, {}) for seed in range(3)}
    other = {seed: Figure(seed + shift + 0.01 * seed, None, None, 9, 9, {}) for seed in range(3)}
    assert difference(name, one, other).verdict == verdict


def test_runs_that_differ_by_seed_and_machine_are_one_arm(run):
    runs = [run("a", 1, 0), run("b", 2, 1, "machine.threads=1", "save.every_kimg=5"), run("c", 3, 0, "knobs.r1=0.3")]
    found = compare([*runs, run("d", 4, 1, "knobs.r1=0.3", "batch=32")])
    assert [arm.name for arm in found.arms] == ["digits", "digits knobs.r1=0.3", "digits batch=32 knobs.r1=0.3"]
    assert [list(arm.runs) for arm in found.arms] == [[0, 1], [0], [1]]


def test_what_all_arms_share_is_not_in_their_names(run, recorded):
    other = recorded("b", "kimg=5", recipe_name="ring", events=finished({"fd": estimate(1)}))
    found = compare([run("a", 1, 0, "kimg=5", "knobs.r2=1"), other])
    assert [arm.name for arm in found.arms] == ["digits knobs.r2=1.0", "ring"]


def test_one_arm_has_a_mean_and_nothing_to_compare(run):
    found = compare([run(f"a{seed}", fd, seed) for seed, fd in enumerate(A)])
    (mean,) = found.figures["fd"].means
    assert (mean.value, mean.runs) == (pytest.approx(np.mean(A)), 4)
    assert "nothing to compare" in found.notes[0]


@pytest.mark.parametrize(
    ("protocol", "figure", "words"),
    [
        (
            {"features": {"name": "random"}},
            {},
            r"features: classifier \(sha256 abababab\.\.\) against random: a number",
        ),
        ({"features": {"name": "classifier", "sha256": "cd" * 32}}, {}, "never compared"),
        ({"dimension": 32}, {}, "dimension: 64 against 32"),
        ({"clipped": True}, {}, "clipped: None against True"),
        ({"data": {"part": "test", "sha256": "00"}}, {}, "data.sha256: None against 00"),
        ({}, {"n_fake": 500}, "n_fake: 2000 against 500"),
        ({}, {"n_real": 180}, "n_real: 179 against 180"),
    ],
)
def test_figures_of_different_protocols_are_refused(recorded, protocol, figure, words):
    """Against the row of an evaluation with the part of the data that final figures have; the same protocol passes."""
    full = {**PROTOCOL, "data": {"part": "test"}}
    a = recorded("a", events=finished({"fd": estimate(1)}))
    same = recorded("same", "seed=1", evaluations=[evaluation({"fd": estimate(2)}, full)])
    other = recorded("b", "seed=1", evaluations=[evaluation({"fd": estimate(2, **figure)}, {**full, **protocol})])
    assert "not all figures are of the same generator" in " ".join(compare([a, same]).notes)
    with pytest.raises(ConfigError, match=words) as error:
        compare([a, other])
    assert len(str(error.value).splitlines()) <= 3


def test_the_protocol_of_the_final_figures_is_taken_where_it_is_written(recorded):
    test = {"kind": "protocol", "step": 10, "seen": 1280, "part": "test"}
    here, there = ({**test, "figures": {"fd": {**PROTOCOL, "data": {"sha256": sha}}}} for sha in "ab")
    runs = [
        recorded(str(i), f"seed={i}", events=[row, *finished({"fd": estimate(1)})])
        for i, row in enumerate([here, there])
    ]
    with pytest.raises(ConfigError, match=r"data\.sha256: a against b"):
        compare(runs)


def test_the_newest_evaluation_counts_where_there_are_no_final_figures(recorded):
    a = recorded("a", evaluations=[evaluation({"fd": estimate(1)}), evaluation({"fd": estimate(7)})])
    b = recorded("b", "seed=1", evaluations=[evaluation({"fd": estimate(9)})])
    assert compare([a, b]).figures["fd"].means[0].value == 8


def test_final_figures_come_before_evaluations_unless_only_those_compare(recorded):
    """The way out that the refusal names leads out."""
    features = [{"features": {"name": name}} for name in ("random", "classifier")]
    a, b = (
        recorded(str(seed), f"seed={seed}", events=finished({"fd": estimate(5)}, features[seed]),
                 evaluations=[evaluation({"fd": estimate(9)}, features[0])])
        for seed in range(2)
    )  # fmt: skip
    c = recorded("c", "seed=2", events=finished({"fd": estimate(5)}, features[0]))
    assert compare([a, c]).figures["fd"].means[0].value == 5
    assert compare([a, b]).figures["fd"].means[0].value == 9
    with pytest.raises(ConfigError, match="random against classifier"):
        compare([c, b])


def test_figures_that_a_run_lacks_are_left_out_and_named(recorded):
    a = recorded("a", events=finished({"fd": estimate(1), "kid": estimate(1), "jsd": estimate("nan")}))
    b = recorded("b", "seed=1", events=finished({"fd": estimate(2), "jsd": estimate(1)}))
    found = compare([a, b])
    assert list(found.figures) == ["fd"]
    assert any(note.startswith("kid is left out") for note in found.notes)
    assert any(note.startswith("jsd is left out: it is not a finite number") for note in found.notes)
    assert list(compare([a, b], "fd").figures) == ["fd"]
    for name, words in (("kid", "does not have it"), ("jsd", "not a finite"), ("fdd", "did you mean 'fd'")):
        with pytest.raises(ConfigError, match=words):
            compare([a, b], name)


def test_what_cannot_be_compared_is_refused(run, recorded):
    a = run("a", 1, 0)
    with pytest.raises(ConfigError, match="at least two runs"):
        compare([a])
    with pytest.raises(ConfigError, match=r"no final figures. Measure it first: equipoise evaluate .*bare"):
        compare([a, recorded("bare", "seed=1")])
    with pytest.raises(ConfigError, match="one run, played twice"):
        compare([a, run("again", 1, 0, "machine.threads=1")])
    with pytest.raises(ConfigError, match="share no figure"):
        compare([a, recorded("b", "seed=1", events=finished({"kid": estimate(1)}))])
