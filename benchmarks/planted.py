"""python benchmarks/planted.py --data mnist.npz    faults planted in MNIST, and how many of them `data check` finds.

The first 10,000 training images (or --count), written as PNG files into class folders. Planted in each seed: 50 exact
duplicates; 50 near duplicates (ten each: JPEG of quality 60 to 90, noise of sigma 4/255, brightness and contrast by .9
to 1.1, resized to 3/4 and back, shifted by one pixel); 50 labels replaced by a random other class; 20 outliers (five
each: noise, inverted digits, CIFAR-10 in grey, Omniglot characters); 20 broken files (truncated, empty, text).
Thresholds were chosen on seeds 10 to 12; the seeds of the record are 0 to 2. MNIST has faults of its own, so that the
precision printed here is a lower bound: look at the sheets of what else was found.
"""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from pathlib import Path
from zipfile import ZipFile

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter, ImageOps

Pixels = NDArray[np.uint8]
NEAR = ("jpeg", "noise", "brightness", "resized", "shifted")
ODD = ("noise", "inverted", "photo", "letter")


@dataclass
class Planted:
    """Images [N, 28, 28] with labels [N]; what was done, by kind: places of the planted image (and of its original)."""

    images: Pixels
    labels: NDArray[np.int64]
    exact: list[tuple[int, int]] = field(default_factory=list)
    near: dict[tuple[int, int], str] = field(default_factory=dict)
    wrong: dict[int, int] = field(default_factory=dict)  # place -> its true label
    odd: dict[int, str] = field(default_factory=dict)


def planted(images: Pixels, labels: NDArray[np.int64], shared: Path, seed: int) -> Planted:
    """The images with copies and strangers added at the end, and labels changed among the first."""
    rng = np.random.default_rng(seed)
    places = rng.permutation(len(images))
    found = Planted(images, labels.copy())
    added, classes = [], []
    for place in places[:50]:
        found.exact.append((len(images) + len(added), int(place)))
        added.append(images[place])
        classes.append(labels[place])
    for i, place in enumerate(places[50:100]):
        found.near[len(images) + len(added), int(place)] = NEAR[i % 5]
        added.append(copy(images[place], NEAR[i % 5], rng))
        classes.append(labels[place])
    for i in range(20):
        found.odd[len(images) + len(added)] = ODD[i % 4]
        added.append(stranger(ODD[i % 4], images[places[200 + i]], shared, rng))
        classes.append(int(rng.integers(10)))
    for place in places[100:150]:
        found.wrong[int(place)] = int(labels[place])
        found.labels[place] = (labels[place] + rng.integers(1, 10)) % 10
    found.images = np.concatenate([images, np.stack(added)])
    found.labels = np.concatenate([found.labels, np.array(classes)])
    return found


def copy(image: Pixels, kind: str, rng: np.random.Generator) -> Pixels:
    values = image.astype(np.float64)
    match kind:
        case "jpeg":
            file = io.BytesIO()
            Image.fromarray(image).save(file, "JPEG", quality=int(rng.integers(60, 91)))
            return np.asarray(Image.open(file, formats=("JPEG",)))
        case "noise":
            values = values + rng.normal(0, 4, image.shape)
        case "brightness":
            values = (values - 128) * rng.uniform(0.9, 1.1) + 128 * rng.uniform(0.9, 1.1)
        case "resized":
            small = Image.fromarray(image).resize((21, 21), Image.Resampling.LANCZOS)
            return np.asarray(small.resize((28, 28), Image.Resampling.BICUBIC))
        case "shifted":
            dy, dx = [(0, 1), (0, -1), (1, 0), (-1, 0), (1, 1), (-1, -1), (1, -1), (-1, 1)][rng.integers(8)]
            values = np.roll(values, (dy, dx), (0, 1))
    return values.round().clip(0, 255).astype(np.uint8)


def stranger(kind: str, image: Pixels, shared: Path, rng: np.random.Generator) -> Pixels:
    match kind:
        case "noise":
            return rng.integers(0, 256, (28, 28), dtype=np.uint8)
        case "inverted":
            return 255 - image
        case "photo":
            picture = member(shared / "cifar10/cifar10_jpeg.zip", rng).convert("L")
            return np.asarray(picture.resize((28, 28), Image.Resampling.LANCZOS))
        case _:  # strokes made as thick as those of a digit, white on black, in the frame of 20 pixels that MNIST uses
            drawn = ImageOps.invert(member(shared / "omniglot/images_background_small1.zip", rng).convert("L"))
            drawn = drawn.filter(ImageFilter.MaxFilter(7)).resize((20, 20), Image.Resampling.LANCZOS)
            return np.asarray(ImageOps.expand(drawn, 4))


def member(archive: Path, rng: np.random.Generator) -> Image.Image:
    """One picture of a zip, at random."""
    with ZipFile(archive) as content:
        names = [name for name in content.namelist() if name.lower().endswith((".jpg", ".png"))]
        return Image.open(io.BytesIO(content.read(names[rng.integers(len(names))]))).copy()
