"""Scans: drawn from noise, turned into one another, and given lesions. What they make is synthetic, and never for
diagnosis: see docs/how-to/medical.md.
"""

from __future__ import annotations

from equipoise.config import Evaluate, Lesions, PaintedDigits, TrainConfig, Translation
from equipoise.recipes.small import small_diffaugment
from equipoise.recipes.translation import of_pairs


def medical_image() -> TrainConfig:
    """Slices from noise, grey or of several channels: `--data` is a folder of DICOM series or NIfTI volumes, an .npz
    with `patient`, or pictures. The game is that of small sets (small-diffaugment), without what changes brightness:
    the units of a scanner mean something. Patients stay apart, and copies are looked for.

    Not measured.
    """
    small = small_diffaugment()
    return small.model_copy(
        update={
            "recipe": "medical-image",
            "augment": ("translation", "cutout"),
            "evaluate": Evaluate(metrics=("kid", "prdc", "vendi", "copies"), best_by="kid"),
        }
    )


def medical_translate() -> TrainConfig:
    """MedGAN (Armanious et al. 2020, arXiv:1806.06397): a cascade of six U-blocks, each refining what the last one
    made; features of D are matched, and their statistics, as a style. `--data` is an .npz with `a`, `b` and `patient`.
    The paper's style and content terms take the features of a trained VGG, which does not come with Equipoise: here
    the style is that of D's features, with no content term. With SqueezeNet's weights the paper's terms are to be had:
    `--set given.path=FILE.npz knobs.content=1 knobs.given_style=1 knobs.style=0`.

    Not measured.
    """
    nets = Translation(generator="cascade", blocks=6, g_width=32, g_max_width=128)
    return of_pairs("medical-translate", PaintedDigits(), nets, pixel=20.0, features=20.0, style=1.0)


def lesion() -> TrainConfig:
    """A healthy slice and a mask into the slice with a lesion there: gated convolutions (Yu et al. 2019,
    arXiv:1806.03589), a global and a local discriminator of patches (Iizuka et al. 2017), hinge and spectral norm; all
    outside the mask stays as it is, to the bit. `--data` is an .npz with `images`, `masks` and `patient`.

    Not measured.
    """
    nets = Translation(generator="gated", g_width=32, g_norm="none", d_norm="spectral", d_focus="hole", init="he")
    return of_pairs("lesion", Lesions(path="lesions.npz", size=64), nets, loss="hinge", pixel=10.0)
