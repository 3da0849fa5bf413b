"""A trained generator on its own: sampled, saved to a file that holds no code, and loaded again."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import MappingProxyType

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import TypeAdapter
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from equipoise import build, foreign, latents
from equipoise.config import Degrade, Lesions, Nets, Scans, Task, TrainConfig, read
from equipoise.data.hooks import Track, untracked
from equipoise.data.scans import Window
from equipoise.data.source import to_uint8
from equipoise.errors import ConfigError, StorageError
from equipoise.games.dealing import Dealt
from equipoise.latents import Codes, Latents, Styles, space_of
from equipoise.runs import checkpoint
from equipoise.runs.folder import RunFolder, existing
from equipoise.streams import Stream

Samples = NDArray[np.uint8] | NDArray[np.float32]
Levels = NDArray[np.uint16]

CHUNK = 256  # latents at a time, whatever is drawn of them
FORMAT = "equipoise-generator-1"
CONSTANT = "constant:"  # before the names of what a sampler needs beside the weights, and a net makes by itself


@dataclass(frozen=True)
class TrainedGenerator:
    G: nn.Module
    nets: Nets
    form: build.Form
    task: Task | None = None  # what a translator restores; None for any other

    @cached_property
    def space(self) -> Latents | Styles:
        return space_of(self.G)

    def sample(
        self,
        n: int,
        seed: int = 0,
        label: int | None = None,
        track: Track = untracked,
        *,
        truncation: float | None = None,
    ) -> Samples:
        """Images as uint8 [n, H, W, C], points as float32 [n, d]; a function of (weights, n, seed, label, truncation).

        Classes are as often as in training unless `label` asks for one. `truncation` gives variety away for quality:
        see `codes`.

        Raises:
            ConfigError: for a class that the generator does not have or never saw, or a truncation that it cannot take.
        """
        return self.drawn(self.codes(n, seed, label, truncation), track)

    @torch.no_grad()
    def codes(self, n: int, seed: int = 0, label: int | None = None, truncation: float | None = None) -> Codes:
        """What `sample` makes its samples of. A truncation brings styles so much nearer to their mean (0: all there),
        or draws latents from within so much of 0.

        Raises: as `sample`.
        """
        if self.form.styles:
            raise ConfigError(
                "this generator begins with sentences: equipoise restyle RUN --to STYLE < in.txt > out.txt."
            )
        if self.form.given:
            raise ConfigError("this generator begins with pictures: give it some with equipoise translate RUN INPUT.")
        if truncation is not None and not self.form.is_images:
            raise ConfigError(
                "truncation is for pictures: this generator makes points, and would leave some of them out."
            )
        y = self.labels(n, label)
        parts = [
            self.space.codes(self.latents(seed, i)[: len(part)], part, truncation)
            for i, part in enumerate(torch.split(y, CHUNK))
        ]
        return Codes(torch.cat(parts), y)

    def drawn(self, codes: Codes, track: Track = untracked) -> Samples:
        """Samples of codes, as from `sample`."""
        x = self.unrounded(codes, track)
        return build.as_pixels(x) if self.form.is_images else x.numpy()

    def fine(self, codes: Codes, track: Track = untracked) -> Levels:
        """Grey samples of codes in 65,536 levels from black to white: [n, H, W]. Raises ConfigError for others."""
        if not self.form.is_images or self.form.shape[0] != 1:
            raise ConfigError("samples of 16 bits are grey slices, and this generator draws others: leave out --bits.")
        return in_levels(self.unrounded(codes, track)[:, 0].numpy())

    @torch.no_grad()
    def unrounded(self, codes: Codes, track: Track = untracked) -> Tensor:
        """Samples of codes as they come from G."""
        parts = codes.in_parts(self.form.at_once)
        return torch.cat([self.space.samples(part) for part in track(parts, "drawing samples", len(parts))])

    @torch.no_grad()
    def made_of(self, dealt: Dealt, track: Track = untracked) -> Tensor:
        """What a translator makes of pictures: uint8 [N, C, H, W]."""
        at_once = self.form.at_once
        parts = list(zip(torch.split(dealt.z, at_once), torch.split(dealt.y, at_once), strict=True))
        return torch.cat([to_uint8(self.G(z, y)) for z, y in track(parts, "translating", len(parts))])

    def kept_codes(self, path: Path) -> Codes:
        """From a file that `latents.save` wrote. Raises StorageError, and ConfigError when they do not fit."""
        return latents.read(path, self.space, self.codes(1), self.form.classes)

    def latents(self, seed: int, chunk: int) -> Tensor:
        """Always a whole chunk, so that the first samples do not depend on how many follow."""
        return torch.randn(CHUNK, self.nets.z_dim, generator=Stream(seed, "sample").at(chunk))

    def labels(self, n: int, label: int | None) -> Tensor:
        if label is None:
            return build.as_in_training(n, self.form)
        if not 0 <= label < self.form.classes:
            known = f"classes 0 to {self.form.classes - 1}" if self.form.classes else "no classes"
            raise ConfigError(f"class {label} was asked for, and this generator has {known}.")
        if self.form.class_counts and not self.form.class_counts[label]:
            known = ", ".join(str(k) for k, count in enumerate(self.form.class_counts) if count)
            raise ConfigError(f"class {label} was asked for, and no training sample is of it: ask for one of {known}.")
        return torch.full((n,), label)

    def save(self, path: Path, constants: Mapping[str, Tensor] = MappingProxyType({})) -> None:
        """Weights as safetensors, with all that rebuilding the network needs in the header."""
        about = {
            "format": FORMAT,
            "nets": self.nets.model_dump(),
            **self.form.facts(),
        } | ({"task": self.task} if self.task else {})
        try:
            weights = {name: tensor.contiguous() for name, tensor in self.G.state_dict().items()}
            save_file(weights | dict(constants), path, metadata={"equipoise": json.dumps(about)})
            shared(path)
        except (OSError, SafetensorError) as error:
            raise StorageError(f"cannot write {path}: {error}.") from error


def shared(path: Path) -> None:
    """To be read by whom a new file may be read by: safetensors writes for its owner alone."""
    mask = os.umask(0)
    os.umask(mask)
    path.chmod(0o666 & ~mask)


def from_file(path: Path) -> TrainedGenerator:
    """A generator written by `save`, or the weights of somebody else's StyleGAN2.

    Raises:
        StorageError: for a file that is not there, is damaged, or holds something else.
    """
    try:
        if path.suffix.lower() != ".safetensors":
            return from_others(path)
        with safe_open(path, framework="pt") as file:
            about = json.loads((file.metadata() or {}).get("equipoise", "{}"))
            if not about:
                return from_others(path)
            names = [name for name in file.keys() if not name.startswith(CONSTANT)]  # noqa: SIM118 - not a mapping
            state = {name: file.get_tensor(name) for name in names}
        nets: Nets = TypeAdapter(Nets).validate_python(about["nets"])
        task: Task | None = TypeAdapter(Task | None).validate_python(about.get("task"))
        return with_weights(nets, build.Form.of(about), state, task)
    except (OSError, SafetensorError) as error:
        raise StorageError(f"{path} cannot be read: {error}.") from error
    except (KeyError, ValueError, TypeError, AttributeError, RuntimeError) as error:  # pydantic's is a ValueError
        raise StorageError(f"{path} is not a generator that Equipoise saved.") from error


def from_others(path: Path) -> TrainedGenerator:
    """Raises StorageError for files that hold no such generator."""
    found = foreign.stylegan2(path)
    nets: Nets = TypeAdapter(Nets).validate_python(found.nets)
    return with_weights(nets, build.Form(found.shape, found.classes), found.state)


def from_run(run: RunFolder, which: str = "last", way: str = "") -> tuple[TrainedGenerator, list[str]]:
    """G_ema of a checkpoint: `best` as judged in training (the last where nothing was judged), `last`, or a step
    number. Also what was wrong with newer checkpoints.

    Raises:
        ConfigError: for a checkpoint that is not there.
        StorageError: when no checkpoint can be read.
    """
    found, complaints = chosen(run, which)
    return from_checkpoint(run, found, way), complaints


def from_checkpoint(run: RunFolder, found: Path, way: str = "") -> TrainedGenerator:
    """G_ema of one of its checkpoints; with `way` as in `games.cyclegan`, that of the way back. Raises StorageError
    when it cannot be read, ConfigError when it does not fit."""
    state, manifest = checkpoint.load(found)
    form = build.Form.of(manifest)
    try:
        config = read(run.config)
        return with_weights(config.nets, form.back if way else form, state[f"game.{way}G_ema"], task_of(config))
    except KeyError as error:
        raise ConfigError(f"{run.path} goes one way only: leave out --back.") from error
    except RuntimeError as error:
        raise ConfigError(
            f"{found} does not fit the networks of {run.config}, which was changed. Put it back."
        ) from error


def chosen(run: RunFolder, which: str) -> tuple[Path, list[str]]:
    if which == "best" and (judged := checkpoint.newest_first(run.best)):
        return judged[0], []
    if which in ("best", "last"):
        return checkpoint.latest(run.checkpoints)
    steps = [str(checkpoint.step_of(path)) for path in checkpoint.newest_first(run.checkpoints)]
    if which not in steps:
        raise ConfigError(f"{run.path} has no checkpoint '{which}'. It has: best, last, {', '.join(steps)}.")
    return run.checkpoints / checkpoint.name_of(int(which)), []


def with_weights(
    nets: Nets, form: build.Form, state: dict[str, Tensor], task: Task | None = None
) -> TrainedGenerator:  # fmt: skip
    G, _ = build.networks(nets, form, seed=0)
    G.load_state_dict(state)
    return TrainedGenerator(G.eval().requires_grad_(False), nets, form, task)


def task_of(config: TrainConfig) -> Task | None:
    """What the generator of a run restores."""
    match config.data:
        case Degrade(how=how):
            return how
        case Lesions():
            return "lesion"
        case _:
            return None


def opened(path: Path, which: str = "last", way: str = "") -> tuple[TrainedGenerator, list[str]]:
    """The generator of a run or of a file. Raises as `from_run` and `from_file`, and ConfigError for the way back of a
    file."""
    if not path.is_file():
        return from_run(existing(path), which, way)
    if way:
        raise ConfigError(f"{path} goes one way: leave out --back, and give model-back.safetensors of its run.")
    return from_file(path), []


def in_levels(x: NDArray[np.float32]) -> Levels:
    """[-1, 1] -> 0 .. 65,535, rounded."""
    share = ((x.astype(np.float64) + 1) / 2).clip(0, 1)
    levels: Levels = (share * np.iinfo(np.uint16).max).round().astype(np.uint16)
    return levels


def window_of_run(path: Path) -> Window | None:
    """What is black and white to a generator of scans, in their unit; None where nobody said."""
    if path.is_file():
        return None
    data = read(existing(path).config).data
    return Window(*data.window) if isinstance(data, Scans) and data.window else None
