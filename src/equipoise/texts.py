"""Scores sentences, whoever wrote them: from names of files and runs to figures.

Both sides are cut into words as their lines separate them, whatever the tokens of a generator are; lines without
spaces, as of Chinese, into characters. So the figures of two systems compare.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from equipoise import build, generator
from equipoise import config as c
from equipoise.data.hooks import Track, Warn, unheard, untracked
from equipoise.data.source import Source, everything
from equipoise.data.text import SUFFIX, files_at, lines_of
from equipoise.data.vocabulary import CUT, By, Vocabulary
from equipoise.encoders.sentences import sentence_encoder
from equipoise.errors import ConfigError, DataError
from equipoise.evaluation import OF_TEXT, Reference, evaluate, seen_by
from equipoise.judging import drawn
from equipoise.metrics.ngrams import numbered
from equipoise.onlookers import Onlookers
from equipoise.runs import checkpoint
from equipoise.runs.folder import RunFolder
from equipoise.scoring import Asked, Score, families_of, note, require_had
from equipoise.sets import GENERATOR, is_run, parted
from equipoise.streams import Stream
from equipoise.uses.writing import written

SPACED = 0.02  # of the characters are spaces, at least, where words are separated


@dataclass(frozen=True)
class Wording:
    """Lines, and where they are from."""

    lines: Sequence[str]
    part: str = "all"
    checkpoint: str | None = None
    step: int | None = None


def are_asked(asked: Asked) -> bool:
    """Whether what is scored are sentences."""
    if is_run(asked.what):
        return isinstance(c.read(RunFolder(Path(asked.what)).config).data, c.Sentences)
    return asked.what.lower().endswith(SUFFIX)


def score_text(asked: Asked, track: Track = untracked, warn: Warn = unheard) -> Score:
    """Figures of sentences, with their protocols. Those of a run are noted in its folder.

    Raises:
        ConfigError: for a metric, or a checkpoint, that does not exist; without anything to compare with.
        DataError: for files that cannot be read, or a metric that was asked for and cannot be had.
    """
    families = families_of(asked.metrics)
    if is_run(asked.what) and c.read(RunFolder(Path(asked.what)).config).play == "restyle":
        return score_restyled(asked, families, track, warn)
    fake, real, train = of_fakes(asked, track, warn), of_reals(asked, warn), of_training(asked, warn)
    n = min(asked.n, len(fake.lines), len(real.lines))
    by = separated(real.lines)
    fakes, reals = some(fake.lines, n), some(real.lines, n)
    cut = [[CUT[by](line) for line in lines] for lines in (fakes, reals, train)]
    made, compared, learned = numbered(*cut)
    encoder = sentence_encoder(learned if len(learned) else compared)
    digest = hashlib.sha256("\n".join(reals).encode()).hexdigest()
    against = Reference(
        real=seen_by(encoder, compared), train=seen_by(encoder, learned) if len(learned) else None,
        features=encoder.protocol, data={"sha256": digest, "part": real.part, "size": None, "by": by},
    )  # fmt: skip
    samples = seen_by(encoder, made)
    figures, refused = evaluate(samples, against, families or ("fd", *OF_TEXT), track)
    require_had(families, refused)
    found = Score(
        asked.what, asked.against or asked.what, fake.checkpoint, fake.step, figures, refused, notes(n, fake, real),
        samples, against,
    )  # fmt: skip
    if fake.checkpoint:
        note(found, RunFolder(Path(asked.what)), warn)
    return found


def score_restyled(asked: Asked, families: Sequence[str], track: Track, warn: Warn) -> Score:
    """Of a run that restyles: sentences of its test part, each told in another style, by its own tokens."""
    if asked.against is not None:
        raise ConfigError("a run that restyles is scored on its own test part: leave out --against.")
    folder = RunFolder(Path(asked.what))
    config = c.read(folder.config)
    config = config.model_copy(update={"evaluate": config.evaluate.model_copy(update={"n": asked.n})})
    data = build.splits(config.data)
    there = Onlookers(config, data, torch.device("cpu"), track=track, warn=warn).there
    held = there.held_against(there.of_samples.encoder, "test")
    trained, complaints = generator.from_run(folder, asked.checkpoint)
    for complaint in complaints:
        warn(f"{complaint} Using the one before.")
    samples = seen_by(there.of_samples.encoder, drawn(trained.G, held.z, held.y))
    figures, refused = evaluate(samples, held.against, families or config.evaluate.metrics, track)
    require_had(families, refused)
    path, _ = generator.chosen(folder, asked.checkpoint)
    found = Score(
        asked.what, asked.what, asked.checkpoint, checkpoint.step_of(path), figures, refused, [], samples, held.against
    )  # fmt: skip
    note(found, folder, warn)
    return found


def notes(n: int, fake: Wording, real: Wording) -> list[str]:
    """What a reader of the figures must know."""
    if n == len(fake.lines) == len(real.lines):
        return []
    return [f"{n:,} sentences of each side were compared: BLEU and self-BLEU grow with their number."]


def of_fakes(asked: Asked, track: Track, warn: Warn) -> Wording:
    if not is_run(asked.what) and not asked.what.lower().endswith(GENERATOR):
        return Wording(lines_at(asked.what, warn))
    trained, complaints = generator.opened(Path(asked.what), asked.checkpoint)
    for complaint in complaints:
        warn(f"{complaint} Using the one before.")
    lines = [line for line in written(trained, asked.n, asked.seed, track=track) if line]
    step = None
    if is_run(asked.what):
        found, _ = generator.chosen(RunFolder(Path(asked.what)), asked.checkpoint)
        step = checkpoint.step_of(found)
    return Wording(lines, checkpoint=asked.checkpoint if step is not None else None, step=step)


def of_reals(asked: Asked, warn: Warn) -> Wording:
    if asked.against is None and not is_run(asked.what):
        raise ConfigError(f"against which text? {asked.what} is no run: give --against FILE.txt.")
    name, part = parted(asked.against or asked.what)
    if not is_run(name):
        return Wording(lines_at(name, warn))
    return Wording(of_run(name, part or "test"), part or "test")


def of_training(asked: Asked, warn: Warn) -> Sequence[str]:
    """Where copies are looked for."""
    if asked.train is not None:
        return lines_at(asked.train, warn)
    return of_run(asked.what, "train") if is_run(asked.what) else []


def of_run(path: str, part: str) -> list[str]:
    splits = build.splits(c.read(RunFolder(Path(path)).config).data)
    if splits.vocabulary is None or part not in ("train", "validation", "test"):
        raise DataError(f"{path} has no sentences of the part {part}.")
    source: Source = getattr(splits, part)
    vocabulary: Vocabulary = splits.vocabulary
    return vocabulary.lines(everything(source)[0])


def lines_at(text: str, warn: Warn) -> list[str]:
    return [line for file in files_at(Path(text)) for line in lines_of(file, warn)]


def separated(lines: Sequence[str]) -> By:
    """By what these are cut."""
    spaces, characters = (sum(map(count, lines)) for count in (lambda line: line.count(" "), len))
    return "word" if spaces >= SPACED * characters else "character"


def some(lines: Sequence[str], n: int) -> Sequence[str]:
    """n of them, the same each time, drawn at random."""
    if len(lines) == n:
        return lines
    return [lines[i] for i in torch.randperm(len(lines), generator=Stream(0, "reference").at(0))[:n].tolist()]
