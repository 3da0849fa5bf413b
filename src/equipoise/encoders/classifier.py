"""Frozen networks that look at samples and are never seen by D: trained here, on the user's own data."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from equipoise.data.batches import Batches
from equipoise.data.source import Source, everything
from equipoise.streams import Stream

FEATURES = 64


class Classifier(nn.Module):
    """A small convolutional classifier of images [B, C, H, W] in [-1, 1], H and W at least 8."""

    def __init__(self, channels: int, classes: int, width: int = 32):
        super().__init__()
        self.convolutions = nn.Sequential(
            nn.Conv2d(channels, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU(),
            nn.Conv2d(width, 2 * width, 3, padding=1), nn.BatchNorm2d(2 * width), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(2 * width, 2 * width, 3, padding=1), nn.BatchNorm2d(2 * width), nn.ReLU(),
            nn.AdaptiveAvgPool2d(4), nn.Flatten(),
        )  # fmt: skip
        self.penultimate = nn.Sequential(nn.Linear(2 * width * 16, FEATURES), nn.ReLU())
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
    def classify(self, x: Tensor, chunk: int = 2000) -> Tensor:
        """The most likely class of each image [B]."""
        return torch.cat([self(part).argmax(1) for part in torch.split(x, chunk)])


def trained_classifier(
    train: Source, seed: int = 0, epochs: float = 30, batch: int = 64, width: int = 32
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
    for step in range(steps):
        x, y = next(batches)
        dy, dx = torch.randint(-1, 2, (2,), generator=shifts.at(step)).tolist()
        loss = cross_entropy(net(x.roll((dy, dx), (2, 3))), y, label_smoothing=0.05)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        schedule.step()
    return net.eval().requires_grad_(False)


def accuracy(net: Classifier, source: Source) -> float:
    x, y = everything(source)
    return float((net.classify(x) == y).double().mean())
