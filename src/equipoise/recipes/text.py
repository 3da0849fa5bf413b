"""Sentences: `--data FILE.txt`, one a line, or a folder whose files are classes."""

from __future__ import annotations

from equipoise.config import Adam, Evaluate, Language, Optim, Sentences, Speech, TrainConfig
from equipoise.knobs import Knobs, Phases, Schedule, Slope

OF_TEXT = Evaluate(metrics=("fd", "bleu", "self_bleu", "variety"))
ADAM = Optim(g=Adam(betas=(0.9, 0.999)), d=Adam(betas=(0.9, 0.999)))
IMITATION = Speech()
PRETRAINED = 0.5  # part of a run in which G imitates, before it meets D


def text_mle() -> TrainConfig:
    """Maximum likelihood: an LSTM, which every text GAN is held against, and which beats them where its temperature is
    set for the purpose (Caccia et al. 2020, arXiv:1811.02549). The recipe to begin with.

    Not measured.
    """
    return of_text(
        "text-mle", Language(), kimg=200, knobs=Knobs(g_lr=2e-3, clip_norm=5.0, ema_halflife_kimg=2.0),
        schedules={"g_lr": Slope(kind="linear", end=0.1)},
    )  # fmt: skip


def text_relgan() -> TrainConfig:
    """RelGAN (Nie et al. 2019): a relational memory, Gumbel-softmax, a D with many views, the relativistic loss; 5
    updates of D to one of G, gradients of norm 5. Without the paper's dropout in D.

    Not measured.
    """
    return of_text(
        "text-relgan", Language(cell="relational", embedding=32, d_views=64, d_filters=300), kimg=600,
        speech=Speech(imitates=PRETRAINED, against="gumbel", beta=100.0),
        knobs=Knobs(loss="relativistic", g_lr=1e-4, d_lr=1e-4, d_steps=5, clip_norm=5.0, ema_halflife_kimg=2.0),
        schedules={"g_lr": Phases(starts=(0, PRETRAINED), values=(20, 1))},
    )  # fmt: skip


def text_seqgan() -> TrainConfig:
    """SeqGAN (Yu et al. 2017, arXiv:1609.05473): an LSTM, rewarded token by token over 16 completions of what it began.
    With a baseline, and without the paper's dropout and L2 in D.

    Not measured.
    """
    return of_text(
        "text-seqgan", Language(embedding=32, g_width=32, d_filters=100), kimg=600,
        speech=Speech(imitates=PRETRAINED, against="policy"),
        knobs=Knobs(loss="nonsaturating", g_lr=1e-3, d_lr=1e-4, d_steps=5, clip_norm=5.0, ema_halflife_kimg=2.0),
        schedules={"g_lr": Phases(starts=(0, PRETRAINED), values=(10, 1))},
    )  # fmt: skip


def text_conditional() -> TrainConfig:
    """`text-mle` that is told the class: a folder with a file for each.

    Not measured.
    """
    config = text_mle()
    nets = config.nets.model_copy(update={"conditioning": "projection"})
    return config.model_copy(update={"recipe": "text-conditional", "nets": nets})


def of_text(
    name: str, nets: Language, *, kimg: float, knobs: Knobs, schedules: dict[str, Schedule], speech: Speech = IMITATION
) -> TrainConfig:  # fmt: skip
    return TrainConfig(
        recipe=name,
        kimg=kimg,
        batch=64,
        data=Sentences(path="text.txt"),
        nets=nets,
        speech=speech,
        optim=ADAM,
        knobs=knobs,
        schedules=schedules,
        evaluate=OF_TEXT,
    )
