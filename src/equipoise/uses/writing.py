"""Sentences of a trained generator."""

from __future__ import annotations

from pathlib import Path

import torch

from equipoise.data.hooks import Track, untracked
from equipoise.data.vocabulary import UNKNOWN, Vocabulary
from equipoise.errors import ConfigError, StorageError
from equipoise.generator import TrainedGenerator


def vocabulary_of(trained: TrainedGenerator) -> Vocabulary:
    """Raises ConfigError for a generator of something else."""
    if trained.form.vocabulary is None:
        raise ConfigError("this generator makes no sentences: leave out --temperature and --begin.")
    return trained.form.vocabulary


@torch.no_grad()
def written(
    trained: TrainedGenerator, n: int, seed: int = 0, label: int | None = None, temperature: float = 1.0,
    begin: str = "", track: Track = untracked,
) -> list[str]:  # fmt: skip
    """n sentences, a function of (weights, n, seed, label, temperature, begin). Classes are as in training unless
    `label` asks for one; below a temperature of 1 likely tokens are likelier still; `begin` is how each begins.

    Raises:
        ConfigError: for a generator of something else, a class that it does not have, a temperature of 0 or less, or a
            beginning that it does not know or that is too long.
    """
    vocabulary = vocabulary_of(trained)
    if temperature <= 0:
        raise ConfigError(f"a temperature is above 0, and this is {temperature:g}: near 0 only the likeliest is said.")
    begun = beginning(vocabulary, begin, trained.form.shape[0])
    codes = trained.codes(n, seed, label)
    parts = list(
        zip(torch.split(codes.at, trained.form.at_once), torch.split(codes.y, trained.form.at_once), strict=True)
    )
    trained.G.temperature.fill_(temperature)  # type: ignore[operator]
    try:
        made = [trained.G(z, y, begun.expand(len(z), -1)) for z, y in track(parts, "writing", len(parts))]
    finally:
        trained.G.temperature.fill_(1.0)  # type: ignore[operator]
    return vocabulary.lines(torch.cat(made))


def beginning(vocabulary: Vocabulary, begin: str, length: int) -> torch.Tensor:
    """[1, T]."""
    tokens = vocabulary.encode(begin)
    if UNKNOWN in tokens:
        strange = [token for token in vocabulary.cut(begin) if token not in vocabulary.number]
        raise ConfigError(f"the vocabulary of this generator does not have {', '.join(strange)}: begin otherwise.")
    if len(tokens) >= length:
        raise ConfigError(
            f"'{begin}' has {len(tokens)} tokens, and a sentence of this generator {length}: begin shorter."
        )
    return torch.tensor([tokens], dtype=torch.long)


def write(lines: list[str], out: Path) -> None:
    """One a line. Raises StorageError when it cannot be written, ConfigError for a name of something else."""
    if out.suffix.lower() != ".txt":
        raise ConfigError(f"{out} would not be text: sentences are written to a .txt file.")
    try:
        out.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    except OSError as error:
        raise StorageError(f"cannot write {out}: {error.strerror}.") from error
