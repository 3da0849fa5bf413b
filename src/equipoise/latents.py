"""What a generator makes its samples of: latents z, or styles w where it has them.

`Latents` and `Styles` are the two spaces; whoever draws, walks, projects or looks for directions asks for one of them
by `space_of` and need not know which it is. A sample has a code there: z [z_dim], or w [1, w_dim] for all layers alike,
or w [layers, w_dim].
"""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from equipoise.errors import ConfigError, StorageError

PARALLEL = 1e-4  # radians: below, an arc is a line


@runtime_checkable
class Styled(Protocol):
    """A generator that maps latents to styles, and gives each of its layers one (Karras et al. 2019,
    arXiv:1812.04948)."""

    layers: int  # that take a style
    w_mean: Tensor  # [w_dim], over many latents

    def mapping(self, z: Tensor, y: Tensor) -> Tensor:
        """z [B, z_dim], y [B] -> w [B, w_dim]."""
        ...

    def synthesis(self, w: Tensor) -> Tensor:
        """w [B, layers, w_dim] -> samples [B, *shape]."""
        ...


class Codes(NamedTuple):
    """Of N samples."""

    at: Tensor  # [N, z_dim], or [N, 1 or layers, w_dim]
    y: Tensor  # [N] their classes; zeros without

    def in_parts(self, n: int) -> list[Codes]:
        """Of n samples at most, in their order."""
        return list(map(Codes, torch.split(self.at, n), torch.split(self.y, n)))


class Space(Protocol):
    @property
    def name(self) -> str:
        """z or w."""
        ...

    def codes(self, z: Tensor, y: Tensor, truncation: float | None = None) -> Tensor:
        """Of latents z [N, z_dim] ~ N(0, 1) and classes y [N]; `truncation` gives variety away for quality."""
        ...

    def samples(self, codes: Codes) -> Tensor:
        """[N, *shape]."""
        ...

    def between(self, a: Tensor, b: Tensor, t: float) -> Tensor:
        """The codes at `t` of the way from a to b, at 0 and at 1 those themselves."""
        ...


class Latents:
    """z ~ N(0, 1), of which nearly all lie at the same distance from the middle: one walks on arcs."""

    name = "z"

    def __init__(self, G: nn.Module):
        self.G = G

    def codes(self, z: Tensor, y: Tensor, truncation: float | None = None) -> Tensor:
        return z if truncation is None else pulled_in(z, truncation)

    def samples(self, codes: Codes) -> Tensor:
        x: Tensor = self.G(codes.at, codes.y)
        return x

    def between(self, a: Tensor, b: Tensor, t: float) -> Tensor:
        return arc(a, b, t)


class Styles:
    """w, in which lines are the shorter way (Karras et al. 2019, section 4.1)."""

    name = "w"

    def __init__(self, G: Styled):
        self.G = G

    def codes(self, z: Tensor, y: Tensor, truncation: float | None = None) -> Tensor:
        w = self.G.mapping(z, y)
        if truncation is not None:  # Karras et al. 2019, appendix B
            w = self.G.w_mean + truncation * (w - self.G.w_mean)
        return w[:, None]

    def samples(self, codes: Codes) -> Tensor:
        return self.G.synthesis(self.for_each_layer(codes.at))

    def for_each_layer(self, w: Tensor) -> Tensor:
        """[N, 1 or layers, w_dim] -> [N, layers, w_dim]."""
        return w.expand(-1, self.G.layers, -1)

    def between(self, a: Tensor, b: Tensor, t: float) -> Tensor:
        return a + t * (b - a) if t < 1 else b

    def mixed(self, coarse: Tensor, fine: Tensor, layers: int) -> Tensor:
        """Styles of `coarse` for the first layers, where the small maps are, and of `fine` for the others; both
        [N, 1 or layers, w_dim]."""
        coarse, fine = self.for_each_layer(coarse), self.for_each_layer(fine)
        return torch.cat([coarse[:, :layers], fine[:, layers:]], 1)


def space_of(G: nn.Module) -> Latents | Styles:
    return Styles(G) if isinstance(G, Styled) else Latents(G)


def pulled_in(z: Tensor, limit: float) -> Tensor:
    """z ~ N(0, 1) as N(0, 1) within [-limit, limit]: what BigGAN gets by drawing values beyond the limit again (Brock
    et al. 2019, arXiv:1809.11096, section 3.1), here by quantiles, so that each sample stays near the one that it was.

    Raises:
        ConfigError: for a limit that leaves nothing.
    """
    if not 0 < limit < torch.inf:
        raise ConfigError(f"truncation {limit:g} leaves no latents: give a number above 0, such as 0.7.")
    edge = torch.special.ndtr(torch.tensor(-limit, dtype=torch.float64))
    quantile = edge + torch.special.ndtr(z.double()) * (1 - 2 * edge)
    within: Tensor = torch.special.ndtri(quantile)
    return within.clamp(-limit, limit).to(z.dtype)


def arc(a: Tensor, b: Tensor, t: float) -> Tensor:
    """From a to b [..., d] on an arc (Shoemake 1985, section 3.3; White 2016, arXiv:1609.04468), t in 0..1."""
    angle = torch.arccos(torch.cosine_similarity(a, b, dim=-1).clamp(-1, 1))[..., None]
    straight = angle < PARALLEL
    whole = torch.where(straight, 1.0, angle.sin())
    share_a = torch.where(straight, 1 - t, ((1 - t) * angle).sin() / whole)
    share_b = torch.where(straight, t, (t * angle).sin() / whole)
    if not 0 < t < 1:
        return a if t <= 0 else b
    between: Tensor = share_a * a + share_b * b
    return between


def save(codes: Codes, space: Space, path: Path) -> None:
    """As an .npz of `z` or `w`, and `y`. Raises StorageError when it cannot be written."""
    try:
        held: dict[str, Any] = {space.name: codes.at.numpy(), "y": codes.y.numpy()}
        np.savez(path, **held)
    except OSError as error:
        raise StorageError(f"cannot write {path}: {error.strerror or error}.") from error


def read(path: Path, space: Space, like: Codes, classes: int) -> Codes:
    """Codes from a file of `save`, that fit where those in `like` do.

    Raises:
        StorageError: for a file that cannot be read.
        ConfigError: for codes of another generator.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            held = {name: file[name] for name in file.files}
    except OSError as error:
        raise StorageError(f"{path} cannot be read: {error.strerror or error}.") from error
    except (ValueError, EOFError, TypeError, AttributeError, zipfile.BadZipFile, zlib.error) as error:
        raise StorageError(f"{path} is no .npz of latents, such as project writes.") from error
    at, y = held.get(space.name), held.get("y")
    wanted = like.at.shape[-1]
    if at is None or y is None or not alike(at, y, like):
        shapes = ", ".join(f"{name} {list(array.shape)}" for name, array in held.items())
        raise ConfigError(
            f"{path} holds no latents of this generator, {space.name} of {wanted} numbers and y: {shapes}."
        )
    if not 0 <= y.min() <= y.max() < max(classes, 1):
        raise ConfigError(f"{path} holds classes that this generator does not have: it has {classes}.")
    return Codes(torch.from_numpy(at).float(), torch.from_numpy(y).long())


def alike(at: NDArray[Any], y: NDArray[Any], like: Codes) -> bool:
    """Whether these are finite codes of the shape of those in `like`, each with a class."""
    numbers = at.dtype.kind == "f" and y.dtype.kind in "iu" and y.ndim == 1 and at.ndim == like.at.ndim
    if not numbers or at.shape[1:] != like.at.shape[1:] or not len(at) == len(y) > 0:
        return False
    return bool(np.isfinite(at).all())
