"""Few pictures, some hundreds: `--data FOLDER` trains these on your own.

Augmentation in front of D, without which D learns so few pictures by heart; on R3GAN's loss (Huang et al. 2024,
arXiv:2501.05441) and the narrow pair of DCGAN without norms in D, or on FastGAN's own nets.
"""

from __future__ import annotations

from equipoise.config import DCGAN, Adam, AugmentKind, Digits, FastGAN, Optim, TrainConfig
from equipoise.knobs import Knobs


def small_diffaugment() -> TrainConfig:
    """DiffAugment (Zhao et al. 2020, arXiv:2006.10738): colour, translation and cutout, of every sample. Not
    measured."""
    return small("small-diffaugment", ("color", "translation", "cutout"), Knobs(augment_p=1.0))


def small_ada() -> TrainConfig:
    """ADA (Karras et al. 2020, arXiv:2006.06676): blits, geometry and colour, of as many samples as it takes until no
    more than half of what D knows of its reals is learnt by heart; at five times the paper's speed, for a shorter run.

    Held-out reals tell (the paper's r_v), for of few pictures a D learns some by heart without winning more often than
    a healthy one of many: see `games.adaptive`. Not measured.
    """
    kinds: tuple[AugmentKind, ...] = ("ada-blit", "ada-geometric", "ada-color")
    config = small("small-ada", kinds, Knobs(augment_target=0.5, augment_speed_kimg=100))
    return config.model_copy(update={"augment_hears": "held-out"})


def small(name: str, kinds: tuple[AugmentKind, ...], knobs: Knobs) -> TrainConfig:
    game = {"loss": "relativistic", "r1": 1.0, "r2": 1.0, "g_lr": 2e-4, "d_lr": 2e-4, "ema_halflife_kimg": 10.0}
    return TrainConfig(
        recipe=name,
        kimg=1_000,
        batch=32,
        data=Digits(),
        nets=DCGAN(z_dim=64, g_width=32, d_width=32, d_norm="none", init="he"),
        optim=Optim(g=Adam(betas=(0.0, 0.99)), d=Adam(betas=(0.0, 0.99))),
        knobs=knobs.model_copy(update=game),
        augment=kinds,
    )


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
