"""Mixtures in the plane, on which a collapse can be seen and counted in seconds."""

from __future__ import annotations

from equipoise.config import MLP, Adam, Guardian, Optim, Toy, TrainConfig
from equipoise.knobs import Knobs, annealed

POINTS = Guardian(n=300)  # in the plane so many tell as much, and the calibration takes seconds


def ring() -> TrainConfig:
    """Eight narrow Gaussians on a circle (VEEGAN's protocol), relativistic with R1 + R2.

    R1 and R2 blur the target by about gamma, so gamma decays to well below the modes' width.

    Measured 2026-11-21, one thread of an AMD EPYC (AVX2), benchmarks/ring.py: 10 of 10 seeds cover 8 of 8 modes, each
    with at least 59% of its fair share; 77 to 87% of the points are within 3 sigma (98.9% for a perfect sampler); 11 to
    17 s. The modes are narrower than they should be.
    """
    return TrainConfig(
        recipe="ring",
        kimg=160,
        batch=64,
        data=Toy(kind="ring"),
        nets=MLP(z_dim=2, g_widths=(128, 128), d_widths=(128, 128)),
        optim=Optim(g=Adam(betas=(0.0, 0.99)), d=Adam(betas=(0.0, 0.99))),
        knobs=Knobs(loss="relativistic", g_lr=2e-3, d_lr=2e-3, r1=0.1, r2=0.1, ema_halflife_kimg=10),
        guardian=POINTS,
        schedules=annealed(lr=0.05, after=0.3, penalty=0.01, until=0.5),
    )


def grid() -> TrainConfig:
    """Twenty-five Gaussians on a square grid (VEEGAN's protocol), relativistic with R1 + R2.

    Measured 2026-11-21, one thread of an AMD EPYC (AVX2), benchmarks/ring.py: 25, 22 and 25 of 25 modes in three seeds,
    88, 68 and 82% of the points within 3 sigma; 40 to 42 s. One seed in three loses modes: a recipe to study.
    """
    return TrainConfig(
        recipe="grid",
        kimg=576,
        batch=64,
        data=Toy(kind="grid"),
        nets=MLP(z_dim=2, g_widths=(128, 128), d_widths=(128, 128)),
        knobs=Knobs(loss="relativistic", g_lr=2e-3, d_lr=2e-3, r1=0.1, r2=0.1, ema_halflife_kimg=10),
        guardian=POINTS,
        schedules=annealed(lr=0.05, after=0.3, penalty=0.01, until=0.5),
    )
