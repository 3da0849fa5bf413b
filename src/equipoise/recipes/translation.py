"""From picture to picture: pairs, domains without pairs, styles, and restoration. `--data FOLDER` trains them on yours:
pairs and domains in two folders A and B, what is restored as any pictures.
"""

from __future__ import annotations

from equipoise.config import (
    Adam,
    ColouredDigits,
    Degrade,
    Digits,
    Evaluate,
    Lesions,
    Optim,
    PaintedDigits,
    Spoilt,
    StackedDigits,
    TrainConfig,
    Translation,
)
from equipoise.knobs import Knobs, Slope

ADAM = Optim(g=Adam(betas=(0.5, 0.999)), d=Adam(betas=(0.5, 0.999)))
SINKING = {name: Slope(kind="linear", after=0.5) for name in ("g_lr", "d_lr")}  # to nothing over the second half
UNPAIRED = Evaluate(metrics=("fd", "prdc", "vendi", "bins"))
OF_PAIRS = Evaluate(metrics=("fd", "prdc", "ssim", "psnr"))


def pix2pix() -> TrainConfig:
    """Isola et al. 2017 (arXiv:1611.07004): a U-Net, patches judged beside the picture that they were made from, and L1
    to the true one, of weight 100; Adam 2e-4 (.5, .999), the rate sinking over the second half. Without the paper's
    dropout, whose noise G ignores (section 3.2), and with instance norm, which its BatchNorm is at its batch of 1.

    Not measured.
    """
    return of_pairs("pix2pix", PaintedDigits(), Translation(generator="unet"), pixel=100.0)


def cyclegan() -> TrainConfig:
    """Zhu et al. 2017 (arXiv:1703.10593): two residual generators, least squares, a cycle of weight 10, identity of
    half of that, a pool of 50 fakes; Adam 2e-4 (.5, .999), the rate sinking over the second half. The paper halves D's
    loss alone, so G's half of `losses.least_squares` counts twice.

    Not measured.
    """
    return TrainConfig(
        recipe="cyclegan",
        kimg=200,
        batch=8,
        data=ColouredDigits(),
        nets=Translation(blocks=6),
        play="cycle",
        pool=50,
        optim=ADAM,
        knobs=Knobs(
            loss="least-squares", adversarial=2.0, g_lr=2e-4, d_lr=2e-4, cycle=10.0, identity=5.0, ema_halflife_kimg=1.0
        ),
        schedules=dict(SINKING),
        evaluate=UNPAIRED,
    )


def cut() -> TrainConfig:
    """Park et al. 2020 (arXiv:2007.15651): one generator, whose patches are told by those that they were made from; the
    same of what it makes of the other domain's own pictures; least squares as `cyclegan` has it, Adam 2e-4 (.5, .999).

    Not measured.
    """
    return TrainConfig(
        recipe="cut",
        kimg=200,
        batch=8,
        data=ColouredDigits(),
        nets=Translation(blocks=6, contrast=256, init="xavier"),
        play="domains",
        optim=ADAM,
        knobs=Knobs(
            loss="least-squares",
            adversarial=2.0,
            g_lr=2e-4,
            d_lr=2e-4,
            nce=1.0,
            nce_identity=1.0,
            ema_halflife_kimg=1.0,
        ),
        schedules=dict(SINKING),
        evaluate=UNPAIRED,
    )


def stylize() -> TrainConfig:
    """A picture in the style of another: adaptive instance norm (Huang & Belongie 2017, arXiv:1703.06868), a D that
    judges patches and whose features must have the style's statistics, and patches that are told by those of the
    content. Nothing of it is trained beforehand, as the paper's encoder is. A is the contents, B the styles.

    Not measured.
    """
    return TrainConfig(
        recipe="stylize",
        kimg=200,
        batch=8,
        data=ColouredDigits(),
        nets=Translation(generator="styled", blocks=4, contrast=256, d_norm="spectral"),
        play="styles",
        optim=ADAM,
        knobs=Knobs(loss="hinge", g_lr=2e-4, d_lr=2e-4, nce=2.0, style=1.0, ema_halflife_kimg=1.0),
        schedules=dict(SINKING),
        evaluate=UNPAIRED,
    )


def colorize() -> TrainConfig:
    """Grey pictures in colour: pix2pix on pictures whose colours are taken away. Not measured."""
    return of_pairs("colorize", Degrade(of=StackedDigits(), how="colorize"), Translation(generator="unet"), pixel=100.0)


def superres() -> TrainConfig:
    """Pictures twice as large (`--set data.how=superres-x4`: four times): what a bicubic filter makes of the small one
    is refined. Not measured."""
    return restored("superres", "superres-x2", Translation(generator="refiner", blocks=8))


def denoise() -> TrainConfig:
    """Noise taken away, of the deviation data.sigma. Not measured."""
    return restored("denoise", "denoise", Translation(generator="refiner", blocks=8))


def inpaint() -> TrainConfig:
    """Holes filled, boxes (`--set data.how=inpaint-box`) or free ones: gated convolutions (Yu et al. 2019,
    arXiv:1806.03589), hinge and spectral norm on patches; all outside the hole stays as it is. Not measured."""
    nets = Translation(generator="gated", g_width=32, g_norm="none", d_norm="spectral", init="he")
    return of_pairs("inpaint", Degrade(of=Digits(), how="inpaint-free"), nets, loss="hinge", pixel=10.0)


def restored(name: str, how: Spoilt, nets: Translation) -> TrainConfig:
    """Near the truth first, and sharp as far as D asks for it."""
    nets = nets.model_copy(update={"d_norm": "none", "init": "he"})
    return of_pairs(name, Degrade(of=Digits(), how=how), nets, loss="relativistic", r1=1.0, r2=1.0, pixel=100.0)


def of_pairs(name: str, data: Degrade | PaintedDigits | Lesions, nets: Translation, **knobs: object) -> TrainConfig:
    """Pictures and what they should become."""
    usual = {"loss": "nonsaturating", "g_lr": 2e-4, "d_lr": 2e-4, "ema_halflife_kimg": 1.0}
    return TrainConfig(
        recipe=name,
        kimg=200,
        batch=16,
        data=data,
        nets=nets,
        play="pairs",
        optim=ADAM,
        knobs=Knobs.model_validate(usual | knobs),
        schedules=dict(SINKING),
        evaluate=OF_PAIRS,
    )
