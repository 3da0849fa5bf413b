"""Directions in the space of latents along which samples change, found without labels.

`pca`: where a generator's inner values vary most over many latents (Harkonen et al. 2020, arXiv:2004.02546): styles w
themselves; elsewhere the values behind the first activation, with the latents regressed on them (section 2.2); of
ResNets, as the authors do for BigGAN, those of the first linear layer. Classes are taken away from all of them.
`sefa`: what the first weights amplify most: the eigenvectors of A^T A with the largest eigenvalues, A the weights that
turn z, or w at every layer, into features (Shen & Zhou 2021, arXiv:2007.06600, eq. 5). Where each block is told a chunk
of z, A has rows for each chunk, with zeros elsewhere. Written from the papers.
"""

from __future__ import annotations

import math
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
from equipoise.config import Nets, ResNet
from equipoise.errors import ConfigError, StorageError
from equipoise.generator import TrainedGenerator
from equipoise.latents import Codes, Styles
from equipoise.nets.r3gan import BiasedLeakyReLU

Method = Literal["pca", "sefa"]

DRAWN = 4096  # latents
FEW = 1024  # of them, where there are more values than that: eigenvectors of 1024 x 1024 numbers take a second
CLASSES = 256  # that the latents are of, at most: four of FEW are of each
FLAT = 1e-10  # of the largest eigenvalue: directions of less are roundings of float32
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
    codes = drawn(trained, seed)
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
    if len(at) < n:
        raise ConfigError(
            f"--method {method} found {len(at)} directions along which this generator changes, and {n} were asked for: "
            f"ask for fewer with -n, or try --method {'sefa' if method == 'pca' else 'pca'}."
        )
    at = at[:n]
    return Directions(method, signed(at), deviations(codes, at))


def drawn(trained: TrainedGenerator, seed: int) -> Codes:
    """DRAWN codes of CLASSES classes at most: one that is alone in its class tells nothing of directions there."""
    codes = trained.codes(DRAWN * math.ceil(trained.form.classes / CLASSES or 1), seed)
    known = torch.tensor(sorted(set(codes.y.tolist()))[:CLASSES])
    some = torch.isin(codes.y, known).nonzero()[:DRAWN, 0]
    return Codes(codes.at[some], codes.y[some])


def deviations(codes: Codes, at: Tensor) -> Tensor:
    """Standard deviation [n] of the codes of a class along each direction: the styles of classes lie apart."""
    along = by_class(codes.at.reshape(-1, at.shape[1]) @ at.T, codes.y)
    classes = len(set(codes.y.tolist()))
    variance: Tensor = along.square().sum(0) / (len(along) - classes)
    return variance.sqrt()


def principal(trained: TrainedGenerator, codes: Codes) -> Tensor:
    """[dim or less, dim]"""
    if isinstance(trained.space, Styles):
        return axes(by_class(codes.at[:, 0], codes.y))
    if first_values(trained, Codes(codes.at[:1], codes.y[:1])).shape[1] > FEW:
        codes = Codes(codes.at[:FEW], codes.y[:FEW])
    parts = codes.in_parts(trained.form.at_once)
    features = by_class(torch.cat([first_values(trained, part) for part in parts]), codes.y)
    along = features @ axes(features)[: codes.at.shape[1]].T  # [N, n], uncorrelated: each is regressed on alone
    return nn.functional.normalize(along.T @ by_class(codes.at, codes.y), dim=1)  # [n, dim]: how z moves with each


def first_values(trained: TrainedGenerator, codes: Codes) -> Tensor:
    """Behind the first activation [N, d]. The generator is stopped there: the rest takes nearly all of the time."""
    try:
        with watching(trained.G, firsts(trained.nets), stop_at_first):
            trained.G(codes.at, codes.y)
    except Enough as enough:
        values: Tensor = enough.call.output
        return values.flatten(1)
    raise ConfigError(f"nets.kind={trained.nets.kind} has no activation that --method pca knows: use sefa.")


def firsts(nets: Nets) -> tuple[type[nn.Module], ...]:
    """Kinds of layers: behind the first that is called one looks. The activations in the blocks of a ResNet are
    functions; the one that is a layer stands at its end, with up to 262,144 values."""
    return (nn.Linear,) if isinstance(nets, ResNet) else ACTIVATIONS


def axes(x: Tensor) -> Tensor:
    """Principal axes of x [N, d] along which it spreads, the widest first: [d, N or less, d].

    They are eigenvectors of x^T x. Where there are fewer rows than columns they come from those u of x x^T, which has
    the same eigenvalues s^2: as x^T u / s.
    """
    x, dtype = (x - x.mean(0)).double(), x.dtype
    if x.shape[1] <= len(x):
        return descending(x.T @ x).to(dtype)
    return nn.functional.normalize(descending(x @ x.T) @ x, dim=1).to(dtype)


def by_class(x: Tensor, y: Tensor) -> Tensor:
    """x [N, d] less the mean of its class y [N]: what the class does is no direction of the latents."""
    members = torch.nn.functional.one_hot(y).to(x.dtype)  # [N, K]
    means = members.T @ x / members.sum(0).clamp(min=1)[:, None]
    return x - means[y]


def amplified(A: Tensor) -> Tensor:
    """Eigenvectors of A^T A, the largest eigenvalue first; A [features, dim] -> [dim or less, dim]."""
    return descending(A.T.double() @ A.double()).to(A.dtype)


def descending(symmetric: Tensor) -> Tensor:
    """Its eigenvectors as rows, those of the largest eigenvalues first, without those of none."""
    values, vectors = torch.linalg.eigh(symmetric)
    rows: Tensor = vectors.T[values > FLAT * values[-1]]
    return rows.flip(0)


def first_weights(trained: TrainedGenerator, codes: Codes) -> Tensor:
    """[features, dim]: the weights that meet the codes, of all layers that are given them or a chunk of them."""
    dim, some = codes.at.shape[-1], Codes(codes.at[:2], codes.y[:2])
    met: set[int] = set()
    weights: list[Tensor] = []

    def look(call: Call) -> None:
        if columns := call.reads(some.at.reshape(-1, dim)):
            met.update(columns)
            own = call.weight[:, : len(columns)]  # those beyond are the class's
            weights.append(nn.functional.pad(own, (columns.start, dim - columns.stop)))

    with watching(trained.G, (nn.Module,), look):
        trained.space.samples(some)
    if len(met) < dim:
        raise ConfigError(f"nets.kind={trained.nets.kind} has no weights that --method sefa knows: use pca.")
    return torch.cat(weights)


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

    def reads(self, at: Tensor) -> range:
        """The columns of the codes [N, dim] that a linear layer was given, alone or with their classes behind: all, a
        chunk, or none."""
        weight, x = getattr(self.layer, "weight", None), self.input
        if not isinstance(weight, Tensor) or isinstance(self.layer, nn.Embedding) or weight.ndim != 2:
            return range(0)
        if not isinstance(x, Tensor) or x.ndim != 2 or not 0 < x.shape[1] == weight.shape[1]:
            return range(0)
        begins = (at == x[:, :1]).all(0).nonzero().flatten().tolist()
        return max((range(i, i + common(at[:, i:], x)) for i in begins), key=len, default=range(0))


def common(a: Tensor, b: Tensor) -> int:
    """How many of the first columns of a [N, A] and b [N, B] are the same."""
    n = min(a.shape[1], b.shape[1])
    return int((a[:, :n] == b[:, :n]).all(0).long().cumprod(0).sum())


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
