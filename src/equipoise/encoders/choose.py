"""The encoder that a name or a file stands for."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, assert_never, get_args

import torch

from equipoise.data.hooks import Track, Warn, unheard, untracked
from equipoise.data.source import Source, mixed
from equipoise.data.text import is_text
from equipoise.encoders.cache import Cache
from equipoise.encoders.classifier import FEWEST, classifier_encoder
from equipoise.encoders.encoder import Encoder
from equipoise.encoders.foundation import FoundationEncoder
from equipoise.encoders.given import Given
from equipoise.encoders.inception import InceptionEncoder, fetched
from equipoise.encoders.mobilenet import MobileNetEncoder
from equipoise.encoders.pixels import Pixels
from equipoise.encoders.random_net import RandomNet
from equipoise.encoders.self_supervised import self_supervised_encoder
from equipoise.encoders.sentences import LEARNT_FROM, sentence_encoder
from equipoise.encoders.squeezenet import SqueezeNetEncoder
from equipoise.encoders.weights import read
from equipoise.errors import ConfigError, DataError

CPU = torch.device("cpu")
LABELLED = 1000  # classes, at most, that a classifier is trained on unasked
Name = Literal[
    "pixels", "random", "classifier", "self-supervised", "squeezenet", "mobilenet", "inception", "dinov2", "clip"
]
NAMES: tuple[Name, ...] = get_args(Name)
SUFFIXES, TORCHSCRIPT = (".npz", ".pt"), ".pt"
# An array that only this net's file has.
TELLING: Mapping[str, Name] = {"conv_final.weight": "squeezenet", "00_conv.weight": "mobilenet"}


def chosen(
    features: str,
    weights: Path | None = None,
    train: Source | None = None,
    track: Track = untracked,
    warn: Warn = unheard,
    device: torch.device = CPU,
) -> Encoder:
    """The encoder called `features`: one of `NAMES`, `NAME=FILE`, or the path of weights alone.

    `weights` is the same as `=FILE`. `train` are the images that `self-supervised` learns from, and with their labels
    `classifier`. The large nets work on `device`; features are on the CPU.

    Raises:
        ConfigError: for an unknown name, or a net whose weights were not given.
        DataError: for weights that cannot be used, or images or labels that nothing can be learnt from.
    """
    name, file = named(features, weights)
    match name:
        case "pixels":
            return Pixels()
        case "random":
            return RandomNet()
        case "classifier":
            return classifier_encoder(given(train, name, "images with labels"), Cache(warn=warn), track, warn)
        case "self-supervised":
            return self_supervised_encoder(given(train, name, "images"), Cache(warn=warn), track)
        case "squeezenet":
            return SqueezeNetEncoder(read(weights_of(name, file)), device)
        case "mobilenet":
            return MobileNetEncoder(read(weights_of(name, file)), device)
        case "inception":
            return InceptionEncoder(file or fetched(track=track), device)
        case "dinov2" | "clip":
            return FoundationEncoder(name, None if file is None else str(file), device)
        case _:
            assert_never(name)


def automatic(train: Source, unlabelled: Name) -> Name:
    """A classifier of the data's own classes, and `unlabelled` where there are none; too few images teach neither."""
    if len(train) < FEWEST:
        return "random"
    return "classifier" if 1 < train.classes <= LABELLED else unlabelled


def encoder_for(
    train: Source, features: str, unlabelled: Name, track: Track = untracked, warn: Warn = unheard
) -> Encoder:
    """The encoder called `features` for what is like `train`; `auto` is the `automatic` one. Points stay as they are;
    sentences have an encoder of their own.

    Raises: as `chosen`.
    """
    if is_text(train):
        return sentence_encoder(mixed(train, LEARNT_FROM).take(torch.arange(min(len(train), LEARNT_FROM)))[0])
    if len(train.shape) != 3:
        return Given(train.shape[0])
    return chosen(automatic(train, unlabelled) if features == "auto" else features, train=train, track=track, warn=warn)


def named(features: str, weights: Path | None = None) -> tuple[Name, Path | None]:
    """The name that `features` begins with or stands for, and the file of weights, if one was given."""
    for name in NAMES:
        if features == name:
            return name, weights
        if features.startswith(f"{name}="):
            return name, Path(features.removeprefix(f"{name}="))
    return recognised(features), Path(features)


def recognised(path: str) -> Name:
    """Which net a file of weights is for. Raises ConfigError for what is neither a name nor a file."""
    file = Path(path)
    if not file.is_file() and file.suffix.lower() not in SUFFIXES:
        close = difflib.get_close_matches(path.partition("=")[0], NAMES, 1)
        meant = f" Did you mean {close[0]!r}?" if close else ""
        raise ConfigError(
            f"unknown features {path!r}.{meant}\nKnown: {', '.join(NAMES)}, NAME=FILE, or the path of weights."
        )
    if file.suffix.lower() == TORCHSCRIPT:
        return "inception"
    held = read(file).tensors
    for array, name in TELLING.items():
        if array in held:
            return name
    raise DataError(
        f"{file} holds the weights of no net that is known here: {' and '.join(TELLING)} are missing.\n"
        "Known are SqueezeNet v1.0 and MobileNetV2 1.0, as described in equipoise.encoders.squeezenet and .mobilenet."
    )


def weights_of(name: str, file: Path | None) -> Path:
    if file is None:
        raise ConfigError(
            f"the features {name!r} need weights, which do not come with Equipoise.\n"
            f"Give their file as {name}=FILE.npz; which arrays it holds is described in equipoise.encoders.{name}."
        )
    return file


def given(train: Source | None, name: str, needed: str) -> Source:
    if train is None:
        raise DataError(f"the features {name!r} need {needed} to learn from. Without, choose 'random'.")
    return train
