"""Recipes: complete configurations with a source and a measured result, one family a file.

A recipe is a function that returns a TrainConfig. Its docstring says where it comes from and what it reached here.
"""

import inspect
from collections.abc import Callable

from equipoise.config import TrainConfig, nearest
from equipoise.errors import ConfigError
from equipoise.recipes import (
    auxiliary,
    classic,
    conditional,
    digits,
    medical,
    r3gan,
    records,
    residual,
    small,
    style,
    text,
    toy,
    translation,
)

RECIPES: dict[str, Callable[[], TrainConfig]] = {
    "ring": toy.ring,
    "grid": toy.grid,
    "digits": digits.digits,
    "stacked-digits": digits.stacked_digits,
    "stacked-digits-ns": digits.stacked_digits_ns,
    "dcgan": classic.dcgan,
    "lsgan": classic.lsgan,
    "wgan": classic.wgan,
    "wgan-gp": classic.wgan_gp,
    "hinge": classic.hinge,
    "cgan": conditional.cgan,
    "cgan-projection": conditional.cgan_projection,
    "acgan": auxiliary.acgan,
    "reacgan": auxiliary.reacgan,
    "sngan": residual.sngan,
    "sagan": residual.sagan,
    "biggan": residual.biggan,
    "r3gan-xs": r3gan.r3gan_xs,
    "r3gan-s": r3gan.r3gan_s,
    "r3gan-b": r3gan.r3gan_b,
    "r3gan-28": r3gan.r3gan_28,
    "r3gan-64": r3gan.r3gan_64,
    "r3gan-128": r3gan.r3gan_128,
    "r3gan-256": r3gan.r3gan_256,
    "r3gan-512": r3gan.r3gan_512,
    "r3gan-1024": r3gan.r3gan_1024,
    "small-diffaugment": small.small_diffaugment,
    "small-ada": small.small_ada,
    "stylegan2": style.stylegan2,
    "fastgan": small.fastgan,
    "pix2pix": translation.pix2pix,
    "cyclegan": translation.cyclegan,
    "cut": translation.cut,
    "stylize": translation.stylize,
    "colorize": translation.colorize,
    "superres": translation.superres,
    "denoise": translation.denoise,
    "inpaint": translation.inpaint,
    "medical-image": medical.medical_image,
    "medical-translate": medical.medical_translate,
    "lesion": medical.lesion,
    "text-mle": text.text_mle,
    "text-conditional": text.text_conditional,
    "text-relgan": text.text_relgan,
    "text-seqgan": text.text_seqgan,
    "medical-records": records.medical_records,
}


def recipe(name: str) -> TrainConfig:
    """The config of a recipe.

    Raises:
        ConfigError: for a name that is not a recipe, with the nearest that is.
    """
    if name not in RECIPES:
        raise ConfigError(f"unknown recipe '{name}'{nearest(name, RECIPES)}\n`equipoise recipes` lists them.")
    return RECIPES[name]()


def about(name: str) -> str:
    """The docstring of a recipe, unwrapped."""
    return inspect.cleandoc(RECIPES[name].__doc__ or "")
