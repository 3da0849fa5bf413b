"""R3GAN (Huang et al. 2024, arXiv:2501.05441) at three widths. `--data FOLDER` trains it on your own pictures.

Table 9 of the paper: relativistic loss, R1 + R2 in every step, Adam with beta1 = 0; over the burn-in gamma sinks to a
tenth, the learning rate to a quarter, beta2 rises from .9 to .99, the memory of the average and the augmentation in
front of D grow from nothing.
"""

from __future__ import annotations

from equipoise.config import R3GAN, Adam, Digits, Optim, TrainConfig
from equipoise.knobs import Knobs, Slope

BURN_IN = 0.1  # of a run


def r3gan_xs() -> TrainConfig:
    """R3GAN at width 192: 1.6 M weights a player, for a CPU or a small set. Not measured for quality."""
    return r3gan("r3gan-xs", width=192, batch=64, kimg=2_000)


def r3gan_s() -> TrainConfig:
    """R3GAN at width 384: 5.5 M weights a player. Not measured for quality."""
    return r3gan("r3gan-s", width=384, batch=128, kimg=20_000)


def r3gan_b() -> TrainConfig:
    """R3GAN at the paper's width 768, batch and length for CIFAR-10: four days on eight GPUs. Not repeated."""
    return r3gan("r3gan-b", width=768, batch=512, kimg=250_000)


def r3gan(name: str, *, width: int, batch: int, kimg: float) -> TrainConfig:
    """The CIFAR-10 column; other sets want another gamma, up to 150 for faces at 256 pixels."""
    adam = Adam(betas=(0.0, 0.99))
    sinking, growing = Slope(kind="cosine", end=0.1, until=BURN_IN), Slope(kind="cosine", start=0, end=1, until=BURN_IN)
    rate = Slope(kind="cosine", end=0.25, until=BURN_IN)
    return TrainConfig(
        recipe=name,
        kimg=kimg,
        batch=batch,
        data=Digits(),
        nets=R3GAN(width=width),
        optim=Optim(g=adam, d=adam),
        knobs=Knobs(
            loss="relativistic", r1=0.05, r2=0.05, g_lr=2e-4, d_lr=2e-4, beta2=0.9, augment_p=0.55,
            ema_halflife_kimg=min(5_000, kimg / 50), ema_ramp=None,
        ),
        schedules=dict.fromkeys(("r1", "r2"), sinking)
        | dict.fromkeys(("g_lr", "d_lr"), rate)
        | dict.fromkeys(("ema_halflife_kimg", "augment_p"), growing)
        | {"beta2": Slope(kind="cosine", start=1, end=1.1, until=BURN_IN)},
    )  # fmt: skip
