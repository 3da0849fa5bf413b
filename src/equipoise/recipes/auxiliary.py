"""D that is not told the class and names it itself, on the digits, with the loss, nets and penalties of `digits`: from
`digits` with nets.conditioning=projection it differs only in how G learns which class is meant.

D learns the classes from reals alone, as in ReACGAN; in the first AC-GAN from fakes, too.

The figures were measured on 2026-11-25 by the loop of benchmarks/auxiliary.py, three seeds, 16 to 20 s of one busy core
of an Intel Xeon: shares of 2,000 samples that a classifier takes for the digit asked for; the distance in pixels of two
samples of one digit, over that of two reals of it; precision and coverage (k = 5) against held-out digits. With
projection they are .98, .94, .89 to .91 and .93.
"""

from __future__ import annotations

from equipoise.config import MLP, Digits, TrainConfig
from equipoise.knobs import Knobs, annealed

BASE = Knobs(loss="relativistic", g_lr=7e-4, d_lr=7e-4, r1=3.0, r2=3.0, ema_halflife_kimg=20)


def acgan() -> TrainConfig:
    """AC-GAN (Odena et al. 2017, arXiv:1610.09585): a classifier beside D's verdict, by cross-entropy.

    Measured: .91 to .94 are the digit asked for, of the worst digit .72 to .89; distance .83 to .85, the known lack of
    variety within a class; precision .82 to .83, coverage .68 to .77.
    """
    return TrainConfig(
        recipe="acgan",
        kimg=400,
        batch=128,
        data=Digits(),
        nets=MLP(z_dim=64, g_widths=(256, 256), d_widths=(256, 256), conditioning="auxiliary"),
        knobs=BASE.model_copy(update={"auxiliary": 1.0}),
        schedules=annealed(lr=0.1, after=0.5, penalty=0.1, until=0.3),
    )


def reacgan() -> TrainConfig:
    """ReACGAN (Kang et al. 2021, arXiv:2111.01118): proxies of the classes on the unit sphere, by D2D-CE of weight .5,
    margin .98 and temperature .5.

    Measured: .95 to .97 are the digit asked for, of the worst digit .78 to .89; distance .89 to .90; precision .85 to
    .86, coverage .85 to .86.
    """
    config = acgan()
    return config.model_copy(
        update={
            "recipe": "reacgan",
            "nets": config.nets.model_copy(update={"evidence": "data-to-data"}),
            "knobs": BASE.model_copy(update={"auxiliary": 0.5}),
        }
    )
