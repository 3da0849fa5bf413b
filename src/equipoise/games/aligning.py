"""The lesson of the cross-aligned autoencoder (Shen et al. 2017, arXiv:1705.09655, section 4.2): restyled sentences are
told in the same states as sentences that are of the style. Played by `restyling`; written from the paper, no code was
copied.
"""

from __future__ import annotations

import torch
from torch import Tensor

from equipoise.games.base import Signals
from equipoise.games.restyling import Hand, Restyling
from equipoise.losses import LOSSES


class OfStates:
    """D(states [B, T, width], style [B]) -> logits [B]: real are the states of a sentence told along with itself, fake
    those of another one restyled, word by word. G: see `nets.aligned`."""

    def of_D(self, game: Restyling, hand: Hand) -> tuple[Tensor, Signals]:
        with torch.no_grad():
            along = game.G.along(hand.x, hand.y, hand.x).states  # type: ignore[operator]
            alone = game.G.alone(hand.x, hand.other, game.sharpness).states  # type: ignore[operator]
        real_logits, fake_logits = game.D(along, hand.y), game.D(alone, hand.other)
        loss = LOSSES[game.knobs.loss].discriminator(real_logits, fake_logits).mean()
        return loss, {"d_loss": loss, "d_real": real_logits.mean(), "d_fake": fake_logits.mean()}

    def of_G(self, game: Restyling, hand: Hand) -> tuple[Tensor, Signals]:
        knobs = game.knobs
        along = game.G.along(hand.x, hand.y, hand.x)  # type: ignore[operator]
        identity = game.surprise(along.logits, hand)
        loss, signals = knobs.identity * identity, {"identity": identity}
        if knobs.adversarial:
            alone = game.G.alone(hand.x, hand.other, game.sharpness).states  # type: ignore[operator]
            logits = game.D(along.states, hand.y), game.D(alone, hand.other)
            signals["style"] = LOSSES[knobs.loss].generator(*logits).mean()
            loss = loss + knobs.adversarial * signals["style"]
        return loss, signals | {"g_loss": loss}
