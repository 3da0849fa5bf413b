"""StyleGAN2 (Karras et al. 2020, arXiv:1912.04958). `--data FOLDER` trains it on your own pictures: `stylegan2` from 64
pixels on, `stylegan2-cifar` on smaller ones.

In both one thing differs from the papers: they descend on a lazy penalty alone, and correct Adam for its additional
steps; here it is part of the loss.

The rates are those of 512 channels. A step of Adam moves an equalised layer by the rate times the root of its inputs,
so narrower nets want a larger one: 7e-3 for 64 channels, 2.5e-3 sqrt 8. Neither recipe is measured whole.
"""

from __future__ import annotations

from equipoise.config import Adam, Digits, Optim, StyleGAN2, TrainConfig
from equipoise.knobs import Knobs

ADAM = Adam(betas=(0.0, 0.99))


def stylegan2() -> TrainConfig:
    """The `auto` settings of Karras et al. 2020 (arXiv:2006.06676): non-saturating loss, lazy R1 and path length, style
    mixing, Adam 2.5e-3 (0, .99), without their augmentation.

    R1 has weight 1, as the papers' rule 2e-4 s^2 / batch gives at 400 pixels. For small pictures their authors have
    other settings: see `stylegan2_cifar`.
    """
    batch = 32
    return TrainConfig(
        recipe="stylegan2",
        kimg=5_000,
        batch=batch,
        data=Digits(),
        nets=StyleGAN2(mapping_layers=2, style_mixing=0.9),
        optim=Optim(g=ADAM, d=ADAM),
        knobs=Knobs(
            loss="nonsaturating", g_lr=2.5e-3, d_lr=2.5e-3, r1=1.0, r1_every=16,
            path_length=2.0, path_every=4, ema_halflife_kimg=batch * 10 / 32,
        ),
    )  # fmt: skip


def stylegan2_cifar() -> TrainConfig:
    """The `cifar` settings of Karras et al. 2020 (arXiv:2006.06676), for pictures of up to 32 pixels: R1 .01, no path
    length, no mixing of styles, batches of 64 of which D compares 32, an average that remembers 500 kimg or a 20th of
    what was seen; without their augmentation, and with the residual D, where they have a plain one.
    """
    config = stylegan2()
    knobs = config.knobs.model_copy(
        update={"r1": 0.01, "path_length": 0.0, "path_every": 1, "ema_halflife_kimg": 500.0}
    )
    nets = config.nets.model_copy(update={"style_mixing": 0.0, "group": 32})
    named = {"recipe": "stylegan2-cifar", "kimg": 100_000.0, "batch": 64}
    return config.model_copy(update=named | {"nets": nets, "knobs": knobs})
