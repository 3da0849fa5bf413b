"""Would horizontal flips change the data? A small net is asked to tell pictures from their mirror images, as in Lin et
al. 2020, "Visual chirality" (arXiv:2006.09512).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import softplus

from equipoise.cleaning.crossfit import CHUNK, small
from equipoise.data.hashes import Pixels
from equipoise.data.hooks import Track, untracked
from equipoise.data.source import scaled
from equipoise.encoders.classifier import Classifier
from equipoise.streams import Stream

MOST = 6000  # pictures, a third of them held out
FEWEST = 100
STEPS, BATCH = 200, 48
MOST_EPOCHS = 30
WIDTH = 16
CHIRAL = 0.6  # accuracy from which flips are advised against


@dataclass(frozen=True)
class MirrorTest:
    accuracy: float  # on held-out pictures; one half is chance
    error: float  # standard error
    held_out: int

    @property
    def flips_change_the_data(self) -> bool:
        return self.accuracy - 2 * self.error > 0.5 and self.accuracy >= CHIRAL


def mirror_test(images: Pixels, track: Track = untracked) -> MirrorTest | None:
    """Trains a score of images [N, H, W, C] to be larger than that of their mirror images; None for under 100 images.

    A picture that equals its mirror image counts half.
    """
    if len(images) < FEWEST:
        return None
    order = torch.randperm(len(images), generator=Stream(0, "mirror").at(0))[:MOST]
    x = small(images[order.numpy()])
    held = len(x) // 3
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        net = Classifier(x.shape[1], 1, WIDTH)
    steps = min(STEPS, MOST_EPOCHS * (len(x) - held) // BATCH)
    for _ in track(trained(net, x[held:], steps), "mirror test", steps):
        pass
    net.eval()
    with torch.no_grad():
        margins = torch.cat([margin(net, scaled(part)) for part in torch.split(x[:held], CHUNK)])
    accuracy = float((margins > 0).double().mean() + (margins == 0).double().mean() / 2)
    return MirrorTest(accuracy, (accuracy * (1 - accuracy) / held) ** 0.5, held)


def trained(net: Classifier, x: Tensor, steps: int) -> Iterator[None]:
    optimizer = torch.optim.AdamW(net.parameters(), 2e-3, weight_decay=1e-2, fused=True)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 4e-3, total_steps=steps)
    for step in range(steps):
        some = torch.randint(len(x), (BATCH,), generator=Stream(0, "mirror batches").at(step))
        loss = softplus(-margin(net, scaled(x[some]))).mean()  # -log sigmoid
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        schedule.step()
        yield


def margin(net: Classifier, x: Tensor) -> Tensor:
    """score(x) - score(mirrored x), [B]: changes sign with the mirror, so that no bias can win."""
    scores: Tensor = net(torch.cat([x, x.flip(3)])).squeeze(1)
    return scores[: len(x)] - scores[len(x) :]
