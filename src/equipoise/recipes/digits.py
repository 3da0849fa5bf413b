"""Real handwritten digits that need no download, alone and three to an image."""

from __future__ import annotations

from equipoise.config import MLP, Adam, Digits, Optim, StackedDigits, TrainConfig
from equipoise.knobs import Knobs, annealed


def digits() -> TrainConfig:
    """1,439 real digits of 8x8 pixels, relativistic with R1 + R2 (R3GAN's loss, arXiv:2501.05441) on a small MLP.

    Measured 2026-11-21, one thread of an AMD EPYC (AVX2), benchmarks/digits.py, --time 120s, 5 of 5 seeds: each class
    at least 8.8% of 2,000 samples; precision .851 to .860 and coverage .909 to .930 against held-out digits (training
    images themselves: .946 and .953); 5.1 to 5.6% of the samples nearer to a training image than 5% of the held-out
    images are.
    """
    return TrainConfig(
        recipe="digits",
        kimg=768,
        batch=128,
        data=Digits(),
        nets=MLP(z_dim=64, g_widths=(256, 256), d_widths=(256, 256)),
        optim=Optim(g=Adam(betas=(0.0, 0.99)), d=Adam(betas=(0.0, 0.99))),
        knobs=Knobs(loss="relativistic", g_lr=7e-4, d_lr=7e-4, r1=3.0, r2=3.0, ema_halflife_kimg=20),
        schedules=annealed(lr=0.1, after=0.5, penalty=0.1, until=0.3),
    )


def stacked_digits() -> TrainConfig:
    """Three digits as the channels of one image: 1,000 modes, relativistic with R1 + R2.

    Measured 2026-11-21, one thread of an AMD EPYC (AVX2), benchmarks/stacked.py, 26,000 samples: 1,000 of 1,000 modes
    and KL .052 to .059 in 5 of 5 seeds, 126 to 200 s (real training stacks: KL .023).
    """
    return TrainConfig(
        recipe="stacked-digits",
        kimg=1280,
        batch=128,
        data=StackedDigits(),
        nets=MLP(z_dim=64, g_widths=(256, 256), d_widths=(256, 256)),
        optim=Optim(g=Adam(betas=(0.0, 0.99)), d=Adam(betas=(0.0, 0.99))),
        knobs=Knobs(loss="relativistic", g_lr=1e-3, d_lr=1e-3, r1=1.0, r2=1.0, ema_halflife_kimg=20),
        schedules=annealed(lr=0.1, after=0.3, penalty=0.1, until=0.3),
    )


def stacked_digits_ns() -> TrainConfig:
    """The non-saturating loss without a penalty on nets with one layer more: it collapses, and is kept to study.

    Everything is pinned, for little is enough to save some modes: two hidden layers kept 89 in one seed, and a learning
    rate of 1e-3 keeps 280 to 979 (the sweep of benchmarks/stacked.py).

    Measured 2026-11-21, one thread of an AMD EPYC (AVX2), benchmarks/stacked.py, 26,000 samples: 1 to 9 of 1,000
    modes in 10 of 10 seeds, 31 to 35 s.
    """
    momentum = Adam(betas=(0.5, 0.99))
    return TrainConfig(
        recipe="stacked-digits-ns",
        kimg=320,
        batch=128,
        data=StackedDigits(),
        nets=MLP(z_dim=64, g_widths=(256, 256, 256), d_widths=(256, 256, 256)),
        optim=Optim(g=momentum, d=momentum),
        knobs=Knobs(loss="nonsaturating", g_lr=2e-4, d_lr=2e-4, ema_halflife_kimg=0, ema_ramp=None),
    )
