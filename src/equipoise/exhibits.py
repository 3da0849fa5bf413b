"""What figures cannot tell, as pictures: which modes are drawn too rarely, and what samples were learned from."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import torch
from PIL import Image

from equipoise import pictures
from equipoise.build import in_rows
from equipoise.errors import DataError, StorageError
from equipoise.evaluation import Reference, Samples, in_bins
from equipoise.metrics import nearest

SHOWN, NEIGHBOURS = 10, 5  # samples, and training images beside each


def exhibits(fake: Samples, against: Reference) -> Iterator[tuple[str, Image.Image]]:
    """`modes` and `nearest`, where the samples are images and training data is known."""
    if fake.pixels is None or against.train is None or against.train.pixels is None:
        return
    with suppress(DataError):  # too few samples for bins
        yield "modes", modes(fake, against)
    yield "nearest", beside_training(fake, against.train)


def modes(fake: Samples, against: Reference) -> Image.Image:
    """How often each mode is drawn, beside how often it occurs; each is shown by the training image in its middle."""
    assert against.train is not None and against.train.pixels is not None
    found, (partition, _) = in_bins(fake, against), against.bins
    _, middle = nearest(partition.centres.float(), against.train.features)
    return pictures.modes(found.real.numpy(), found.fake.numpy(), in_rows(against.train.pixels[middle]))


def beside_training(fake: Samples, train: Samples) -> Image.Image:
    """The samples that are nearest to training images, and those images: where copies would be seen."""
    assert fake.pixels is not None and train.pixels is not None
    distance, _ = nearest(fake.features, train.features)
    suspects = distance.argsort()[:SHOWN]
    apart = torch.cdist(fake.features[suspects].double(), train.features.double())
    near = apart.topk(min(NEIGHBOURS, len(train)), largest=False)
    beside = torch.stack([train.pixels[places] for places in near.indices])
    return pictures.nearest(in_rows(fake.pixels[suspects]), in_rows(beside), near.values.numpy())


def write(found: Iterator[tuple[str, Image.Image]], folder: Path) -> list[Path]:
    """Raises StorageError when they cannot be written."""
    paths = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, picture in found:
            paths.append(folder / f"{name}.png")
            picture.save(paths[-1])
    except OSError as error:
        raise StorageError(f"cannot write pictures to {folder}: {error.strerror or error}.") from error
    return paths
