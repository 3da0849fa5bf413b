"""A classifier trained here, on the user's own labels, and then frozen: what it looks for is what tells them apart."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from equipoise.data.batches import Batches
from equipoise.data.hooks import Track, Warn, unheard, untracked
from equipoise.data.source import Part, Shape, Source, everything, scaled, to_uint8
from equipoise.encoders.cache import Cache, Tensors
from equipoise.encoders.encoder import Look, checked
from equipoise.encoders.looked import identity, kept_as
from equipoise.encoders.resize import shrunk
from equipoise.encoders.weights import digest
from equipoise.errors import DataError
from equipoise.streams import Stream

FEATURES = 64
SIDE = 32  # pixels: larger images are shrunk, or a minute would not do
RECIPE: Mapping[str, int] = {"steps": 800, "epochs": 30, "batch": 64, "width": 16, "seed": 0}  # whichever ends first
FEW, MOST_TIMES = 200, 5  # classes that so many steps will do for; for more of them, in proportion, up to so many times
HELD_OUT, MOST_HELD_OUT = 0.1, 2000
FEWEST = 20


class Classifier(nn.Module):
    """A small convolutional classifier of images [B, C, H, W] in [-1, 1], H and W at least 8."""

    def __init__(self, channels: int, classes: int, width: int = 32):
        super().__init__()
        self.channels = channels
        self.convolutions, self.penultimate = convolutions(channels, width), penultimate(width)
        self.classes = nn.Linear(FEATURES, classes)

    def features(self, x: Tensor) -> Tensor:
        """The penultimate layer, [B, 64]."""
        h: Tensor = self.penultimate(self.convolutions(x))
        return h

    def forward(self, x: Tensor) -> Tensor:
        """Logits [B, classes]."""
        logits: Tensor = self.classes(self.features(x))
        return logits

    @torch.no_grad()
    def classify(self, x: Tensor, chunk: int = 500) -> Tensor:
        """The most likely class of each image [B]."""
        return torch.cat([self(part).argmax(1) for part in torch.split(x, chunk)])


def convolutions(channels: int, width: int) -> nn.Sequential:
    """[B, C, H, W] in [-1, 1], H and W at least 8 -> [B, 32 * width]: 2 * width maps of 4 x 4 cells."""
    return nn.Sequential(
        nn.Conv2d(channels, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU(),
        nn.Conv2d(width, 2 * width, 3, padding=1), nn.BatchNorm2d(2 * width), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(2 * width, 2 * width, 3, padding=1), nn.BatchNorm2d(2 * width), nn.ReLU(),
        nn.AdaptiveAvgPool2d(4), nn.Flatten(),
    )  # fmt: skip


def penultimate(width: int) -> nn.Sequential:
    """[B, 32 * width] -> [B, 64]."""
    return nn.Sequential(nn.Linear(2 * width * 16, FEATURES), nn.ReLU())


def trained_classifier(
    train: Source, seed: int = 0, epochs: float = 30, batch: int = 64, width: int = 32, track: Track = untracked
) -> Classifier:
    """A classifier of a labelled source, trained with shifts by a pixel, then frozen.

    On the 1,439 training digits it takes about ten seconds on one core.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        net = Classifier(train.shape[0], train.classes, width)
    batches, shifts = Batches(train, batch, seed), Stream(seed, "shifts")
    steps = max(1, int(epochs * len(train) / batch))
    optimizer = torch.optim.AdamW(net.parameters(), 2e-3, weight_decay=1e-2, fused=True)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 4e-3, total_steps=steps)
    with one_thread():
        for step in track(range(steps), "training a classifier", steps):
            x, y = next(batches)
            dy, dx = torch.randint(-1, 2, (2,), generator=shifts.at(step)).tolist()
            loss = cross_entropy(net(x.roll((dy, dx), (2, 3))), y, label_smoothing=0.05)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            schedule.step()
    return net.eval().requires_grad_(False)


@contextmanager
def one_thread() -> Iterator[None]:
    """So small a net is faster on one thread: many times so on a busy machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def accuracy(net: Classifier, source: Source) -> float:
    x, y = everything(source)
    return float((net.classify(x) == y).double().mean())


class ClassifierEncoder:
    """The penultimate layer [B, 64] and the logits; `accuracy` is on images that the net did not learn from."""

    def __init__(self, net: Classifier, accuracy: float, trained_on: str, recipe: Mapping[str, int] = RECIPE):
        self.net, self.accuracy = net, accuracy
        self.protocol: Mapping[str, Any] = {
            "name": "classifier",
            "sha256": digest(net.state_dict()),
            "trained_on": trained_on,
            "recipe": dict(recipe),
            "accuracy": round(accuracy, 4),
            "resizer": f"mean of areas, to at most {SIDE} pixels a side",
            "range": "-1..1",
            "layer": "penultimate",
            "dimension": FEATURES,
        }

    @torch.no_grad()
    def look(self, images: Tensor) -> Look:
        """uint8 [B, C, H, W] with the channels that it learnt from. Raises DataError for other images."""
        features = self.net.features(scaled(small(checked(images, "classifier", [self.net.channels], smallest=8))))
        return Look(features, self.net.classes(features))


def classifier_encoder(
    train: Source, cache: Cache, track: Track = untracked, warn: Warn = unheard
) -> ClassifierEncoder:
    """The encoder trained on the labels of `train`, in about a minute on one core; from the cache if it was before.

    A tenth of `train` is held out for its accuracy, which is told by `warn` where it is not above chance.

    Raises:
        DataError: without labels, with a single class, fewer than 20 images, or images below 8 pixels a side.
    """
    trainable(train)
    order = torch.randperm(len(train), generator=Stream(RECIPE["seed"], "held out of the classifier").at(0))
    held = min(int(len(train) * HELD_OUT), MOST_HELD_OUT)
    learnt, unseen = Small(Part(train, order[held:])), Small(Part(train, order[:held]))
    sample = identity(train)

    recipe = {**RECIPE, "steps": round(RECIPE["steps"] * min(MOST_TIMES, max(1.0, train.classes / FEW)))}

    def make() -> Tensors:
        epochs = min(float(RECIPE["epochs"]), recipe["steps"] * RECIPE["batch"] / len(learnt))
        net = trained_classifier(learnt, RECIPE["seed"], epochs, RECIPE["batch"], RECIPE["width"], track)
        return net.state_dict() | {"accuracy": torch.tensor(accuracy(net, unseen), dtype=torch.float64)}

    known = cache.remembered({"classifier": recipe, "images": kept_as(train)}, make)
    right = float(known.pop("accuracy"))
    with torch.device("meta"):  # draws no weights
        net = Classifier(train.shape[0], train.classes, RECIPE["width"])
    net.load_state_dict(known, assign=True)
    chance = float(torch.bincount(everything(unseen)[1]).max() / held)
    if right <= chance + 2 * math.sqrt(chance * (1 - chance) / held):  # no more than luck
        warn(
            f"the classifier is right on {right:.0%} of held-out images, of which {chance:.0%} are of one class:\n"
            "its features say little about these images. Choose other features."
        )
    return ClassifierEncoder(net.eval().requires_grad_(False), right, sample, recipe)


def trainable(train: Source) -> None:
    if train.classes < 2:
        raise DataError(
            f"the features 'classifier' need labels of at least two classes, and these images have {train.classes}.\n"
            "Choose 'random', or weights of a trained net."
        )
    enough(train, "classifier")


def enough(train: Source, name: str) -> None:
    """Raises DataError for what the nets trained here cannot learn from, with or without labels."""
    if len(train.shape) != 3 or min(train.shape[1:]) < 8:
        raise DataError(f"the features {name!r} need images of at least 8 pixels a side, not {list(train.shape)}.")
    if len(train) < FEWEST:
        raise DataError(f"the features {name!r} need at least {FEWEST} images to learn from, not {len(train)}.")


def small(images: Tensor, side: int = SIDE) -> Tensor:
    """uint8 images, with at most `side` pixels a side."""
    return shrunk(images, side).round().to(torch.uint8)


class Small:
    """A source's images with at most `side` pixels a side."""

    def __init__(self, source: Source, side: int = SIDE):
        self.source, self.side = source, side

    @property
    def shape(self) -> Shape:
        return tuple(small(torch.zeros(1, *self.source.shape, dtype=torch.uint8), self.side).shape[1:])

    @property
    def classes(self) -> int:
        return self.source.classes

    def __len__(self) -> int:
        return len(self.source)

    def expect(self, indices: Tensor) -> None:
        self.source.expect(indices)

    def take(self, indices: Tensor) -> tuple[Tensor, Tensor]:
        x, y = self.source.take(indices)
        return scaled(small(to_uint8(x), self.side)), y

    def identity(self, indices: Tensor) -> Iterator[bytes]:
        yield f"at most {self.side} pixels".encode()
        yield from self.source.identity(indices)
