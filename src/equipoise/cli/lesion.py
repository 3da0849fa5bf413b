"""The verbs of `equipoise lesion`: add and grow."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from equipoise import generator
from equipoise.build import as_pixels
from equipoise.cli import screen
from equipoise.cli.use import older
from equipoise.config import Scans
from equipoise.config.masks import MaskRules, rules_at
from equipoise.data import dicom
from equipoise.data.decode import SUFFIXES
from equipoise.data.formats import holds_scans
from equipoise.data.scan_slices import scan_of
from equipoise.data.scans import Window, scans_at, window_of
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
    lesions.require_rules(asked, where, mask.name, lesions.mask_at(organ)[0] if organ else None, None)
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
    lesions.require_mask(where, scan.stored.shape, mask.name)
    one = lesions.mask_at(organ)[0] if organ else None
    lesions.require_rules(rules, where, mask.name, one, scan.spacing[1] * scan.spacing[2])
    usual = Scans(path=str(path)).percentiles
    seen = window_of(scan, Window(*window) if window else None, usual)
    if out.exists() and any(out.iterdir() if out.is_dir() else [out]):
        raise ConfigError(f"-o {out} is there already: name a new folder, so that no slice is overwritten.")
    dicom.write(scan, lesions.in_scan(trained, scan, where, seen, screen.track), out)
    screen.say(f"{len(scan.stored)} slices of {scan.patient}: {out}. {NOTE}")


def grow(run: Path, scan: Path, masks: Path, out: Path, rules: Path | None, which: str) -> None:
    trained, asked = opened(run, which), rules_at(rules) if rules else MaskRules()
    files = sorted(file for file in masks.iterdir() if file.suffix.lower() in SUFFIXES) if masks.is_dir() else []
    if not files:
        raise DataError(f"{masks} is no folder of masks: give pictures, a stage each, in the order of their names.")
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
