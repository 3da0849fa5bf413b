"""What the verbs on a trained generator, or its opponent, do."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeVar, get_args
from zipfile import ZipFile, is_zipfile

import numpy as np
from PIL.Image import Image
from torch import Tensor

from equipoise import generator, latents, pictures
from equipoise.build import as_pixels
from equipoise.cli import screen
from equipoise.config import nearest, read
from equipoise.data.intake import Intake, taken_in
from equipoise.data.scans import Window
from equipoise.errors import ConfigError, StorageError
from equipoise.generator import TrainedGenerator
from equipoise.runs.folder import existing
from equipoise.uses import directions as directed
from equipoise.uses import discriminator, inversion, keeping, mixing, restyling, walks, writing
from equipoise.uses import export as exporting
from equipoise.uses.directions import Method
from equipoise.uses.export import Kind

WITHOUT_UNIT = Window(0, 1)
SHOWN = 20  # pictures that cannot be read, by name

Choice = TypeVar("Choice", bound=str)


def opened(run: Path, which: str) -> TrainedGenerator:
    trained, complaints = generator.opened(run, which)
    older(complaints)
    return trained


def older(complaints: Sequence[str]) -> None:
    for complaint in complaints:
        screen.fail(f"{complaint} Using the one before.")


def require_one(**given: object) -> None:
    """Of options that exclude each other."""
    if len(named := [f"--{name}" for name, value in given.items() if value is not None]) > 1:
        raise ConfigError(f"{' and '.join(named)} do not go together: give one of them.")


def require_unasked(beside: str, given: Mapping[str, object]) -> None:
    """Of options that choose samples, where a file holds them."""
    if named := [option for option, value in given.items() if value is not None]:
        raise ConfigError(f"{' and '.join(named)} would change nothing beside {beside}: the file says what is drawn.")


def sample(
    trained: TrainedGenerator, n: int, out: Path, seed: int, label: int | None, truncation: float | None
) -> None:  # fmt: skip
    keeping.require_place(out, n)
    keeping.write_samples(trained.sample(n, seed, label, screen.track, truncation=truncation), out)
    screen.say(f"{n} samples: {out}")


def require_bits(bits: int, beside: Mapping[str, object]) -> None:
    if bits not in (8, 16):
        raise ConfigError(f"--bits {bits}: samples have 8 bits or 16.")
    if bits == 16 and (named := [option for option, value in beside.items() if value is not None]):
        raise ConfigError(f"--bits 16 does not go together with {' and '.join(named)}: leave one of them out.")


def sample_levels(
    trained: TrainedGenerator, run: Path, n: int, out: Path, seed: int, label: int | None, truncation: float | None
) -> None:  # fmt: skip
    """Samples of 16 bits, in the unit of the scans where their run was told a window."""
    keeping.require_place_of_levels(out, n)
    window = generator.window_of_run(run)
    levels = trained.fine(trained.codes(n, seed, label, truncation), screen.track)
    keeping.write_levels(levels, window or WITHOUT_UNIT, out)
    unit = f"from {window.black:g} to {window.white:g}" if window else "from 0 to 1, for no data.window was given"
    screen.say(f"{n} samples of 16 bits, {unit}, of no known spacing: {out}. Synthetic: not for diagnosis.")


def write(
    trained: TrainedGenerator, n: int, out: Path | None, seed: int, label: int | None, temperature: float | None,
    begin: str | None,
) -> None:  # fmt: skip
    """To a file, or to stdout where none was named."""
    warmth = 1.0 if temperature is None else temperature
    lines = writing.written(trained, n, seed, label, warmth, begin or "", screen.track)
    if out is None:
        print("\n".join(lines))
        return
    writing.write(lines, out)
    screen.say(f"{n} sentences: {out}")


def restyle(trained: TrainedGenerator, to: str, out: Path | None) -> None:
    """Of stdin, to a file, or to stdout where none was named."""
    restyling.style_of(trained, to)
    told = restyling.restyled(trained, restyling.lines_in(sys.stdin.buffer.read()), to, screen.track)
    if told.cut:
        screen.fail(
            f"{told.cut:,} of {len(told.lines):,} sentences have more than {trained.form.shape[0]} tokens: cut."
        )
    if out is None:
        sys.stdout.buffer.write("".join(f"{line}\n" for line in told.lines).encode())
        return
    writing.write(told.lines, out)
    screen.say(f"{len(told.lines)} sentences: {out}")


def sample_latents(trained: TrainedGenerator, latent: Path, out: Path) -> None:
    codes = trained.kept_codes(latent)
    keeping.require_place(out, len(codes.y))
    keeping.write_samples(trained.drawn(codes), out)
    screen.say(f"{len(codes.y)} samples: {out}")


def mix(trained: TrainedGenerator, n: int, out: Path, seed: int, label: int | None, coarse: int) -> None:
    written(mixing.table(trained, n, seed, label, coarse), out)
    screen.say(f"rows give the first {coarse} styles, columns the others: {out}")


def walk(
    trained: TrainedGenerator, out: Path, n: int, pace: tuple[float, int], seed: int, label: int | None,
    ends: tuple[Path | None, Path | None],
) -> None:  # fmt: skip
    seconds, fps = pace
    walks.require_writable(out, fps)
    start, to = ends
    if (start is None) != (to is None):
        raise ConfigError("--from and --to are the two ends of a walk: give both, or neither.")
    if start and to:
        passed = [trained.kept_codes(start), trained.kept_codes(to)]
        walks.require_alike(passed)
    else:
        passed = walks.stops(trained, n, seconds, seed, label)
    count = walks.count(seconds, fps)
    walks.write(screen.track(walks.walk(trained, passed, count), "drawing pictures", count), out, fps)
    screen.say(f"{count} pictures, {seconds:g} s: {out}")


def project(trained: TrainedGenerator, picture: Path, out: Path, seed: int, label: int | None) -> None:
    inversion.require_pictures(trained)
    kept = beside(out, trained.space.name)
    target = only_one(picture, taken_in(picture, trained.form.shape, screen.track))
    found = inversion.inverted(trained, target, seed, label, screen.track)
    written(pictures.grid(np.stack([as_pixels(target[None])[0], found.sample]), 2), out)
    latents.save(found.codes, trained.space, kept)
    as_class = f" of class {int(found.codes.y)}" if trained.form.classes else ""
    screen.say(
        f"{out}: {found.distance:.1f} of 255 away (root mean square), a sample{as_class}; the nearest of "
        f"{inversion.CANDIDATES} drawn ones is {found.drawn:.1f} away. Latents: {kept}"
    )


def only_one(given: Path, taken: Intake) -> Tensor:
    """[*shape] of the picture that was given. Raises ConfigError where there are several."""
    if (n := len(taken.names) + len(taken.bad)) > 1:
        name, why = next(iter(taken.bad.items()), ("", ""))
        bad = f", of which {len(taken.bad)} cannot be read ({name}: {why})" if taken.bad else ""
        raise ConfigError(f"{given} holds {n} pictures{bad}, and project looks for one: give it alone.")
    return taken.x[0]


def judge(run: Path, data: Path, label: int | None, which: str, as_json: bool) -> None:
    folder = existing(run)
    D, complaints = discriminator.from_run(folder, which)
    older(complaints)
    if not D.form.is_images:
        raise ConfigError("judge looks at pictures, and this discriminator judges points.")
    taken = taken_in(data, D.form.shape, screen.track)
    judged = discriminator.judged(
        D, taken.x, lambda: discriminator.validation(read(folder.config), screen.track), label
    )
    rows = [
        {"picture": name, "logit": logit, judged.meaning: real}
        for name, logit, real in zip(taken.names, judged.logits.tolist(), judged.real.tolist(), strict=True)
    ]
    if as_json:
        screen.show_json({"meaning": judged.told, "pictures": rows, "unreadable": taken.bad})
        return
    screen.show_table([{k: f"{v:.3f}" if isinstance(v, float) else v for k, v in row.items()} for row in rows])
    screen.say(f"{judged.meaning}: {judged.told}.")
    unreadable(taken)


def unreadable(taken: Intake) -> None:
    for name, why in list(taken.bad.items())[:SHOWN]:
        screen.fail(f"{name} cannot be read: {why}.")
    if len(taken.bad) > SHOWN:
        screen.fail(f"nor can {len(taken.bad) - SHOWN} more.")


def directions(trained: TrainedGenerator, out: Path, method: str, n: int, seed: int, label: int | None) -> None:
    kept = beside(out, trained.space.name)
    found = directed.found(trained, one_of(method, "--method", get_args(Method)), n)
    written(directed.strips(trained, found, seed, label), out)
    found.save(kept, trained.space.name)
    screen.say(f"{n} directions by {method}, {directed.FAR:g} deviations either way: {out}, {kept}")


def export(trained: TrainedGenerator, to: str, out: Path | None) -> None:
    kind = one_of(to, "--to", get_args(Kind))
    model, sampler = exporting.exported(trained, kind, out or Path(f"generator.{kind}"))
    screen.say(f"{model}, and {sampler}, which draws from it without Equipoise: python {sampler} -n 16")


def one_of(given: str, option: str, known: Sequence[Choice]) -> Choice:
    for name in known:
        if given == name:
            return name
    raise ConfigError(f"{option} {given}: known are {', '.join(known)}{nearest(given, known)}")


def beside(picture: Path, name: str) -> Path:
    """Where the numbers behind a picture go: an .npz of its name. Raises ConfigError where another file has that."""
    kept = picture.with_suffix(".npz")
    if kept.exists() and not holds(kept, name):
        raise ConfigError(f"{kept} is in the way, and was not written by Equipoise: give another name with -o.")
    return kept


def holds(path: Path, name: str) -> bool:
    """Whether an .npz has an array of this name."""
    return is_zipfile(path) and f"{name}.npy" in ZipFile(path).namelist()


def written(picture: Image, out: Path) -> None:
    try:
        picture.save(out)
    except (ValueError, KeyError) as error:  # Pillow's, for a suffix that it does not know or cannot write
        raise ConfigError(f"{out} is no picture: give a name that ends with .png.") from error
    except OSError as error:
        raise StorageError(f"cannot write {out}: {error.strerror or error}.") from error
