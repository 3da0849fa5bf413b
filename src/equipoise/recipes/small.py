"""For small sets of pictures: from a hundred of them. `--data FOLDER` trains on your own."""

from __future__ import annotations

from equipoise.config import Adam, Digits, FastGAN, Optim, TrainConfig
from equipoise.knobs import Knobs


def fastgan() -> TrainConfig:
    """Liu et al. 2021 (arXiv:2101.04775): hinge loss, D draws its reals again, Adam 2e-4 (.5, .999), batches of 8,
    50,000 steps, translation and colour in front of D each time (Zhao et al. 2020, arXiv:2006.10738).

    Not measured.
    """
    adam = Adam(betas=(0.5, 0.999))
    return TrainConfig(
        recipe="fastgan",
        kimg=400,
        batch=8,
        data=Digits(),
        nets=FastGAN(),
        optim=Optim(g=adam, d=adam),
        knobs=Knobs(
            loss="hinge", g_lr=2e-4, d_lr=2e-4, reconstruction=1.0, augment_p=1.0,
            ema_halflife_kimg=5.5,  # .999 a step
        ),
        augment=("color", "translation"),
    )  # fmt: skip
