"""Variety, copies and the n-gram model of sentences."""

import pytest
import torch

from equipoise.metrics import distinct, language_model, perplexities, repeats, verbatim, words_used
from equipoise.metrics.language_model import START
from equipoise.metrics.ngrams import numbered


def of(*lines):
    return numbered([line.split() for line in lines])[0]


def test_distinct_by_hand():
    found = distinct(of("a b a", "a b"), (1, 2))
    assert found["distinct_1"].value == pytest.approx(2 / 5)
    assert found["distinct_2"].value == pytest.approx(2 / 3)  # ab, ba, ab


def test_repeats_and_words():
    tokens = of("a b", "a b", "a", "a b")
    assert repeats(tokens).value == pytest.approx(2 / 4)
    assert words_used(tokens) == 2


def test_copies_are_whole_sentences():
    train, fake = numbered([["a", "b", "c"]], [["a", "b"], ["a", "b", "c"], ["c", "b", "a"], ["d"]])
    assert verbatim(train, fake).value == pytest.approx(1 / 4)


def test_chances_of_all_that_may_follow_add_up_to_1():
    tokens = of("a b c a", "b b", "c a b", "a b d")
    model = language_model(tokens, words=5)  # a, b, c, d and the end
    words = [0, *torch.unique(tokens[tokens != 0]).tolist()]
    for context in [(), (START,), (START, 1), (1,), (1, 2), (2, 2), (3, 1, 2), (4, 4, 4, 4)]:
        assert sum(model.chance((*context, w)) for w in words) == pytest.approx(1)


def test_kneser_ney_by_hand():
    """Bigrams of 'a b': (start a), (a b), (b end), each once, so each token follows one other."""
    model = language_model(of("a b"), words=3, order=2)
    lower = 0.25 / 3 + 0.75 / 3  # (1 - d) / 3 + d 3 / 3 x 1 / 3
    assert model.chance((1, 2)) == pytest.approx(0.25 + 0.75 * lower)
    assert model.chance((1, 0)) == pytest.approx(0.75 * (0.25 / 3 + 0.75 / 3))


def test_a_word_after_many_others_is_likelier_in_a_new_place():
    """What Kneser and Ney count: 'francisco' comes often, but after 'san' alone."""
    tokens = of(*["san francisco"] * 6, "a glass", "my glass", "the glass", "red")
    model = language_model(tokens, words=9, order=2)
    number = {w: i for i, w in enumerate(["san", "francisco", "a", "glass", "my", "the", "red"], 1)}
    assert model.chance((number["red"], number["glass"])) > model.chance((number["red"], number["francisco"]))


def test_nonsense_surprises_and_a_collapse_surprises_the_other_way():
    lines = [f"{a} {b} sat on the {c}" for a in ("a", "the") for b in ("cat", "dog", "cow") for c in ("mat", "cup")]
    turned = [" ".join(reversed(line.split())) for line in lines]
    real, fake, nonsense, collapsed = numbered(
        *([line.split() for line in text] for text in (lines[::2], lines[1::2], turned[1::2], lines[1:2] * 6))
    )
    good, bad, few = (perplexities(real, x) for x in (fake, nonsense, collapsed))
    assert bad["lm_perplexity"].value > 2 * good["lm_perplexity"].value
    assert few["reverse_lm_perplexity"].value > 1.5 * good["reverse_lm_perplexity"].value
