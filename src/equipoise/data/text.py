"""Sentences from text files: UTF-8, one a line; several files are classes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch

from equipoise.data.hooks import Warn, unheard
from equipoise.data.layout import PartName
from equipoise.data.source import InMemory, Part, Source, Splits, parted
from equipoise.data.vocabulary import UNKNOWN, By, Vocabulary, learnt, padded
from equipoise.errors import DataError

SUFFIX = ".txt"
PARTS: tuple[PartName, ...] = ("train", "validation", "test")
LEAST_LINES = 10


def text(path: Path, by: By, most: int, length: int, warn: Warn = unheard) -> Splits:
    """A file, or a folder whose files are classes, by their names; with folders train, and test or validation, such
    parts are kept. Empty lines, longer ones and unknown tokens are counted and told to `warn`.

    Raises:
        DataError: for what cannot be read, or is no text in UTF-8.
        MachineError: for BPE without the library that learns it.
    """
    known = {name: path / name for name in PARTS if (path / name).is_dir()}
    if "train" not in known:
        known = {"train": path}
    files = {name: files_at(place) for name, place in known.items()}
    classes = [file.stem for file in files["train"]]
    for place, found in zip(known.values(), files.values(), strict=True):
        require_classes(place, [file.stem for file in found], classes)
    told = [[lines_of(file, warn) for file in found] for found in files.values()]
    vocabulary = learnt(by, [line for lines in told[0] for line in lines], most)
    labels = torch.cat([torch.full((len(lines),), i) for part in told for i, lines in enumerate(part)])
    everything = [line for part in told for lines in part for line in lines]
    source = InMemory(tokens(everything, vocabulary, length, warn), labels, len(classes) if len(classes) > 1 else 0)
    ends = torch.tensor([0, *(sum(map(len, part)) for part in told)]).cumsum(0).tolist()
    places = {name: torch.arange(a, b) for name, a, b in zip(known, ends[:-1], ends[1:], strict=True)}
    splits = parted(source, places)
    return Splits(
        splits.train, splits.validation, splits.test, class_names=classes if source.classes else (),
        held_out=splits.held_out, vocabulary=vocabulary,
    )  # fmt: skip


def files_at(path: Path) -> list[Path]:
    """Raises DataError where there is none."""
    found = sorted(path.glob(f"*{SUFFIX}")) if path.is_dir() else [path] if path.is_file() else []
    if not found:
        raise DataError(
            f"{path} is no text file, and no folder with {SUFFIX} files: give one sentence a line, in UTF-8."
        )
    return found


def require_classes(place: Path, found: Sequence[str], classes: Sequence[str]) -> None:
    if list(found) != list(classes):
        raise DataError(
            f"{place} has the classes {', '.join(found)}, and the training part {', '.join(classes)}.\n"
            "Each part needs the same files."
        )


def lines_of(file: Path, warn: Warn = unheard) -> list[str]:
    """The lines of a file but the empty ones, which are counted.

    Raises:
        DataError: for what cannot be read, is no text, or is in another encoding; for fewer than ten sentences.
    """
    try:
        raw = file.read_bytes()
    except OSError as error:
        raise DataError(f"{file} cannot be read: {error.strerror}.") from error
    if b"\0" in raw:
        raise DataError(
            f"{file} is no text in UTF-8: it holds zero bytes, as pictures, archives and UTF-16 do.\n"
            "Give plain text; of UTF-16: iconv -f UTF-16 -t UTF-8 OLD > NEW."
        )
    try:
        whole = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise DataError(
            f"{file} is no text in UTF-8: line {line} has the byte 0x{raw[error.start]:02x}.\n"
            "If it is Latin-1: iconv -f ISO-8859-1 -t UTF-8 OLD > NEW."
        ) from error
    lines = [line.strip() for line in whole.replace("\r\n", "\n").split("\n")]
    kept = [line for line in lines if line]
    if empty := len(lines) - (lines[-1] == "") - len(kept):
        warn(f"{file}: {empty:,} of {len(lines):,} lines are empty and left out.")
    if len(kept) < LEAST_LINES:
        raise DataError(f"{file} has {len(kept)} sentence(s): at least {LEAST_LINES} lines are needed.")
    return kept


def tokens(lines: Sequence[str], vocabulary: Vocabulary, length: int, warn: Warn = unheard) -> torch.Tensor:
    """[N, length]. What is cut and what is unknown is told."""
    encoded = [vocabulary.encode(line) for line in lines]
    if long := sum(len(sentence) > length for sentence in encoded):
        longest = max(map(len, encoded))
        warn(f"{long:,} of {len(lines):,} sentences have more than {length} tokens (up to {longest:,}): they are cut.")
    found = padded(encoded, length)
    if unknown := int((found == UNKNOWN).sum()):
        share = unknown / int((found != 0).sum())
        warn(f"{unknown:,} tokens ({share:.2%}) are not among the {len(vocabulary):,} of the vocabulary.")
    return found


def is_text(source: Source) -> bool:
    """Whether samples are sentences: their tokens are whole numbers."""
    if isinstance(source, Part):
        return is_text(source.source)
    return isinstance(source, InMemory) and source.x.dtype == torch.long
