"""The verbs of `equipoise lesion`: add and grow."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from equipoise import generator
from equipoise.build import as_pixels
from equipoise.cli import screen
from equipoise.cli.translation import seen_by
from equipoise.cli.use import older
from equipoise.config.masks import MaskRules, rules_at
from equipoise.data.decode import SUFFIXES
from equipoise.data.formats import holds_scans
from equipoise.data.nifti import is_nifti
from equipoise.data.scan_slices import scan_of
from equipoise.data.scans import Scan, scans_at, write
from equipoise.errors import ConfigError, DataError
from equipoise.generator import TrainedGenerator
from equipoise.uses import lesions, translating, walks

FPS = 4  # stages a second
NOTE = "Synthetic: not for diagnosis."


def opened(run: Path, which: str) -> TrainedGenerator:
    trained, complaints = generator.opened(run, which)
    older(complaints)
    lesions.require_lesions(trained)
    return trained


def add(
    run: Path, scan: Path, mask: Path, out: Path | None, rules: Path | None, organ: Path | None,
    window: tuple[float, float] | None, which: str,
) -> None:  # fmt: skip
    trained, asked = opened(run, which), rules_at(rules) if rules else MaskRules()
    if holds_scans(scan):
        into_scan(trained, scan, mask, out or Path("lesion"), asked, organ, window)
        return
    if window is not None:
        raise ConfigError("--window is for scans, and a picture is as it is shown: leave it out.")
    picture, where = translating.one(scan), lesions.mask_at(mask)
    lesions.require_mask(where, (1, *picture.x.shape[1:]), mask.name)
    lesions.require_rules(asked, where, mask.name, lesions.mask_at(organ) if organ else None, None)
    target = out or Path("lesion.png")
    if target.resolve() == scan.resolve():
        raise ConfigError(f"-o {target} is the original, which would be overwritten: name another place.")
    made = lesions.in_picture(trained, picture, where, screen.track)
    translating.write(as_pixels(made[None])[0], target)
    screen.say(f"{target}. {NOTE}")


def into_scan(
    trained: TrainedGenerator, path: Path, mask: Path, out: Path, rules: MaskRules, organ: Path | None,
    window: tuple[float, float] | None,
) -> None:  # fmt: skip
    scan, where = scan_of(scans_at(path), path), lesions.mask_at(mask)
    fitting(scan, where, mask, rules, lesions.mask_at(organ) if organ else None)
    seen = seen_by(scan, path, window)
    place = write(scan, lesions.in_scan(trained, scan, where, seen, screen.track), out)
    screen.say(f"{len(scan.stored)} slices of {scan.patient}: {place}. {NOTE}")


def fitting(
    scan: Scan, mask: NDArray[np.bool_], path: Path, rules: MaskRules, organ: NDArray[np.bool_] | None = None
) -> None:  # fmt: skip
    """Raises DataError for a mask that does not lie over the scan, or that breaks the rules."""
    lesions.require_mask(mask, scan.stored.shape, path.name)
    lesions.require_rules(rules, mask, path.name, organ, scan.spacing[1] * scan.spacing[2])


def grow(
    run: Path, scan: Path, masks: Path, out: Path, rules: Path | None, window: tuple[float, float] | None, which: str
) -> None:  # fmt: skip
    trained, asked = opened(run, which), rules_at(rules) if rules else MaskRules()
    files = sorted(file for file in masks.iterdir() if is_mask(file)) if masks.is_dir() else []
    if not files:
        raise DataError(
            f"{masks} is no folder of masks: give pictures, or of scans volumes, a stage each, in the order of their "
            "names."
        )
    if holds_scans(scan):
        grow_in_scan(trained, scan, files, out, asked, window)
        return
    if window is not None:
        raise ConfigError("--window is for scans, and a picture is as it is shown: leave it out.")
    picture, stages = translating.one(scan), [lesions.mask_at(file) for file in files]
    for file, stage in zip(files, stages, strict=True):
        lesions.require_mask(stage, (1, *picture.x.shape[1:]), file.name)
        lesions.require_rules(asked, stage, file.name, None, None)
    animated = out.suffix.lower() in (*walks.ANIMATED, ".mp4")
    drawn = screen.track(lesions.grown(trained, picture, stages), "drawing stages", len(stages) + 1)
    pixels = [as_pixels(stage[None])[0] for stage in drawn]
    if animated:
        walks.write([Image.fromarray(np.squeeze(each)) for each in pixels], out, FPS)
    else:
        for i, each in enumerate(pixels):
            translating.write(each, out / f"{i:03d}.png")
    screen.say(f"the healthy slice and {len(stages)} stages: {out}. {NOTE}")


def is_mask(path: Path) -> bool:
    return path.suffix.lower() in (*SUFFIXES, ".npy") or is_nifti(path)


def grow_in_scan(
    trained: TrainedGenerator, path: Path, masks: Sequence[Path], out: Path, rules: MaskRules,
    window: tuple[float, float] | None,
) -> None:  # fmt: skip
    """A scan for each stage, each drawn into the healthy one, which is the first."""
    if out.suffix.lower() in (*walks.ANIMATED, ".mp4"):
        raise ConfigError(f"-o {out} is an animation, and the stages of a scan are scans: name a folder.")
    scan, stages = scan_of(scans_at(path), path), [lesions.mask_at(file) for file in masks]
    for file, stage in zip(masks, stages, strict=True):
        fitting(scan, stage, file, rules)
    seen = seen_by(scan, path, window)
    write(scan, scan.stored, out / "000")
    for i, stage in enumerate(stages):
        write(scan, lesions.in_scan(trained, scan, stage, seen, screen.track), out / f"{i + 1:03d}")
    screen.say(f"the healthy scan of {scan.patient} and {len(stages)} stages: {out}. {NOTE}")
