"""A trained translator at work: pictures from outside, of any size, translated or restored."""

from __future__ import annotations

from pathlib import Path
from typing import assert_never

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.nn.functional import interpolate

from equipoise.build import as_pixels
from equipoise.data.decode import Unreadable
from equipoise.data.degraded import greyed, holed, resized
from equipoise.data.hooks import Track, untracked
from equipoise.data.scans import Scan, Window, measured, shown
from equipoise.data.whole import Whole, whole
from equipoise.errors import ConfigError, DataError, StorageError
from equipoise.generator import TrainedGenerator
from equipoise.pictures import Pixels, save
from equipoise.uses import tiles

HOLES = ("inpaint-box", "inpaint-free", "lesion")  # tasks


def require_translator(trained: TrainedGenerator) -> None:
    if not trained.form.given:
        raise ConfigError(
            "this generator begins with noise and translates nothing: draw from it with equipoise sample."
        )


def require_holes(trained: TrainedGenerator) -> None:
    if trained.task not in HOLES:
        raise ConfigError("--mask is for recipes that fill holes, such as inpaint: leave it out.")


@torch.no_grad()
def translated(
    trained: TrainedGenerator, picture: Whole, style: Whole | None = None, track: Track = untracked
) -> Pixels:
    """uint8 [H, W, C], of the size of the picture, or of a multiple where it is made larger.

    `style` is for generators that are told one. Holes are what is transparent.

    Raises:
        ConfigError: for a generator of samples, or a style that is missing or has no use.
        DataError: for a picture of other channels, without a hole to be filled, or with nothing beside it.
    """
    require_translator(trained)
    side, given = trained.form.shape[1], prepared(trained, picture)
    told = style_of(trained, style)

    def net(x: Tensor) -> Tensor:
        y = told.expand(len(x), -1, -1, -1) if len(told) else x
        made: Tensor = trained.G(x, y)
        return made

    pixels: Pixels = as_pixels(tiles.through(net, given, side, track)[None])[0]
    return pixels


@torch.no_grad()
def of_scan(
    trained: TrainedGenerator, scan: Scan, window: Window, track: Track = untracked
) -> NDArray[np.generic]:  # fmt: skip
    """What the scanner would have stored [D, H, W], slice by slice, with all of its levels.

    Raises:
        ConfigError: for a generator of samples, or one that is told a style.
        DataError: where slices would change their size, have holes to be filled, or are to have several channels.
    """
    require_translator(trained)
    style_of(trained, None)
    if trained.task in HOLES or (trained.task or "").startswith("superres"):
        raise DataError(f"{scan.name} is a scan, and this run was trained for {trained.task}: give pictures.")
    if (trained.form.given, trained.form.shape[0]) != (1, 1):
        raise DataError(
            f"{scan.name} is grey, and this run makes {trained.form.shape[0]} channels of {trained.form.given}: train "
            "one of grey slices."
        )

    def net(x: Tensor) -> Tensor:
        y: Tensor = trained.G(x, x)
        return y

    made = np.empty_like(scan.stored)
    for i in track(range(len(made)), "translating slices", len(made)):
        x = torch.from_numpy(shown(scan.values_of(i), window))[None]
        made[i] = measured(tiles.through(net, x, trained.form.shape[1])[0].numpy(), scan, window)
    return made


def prepared(trained: TrainedGenerator, picture: Whole) -> Tensor:
    """What G is given of a picture: [Ca, H, W]. Raises DataError for a picture that does not fit."""
    channels = trained.form.given - (trained.task in HOLES)
    match trained.task:
        case "superres-x2" | "superres-x4":
            factor = int(trained.task[-1])
            x = channelled(picture, channels)
            return resized(x[None], factor * x.shape[1], factor * x.shape[2])[0]
        case "inpaint-box" | "inpaint-free" | "lesion":
            if not picture.hole.any():
                raise DataError(
                    f"{picture.name} has no hole: make transparent what is to be filled, or name it with --mask FILE."
                )
            if picture.hole.all():
                raise DataError(f"{picture.name} is all hole: leave something beside it that tells what it shows.")
            return holed(channelled(picture, channels)[None], picture.hole[None])[0]
        case "colorize":
            return picture.x if len(picture.x) == 1 else greyed(picture.x[None])[0]
        case "denoise" | None:
            return channelled(picture, channels)
        case other:
            assert_never(other)


def channelled(picture: Whole, channels: int) -> Tensor:
    """Raises DataError for a picture in colour where grey ones are translated, or for other numbers of channels."""
    found = len(picture.x)
    if found == channels:
        return picture.x
    if (found, channels) == (1, 3):
        return picture.x.expand(3, -1, -1)
    what = {1: "grey pictures", 3: "pictures in colour"}.get(channels, f"images of {channels} channels")
    raise DataError(f"{picture.name} has {found} channels, and this run translates {what}: convert it first.")


def style_of(trained: TrainedGenerator, style: Whole | None) -> Tensor:
    """[1, C, side, side]; nothing where G is told none. Pictures of pairs are told what they are given."""
    wanted = trained.nets.kind == "translation" and trained.nets.generator == "styled"
    if wanted != (style is not None):
        raise ConfigError(
            "this generator is told a style: name a picture that has it with --style FILE."
            if wanted
            else "--style is for recipes that are told a style, such as stylize: leave it out."
        )
    if style is None:
        return torch.empty(0)
    x, side = channelled(style, trained.form.shape[0])[None], trained.form.shape[1]
    shorter = min(x.shape[2:])
    top, left = ((n - shorter) // 2 for n in x.shape[2:])
    square = x[:, :, top : top + shorter, left : left + shorter]
    return interpolate(square, (side, side), mode="bicubic", antialias=True).clamp(-1, 1)


def with_hole(picture: Whole, mask: Path) -> Whole:
    """A picture whose hole is where another one is white. Raises DataError for one of another size."""
    found = one(mask)
    if found.x.shape[1:] != picture.x.shape[1:]:
        sizes = [f"{x.shape[2]} x {x.shape[1]}" for x in (found.x, picture.x)]
        raise DataError(f"the mask {mask} has {sizes[0]} pixels, and {picture.name} has {sizes[1]}: they must agree.")
    return Whole(picture.name, picture.x, (found.x.mean(0, keepdim=True) > 0).float())


def one(path: Path) -> Whole:
    """Raises DataError for what is no picture."""
    try:
        return whole(path.name, path.read_bytes())
    except (OSError, Unreadable) as error:
        raise DataError(
            f"{path} is no picture that can be read: {getattr(error, 'strerror', None) or error}."
        ) from error


def write(pixels: Pixels, out: Path) -> None:
    """Raises StorageError when it cannot be written, ConfigError for a suffix that is no picture's."""
    squeezed = pixels[..., 0] if pixels.shape[2] == 1 else pixels
    if pixels.shape[2] not in (1, 3):
        raise ConfigError(f"images of {pixels.shape[2]} channels do not fit into picture files.")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        save(Image.fromarray(np.ascontiguousarray(squeezed)), out)
    except (ValueError, KeyError) as error:  # Pillow's, for a suffix that it does not know or cannot write
        raise ConfigError(f"{out} is no picture: give a name that ends with .png.") from error
    except OSError as error:
        raise StorageError(f"cannot write {out}: {error.strerror or error}.") from error
