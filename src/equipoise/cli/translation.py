"""What the verb translate does."""

from __future__ import annotations

from pathlib import Path

from equipoise import generator
from equipoise.cli import screen
from equipoise.cli.use import older
from equipoise.config import Scans
from equipoise.data.decode import SUFFIXES
from equipoise.data.formats import holds_scans
from equipoise.data.scans import Scan, Window, scans_at, window_of, write
from equipoise.data.whole import Whole, pictures
from equipoise.errors import ConfigError, DataError
from equipoise.games.cyclegan import BACK
from equipoise.generator import TrainedGenerator
from equipoise.uses import translating

SHOWN = 20  # pictures that were left out, by name


def translate(
    run: Path, given: Path, out: Path | None, style: Path | None, mask: Path | None, back: bool,
    window: tuple[float, float] | None, which: str,
) -> None:  # fmt: skip
    trained, complaints = generator.opened(run, which, BACK if back else "")
    older(complaints)
    translating.require_translator(trained)
    if mask:
        translating.require_holes(trained)
    if holds_scans(given):
        if style or mask:
            raise ConfigError("--style and --mask are for pictures, and this is a scan: leave them out.")
        of_scans(trained, given, out or Path("translated"), window)
        return
    if window is not None:
        raise ConfigError("--window is for scans, and a picture is as it is shown: leave it out.")
    told = translating.one(style) if style else None
    single = given.is_file() and given.suffix.lower() in SUFFIXES
    out = out or Path("translated.png" if single else "translated")
    if out.resolve() in (given.resolve(), given.parent.resolve()):
        raise ConfigError(f"-o {out} is where the originals are, which would be overwritten: name another place.")
    bad, done = dict[str, str](), set[Path]()
    for picture in pictures(given):
        if isinstance(picture, tuple):
            bad[picture[0]] = f"cannot be read: {picture[1]}"
            continue
        target = out if single and out.suffix.lower() in SUFFIXES else (out / picture.name).with_suffix(".png")
        if target in done:
            bad[picture.name] = f"{target} is the translation of another picture of this name: rename one of them."
            continue
        try:
            written(trained, picture, told, mask, target)
        except DataError as error:
            if single:
                raise
            bad[picture.name] = str(error)
        else:
            done.add(target)
    told_of(bad, len(done), given)
    screen.say(f"{len(done)} translated: {out}")


def of_scans(trained: TrainedGenerator, given: Path, out: Path, window: tuple[float, float] | None) -> None:
    """One scan to `out`, several into a folder, each in the form that it came in."""
    scans = scans_at(given)
    for i, scan in enumerate(scans):
        seen = seen_by(scan, given, window)
        made = translating.of_scan(trained, scan, seen, screen.track)
        place = write(scan, made, out if len(scans) == 1 else out / f"{i + 1:03d}_{Path(scan.name).name.split('.')[0]}")
        screen.say(f"{len(made)} slices of {scan.patient}: {place}. Synthetic: not for diagnosis.")


def seen_by(scan: Scan, path: Path, window: tuple[float, float] | None) -> Window:
    """What is black and white: as was asked for, or by percentiles, as in training."""
    return window_of(scan, Window(*window) if window else None, Scans(path=str(path)).percentiles)


def written(
    trained: TrainedGenerator, picture: Whole, style: Whole | None, mask: Path | None, target: Path
) -> None:  # fmt: skip
    whole = translating.with_hole(picture, mask) if mask else picture
    translating.write(translating.translated(trained, whole, style, screen.track), target)


def told_of(bad: dict[str, str], done: int, given: Path) -> None:
    """Raises DataError where nothing was translated."""
    for name, why in list(bad.items())[:SHOWN]:
        screen.fail(f"{name}: {why}")
    if len(bad) > SHOWN:
        screen.fail(f"and {len(bad) - SHOWN} more.")
    if not done:
        raise DataError(f"{given} holds no picture that can be translated.")
