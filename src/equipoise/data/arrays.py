"""Sets of images that are arrays: .npz, .npy and idx files."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from equipoise.data.blocks import Block, blocks
from equipoise.data.decode import Pixels, default_size, fitted
from equipoise.data.groups import groups_of
from equipoise.data.hooks import Track, untracked
from equipoise.data.layout import Layout, PartName
from equipoise.data.ondisk import OnDisk, is_set, opened_set
from equipoise.data.source import InMemory, Shape, Splits, parted, parted_by_group
from equipoise.errors import DataError

MIB = 2**20
FILES = (".npz", ".npy", ".idx", ".gz", "-ubyte")  # how their names end
PLACES, PLACE_BYTES = 1000, 4096  # what is looked at of a file that stays on the disk
MANY_CLASSES = 1000
COLOURS = (1, 3, 4)  # channels of pictures: grey, colours, and these with transparency
READING = "reading pictures"
IMAGES: Mapping[PartName, tuple[str, ...]] = {
    "train": ("x", "images", "x_train", "train_images"),
    "validation": ("x_val", "x_valid", "x_validation", "val_images"),
    "test": ("x_test", "test_images"),
}
LABELS: Mapping[PartName, tuple[str, ...]] = {
    "train": ("y", "labels", "y_train", "train_labels"),
    "validation": ("y_val", "y_valid", "y_validation", "val_labels"),
    "test": ("y_test", "test_labels"),
}


@dataclass(frozen=True)
class Held:
    """The images of a file, part by part, not yet read, their labels, and whose they are."""

    images: Mapping[PartName, Block]
    layout: Layout
    shape: Shape  # (C, size, size), as they will be
    groups: Tensor | None = None  # [count]; of an official part that is held out, each its own

    @property
    def count(self) -> int:
        return sum(block.shape[0] for block in self.images.values())

    @property
    def nbytes(self) -> int:
        return self.count * int(np.prod(self.shape))

    def squares(self) -> Iterator[Pixels]:
        """uint8 [n, size, size, C]: all images in order, a few at a time. Raises DataError for a broken file."""
        for block in self.images.values():
            for piece in block.pieces():
                yield squared(piece[..., None] if piece.ndim == 3 else piece, self.shape[1])


def arrays(path: Path, size: int | None, memory_mib: int = 4096, track: Track = untracked) -> Splits:
    """uint8 images [N, H, W] or [N, H, W, C], resized like pictures of a folder where needed: from .npy or idx, from
    .npz under the names in IMAGES or the first array that fits, or from a folder that `data convert` wrote. Where an
    .npz has `patient` or `group` [N] of its training images, whole groups are held out of these.

    Raises:
        DataError: when the file cannot be read, holds no such array, or needs more than `memory_mib`.
    """
    if path.is_dir():
        return opened_set(path, size)
    held = opened(path, size)
    y = None if held.layout.labels is None else torch.from_numpy(held.layout.labels)
    classes = 0 if y is None else int(y.max()) + 1
    parts = {name: torch.from_numpy(indices) for name, indices in held.layout.parts.items()}
    if held.nbytes <= memory_mib * MIB:
        x = np.empty((held.count, *held.shape[1:], held.shape[0]), np.uint8)
        for i, square in enumerate(track((row for some in held.squares() for row in some), READING, held.count)):
            x[i] = square
        source = InMemory(torch.from_numpy(x).permute(0, 3, 1, 2), y, classes)
        return parted(source, parts) if held.groups is None else parted_by_group(source, held.groups, parts)
    block = held.images["train"]
    if block.offset is None or block.fortran or block.shape[1:3] != held.shape[1:]:
        raise DataError(
            f"{path} needs {held.nbytes // MIB} MiB, above data.memory_mib={memory_mib}.\n"
            "Raise it, or convert the file once: equipoise data convert FILE -o FOLDER."
        )
    large = OnDisk(path, block.offset, held.count, held.shape, fingerprint(path), y, classes)
    return parted(large, parts) if held.groups is None else parted_by_group(large, held.groups, parts)


def is_arrays(path: Path) -> bool:
    """Whether these are images that `arrays` reads; what else there is at a path may be pictures."""
    return is_set(path) or (path.is_file() and path.name.lower().endswith(FILES))


def fingerprint(path: Path) -> str:
    """SHA-256 of the size and of a thousand places spread over a file that is too large to read as a whole."""
    size = path.stat().st_size
    digest = hashlib.sha256(f"{size}".encode())
    with path.open("rb") as file:
        for place in np.linspace(0, max(0, size - PLACE_BYTES), PLACES, dtype=np.int64):
            file.seek(int(place))
            digest.update(file.read(PLACE_BYTES))
    return digest.hexdigest()


def opened(path: Path, size: int | None) -> Held:
    """Raises DataError when the file cannot be read, or holds no images, or labels that do not fit."""
    found = {block.name: block for block in blocks(path)}
    images = images_in(path, found)
    side = size or default_size([min(images["train"].shape[1:3])])
    shape = (channels(images["train"]), side, side)
    counts = [block.shape[0] for block in images.values()]
    return Held(images, described(path, found, images), shape, whose(path, found, counts))


def whose(path: Path, found: Mapping[str, Block], counts: Sequence[int]) -> Tensor | None:
    """The group of each image, part after part: the file says it of the training part alone."""
    groups = groups_of(path, found, counts[0], "samples" if len(counts) == 1 else "training samples")
    if groups is None:
        return None
    return torch.cat([groups, int(groups.max()) + 1 + torch.arange(sum(counts[1:]))])


def images_in(path: Path, found: Mapping[str, Block]) -> dict[PartName, Block]:
    """The images of each part, under the names in IMAGES; without any of the training part, the first array that fits.

    Raises:
        DataError: when there are none, two arrays may be those of a part, their channels do not come last, or the parts
            differ in their channels.
    """
    images = {name: block for name in IMAGES if (block := chosen(path, found, IMAGES[name]))}
    if "train" not in images:
        others = {name for part in ("validation", "test") for name in IMAGES[part]}
        first = next((block for name, block in found.items() if name not in others and is_images(block)), None)
        if first is None:
            for block in found.values():
                require_channels_last(block)
            held = ", ".join(f"{name} {block.dtype}{list(block.shape)}" for name, block in found.items())
            raise DataError(f"{path} holds no uint8 images [N, H, W] or [N, H, W, C]: it holds {held or 'nothing'}.")
        images["train"] = first
    for block in images.values():
        require_channels_last(block)
    if len(counts := {channels(block) for block in images.values()}) > 1:
        raise DataError(f"the parts of {path} do not have the same number of channels: {sorted(counts)}.")
    return {name: images[name] for name in IMAGES if name in images}


def channels(block: Block) -> int:
    return block.shape[3] if len(block.shape) == 4 else 1


def usual_side(path: Path) -> int:
    """The smaller side, in pixels, of the images of a file or of a folder that `data convert` wrote."""
    if path.is_dir():
        return opened_set(path, None).train.shape[-1]
    images = opened(path, None).images["train"]
    return min(images.shape[1:3])


def chosen(path: Path, found: Mapping[str, Block], names: tuple[str, ...]) -> Block | None:
    """Raises DataError where several are there: x may be all images, those of x_test among them."""
    fitting = [found[name] for name in names if name in found and is_images(found[name])]
    if len(fitting) > 1:
        raise DataError(
            f"{path} holds images as {' and as '.join(block.name for block in fitting)}, which are names of one part.\n"
            f"Leave all but one of them out: np.savez(FILE, {fitting[-1].name}=...)."
        )
    return fitting[0] if fitting else None


def is_images(block: Block) -> bool:
    fits = len(block.shape) == 3 or (len(block.shape) == 4 and block.shape[3] <= 16)
    return block.dtype == np.uint8 and fits and block.nbytes > 0


def require_channels_last(block: Block) -> None:
    """Raises DataError for images [N, C, H, W], and for one picture [H, W, C], which would pass for others."""
    shape = list(block.shape)
    if block.dtype != np.uint8:
        return
    if len(shape) == 4 and shape[1] in COLOURS and shape[1] < shape[3]:
        raise DataError(
            f"{block.name} of {block.path} is uint8{shape}, with its channels first: images are [N, H, W, C].\n"
            f"np.savez(FILE, {block.name}={block.name}.transpose(0, 2, 3, 1))"
        )
    if len(shape) == 3 and shape[2] in COLOURS[1:] and shape[2] < shape[1]:
        raise DataError(
            f"{block.name} of {block.path} is uint8{shape}: one picture? Images are [N, H, W, C], or [N, H, W] in "
            f"grey.\nOf one picture: np.savez(FILE, {block.name}={block.name}[None])"
        )


def described(path: Path, found: Mapping[str, Block], images: Mapping[PartName, Block]) -> Layout:
    """Labels and parts of images that lie one part after another."""
    taken = labels_in(path, found, images)
    starts = np.cumsum([0, *(block.shape[0] for block in images.values())])
    parts = {name: np.arange(starts[i], starts[i + 1]) for i, name in enumerate(images)}
    if any(block is None for block in taken.values()):
        return Layout(parts=parts)
    read = [labels(path, block, images[name].shape[0]) for name, block in taken.items() if block is not None]
    return Layout(np.concatenate(read), parts=parts)


def labels_in(path: Path, found: Mapping[str, Block], images: Mapping[PartName, Block]) -> dict[PartName, Block | None]:
    """The labels of each part, as far as there are some."""
    beside = labels_beside(path)
    return {name: beside or next((found[n] for n in LABELS[name] if n in found), None) for name in images}


def labels(path: Path, block: Block, count: int) -> NDArray[np.int64]:
    """[count] whole numbers from 0; a stray label of a billion is not a class."""
    fits = block.shape in ((count,), (count, 1)) and np.issubdtype(block.dtype, np.integer)
    y = block.whole().reshape(-1) if fits else np.full(1, -1)
    if y.min() < 0 or int(y.max()) >= max(count, MANY_CLASSES):
        raise DataError(
            f"the labels of {path} are {block.dtype}{list(block.shape)}: {count} images need whole numbers from 0, "
            "one each."
        )
    return y.astype(np.int64)


def labels_beside(path: Path) -> Block | None:
    """MNIST's names: t10k-images-idx3-ubyte.gz has its labels in t10k-labels-idx1-ubyte.gz."""
    name = path.name.replace("images", "labels").replace("idx3", "idx1")
    if path.suffix.lower() in (".npz", ".npy") or name == path.name or not path.with_name(name).is_file():
        return None
    return blocks(path.with_name(name))[0]


def squared(images: Pixels, size: int) -> Pixels:
    """uint8 [n, H, W, C] -> [n, size, size, C]; Pillow's filter works on each channel alone."""
    if images.shape[1:3] == (size, size):
        return images
    made = np.empty((len(images), size, size, images.shape[3]), np.uint8)
    colours = 3 if images.shape[3] == 3 else 1  # channels that make one picture
    for target, image in zip(made, images, strict=True):
        for c in range(0, images.shape[3], colours):
            plane = np.ascontiguousarray(image[..., c : c + colours].squeeze(-1) if colours == 1 else image)
            target[..., c : c + colours] = np.asarray(fitted(Image.fromarray(plane), size)).reshape(size, size, -1)
    return made
