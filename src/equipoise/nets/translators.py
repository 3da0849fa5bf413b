"""Networks that make a picture of a picture: G(a, y), a [B, Ca, H, W] -> [B, C, H, W]; they ignore y.

The ResNet of Johnson et al. 2016 (arXiv:1603.08155) and CycleGAN (Zhu et al. 2017, arXiv:1703.10593), the U-Net of
pix2pix (Isola et al. 2017, arXiv:1611.07004), and a network that changes what it is given, to restore it. All are
convolutional: at use, pictures may be larger than those that were learned from, with sides that are multiples of
`multiple` pixels.

What they make is a function of a alone. The papers' dropout is left out: nothing random has a state here, and Isola et
al. (section 3.1) found that a noise z is ignored, and that dropout gives little variety. Upsampling is a resize and a
convolution, which leaves no checkerboard (Odena et al. 2016, https://distill.pub/2016/deconv-checkerboard).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from itertools import islice, pairwise

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from equipoise.errors import ConfigError
from equipoise.nets.dcgan import grow
from equipoise.nets.layers import Norm, activation, norm

LEAST = 4  # pixels that the 7x7 convolutions need to mirror 3 of them
SHORT = 1e-3  # length of a vector


class ResNetGenerator(nn.Module):
    """a [B, *given] -> pictures [B, *shape] within -1..1: `downs` halvings, one residual block or more, doublings.

    `width` is the number of channels at full size; it doubles with each halving. With `contrast` > 0 each layer that
    `patches` looks at has an MLP, which makes vectors of that many numbers.

    Raises:
        ConfigError: for pictures that do not go through it, here and at use.
    """

    def __init__(
        self,
        given: Sequence[int],
        shape: Sequence[int],
        *,
        width: int = 64,
        blocks: int = 9,
        downs: int = 2,
        norms: Norm = "instance",
        contrast: int = 0,
    ):
        super().__init__()
        self.multiple = 2**downs
        self.least = max(LEAST, 2 * self.multiple)
        require_pictures(given, shape, self.multiple, self.least)
        widths = [width << i for i in range(downs + 1)]
        self.start = reflecting(given[0], width, 7)
        self.down = nn.ModuleList(
            nn.Sequential(*behind(before, norms), reflecting(before, after, 3, stride=2))
            for before, after in pairwise(widths)
        )
        self.small = nn.Sequential(*behind(widths[-1], norms))
        self.blocks = nn.ModuleList(Residual(widths[-1], norms) for _ in range(blocks))
        doublings = (doubling(before, after, norms) for before, after in pairwise(widths[::-1]))
        self.up = nn.Sequential(*doublings, reflecting(width, shape[0], 7), activation("tanh"))
        seen = [given[0], *widths[1:], *[widths[-1]] * blocks]  # channels of `maps`
        self.looked_at = [*range(downs + 1), *(downs + 1 + i for i in sorted({0, blocks // 2}))] if contrast else []
        self.heads = nn.ModuleList(unit_vectors(seen[i], contrast) for i in self.looked_at)

    def forward(self, a: Tensor, y: Tensor) -> Tensor:
        require_sides(a.shape[2:], self.multiple, self.least)
        h = deque(self.maps(a), maxlen=1).pop()  # without a graph, the others are let go
        x: Tensor = self.up(h)
        return x  # [B, C, H, W]

    def patches(self, x: Tensor, places: Tensor) -> list[Tensor]:
        """Unit vectors [B, S, contrast] that tell of x [B, *given] at S places, for each of some layers of the encoder:
        the pixels, the halvings, the first block and the one in the middle.

        Park et al. 2020 (arXiv:2007.15651), section 3 and appendix. `places` [S, 2] are (row, column) as fractions of
        the sides, from 0 to below 1. Two in one square of `multiple` pixels are one place to the blocks, and would be
        each other's false negatives: take them from different squares.

        Raises:
            ConfigError: where the generator was built without `contrast`.
        """
        require_heads(self.heads)
        maps = list(islice(self.maps(x), self.looked_at[-1] + 1))
        return [head(at(maps[i], places)) for i, head in zip(self.looked_at, self.heads, strict=True)]

    def maps(self, a: Tensor) -> Iterator[Tensor]:
        """The picture, what the convolutions that halve it make of it, and what each block makes: one at a time."""
        yield a
        h = self.start(a)
        for down in self.down:
            h = down(h)
            yield h
        h = self.small(h)
        for block in self.blocks:
            h = block(h)
            yield h  # [B, W, H / multiple, W / multiple]


class Refiner(nn.Module):
    """a [B, *given] -> the first C channels of a and a change that is learned: pictures [B, *shape], not bounded.

    For what is nearly right: enlarged pictures to be made sharp, noisy ones to be made clean. Residual blocks without
    norms at full size (Lim et al. 2017, arXiv:1707.02921, section 3). Further channels of a are only looked at. The
    change starts at zero; after another initialisation, once `init.fixup` has had `branches`.

    Raises:
        ConfigError: where a has fewer channels than the pictures, or another size.
    """

    def __init__(self, given: Sequence[int], shape: Sequence[int], *, width: int = 64, blocks: int = 8):
        super().__init__()
        require_pictures(given, shape, 1, 2)
        if given[0] < shape[0]:
            raise ConfigError(
                f"A refiner adds to what it is given, and {given[0]} channels are not the {shape[0]} of the picture "
                "that is wanted: give it one with as many, or use another generator."
            )
        self.channels, self.multiple = shape[0], 1
        self.start = reflecting(given[0], width, 3)
        self.blocks = nn.Sequential(*(Residual(width, "none") for _ in range(blocks)))
        self.end = nn.Conv2d(width, shape[0], 3, padding=1, padding_mode="reflect", bias=False)
        nn.init.zeros_(self.end.weight)

    def forward(self, a: Tensor, y: Tensor) -> Tensor:
        change: Tensor = self.end(self.blocks(self.start(a)))
        return a[:, : self.channels] + change  # [B, C, H, W]

    def branches(self) -> list[list[nn.Module]]:
        """What `init.fixup` acts on: the convolutions of each block, and the last one of all."""
        branches: list[list[nn.Module]] = [
            [layer for layer in block.modules() if isinstance(layer, nn.Conv2d)] for block in self.blocks
        ]
        return [*branches, [self.end]]


class UNetGenerator(nn.Module):
    """a [B, *given] -> pictures [B, *shape] within -1..1: halved as often as the sides allow, down to `smallest` pixels
    and no less, and doubled again, each time beside the map of that size from the way down.

    Isola et al. 2017 (arXiv:1611.07004), section 3.2 and appendix. `width` is the number of channels after the first
    halving; it doubles with each, up to `max_width`. The first map has no norm, nor has the smallest, nor what is drawn
    of that: of a single pixel a norm leaves nothing (the paper's errata). Outside the picture lie zeros: mirrored in, a
    single pixel would be drawn as one flat colour, of which the next norm leaves nothing either.

    Raises:
        ConfigError: for pictures that cannot be halved twice; at use, for sides that are no multiples of 2^depth.
    """

    def __init__(
        self,
        given: Sequence[int],
        shape: Sequence[int],
        *,
        width: int = 64,
        max_width: int = 512,
        norms: Norm = "instance",
        smallest: int = 1,
    ):
        super().__init__()
        require_pictures(given, shape, 4, 4 * smallest)
        depth = halvings(shape[1:], smallest)
        self.multiple = 2**depth
        widths = [min(width << i, max_width) for i in range(depth)]
        kinds: list[Norm] = ["none", *[norms] * (depth - 2), "none"]
        self.down = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(before, after, 4, stride=2, padding=1),
                norm(kind, after, spatial=True),
                activation("leaky-relu"),
            )
            for before, after, kind in zip([given[0], *widths], widths, kinds, strict=False)
        )
        (before, after), *others = pairwise(widths[::-1])
        self.up = nn.ModuleList([nn.Sequential(*grow(before, after, "resize"), activation("relu"))])
        for before, after in others:
            self.up.append(nn.Sequential(*grow(2 * before, after, "resize"), *behind(after, norms)))
        self.end = nn.Sequential(*grow(2 * widths[0], shape[0], "resize"), activation("tanh"))

    def forward(self, a: Tensor, y: Tensor) -> Tensor:
        require_sides(a.shape[2:], self.multiple, self.multiple)
        skips: list[Tensor] = [a]
        for down in self.down:
            skips.append(down(skips[-1]))
        h = skips.pop()
        for up in self.up:
            h = torch.cat([skips.pop(), up(h)], 1)
        x: Tensor = self.end(h)
        return x  # [B, C, H, W]


class Cascade(nn.Module):
    """a [B, *given] -> pictures [B, *shape] within -1..1: U-Nets one behind another, each of which makes what the one
    before it made better. Their losses meet at the end only: CasNet of Armanious et al. 2020 (arXiv:1806.06397),
    section 3.3, with six. Widths, norms and errors as of `UNetGenerator`."""

    def __init__(
        self, given: Sequence[int], shape: Sequence[int], *, blocks: int = 6, width: int = 64, max_width: int = 512,
        norms: Norm = "instance",
    ):  # fmt: skip
        super().__init__()
        starts = [given, *[shape] * (blocks - 1)]
        self.blocks = nn.ModuleList(
            UNetGenerator(start, shape, width=width, max_width=max_width, norms=norms) for start in starts
        )
        self.multiple = max(block.multiple for block in self.blocks if isinstance(block, UNetGenerator))

    def forward(self, a: Tensor, y: Tensor) -> Tensor:
        for block in self.blocks:
            a = block(a, y)
        return a  # [B, C, H, W]


class Residual(nn.Module):
    """x + a branch of two convolutions, with no ReLU behind the sum; [B, C, H, W] in and out.

    Johnson et al. 2016 (arXiv:1603.08155), supplement.
    """

    def __init__(self, width: int, norms: Norm):
        super().__init__()
        self.branch = nn.Sequential(
            reflecting(width, width, 3),
            *behind(width, norms),
            reflecting(width, width, 3),
            norm(norms, width, spatial=True),
        )

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = x + self.branch(x)
        return y


class Unit(nn.Module):
    """Vectors [..., F] at length 1; those shorter than SHORT are only made longer, for the slope of a length is 1 over
    it: a place of which the layers before see nothing would throw G as far as it likes."""

    def forward(self, x: Tensor) -> Tensor:
        return normalize(x.float(), dim=-1, eps=SHORT)


def unit_vectors(features: int, dim: int) -> nn.Sequential:
    """[..., features] -> [..., dim], of length 1."""
    return nn.Sequential(nn.Linear(features, dim), activation("relu"), nn.Linear(dim, dim), Unit())


def reflecting(before: int, after: int, kernel: int, stride: int = 1) -> nn.Conv2d:
    """A convolution that keeps the size, or divides it by the stride; at the edge the picture is mirrored in."""
    return nn.Conv2d(before, after, kernel, stride, kernel // 2, padding_mode="reflect")


def behind(channels: int, norms: Norm) -> list[nn.Module]:
    """What stands behind a convolution."""
    return [norm(norms, channels, spatial=True), activation("relu")]


def enlarged() -> nn.Upsample:
    """Each pixel four times."""
    return nn.Upsample(scale_factor=2, mode="nearest")


def doubling(before: int, after: int, norms: Norm) -> nn.Sequential:
    """[B, before, H, W] -> [B, after, 2 H, 2 W]."""
    return nn.Sequential(enlarged(), reflecting(before, after, 3), *behind(after, norms))


def at(x: Tensor, places: Tensor) -> Tensor:
    """What a map x [B, C, H, W] holds at fractions of its sides, [S, 2] -> [B, S, C]."""
    rows, columns = (  # in float32, 63 + .9999999 is 64: one beyond the last
        (places[:, i] * side).long().clamp(max=side - 1) for i, side in enumerate(x.shape[2:])
    )
    return x[:, :, rows, columns].transpose(1, 2)


def halvings(sides: Sequence[int], smallest: int) -> int:
    """How often all sides can be halved without remainder and without falling below `smallest`."""
    depth = 0
    while all(side % 2 ** (depth + 1) == 0 and side >> depth + 1 >= smallest for side in sides):
        depth += 1
    return depth


def require_heads(heads: nn.ModuleList) -> None:
    if not len(heads):
        raise ConfigError("This generator has no vectors for patches: contrast=0. Build it with contrast=256.")


def require_pictures(given: Sequence[int], shape: Sequence[int], multiple: int, least: int) -> None:
    """Both are pictures of one size, which the network can take."""
    if len(given) != 3 or len(shape) != 3 or tuple(given[1:]) != tuple(shape[1:]):
        raise ConfigError(
            f"This network makes a picture [C, H, W] of another of the same size, not {list(shape)} of {list(given)}: "
            "resize what is given first."
        )
    require_sides(shape[1:], multiple, least)


def require_sides(sides: Sequence[int], multiple: int, least: int) -> None:
    if any(side % multiple or side < least for side in sides):
        raise ConfigError(
            f"Pictures of {sides[0]} x {sides[1]} pixels do not go through this network: sides must be multiples of "
            f"{multiple}, and {least} or more. Crop, pad or resize them."
        )
