"""StyleGAN2 (Karras et al. 2020, arXiv:1912.04958). `--data FOLDER` trains it on your own pictures."""

from __future__ import annotations

from equipoise.config import Adam, Digits, Optim, StyleGAN2, TrainConfig
from equipoise.knobs import Knobs


def stylegan2() -> TrainConfig:
    """The `auto` settings of Karras et al. 2020 (arXiv:2006.06676): non-saturating loss, lazy R1 and path length, style
    mixing, Adam 2.5e-3 (0, .99), without their augmentation.

    Two things differ. The papers descend on a lazy penalty alone, and correct Adam for its additional steps; here it is
    part of the loss. And R1 has weight 1, in the range of the recipes of the digits: the papers' rule, 2e-4 s^2 / batch
    at s pixels, gives next to nothing for small pictures. Not measured.

    The learning rates are for 512 channels. A step of Adam moves an equalised layer by the rate times the root of its
    inputs, so narrower nets learn more slowly and want a larger one: for 64 channels 2.5e-3 sqrt 8 = 7e-3.
    """
    batch, adam = 32, Adam(betas=(0.0, 0.99))
    return TrainConfig(
        recipe="stylegan2",
        kimg=5_000,
        batch=batch,
        data=Digits(),
        nets=StyleGAN2(mapping_layers=2, style_mixing=0.9),
        optim=Optim(g=adam, d=adam),
        knobs=Knobs(
            loss="nonsaturating", g_lr=2.5e-3, d_lr=2.5e-3, r1=1.0, r1_every=16,
            path_length=2.0, path_every=4, ema_halflife_kimg=batch * 10 / 32,
        ),
    )  # fmt: skip
