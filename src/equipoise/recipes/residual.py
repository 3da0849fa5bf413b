"""The residual nets of SNGAN, SAGAN and BigGAN, with spectral norm and the hinge loss.

`sagan` and `biggan` are for pictures of 128 pixels, where their attention has its place, in subfolders that are the
classes: `--data FOLDER`. For other sizes set `data.size` and `nets.attention` together; without classes
`nets.conditioning=none`.
"""

from __future__ import annotations

from equipoise.config import Adam, Digits, Optim, Pictures, ResNet, TrainConfig
from equipoise.knobs import Knobs, Slope


def sngan() -> TrainConfig:
    """Miyato et al. 2018 (arXiv:1802.05957), Table 3: spectral norm in D, five updates of D, Adam 2e-4 (0, .9), both
    learning rates sink to nothing over 100,000 updates of G. Not measured.
    """
    adam = Adam(betas=(0.0, 0.9))
    sinking = Slope(kind="linear", end=0)
    return TrainConfig(
        recipe="sngan",
        kimg=32_000,
        batch=64,
        data=Digits(),
        nets=ResNet(z_dim=128, g_width=256, g_max_width=256, d_width=128, d_max_width=128),
        optim=Optim(g=adam, d=adam),
        knobs=Knobs(loss="hinge", g_lr=2e-4, d_lr=2e-4, d_steps=5, ema_halflife_kimg=5),
        schedules={"g_lr": sinking, "d_lr": sinking},
    )


def sagan() -> TrainConfig:
    """Zhang et al. 2019 (arXiv:1805.08318): attention at 32 pixels, spectral norm in both players, a BatchNorm for each
    class, projection; D learns four times as fast as G (Heusel et al. 2017, arXiv:1706.08500), one update of each.

    The paper's widths, batch of 256 (in four parts) and length. Not measured.
    """
    adam = Adam(betas=(0.0, 0.9))
    return TrainConfig(
        recipe="sagan",
        kimg=256_000,
        batch=64,
        data=Pictures(path="photos", size=128),
        nets=ResNet(
            z_dim=128, g_width=64, g_max_width=1024, d_width=64, d_max_width=1024, g_norm="batch+spectral",
            attention=32, conditioning="projection",
        ),
        optim=Optim(g=adam, d=adam),
        knobs=Knobs(loss="hinge", g_lr=1e-4, d_lr=4e-4, accumulate=4, ema_halflife_kimg=5),
    )  # fmt: skip


def biggan() -> TrainConfig:
    """Brock et al. 2019 (arXiv:1809.11096), section 3 and appendix C: one embedding of the class for all norms, a part
    of z for each block, attention at 64 pixels, orthogonal weights and their regularization, two updates of D.

    The paper's widths and rates; a batch of 256 (in eight parts) where the paper has 2,048. Not measured.
    """
    adam = Adam(betas=(0.0, 0.999))
    return TrainConfig(
        recipe="biggan",
        kimg=100_000,
        batch=32,
        data=Pictures(path="photos", size=128),
        nets=ResNet(
            z_dim=120, g_width=96, g_max_width=1536, d_width=96, d_max_width=1536, g_norm="batch+spectral",
            attention=64, conditioning="projection", embedding="shared", skip_z=True, init="orthogonal",
        ),
        optim=Optim(g=adam, d=adam),
        knobs=Knobs(
            loss="hinge", g_lr=5e-5, d_lr=2e-4, d_steps=2, accumulate=8, g_orthogonal=1e-4,
            ema_halflife_kimg=3_500,  # .9999 at each update of G
        ),
    )  # fmt: skip
