"""Does a mask look like a lesion of its kind? Held against the rules of experts."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from equipoise.config.masks import MaskRules
from equipoise.errors import DataError

Mask = NDArray[np.bool_]  # [H, W]
TOUCHING = np.ones((3, 3))  # pixels that meet at a corner belong together


def broken(
    rules: MaskRules, mask: Mask, organ: Mask | None = None, pixel_mm2: float | None = None
) -> Iterator[str]:  # fmt: skip
    """In words, each rule that the mask breaks.

    Raises:
        DataError: for an organ of another size, or sizes in mm where pixels have none.
    """
    if organ is not None:
        if organ.shape != mask.shape:
            raise DataError(f"the organ has {told(organ)} pixels, and the mask {told(mask)}: they must agree.")
        inside = float((mask & organ).sum() / max(mask.sum(), 1))
        if inside < rules.inside:
            yield f"{inside:.0%} of it lie inside the organ, and {rules.inside:.0%} must"
    area = float(mask.sum())
    if rules.area_pixels and not rules.area_pixels[0] <= area <= rules.area_pixels[1]:
        yield f"it has {area:g} pixels, and {rules.area_pixels[0]:g} to {rules.area_pixels[1]:g} are allowed"
    if rules.area_mm2:
        if pixel_mm2 is None:
            raise DataError(
                "area_mm2 needs pixels of a known size, and a picture has none: use area_pixels, or a scan."
            )
        size = area * pixel_mm2
        if not rules.area_mm2[0] <= size <= rules.area_mm2[1]:
            yield f"it has {size:.4g} mm2, and {rules.area_mm2[0]:g} to {rules.area_mm2[1]:g} are allowed"
    if rules.elongation and (long := elongation(mask)) > rules.elongation:
        yield f"it is {long:.1f} times as long as wide, and {rules.elongation:g} times are allowed"
    if rules.parts and (parts := int(ndimage.label(mask, TOUCHING)[1])) > rules.parts:
        yield f"it lies in {parts} pieces, and {rules.parts} are allowed"
    if not rules.holes and (ndimage.binary_fill_holes(mask) & ~mask).any():
        yield "it has holes, and none are allowed"


def elongation(mask: Mask) -> float:
    """Length over width of the ellipse with the mask's second moments: a / b for a rectangle of a x b pixels.

    Each pixel is a square, whose own moment is 1/12.
    """
    places = np.argwhere(mask)
    moments = np.cov(places.T, bias=True) if len(places) > 1 else np.zeros((2, 2))
    least, most = np.linalg.eigvalsh(moments + np.eye(2) / 12)
    return float(np.sqrt(most / least))


def told(mask: Mask) -> str:
    return f"{mask.shape[1]} x {mask.shape[0]}"
