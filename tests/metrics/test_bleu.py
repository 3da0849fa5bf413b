"""BLEU and self-BLEU against nltk's loops, and where they can be worked out by hand."""

import math
import random
import warnings

import pytest
import torch
from torch.testing import assert_close

from equipoise.errors import DataError
from equipoise.metrics import bleu, self_bleu, sentence_bleu, sentence_self_bleu
from equipoise.metrics.bleu import closest_other
from equipoise.metrics.ngrams import numbered

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    nltk_bleu = pytest.importorskip("nltk.translate.bleu_score")


def text(n, seed, words=7, longest=9):
    """Few words, so that n-grams repeat within sentences and among them; some of one or two words, some equal."""
    draw = random.Random(seed)
    return [[f"w{draw.randrange(words)}" for _ in range(draw.randrange(1, longest))] for _ in range(n)]


def by_nltk(sentence, references, n):
    smooth = nltk_bleu.SmoothingFunction().method1
    weights = (1 / n,) * n
    return nltk_bleu.sentence_bleu(references, sentence, weights=weights, smoothing_function=smooth)


@pytest.mark.parametrize("seed", range(3))
def test_bleu_is_nltks(seed):
    fake, real = text(40, seed), text(30, seed + 10)
    fake[0] = ["nowhere", "else"]  # no match at all
    found = sentence_bleu(*numbered(fake, real))
    expected = [[by_nltk(sentence, real, n) for n in range(1, 6)] for sentence in fake]
    assert_close(found, torch.tensor(expected, dtype=torch.float64), rtol=0, atol=1e-12)


@pytest.mark.parametrize("seed", range(3))
def test_self_bleu_is_nltks(seed):
    fake = text(40, seed)
    fake[7] = fake[3]
    (tokens,) = numbered(fake)
    expected = [[by_nltk(s, fake[:i] + fake[i + 1 :], n) for n in range(1, 6)] for i, s in enumerate(fake)]
    assert_close(sentence_self_bleu(tokens), torch.tensor(expected, dtype=torch.float64), rtol=0, atol=1e-12)


def test_by_hand():
    """Papineni et al.: 'the the the' against 'the cat': one match of three; nothing of pairs."""
    fake, real = numbered([["the"] * 3], [["the", "cat"]])
    found = sentence_bleu(fake, real, most=2)[0].tolist()
    assert found == pytest.approx([1 / 3, math.sqrt(1 / 3 * 0.1 / 2)])


def test_a_short_sentence_pays_for_its_brevity():
    fake, real = numbered([["a", "b"]], [["a", "b", "c", "d"]])
    assert sentence_bleu(fake, real, most=1).item() == pytest.approx(math.exp(1 - 4 / 2))


def test_equal_sentences_are_1_and_strangers_0():
    fake, strangers = numbered([["a", "b", "c", "d", "e"]] * 3, [["x"] * 5, ["y"] * 5, ["z"] * 5])
    assert_close(sentence_self_bleu(fake), torch.ones(3, 5, dtype=torch.float64))
    assert_close(sentence_self_bleu(strangers), torch.zeros(3, 5, dtype=torch.float64))


def test_the_closest_other_length_leaves_out_the_sentence_itself():
    (tokens,) = numbered([["a"], ["a"] * 3, ["a"] * 3, ["a"] * 7])
    assert closest_other((tokens != 0).sum(1).numpy()).tolist() == [3, 3, 3, 3]


def test_order_and_padding_do_not_matter():
    (tokens,) = numbered(text(30, 5))
    order = torch.randperm(30, generator=torch.Generator().manual_seed(0))
    wide = torch.nn.functional.pad(tokens, (0, 4))
    assert_close(sentence_self_bleu(wide)[order], sentence_self_bleu(tokens[order]), rtol=0, atol=1e-12)


def test_a_collapse_raises_self_bleu_and_lowers_backward_bleu():
    real, fake = text(60, 1, words=40), text(60, 2, words=40)
    reals, varied, collapsed = numbered(real, fake, fake[:3] * 20)
    assert self_bleu(collapsed)["self_bleu_3"].value > self_bleu(varied)["self_bleu_3"].value + 0.3
    assert bleu(reals, collapsed)["back_bleu_2"].value < bleu(reals, varied)["back_bleu_2"].value


def test_too_few_sentences_are_told():
    with pytest.raises(DataError, match=r"1 sentence\(s\), and it needs 2"):
        sentence_self_bleu(torch.ones(1, 3, dtype=torch.long))
