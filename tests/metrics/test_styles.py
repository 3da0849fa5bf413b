"""Figures of sentences in another style, on a language whose truth is known."""

import pytest
import torch
from torch.testing import assert_close

from equipoise.errors import DataError
from equipoise.metrics.bleu import paired_bleu, sentence_bleu
from equipoise.metrics.styles import Restyled, known_styles, restyled

OF_STYLE = torch.tensor([[2, 3, 4], [5, 6, 7]])  # words that tell the style


def sentences(n, seed=0):
    """'thing adjective thing thing' of either style. [n, 5]."""
    draw = torch.Generator().manual_seed(seed)
    y = torch.randint(2, (n,), generator=draw)
    x = torch.randint(8, 14, (n, 5), generator=draw)
    x[:, 1] = OF_STYLE[y, torch.randint(3, (n,), generator=draw)]
    x[:, 4] = 0
    return x, y


@pytest.fixture(scope="module")
def known():
    return known_styles(*sentences(600), 2)


def test_bleu_of_pairs_is_that_of_each_pair_alone():
    a, b = sentences(30)[0], sentences(30, seed=1)[0]
    b[3], b[4, 2:], a[5] = a[3], 0, 0
    alone = torch.cat([sentence_bleu(one[None], other[None], 4) for one, other in zip(a, b, strict=True)])
    assert_close(paired_bleu(a, b, 4), alone)
    assert alone[3].tolist() == pytest.approx([1.0] * 4) and not alone[5].any()


def test_copies_keep_all_and_have_the_wrong_style(known):
    x, y = sentences(200, seed=2)
    found = restyled(x, Restyled(x, 1 - y, known))
    assert known.right > 0.95
    assert found["style_accuracy"].value == found["style_accuracy_of_copies"].value < 0.05
    assert found["style_kept"].value == pytest.approx(1)


def test_sentences_with_the_other_words_have_the_style_and_keep_the_rest(known):
    x, y = sentences(200, seed=2)
    made = x.clone()
    made[:, 1] = OF_STYLE[1 - y, 0]
    found = {name: estimate.value for name, estimate in restyled(made, Restyled(x, 1 - y, known)).items()}
    other = restyled(sentences(200, seed=3)[0], Restyled(x, 1 - y, known))  # about something else, of either style
    assert found["style_accuracy"] > 0.95 and 0.1 < found["style_kept"] < 0.9
    assert found["style_score"] ** 2 == pytest.approx(found["style_accuracy"] * found["style_kept"])
    assert 0.3 < other["style_accuracy"].value < 0.7 and other["style_kept"].value < found["style_kept"]
    shuffled = made[:, torch.tensor([1, 0, 2, 3, 4])]
    assert restyled(shuffled, Restyled(x, 1 - y, known))["style_perplexity"].value > found["style_perplexity"]


def test_a_style_without_sentences_cannot_be_known():
    x, y = sentences(50)
    with pytest.raises(DataError, match="more sentences"):
        known_styles(x, torch.zeros_like(y), 2)
