"""R3GAN (Huang et al. 2024, arXiv:2501.05441) at three widths for small pictures, and for 28 to 1024 pixels.

`--data FOLDER` trains it on your own pictures; a preset with a size in its name brings them to that size.

Table 9 of the paper: relativistic loss, R1 + R2 in every step, Adam with beta1 = 0; over the burn-in gamma sinks to a
tenth, the learning rate to a quarter, beta2 rises from .9 to .99, the memory of the average and the augmentation in
front of D grow from nothing. That augmentation is DiffAugment's, where the paper has ADA's pipeline and a cutout: set
augment=[ada-blit, ada-geometric, ada-color, cutout] for these.
"""

from __future__ import annotations

from equipoise.config import R3GAN, Adam, Digits, Optim, Pictures, TrainConfig
from equipoise.knobs import Knobs, Slope

BURN_IN = 0.1  # of a run
CHECKPOINTED_FROM = 256  # pixels


def r3gan_xs() -> TrainConfig:
    """R3GAN at width 192: 1.6 M weights a player, for a CPU or a small set. Not measured for quality."""
    return r3gan("r3gan-xs", width=192, batch=64, kimg=2_000)


def r3gan_s() -> TrainConfig:
    """R3GAN at width 384: 5.5 M weights a player. Not measured for quality."""
    return r3gan("r3gan-s", width=384, batch=128, kimg=20_000)


def r3gan_b() -> TrainConfig:
    """R3GAN at the paper's width 768, batch and length for CIFAR-10: four days on eight GPUs. Not repeated."""
    return r3gan("r3gan-b", width=768, batch=512, kimg=250_000)


def r3gan_28() -> TrainConfig:
    """For sets in the manner of MNIST, enlarged to 32 pixels: width 192, the paper's weights for Stacked MNIST, no
    augmentation. Not measured.
    """
    return of_size("r3gan-28", 32, width=192, batch=128, kimg=10_000, gamma=1, augment_p=0)


def r3gan_64() -> TrainConfig:
    """The paper's column for FFHQ at 64 pixels. Not repeated."""
    return in_parts(of_size("r3gan-64", 64, width=768, batch=256, kimg=100_000, gamma=2), 8)


def r3gan_128() -> TrainConfig:
    """No column of the paper: gamma lies half way, in powers, between those for 64 and 256 pixels. Not measured."""
    return in_parts(of_size("r3gan-128", 128, width=768, batch=256, kimg=100_000, gamma=17), 16)


def r3gan_256() -> TrainConfig:
    """The paper's column for FFHQ at 256 pixels: three weeks on eight GPUs. Not repeated."""
    return in_parts(of_size("r3gan-256", 256, width=768, batch=256, kimg=200_000, gamma=150), 16)


def r3gan_512() -> TrainConfig:
    """No column of the paper: gamma grows with the number of pixels, and the batch is smaller. Not measured."""
    return in_parts(of_size("r3gan-512", 512, width=768, batch=64, kimg=200_000, gamma=600), 8)


def r3gan_1024() -> TrainConfig:
    """No column of the paper: gamma grows with the number of pixels, and the batch is smaller. Not measured."""
    return in_parts(of_size("r3gan-1024", 1024, width=768, batch=32, kimg=200_000, gamma=2400), 8)


def of_size(
    name: str, size: int, *, width: int, batch: int, kimg: float, gamma: float, augment_p: float = 0.3
) -> TrainConfig:
    """For pictures of `size` pixels; gamma is R1's and R2's at the start. The average remembers half a million images,
    as in the columns for FFHQ and Stacked MNIST."""
    config = r3gan(name, width=width, batch=batch, kimg=kimg)
    turned = {"r1": gamma, "r2": gamma, "augment_p": augment_p, "ema_halflife_kimg": 500}
    return config.model_copy(
        update={
            "data": Pictures(path="photos", size=size),
            "nets": config.nets.model_copy(update={"checkpointing": size >= CHECKPOINTED_FROM}),
            "knobs": config.knobs.model_copy(update=turned),
        }
    )


def in_parts(config: TrainConfig, parts: int) -> TrainConfig:
    """The same batch in parts of about 16 GB in fp32 each: reckoned from steps at a quarter of the width."""
    accumulating = config.knobs.model_copy(update={"accumulate": parts})
    return config.model_copy(update={"batch": config.batch // parts, "knobs": accumulating})


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
