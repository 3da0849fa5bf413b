"""Directions in the space of latents along which samples change, found without labels.

`pca`: where a generator's inner values vary most over many latents (Harkonen et al. 2020, arXiv:2004.02546): styles w
themselves; elsewhere the values behind the first activation, with the latents regressed on them (section 2.2).
`sefa`: what the first weights amplify most: the eigenvectors of A^T A with the largest eigenvalues, A the weights that
turn z, or w at every layer, into features (Shen & Zhou 2021, arXiv:2007.06600, eq. 5). Written from the papers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, assert_never

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from equipoise import pictures
from equipoise.errors import ConfigError, StorageError
from equipoise.generator import CHUNK, TrainedGenerator
from equipoise.latents import Codes, Styles
from equipoise.nets.r3gan import BiasedLeakyReLU

Method = Literal["pca", "sefa"]

DRAWN = 4096  # latents
ACTIVATIONS = (nn.ReLU, nn.LeakyReLU, nn.Tanh, nn.SiLU, BiasedLeakyReLU)
STEPS, FAR = 7, 3.0  # samples in a strip, from so many standard deviations on one side to as many on the other


@dataclass(frozen=True)
class Directions:
    method: Method
    at: Tensor  # [n, dim] of unit length, the strongest first
    spread: Tensor  # [n] standard deviation of the codes along each

    def save(self, path: Path, space: str) -> None:
        """As an .npz. Raises StorageError when it cannot be written."""
        try:
            np.savez(path, directions=self.at.numpy(), spread=self.spread.numpy(), method=self.method, space=space)
        except OSError as error:
            raise StorageError(f"cannot write {path}: {error.strerror or error}.") from error


@torch.no_grad()
def found(trained: TrainedGenerator, method: Method, n: int, seed: int = 0) -> Directions:
    """The `n` strongest directions.

    Raises:
        ConfigError: when there are not so many, or the net has no first weights or activation that we know of.
    """
    codes = trained.codes(DRAWN, seed)
    dim = codes.at.shape[-1]
    if not 0 < n <= dim:
        raise ConfigError(f"{n} directions were asked for, and the latents of this generator have {dim}.")
    match method:
        case "pca":
            at = principal(trained, codes)
        case "sefa":
            at = amplified(first_weights(trained, codes))
        case other:
            assert_never(other)
    at = at[:n]
    spread = (codes.at.reshape(len(codes.at), dim) @ at.T).std(0)
    return Directions(method, signed(at), spread)


def principal(trained: TrainedGenerator, codes: Codes) -> Tensor:
    """[dim or less, dim]"""
    if isinstance(trained.space, Styles):
        return axes(codes.at[:, 0])
    parts = zip(torch.split(codes.at, CHUNK), torch.split(codes.y, CHUNK), strict=True)
    features = by_class(torch.cat([first_values(trained, at, y) for at, y in parts]), codes.y)
    along = features @ axes(features)[: codes.at.shape[1]].T  # [N, n]
    latents = by_class(codes.at, codes.y)
    regressed = torch.linalg.lstsq(along, latents).solution  # [n, dim]: how z moves with each
    return nn.functional.normalize(regressed, dim=1)


def first_values(trained: TrainedGenerator, at: Tensor, y: Tensor) -> Tensor:
    """Behind the first activation [N, d]. The generator is stopped there: the rest takes nearly all of the time."""
    try:
        with watching(trained.G, ACTIVATIONS, stop_at_first):
            trained.G(at, y)
    except Enough as enough:
        values: Tensor = enough.call.output
        return values.flatten(1)
    raise ConfigError(f"nets.kind={trained.nets.kind} has no activation that --method pca knows: use sefa.")


def axes(x: Tensor) -> Tensor:
    """Principal axes of x [N, d], the widest first: [d, d]."""
    return descending(torch.cov(x.T.double())).to(x.dtype)


def by_class(x: Tensor, y: Tensor) -> Tensor:
    """x [N, d] less the mean of its class y [N]: what the class does is no direction of the latents."""
    members = torch.nn.functional.one_hot(y).to(x.dtype)  # [N, K]
    means = members.T @ x / members.sum(0).clamp(min=1)[:, None]
    return x - means[y]


def amplified(A: Tensor) -> Tensor:
    """Eigenvectors of A^T A, the largest eigenvalue first; A [features, dim] -> [dim, dim]."""
    return descending(A.T.double() @ A.double()).to(A.dtype)


def descending(symmetric: Tensor) -> Tensor:
    """Its eigenvectors as rows, those of the largest eigenvalues first."""
    vectors: Tensor = torch.linalg.eigh(symmetric).eigenvectors
    return vectors.T.flip(0)


def first_weights(trained: TrainedGenerator, codes: Codes) -> Tensor:
    """[features, dim]: the weights that meet the codes, of all layers that take a style."""
    dim, some = codes.at.shape[-1], Codes(codes.at[:2], codes.y[:2])
    seen: list[Call] = []
    with watching(trained.G, (nn.Module,), seen.append):
        trained.space.samples(some)
    readers = [call for call in seen if call.reads(dim)]
    if not readers:
        raise ConfigError(f"nets.kind={trained.nets.kind} has no weights that --method sefa knows: use pca.")
    weights = readers if isinstance(trained.space, Styles) else readers[:1]
    return torch.cat([call.weight[:, :dim] for call in weights])  # columns beyond are the class's


@dataclass(frozen=True)
class Call:
    """Of a layer while the generator drew."""

    layer: nn.Module
    input: Any
    output: Any

    @property
    def weight(self) -> Tensor:
        weight: Tensor = self.layer.weight  # type: ignore[assignment]
        return weight

    def reads(self, dim: int) -> bool:
        """Whether it is a linear layer that was given vectors of codes, alone or with their classes behind."""
        weight, x = getattr(self.layer, "weight", None), self.input
        if not isinstance(weight, Tensor) or isinstance(self.layer, nn.Embedding) or weight.ndim != 2:
            return False
        return isinstance(x, Tensor) and x.ndim == 2 and x.shape[1] == weight.shape[1] >= dim


class Enough(Exception):
    def __init__(self, call: Call):
        super().__init__()
        self.call = call


def stop_at_first(call: Call) -> None:
    raise Enough(call)


@contextmanager
def watching(net: nn.Module, kinds: tuple[type[nn.Module], ...], told: Callable[[Call], None]) -> Iterator[None]:
    """Tells of the calls of its layers of some kinds; nothing is left behind."""
    hooks = [
        layer.register_forward_hook(lambda layer, inputs, output: told(Call(layer, next(iter(inputs), None), output)))
        for layer in net.modules()
        if isinstance(layer, kinds) and layer is not net
    ]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def signed(at: Tensor) -> Tensor:
    """With the largest number of each direction positive: eigenvectors have no sign."""
    largest = at.gather(1, at.abs().argmax(1, keepdim=True))
    return at * largest.sign()


def moved(codes: Codes, directions: Directions, far: float) -> list[Codes]:
    """For each direction, the codes `far` standard deviations along it."""
    return [
        Codes(codes.at + far * spread * direction, codes.y)
        for direction, spread in zip(directions.at, directions.spread, strict=True)
    ]


def strips(trained: TrainedGenerator, directions: Directions, seed: int, label: int | None) -> Image.Image:
    """A line for each direction: the first sample of `seed` in the middle, and what becomes of it on both sides.

    Raises:
        ConfigError: for a generator of points, or a class that it does not have.
    """
    if not trained.form.is_images:
        raise ConfigError("directions are shown as strips of pictures, and this generator makes points.")
    codes = trained.codes(1, seed, label)
    columns = [moved(codes, directions, far) for far in np.linspace(-FAR, FAR, STEPS).tolist()]
    cells = [trained.drawn(step[i])[0] for i in range(len(directions.at)) for step in columns]
    return pictures.grid(np.stack(cells).astype(np.uint8, copy=False), STEPS)
