"""The classical losses on the convolutional pair of DCGAN. `--data FOLDER` trains them on your own pictures.

The figures were measured on 2026-11-21 by benchmarks/digits.py: the 8x8 digits, 400,000 real samples shown to D, one
thread of an AMD EPYC (AVX2) with a busy neighbour. Precision and coverage (k = 5) are against held-out digits, with
ceilings of .946 and .953; the settings are the papers', not tuned for digits.
"""

from __future__ import annotations

from equipoise.config import DCGAN, Adam, Digits, Optim, RMSprop, TrainConfig
from equipoise.knobs import Knobs

KIMG = 400
DCGAN_ADAM = Adam(betas=(0.5, 0.999))


def dcgan() -> TrainConfig:
    """Radford et al. 2015 (arXiv:1511.06434): transposed convolutions, BatchNorm, N(0, .02), Adam 2e-4 (.5, .999).

    Measured: precision .77 and .77, coverage .85 and .85 (two seeds); 311 and 435 s beside other programs.
    """
    return TrainConfig(
        recipe="dcgan",
        kimg=KIMG,
        batch=64,
        data=Digits(),
        nets=DCGAN(z_dim=100, g_width=64, d_width=64, upsample="transposed"),
        shared_fakes=True,  # as in the usual code
        optim=Optim(g=DCGAN_ADAM, d=DCGAN_ADAM),
        knobs=Knobs(loss="nonsaturating", g_lr=2e-4, d_lr=2e-4, ema_halflife_kimg=5),
    )


def lsgan() -> TrainConfig:
    """Mao et al. 2017 (arXiv:1611.04076): least squares with a = 0, b = c = 1.

    Measured: precision .76, coverage .85 (one seed); 253 s.
    """
    return TrainConfig(
        recipe="lsgan",
        kimg=KIMG,
        batch=64,
        data=Digits(),
        nets=DCGAN(z_dim=100, g_width=64, d_width=64),
        optim=Optim(g=DCGAN_ADAM, d=DCGAN_ADAM),
        knobs=Knobs(loss="least-squares", ls_targets=(0.0, 1.0, 1.0), g_lr=2e-4, d_lr=2e-4, ema_halflife_kimg=5),
    )


def wgan() -> TrainConfig:
    """Arjovsky et al. 2017 (arXiv:1701.07875), Algorithm 1: RMSprop 5e-5, five critic steps, weights within .01.

    Measured: precision .61, coverage .22 (one seed); 193 s. A clipped critic learns slowly: 1,250 rounds are too few.
    """
    return TrainConfig(
        recipe="wgan",
        kimg=KIMG,
        batch=64,
        data=Digits(),
        nets=DCGAN(z_dim=100, g_width=64, d_width=64),
        optim=Optim(g=RMSprop(), d=RMSprop()),
        knobs=Knobs(loss="wasserstein", clip_weights=0.01, d_steps=5, g_lr=5e-5, d_lr=5e-5, ema_halflife_kimg=5),
    )


def wgan_gp() -> TrainConfig:
    """Gulrajani et al. 2017 (arXiv:1704.00028), Algorithm 1: lambda 10, five critic steps, Adam 1e-4 (0, .9), no
    BatchNorm in the critic.

    Measured: precision .68, coverage .29 (one seed); 395 s, for 1,250 rounds: too few as well.
    """
    adam = Adam(betas=(0.0, 0.9))
    return TrainConfig(
        recipe="wgan-gp",
        kimg=KIMG,
        batch=64,
        data=Digits(),
        nets=DCGAN(z_dim=100, g_width=64, d_width=64, d_norm="layer", init="he"),
        optim=Optim(g=adam, d=adam),
        knobs=Knobs(loss="wasserstein", gp=10.0, d_steps=5, g_lr=1e-4, d_lr=1e-4, ema_halflife_kimg=5),
    )


def hinge() -> TrainConfig:
    """The hinge loss with spectral norm in D (Miyato et al. 2018, arXiv:1802.05957): Adam 2e-4 (0, .9).

    Measured: precision .73, coverage .78 (one seed); 281 s.
    """
    adam = Adam(betas=(0.0, 0.9))
    return TrainConfig(
        recipe="hinge",
        kimg=KIMG,
        batch=64,
        data=Digits(),
        nets=DCGAN(z_dim=100, g_width=64, d_width=64, d_norm="spectral", init="xavier"),
        optim=Optim(g=adam, d=adam),
        knobs=Knobs(loss="hinge", g_lr=2e-4, d_lr=2e-4, ema_halflife_kimg=5),
    )
