"""Sentences: `--data FILE.txt`, one a line, or a folder whose files are classes."""

from __future__ import annotations

from equipoise.config import Adam, Evaluate, Language, Optim, Restyler, Sentences, Speech, TrainConfig
from equipoise.knobs import Knobs, Phases, Schedule, Slope

OF_TEXT = Evaluate(metrics=("fd", "bleu", "self_bleu", "variety"))
ADAM = Optim(g=Adam(betas=(0.9, 0.999)), d=Adam(betas=(0.9, 0.999)))
IMITATION = Speech()
RESTYLED = Evaluate(metrics=("style", "self_bleu", "variety"), best_by="style_score")
ALONE = 0.1  # part of a run in which G learns to say a sentence again, before it restyles any
PRETRAINED = 0.5  # part of a run in which G imitates, before it meets D


def text_mle() -> TrainConfig:
    """Maximum likelihood: an LSTM, which every text GAN is held against, and which beats them where its temperature is
    set for the purpose (Caccia et al. 2020, arXiv:1811.02549). The recipe to begin with.

    Measured: docs/how-to/text.md, BLEU-3 and self-BLEU-3 of captions at seven temperatures.
    """
    return of_text(
        "text-mle", Language(), kimg=200, knobs=Knobs(g_lr=2e-3, clip_norm=5.0, ema_halflife_kimg=2.0),
        schedules={"g_lr": Slope(kind="linear", end=0.1)},
    )  # fmt: skip


def text_relgan() -> TrainConfig:
    """RelGAN (Nie et al. 2019): a relational memory, Gumbel-softmax, a D with many views, the relativistic loss; 5
    updates of D to one of G, gradients of norm 5, G 20 times as fast while it imitates. Without the paper's dropout
    in D.

    Not measured.
    """
    return of_text(
        "text-relgan", Language(cell="relational", embedding=32, d_views=64, d_filters=300), kimg=600,
        speech=Speech(imitates=PRETRAINED, haste=20.0, against="gumbel", beta=100.0),
        knobs=Knobs(loss="relativistic", g_lr=1e-4, d_lr=1e-4, d_steps=5, clip_norm=5.0, ema_halflife_kimg=2.0),
        schedules={},
    )  # fmt: skip


def text_seqgan() -> TrainConfig:
    """SeqGAN (Yu et al. 2017, arXiv:1609.05473): an LSTM, rewarded token by token over 16 completions of what it began,
    after D has learnt alone. With a baseline, with 5 updates of D to one of G where the paper has 15 passes over fresh
    sentences, and without its dropout and L2 in D.

    Measured: docs/how-to/text.md, the curve of `text-mle` within .01.
    """
    return of_text(
        "text-seqgan", Language(embedding=32, g_width=32, d_filters=100), kimg=600,
        speech=Speech(imitates=PRETRAINED, haste=10.0, alone=0.05, against="policy"),
        knobs=Knobs(loss="nonsaturating", g_lr=1e-3, d_lr=1e-4, d_steps=5, clip_norm=5.0, ema_halflife_kimg=2.0),
        schedules={},
    )  # fmt: skip


def text_conditional() -> TrainConfig:
    """`text-mle` that is told the class: a folder with a file for each.

    Measured: docs/how-to/text.md, .94 and .93 of the sentiment that is asked for at a temperature of .9.
    """
    config = text_mle()
    nets = config.nets.model_copy(update={"conditioning": "projection"})
    return config.model_copy(update={"recipe": "text-conditional", "nets": nets})


def text_restyle() -> TrainConfig:
    """The Style Transformer (Dai et al. 2019, arXiv:1905.05621): tells sentences in another style, learned without
    pairs from a folder with a file for each. With half of the paper's width and layers, and without its dropout.

    Not measured.
    """
    knobs = Knobs(
        loss="nonsaturating", g_lr=3e-4, d_lr=3e-4, identity=0.25, cycle=0.5, adversarial=1.0, clip_norm=5.0,
        ema_halflife_kimg=2.0,
    )  # fmt: skip
    late = Phases(starts=(0, ALONE), values=(0, 1))
    return restyling(
        "text-restyle", Restyler(width=128, layers=2), Speech(beta=1.0), knobs, {"cycle": late, "adversarial": late}
    )


def text_aligned() -> TrainConfig:
    """The cross-aligned autoencoder (Shen et al. 2017, arXiv:1705.09655), the simpler way to restyle: recurrent nets,
    and a D that looks at the states in which sentences are told. Soft words become 100 times sharper, not 1,000 times.

    Not measured.
    """
    knobs = Knobs(loss="nonsaturating", g_lr=5e-4, d_lr=5e-4, identity=1.0, clip_norm=5.0, ema_halflife_kimg=2.0)
    late = Phases(starts=(0, ALONE), values=(0, 1))
    return restyling("text-aligned", Restyler(way="aligned"), Speech(beta=100.0), knobs, {"adversarial": late})


def restyling(name: str, nets: Restyler, speech: Speech, knobs: Knobs, schedules: dict[str, Schedule]) -> TrainConfig:
    return TrainConfig(
        recipe=name,
        kimg=200,
        batch=64,
        data=Sentences(path="styles", length=20),
        nets=nets,
        play="restyle",
        speech=speech,
        optim=ADAM,
        knobs=knobs,
        schedules=schedules,
        evaluate=RESTYLED,
    )


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
