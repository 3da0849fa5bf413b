"""What ties a translation to the picture that it should become."""

import pytest
import torch

from equipoise import build
from equipoise.config import override
from equipoise.games import likeness
from equipoise.games.gan import Hand

CPU = torch.device("cpu")


@pytest.mark.parametrize("p", [0.0, 1.0])
def test_a_perfect_translation_has_the_features_of_the_truth_however_D_sees_both(tiny, p):
    config = override(tiny("medical-translate"), [f"knobs.augment_p={p}"])
    data = build.splits(config.data)
    game = build.game(config, build.form(config, data), CPU)
    hand = game.hand(next(build.batches(config, data, CPU)), graph=True)
    perfect, others = Hand(hand.real, hand.real, hand.y, hand.z), Hand(hand.real, hand.fake, hand.y, hand.z)
    of_truth, of_fakes = ({t.name: t.value.item() for t in likeness.of_G(game, h)} for h in (perfect, others))
    assert of_truth == dict.fromkeys(("pixel", "features", "style"), 0.0)
    assert min(of_fakes.values()) > 0
