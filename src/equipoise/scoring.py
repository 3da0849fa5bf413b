"""Scores whatever is asked for, made by Equipoise or by anyone: from names and paths to figures.

WHAT is a run, a saved generator, or a set as described in `sets`, and DATA is such a set: of a run, its own data.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import torch

from equipoise import build, exhibits, generator
from equipoise import config as c
from equipoise.data.hooks import Track, Warn, unheard, untracked
from equipoise.data.source import HELD_OUT, InMemory, Part, Shape, Source, whose
from equipoise.encoders.cache import Cache
from equipoise.encoders.choose import encoder_for, named
from equipoise.encoders.encoder import Encoder
from equipoise.encoders.looked import identity
from equipoise.errors import ConfigError, DataError, StorageError
from equipoise.evaluation import (
    FAMILIES,
    FIGURES,
    OF_PIXELS,
    OF_TEXT,
    PAIRED,
    Figures,
    Reference,
    Samples,
    evaluate,
    seen,
)
from equipoise.games.cyclegan import BACK
from equipoise.generator import TrainedGenerator
from equipoise.live import LIVE
from equipoise.runs import checkpoint
from equipoise.runs.events import Log, printable
from equipoise.runs.folder import RunFolder
from equipoise.sets import GENERATOR, Set, is_run, of_run, opened, own_data, parted, same, side_of, usual_side
from equipoise.streams import Stream

SAMPLES = 10_000
DEFAULT = tuple(  # the others take minutes, or a partner, or are asked for by name
    name for name in FAMILIES if name not in (*OF_PIXELS, *OF_TEXT, "style", "privacy", "records")
)


@dataclass(frozen=True)
class Score:
    what: str
    against: str
    checkpoint: str | None  # best, last or a step; of a run
    step: int | None
    figures: Figures
    refused: Mapping[str, str]  # families that say nothing here -> why
    notes: Sequence[str]  # what a reader of the figures must know
    fake: Samples
    reference: Reference

    def as_json(self) -> dict[str, Any]:
        """Numbers that are not finite are strings, as in a run's record: JSON has none."""
        found: dict[str, Any] = printable({
            "what": self.what, "against": self.against, "checkpoint": self.checkpoint, "step": self.step,
            "metrics": {name: asdict(estimate) for name, estimate in self.figures.items()},
            "refused": dict(self.refused), "notes": list(self.notes),
        })  # fmt: skip
        return found


@dataclass(frozen=True)
class Asked:
    """What `equipoise evaluate` is asked."""

    what: str
    against: str | None = None  # None: the data of the run itself, the part that nothing was chosen by
    train: str | None = None  # where copies are looked for; None: the training part of `against`, if it has one
    metrics: Sequence[str] = ()  # families or their figures; none: all of features that say something here
    features: str = "auto"
    n: int = SAMPLES
    size: int | None = None
    checkpoint: str = "best"
    seed: int = 0
    back: bool = False  # of a run that goes there and back: the way back

    @property
    def way(self) -> str:
        return BACK if self.back else ""


@dataclass(frozen=True)
class Scored:
    """What is scored: all of a set, or what a generator draws."""

    samples: Source
    partnered: bool = True  # sample i may belong to real i
    checkpoint: str | None = None
    step: int | None = None


def score(asked: Asked, track: Track = untracked, warn: Warn = unheard) -> Score:
    """Figures of `asked.what`, with their protocols. Those of a run's way there are noted in its folder.

    Raises:
        ConfigError: for a metric, features or a checkpoint that do not exist.
        DataError: for samples that cannot be read or compared, or a metric that was asked for and cannot be had.
    """
    live = [name for name in asked.metrics if name in LIVE]
    families = families_of([name for name in asked.metrics if name not in LIVE])
    require_run(asked, live)
    require_ways(asked, live)
    require_inception(asked)
    fake, real = compared(asked, track, warn)
    require_alike(asked, fake.samples.shape, real.samples.shape)
    require_pairs(families, fake, real)
    samples, against = looked_at(asked, fake, real, track, warn)
    figures, refused = evaluate(samples, against, families or (() if live else DEFAULT), track)
    require_had(families, refused)
    figures |= looked_into(asked, live, track, warn)
    notes = list(doubts(figures, against))
    what = f"{asked.what}, back" if asked.back else asked.what
    found = Score(what, real.name, fake.checkpoint, fake.step, figures, refused, notes, samples, against)
    if fake.checkpoint and not asked.back:  # a run is known by its way there
        keep(found, RunFolder(Path(asked.what)), warn)
    return found


def looked_at(asked: Asked, fake: Scored, real: Set, track: Track, warn: Warn) -> tuple[Samples, Reference]:
    """At most n samples, and as many of what they are held against, as one encoder sees them."""
    encoder, cache = judge_of(asked, real, track, warn), Cache(warn=warn)
    reals, learned = some(real.samples, asked.n), learned_from(asked, real, track, warn)
    against = Reference(
        real=seen(encoder, reals, cache, track),
        train=None if learned is None else seen(encoder, some(learned, asked.n), cache, track),
        features=encoder.protocol,
        data={"sha256": identity(reals), "part": real.part, "size": side_of(real.samples.shape)},
        cache=cache,
        people=(None if learned is None else whose(some(learned, asked.n)), whose(reals)),
    )
    return seen(encoder, some(fake.samples, asked.n), cache, track), against


def looked_into(asked: Asked, live: Sequence[str], track: Track, warn: Warn) -> Figures:
    """Figures of the run itself."""
    figures: Figures = {}
    for name in track(live, "looking into the game", len(live)):
        run = RunFolder(Path(asked.what))
        found, _ = generator.chosen(run, asked.checkpoint)
        figures |= LIVE[name](run, found, generator.from_checkpoint(run, found), track, warn)
    return figures


def require_run(asked: Asked, live: Sequence[str]) -> None:
    if live and not is_run(asked.what):
        raise DataError(f"{', '.join(live)}: of a run, with its checkpoints, and {asked.what} holds none.")


def require_ways(asked: Asked, live: Sequence[str]) -> None:
    """Raises ConfigError where the way back is asked for, and there is none to be scored."""
    if asked.back and not is_run(asked.what):
        raise ConfigError(f"{asked.what} is no run that goes there and back: leave out --back.")
    if asked.back and live:
        raise ConfigError(f"{', '.join(live)}: of the way there, and not with --back.")


def families_of(metrics: Sequence[str]) -> list[str]:
    """The families of what was asked for, which may be figures: precision is one of prdc."""
    known: dict[str, str] = {figure: family for family, figures in FIGURES.items() for figure in (*figures, family)}
    for name in metrics:
        if name not in known:
            raise ConfigError(
                f"there is no metric '{name}'{c.nearest(name, known)}\nThere are: {', '.join([*FAMILIES, *LIVE])}."
            )
    return list(dict.fromkeys(known[name] for name in metrics))


def compared(asked: Asked, track: Track, warn: Warn) -> tuple[Scored, Set]:
    """What is scored, and what it is held against, at one size."""
    if is_run(asked.what) or asked.what.lower().endswith(GENERATOR):
        fake = drawn(asked, track, warn)
        return fake, held_against(asked, side_of(fake.samples.shape), track, warn)
    own = usual_side(asked.what, warn)
    if asked.against is None:
        raise ConfigError(f"against which data? {asked.what} is no run: give --against DATA.")
    if is_run(parted(asked.against)[0]):
        real = opened(asked.against, None, track, warn)
        side = one_side(asked, own, side_of(real.samples.shape), fixed=side_of(real.samples.shape))
    else:
        side = one_side(asked, own, usual_side(asked.against, warn))
        real = opened(asked.against, side, track, warn)
    return Scored(opened(asked.what, side, track, warn).samples), real


def one_side(asked: Asked, own: int | None, others: int | None, fixed: int | None = None) -> int | None:
    """Pixels a side that both are compared at. Resizing moves every figure, so nobody is resized without being asked,
    and what has a `fixed` side never is.
    """
    if asked.size is not None and fixed not in (None, asked.size):
        raise ConfigError(f"these are compared at {fixed} pixels, as the run made or learned them: --size {fixed}.")
    if asked.size is None and None not in (own, others) and own != others:
        raise DataError(
            f"{asked.what} has pictures of {own} pixels and {asked.against} of {others}: resizing moves every figure.\n"
            f"Give --size {fixed or min(own or 0, others or 0)} to compare them at that size, which is then part of "
            "the protocol."
        )
    return asked.size or fixed or others


def drawn(asked: Asked, track: Track, warn: Warn) -> Scored:
    """Samples of a generator."""
    if is_run(asked.what):
        run = RunFolder(Path(asked.what))
        found, complaints = generator.chosen(run, asked.checkpoint)
        for complaint in complaints:
            warn(f"{complaint} Using the one before.")
        trained, step = generator.from_checkpoint(run, found, asked.way), checkpoint.step_of(found)
        which = "last" if asked.checkpoint == "best" and found.parent != run.best else asked.checkpoint
    else:
        trained, step, which = generator.from_file(Path(asked.what)), None, None
    if trained.form.given:
        return Scored(*made_of_its_data(asked, trained, track, warn), which, step)
    samples = torch.from_numpy(trained.sample(asked.n, asked.seed, track=track))
    return Scored(
        InMemory(samples.permute(0, 3, 1, 2) if trained.form.is_images else samples), False, which, step
    )  # fmt: skip


def made_of_its_data(asked: Asked, trained: TrainedGenerator, track: Track, warn: Warn) -> tuple[Source, bool]:
    """What a translator makes of the given side of its run's own data, and whether sample i belongs to real i."""
    if not is_run(asked.what):
        raise ConfigError(f"{asked.what} begins with pictures: translate some, and evaluate the folder.")
    if asked.against is not None and parted(asked.against)[0] != asked.what:
        raise ConfigError(f"{asked.what} translates its own data: leave out --against, or name a part of {asked.what}.")
    config = c.read(RunFolder(Path(asked.what)).config)
    part = parted(asked.against)[1] if asked.against else None
    if part == "all":
        raise ConfigError("all parts at once are not translated: name one of train, validation, test.")
    whole = getattr(build.splits(config.data, track, warn), part or "test")
    source = build.given_once(trained.form, whole, asked.way)
    few = torch.split(torch.arange(len(source)), trained.form.at_once)  # so many lie in memory as numbers
    dealt = (build.dealt_of(config.play, trained.form, Part(source, places), asked.way) for places in few)
    made = torch.cat([trained.made_of(each) for each in track(dealt, "translating", len(few))])
    return InMemory(made), not isinstance(config.data, c.Domains | c.ColouredDigits)


def held_against(asked: Asked, side: int | None, track: Track, warn: Warn) -> Set:
    """What the samples of a generator are compared with: by default its own data, the part that nothing saw."""
    one_side(asked, side, side, fixed=side)
    if asked.against is None and not is_run(asked.what):
        raise ConfigError(
            f"against which data? {asked.what} does not know what it was trained on: give --against DATA."
        )
    against = asked.against or asked.what
    name, part = parted(against)
    if is_run(asked.what) and (name == asked.what or same(name, own_data(asked.what))):
        return of_run(asked.what, part, track, warn, asked.way)
    return opened(against, one_side(asked, side, usual_side(against, warn), fixed=side), track, warn)


def require_alike(asked: Asked, fake: Shape, real: Shape) -> None:
    """Raises DataError where the two cannot be compared."""
    if fake == real:
        return
    against = asked.against or "its data"
    if len(fake) == len(real) == 3:
        mend = "Give both in grey, or both in colour." if fake[0] != real[0] else "Give --size."
        raise DataError(
            f"{asked.what} has {told(fake)} and {against} {told(real)}: pictures of different shapes are not compared."
            f"\n{mend}"
        )
    raise DataError(
        f"{asked.what} holds samples of shape {list(fake)} and {against} of {list(real)}.\n"
        "Images are compared with images, features [N, d] with features of as many dimensions."
    )


def told(shape: Shape) -> str:
    channels, height, width = shape
    return f"{width}x{height} pixels in {'grey' if channels == 1 else f'{channels} channels'}"


def require_pairs(families: Sequence[str], fake: Scored, real: Set) -> None:
    """Raises DataError where sample i does not belong to real i, and a metric was asked for that compares the two."""
    if not (asked := [name for name in families if name in PAIRED]):
        return
    if not fake.partnered:
        raise DataError(f"{', '.join(asked)}: of pairs (sample i, real i), and these samples have no partner.")
    if (n := len(fake.samples)) != (m := len(real.samples)):
        raise DataError(
            f"{', '.join(asked)}: of pairs (sample i, real i), and here are {n:,} samples and {m:,} reals.\n"
            "Give as many of both, in the same order: pictures go by the names of their files."
        )


def some(source: Source, n: int) -> Source:
    """At most n samples, the same each time, drawn at random: sets may lie in the order of their classes."""
    if len(source) <= n:
        return source
    return Part(source, torch.randperm(len(source), generator=Stream(0, "reference").at(0))[:n])


def judge_of(asked: Asked, real: Set, track: Track, warn: Warn) -> Encoder:
    if len(real.samples.shape) != 3 and asked.features != "auto":
        raise ConfigError(f"{asked.what} holds no images but points or features, compared as they are: no --features.")
    return encoder_for(real.splits.train, asked.features, "random", track, warn)


def require_inception(asked: Asked) -> None:
    if "fid" in asked.metrics and (asked.features == "auto" or named(asked.features)[0] != "inception"):
        raise ConfigError(
            f"FID is the Frechet distance in the features of Inception, and not in those of '{asked.features}'.\n"
            "Give --features inception=FILE, or ask for fd."
        )


def learned_from(asked: Asked, real: Set, track: Track, warn: Warn) -> Source | None:
    """Where copies are looked for: what was named, or the training part beside held-out reals. Where these are held out
    of the very set that was named, its training part, too: D never learned from them.
    """
    if asked.train is not None and beside(asked, real):
        warn(f"copies are looked for in the training part of {asked.train}: its {real.part} part was held out.")
        return real.learned
    if asked.train is not None:
        learned = opened(asked.train, side_of(real.samples.shape), track, warn).samples
        require_alike(replace(asked, what=asked.train), learned.shape, real.samples.shape)
        return learned
    return real.learned if real.part in HELD_OUT else None


def beside(asked: Asked, real: Set) -> bool:
    """Whether --train names the set that held-out reals are a part of, and no other part of it."""
    name, part = parted(asked.train or "")
    if real.part not in HELD_OUT or part not in (None, "train"):
        return False
    own = {parted(asked.against or asked.what)[0], real.name}
    return Path(name).resolve() in {Path(each).resolve() for each in own}


def require_had(families: Sequence[str], refused: Mapping[str, str]) -> None:
    missing = [name for name in families if name in refused]
    if len(missing) == 1:
        raise DataError(f"{missing[0]}: {refused[missing[0]]}")
    if missing:
        raise DataError("\n".join(f"{name}: {refused[name].splitlines()[0]}" for name in missing[:3]))


def doubts(figures: Figures, against: Reference) -> Iterator[str]:
    """What the counts do to the figures."""
    d = against.real.features.shape[1]
    for name in ("fd", "fid"):
        if name in figures and (n := min(figures[name].n_fake, figures[name].n_real)) <= d:
            yield (
                f"{name}: {n:,} samples in {d:,} dimensions make covariances without full rank, and a figure that is "
                "mostly bias: compare it at equal counts only, or take kid."
            )


def note(found: Score, run: RunFolder, warn: Warn) -> None:
    """The figures in the run's folder. That of somebody else may refuse."""
    try:
        log = Log(run.evaluations)
        log.append("evaluation", date=datetime.now().isoformat(timespec="seconds"), **found.as_json())
        log.close()
    except (OSError, StorageError) as error:
        warn(f"the figures are not kept in {run.path}: {error}")


def keep(found: Score, run: RunFolder, warn: Warn) -> None:
    """Also pictures of what the figures cannot tell."""
    note(found, run, warn)
    try:
        exhibits.write(exhibits.exhibits(found.fake, found.reference), run.figures)
    except (OSError, StorageError) as error:
        warn(f"the figures are not kept in {run.path}: {error}")
