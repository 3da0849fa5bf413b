"""The Python door: fit, sample, save, load, with the names of scikit-learn."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from equipoise import configuring, generator, launch
from equipoise.config import (
    Arrays,
    Augmentation,
    ColouredDigits,
    Data,
    Degrade,
    Domains,
    Images,
    PaintedDigits,
    Pairs,
)
from equipoise.errors import ConfigError, DataError, StorageError
from equipoise.facts import of_images
from equipoise.progress import bar, say
from equipoise.runs.folder import RunFolder, fresh_path, refuse_existing
from equipoise.uses import walks


class GAN:
    """A generator that is trained by a recipe.

    >>> gan = GAN("digits").fit(time="2m")
    >>> images = gan.sample(16, seed=0)     # uint8 [16, H, W, C]
    >>> gan.save("digits.safetensors")
    >>> GAN.load("digits.safetensors").sample(4)
    """

    def __init__(self, recipe: str = "digits"):
        """`auto` chooses by the data."""
        self.recipe = recipe
        self.run: RunFolder | None = None
        self._generator: generator.TrainedGenerator | None = None

    def fit(
        self,
        data: str | Path | NDArray[np.uint8] | None = None,
        *,
        time: str | None = None,
        kimg: float | None = None,
        steps: int | None = None,
        seed: int = 0,
        out: str | Path | None = None,
        start: str | Path | None = None,
        settings: Iterable[str] = (),
        progress: bool = True,
    ) -> GAN:
        """Trains on `data`: a path or a built-in name as for --data, or uint8 images [N, H, W(, C)].

        `time` ("30m") replaces the recipe's length; `settings` are "key.path=value" as for --set. The run is kept
        in `out`, or in runs/; `self.run` says where. It begins with the weights of `start`, a run or a file of `save`.

        Raises:
            ConfigError, DataError, MachineError: before training.
            Diverged, StorageError: with the last checkpoint on disk.
            GaveUp: when the guardian stops the run, with its last healthy generator in the run's folder.
        """
        path = fresh_path(self.recipe, Path(out) if out else None)
        refuse_existing(path)
        named = str(data) if isinstance(data, (str, Path)) else None
        console = Console(stderr=True, quiet=not progress)
        tell = partial(say, console)
        config = configuring.configured(
            self.recipe, data=named, steps=steps, kimg=kimg, seed=seed, settings=settings, tell=tell,
            start=Path(start) if start else None, facts=of_images(data) if isinstance(data, np.ndarray) else None,
        )  # fmt: skip
        if isinstance(data, np.ndarray):
            config = config.model_copy(update={"data": in_place_of(config.data, data, path)})
        self.run = launch.start(
            config,
            path,
            time_s=configuring.seconds(time) if time else None,
            watch=lambda label, total, done: bar(console, label, total, done),
            warn=tell,
        )
        self._generator = generator.from_file(self.run.model)
        return self

    def sample(
        self, n: int = 16, *, seed: int = 0, label: int | None = None, truncation: float | None = None
    ) -> NDArray[Any]:
        """Images uint8 [n, H, W, C], or points float32 [n, d]: a function of (generator, n, seed, label, truncation).

        `truncation`, such as 0.7, gives variety away for quality.
        """
        return self.fitted.sample(n, seed, label, truncation=truncation)

    def walk(self, path: str | Path, n: int = 16, *, seconds: float = 8, fps: int = 20, seed: int = 0) -> None:
        """Writes `n` samples that change into others, as .gif, .webp, or .mp4 where ffmpeg is installed."""
        if n < 1 or fps < 1 or seconds <= 0:
            raise ConfigError("a walk has n and fps of 1 or more, and seconds above 0.")
        passed = walks.stops(self.fitted, n, seconds, seed, None)
        walks.write(walks.walk(self.fitted, passed, walks.count(seconds, fps)), Path(path), fps)

    def save(self, path: str | Path) -> None:
        """Writes the generator as safetensors: weights and shape, no code."""
        self.fitted.save(Path(path))

    @classmethod
    def load(cls, path: str | Path) -> GAN:
        """A generator from `save`, from a run's model.safetensors, or from a run folder."""
        gan = cls()
        gan._generator, _ = generator.opened(Path(path))
        return gan

    @property
    def fitted(self) -> generator.TrainedGenerator:
        if self._generator is None:
            raise ConfigError("this GAN has not been trained: call fit(...), or GAN.load(path).")
        return self._generator


def in_place_of(before: Data, data: NDArray[np.uint8], run: Path) -> Data:
    """An array, for a recipe with `before`. Raises DataError where that needs two domains."""
    if isinstance(before, Pairs | Domains | ColouredDigits | PaintedDigits):
        raise DataError("an array holds pictures of one domain, and this recipe needs two, A and B: give their path.")
    path = str(kept(data, run).resolve())
    if isinstance(before, Degrade):
        return before.model_copy(update={"of": configuring.of_same_size(Arrays(path=path), before.of)})
    augment = before.augment if isinstance(before, Images) else Augmentation()
    return configuring.of_same_size(Arrays(path=path, augment=augment), before)


def kept(data: NDArray[np.uint8], run: Path) -> Path:
    """The array as a file beside the run, so that the run can be resumed and repeated."""
    try:
        run.mkdir(parents=True, exist_ok=True)
        np.savez(run / "data.npz", x=data)
    except OSError as error:
        raise StorageError(f"cannot keep the data in {run}: {error.strerror}. Choose another `out`.") from error
    return run / "data.npz"
