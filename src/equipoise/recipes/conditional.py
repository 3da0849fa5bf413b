"""Generators that are told what to draw: the class goes to G and D."""

from __future__ import annotations

from equipoise.config import MLP, Adam, Conditioning, Digits, Optim, TrainConfig
from equipoise.knobs import Knobs, annealed


def cgan() -> TrainConfig:
    """Mirza & Osindero 2014 (arXiv:1411.1784), Figure 1: an embedding of the class joins z in G, and the sample in D.

    The loss and its penalties are those of `digits`. Not measured.
    """
    return conditional("cgan", "concatenation")


def cgan_projection() -> TrainConfig:
    """D weighs what it sees by an embedding of the class (Miyato & Koyama 2018, arXiv:1802.05637, eq. 4).

    The loss and its penalties are those of `digits`. Not measured.
    """
    return conditional("cgan-projection", "projection")


def conditional(name: str, conditioning: Conditioning) -> TrainConfig:
    return TrainConfig(
        recipe=name,
        kimg=768,
        batch=128,
        data=Digits(),
        nets=MLP(z_dim=64, g_widths=(256, 256), d_widths=(256, 256), conditioning=conditioning),
        optim=Optim(g=Adam(betas=(0.0, 0.99)), d=Adam(betas=(0.0, 0.99))),
        knobs=Knobs(loss="relativistic", g_lr=7e-4, d_lr=7e-4, r1=3.0, r2=3.0, ema_halflife_kimg=20),
        schedules=annealed(lr=0.1, after=0.5, penalty=0.1, until=0.3),
    )
