"""The data that a config may ask for: one section a kind. Of translations, two domains A and B; G goes from A to B."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from equipoise.config.section import Section


class Toy(Section):
    kind: Literal["ring", "grid"]


class Records(Section):
    """Rows of flags (0, 1) or counts, from an .npz with `x` [N, d] and, if there are patients, `patient`."""

    kind: Literal["records"] = "records"
    path: str


class MadeUpRecords(Section):
    """Flags whose marginals and correlations are known."""

    kind: Literal["made-up-records"] = "made-up-records"


class Augmentation(Section):
    """How far the samples of the data set are varied, each by its own draw: see `augment.Ranges`. 0 is off."""

    crop: float = Field(0.0, ge=0, lt=1)  # at most this share of the side is cut away
    turn_degrees: float = Field(0.0, ge=0, le=180)  # either way
    shift: float = Field(0.0, ge=0, le=0.5)  # share of the side, either way, in whole pixels
    scale: float = Field(0.0, ge=0, lt=1)  # sizes 1 - scale .. 1 + scale
    brightness: float = Field(0.0, ge=0, le=1)  # share of the way from black to white, either way
    contrast: float = Field(0.0, ge=0, le=1)  # factors 1 - contrast .. 1 + contrast, about mid-grey
    saturation: float = Field(0.0, ge=0, le=1)  # factors 1 - saturation .. 1 + saturation; colour images only
    hue: float = Field(0.0, ge=0, le=0.5)  # share of the circle of colours, either way; colour images only
    flip_x: bool = False  # left and right change places in every other sample
    flip_y: bool = False


class Images(Section):
    """What all kinds of data have that are images."""

    augment: Augmentation = Augmentation()


class Digits(Images):
    kind: Literal["digits"] = "digits"


class StackedDigits(Images):
    kind: Literal["stacked-digits"] = "stacked-digits"


class ColouredDigits(Images):
    """Digits in grey, and others painted in colour on textured grounds: two domains without pairs."""

    kind: Literal["coloured-digits"] = "coloured-digits"


class PaintedDigits(Images):
    """Pairs: A is a digit painted in colour on a textured ground, B the same digit in grey."""

    kind: Literal["painted-digits"] = "painted-digits"


class Pictures(Images):
    """Pictures of a folder, a .zip or a .parquet file: cropped to a centred square, resized with Lanczos' filter."""

    kind: Literal["pictures"] = "pictures"
    path: str
    size: int | None = Field(None, ge=8)  # None: the power of two nearest to the median smaller side, 8 to 64
    resize: Literal["crop-lanczos"] = "crop-lanczos"
    memory_mib: int = Field(4096, ge=0)  # larger sets are decoded on the fly
    workers: int | None = Field(None, ge=0)  # processes that decode; 0: the run's own; None: the cores, for many


class Arrays(Images):
    """Images uint8 [N, H, W] or [N, H, W, C] and labels, from an .npz, .npy or idx file, or written by data convert."""

    kind: Literal["arrays"] = "arrays"
    path: str
    size: int | None = Field(None, ge=8)
    memory_mib: int = Field(4096, ge=0)


class Scans(Images):
    """Axial slices of DICOM series and NIfTI volumes, with all levels that the scanner stored; patients stay apart."""

    kind: Literal["scans"] = "scans"
    path: str
    size: int | None = Field(None, ge=8)  # as of pictures
    window: tuple[float, float] | None = None  # what is black and what is white, such as -160, 240; None: percentiles
    percentiles: tuple[Annotated[float, Field(ge=0, le=100)], Annotated[float, Field(ge=0, le=100)]] = (0.5, 99.5)
    mixed_spacings: bool = False  # slices whose pixels have different sizes are taken as they are
    memory_mib: int = Field(4096, ge=0)

    @model_validator(mode="after")
    def black_lies_below_white(self) -> Scans:
        for name, ends in (("window", self.window), ("percentiles", self.percentiles)):
            if ends is not None and not ends[0] < ends[1]:
                raise ValueError(f"{name}={list(ends)}: what is black must lie below what is white")
        return self


TINTS = ("brightness", "contrast", "saturation", "hue")
Spoilt = Literal["superres-x2", "superres-x4", "inpaint-box", "inpaint-free", "denoise", "colorize"]

Task = Literal[Spoilt, "lesion"]  # what a generator of pairs was trained to make good


class Pairs(Images):
    """Pictures of A, each with its own of B: two folders A and B with equal names, or two places, `path` and `to`; or
    pictures twice as wide as high, A on the left; or an .npz with `a`, `b` and, if there are patients, `patient`."""

    kind: Literal["pairs"] = "pairs"
    path: str
    to: str | None = None  # where B is, when it lies apart
    swap: bool = False  # A and B change places
    size: int | None = Field(None, ge=8)  # as of pictures
    memory_mib: int = Field(4096, ge=0)  # larger sets of pictures are decoded on the fly
    workers: int | None = Field(None, ge=0)  # as of pictures

    @model_validator(mode="after")
    def colours_stay(self) -> Pairs:
        if on := [f"data.augment.{name}" for name in TINTS if getattr(self.augment, name)]:
            raise ValueError(
                f"{', '.join(on)}: G is to learn which colours of B belong to those of A, and cannot where they are "
                "changed by chance: set to 0. Flips, crops and shifts move both pictures of a pair alike"
            )
        return self


class Domains(Images):
    """Pictures of A and of B that are no pairs: folders A and B, or trainA, trainB, testA, testB; or two places, `path`
    and `to`, each of them whatever pictures or arrays may be."""

    kind: Literal["domains"] = "domains"
    path: str
    to: str | None = None  # where B is, when it lies apart
    swap: bool = False  # A and B change places
    size: int | None = Field(None, ge=8)  # as of pictures
    memory_mib: int = Field(4096, ge=0)  # of both together
    workers: int | None = Field(None, ge=0)  # as of pictures


class Lesions(Images):
    """Slices and the masks of what is in them, from an .npz with `images`, `masks` and `patient`. A is the slice with
    all under the mask taken away, and the mask; B is the slice. Slices without a lesion are left out."""

    kind: Literal["lesions"] = "lesions"
    path: str
    size: int | None = Field(None, ge=8)  # as of pictures
    channel: int | None = Field(None, ge=0)  # of the images, to take that one alone; None: all
    memory_mib: int = Field(4096, ge=0)

    @model_validator(mode="after")
    def masks_stay(self) -> Lesions:
        if on := [f"data.augment.{name}" for name in TINTS if getattr(self.augment, name)]:
            raise ValueError(f"{', '.join(on)}: brightness and colour of a scan mean something: set to 0")
        return self


class Degrade(Images):
    """Pairs made from single pictures: A is the picture, spoilt; B is the picture."""

    kind: Literal["degrade"] = "degrade"
    of: Annotated[Pictures | Arrays | Digits | StackedDigits, Field(discriminator="kind")]
    how: Spoilt
    sigma: float = Field(0.1, gt=0, le=1)  # of the noise, as a share of the way from black to white; for denoise only

    @model_validator(mode="after")
    def augmented_once(self) -> Degrade:
        if self.of.augment != Augmentation():
            raise ValueError("pictures are varied before they are spoilt: set data.augment, and not data.of.augment")
        return self


class Sentences(Section):
    """A text file in UTF-8, a sentence a line; or a folder whose .txt files are classes."""

    kind: Literal["sentences"] = "sentences"
    path: str
    by: Literal["word", "character", "bpe"] = "word"  # word: as spaces separate them; bpe: parts of words, learnt
    words: int = Field(5000, ge=3)  # tokens of the vocabulary, at most; the others are unknown
    length: int = Field(32, ge=2)  # tokens of a sentence; longer ones are cut


BUILT_IN: dict[str, Toy | MadeUpRecords | Digits | StackedDigits | ColouredDigits | PaintedDigits] = {
    "ring": Toy(kind="ring"),
    "grid": Toy(kind="grid"),
    "made-up-records": MadeUpRecords(),
    "digits": Digits(),
    "stacked-digits": StackedDigits(),
    "coloured-digits": ColouredDigits(),
    "painted-digits": PaintedDigits(),
}
Data = Annotated[
    Toy
    | Records
    | MadeUpRecords
    | Digits
    | StackedDigits
    | ColouredDigits
    | PaintedDigits
    | Pictures
    | Arrays
    | Scans
    | Pairs
    | Domains
    | Lesions
    | Degrade
    | Sentences,
    Field(discriminator="kind"),
]
