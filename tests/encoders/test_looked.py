from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from equipoise.data import arrays as module
from equipoise.data.arrays import arrays
from equipoise.data.hooks import T
from equipoise.data.source import InMemory, Part
from equipoise.encoders.cache import Cache
from equipoise.encoders.encoder import Encoder, Look
from equipoise.encoders.looked import identity, looked, remembered
from equipoise.encoders.pixels import Pixels
from equipoise.encoders.random_net import RandomNet
from equipoise.errors import DataError


class Mean:
    """The mean of each channel, and how often it was asked."""

    def __init__(self, name: str = "mean"):
        self.protocol = {"name": name}
        self.seen = 0

    def look(self, images: Tensor) -> Look:
        self.seen += len(images)
        return Look(images.float().mean((2, 3)), images.float().flatten(1)[:, :5])


def noise(n: int, channels: int = 3, side: int = 8, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (n, channels, side, side), dtype=torch.uint8, generator=generator)


@pytest.mark.parametrize("encoder", [Pixels(), RandomNet(), Mean()], ids=lambda e: e.protocol["name"])
@pytest.mark.parametrize("chunk", [1, 2, 13, 64])
def test_the_chunk_changes_nothing(encoder: Encoder, chunk: int) -> None:
    images = noise(23, side=16)
    a, b = looked(encoder, images, chunk), looked(encoder, images, 23)
    torch.testing.assert_close(a.features, b.features, atol=1e-5, rtol=1e-5)
    assert (a.logits is None) == (b.logits is None)
    if a.logits is not None and b.logits is not None:
        torch.testing.assert_close(a.logits, b.logits, atol=1e-5, rtol=1e-5)


def test_a_source_is_seen_with_the_pixels_of_its_files() -> None:
    images = torch.arange(256, dtype=torch.uint8).view(4, 1, 8, 8)
    assert torch.equal(looked(Pixels(), InMemory(images)).features, Pixels().look(images).features)


def test_a_part_is_seen_in_its_own_order() -> None:
    images = noise(6)
    part = Part(InMemory(images), torch.tensor([4, 0, 5]))
    assert torch.equal(looked(Mean(), part, 2).features, Mean().look(images[[4, 0, 5]]).features)


def test_floats_of_a_source_are_rounded_and_clamped_as_a_file_would() -> None:
    floats = InMemory(torch.tensor([-1.7, -0.9999, 0.0, 0.9999, 1.7, 1.0, -1.0, 0.5] * 8).view(1, 1, 8, 8))
    assert looked(Pixels(), floats).features.min() == -1 and looked(Pixels(), floats).features.max() == 1


def test_progress_is_shown_by_the_caller() -> None:
    told = []

    def track(items: Iterable[T], label: str, count: int) -> Iterable[T]:
        told.append((label, count))
        return items

    looked(Mean(), noise(10), 4, track)
    assert told == [("looking (mean)", 3)]


def test_looking_keeps_no_graph() -> None:
    class Learnt(Mean):
        def look(self, images: Tensor) -> Look:
            return Look(torch.ones(len(images), 1, requires_grad=True) * 2)

    assert not looked(Learnt(), noise(3)).features.requires_grad


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_an_encoder_without_finite_features_is_refused(value: float) -> None:
    class Broken(Mean):
        def look(self, images: Tensor) -> Look:
            return Look(torch.tensor([[0.0, value], [1.0, 2.0]]))

    with pytest.raises(DataError, match="not finite for 1 of 2 images"):
        looked(Broken("broken"), noise(2))


@pytest.mark.parametrize(
    ("images", "words"),
    [
        (noise(0), "no image"),
        (noise(2).float(), "uint8"),
        (InMemory(torch.zeros(5, 2)), "no images"),
        (torch.zeros(4, 8, 8, dtype=torch.uint8), "no images"),
    ],
    ids=["none", "floats", "points", "without channels"],
)
def test_what_are_no_images_is_refused(images: Tensor | InMemory, words: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=words):
        looked(Pixels(), images)
    with pytest.raises(DataError, match=words):
        remembered(Pixels(), images, Cache(tmp_path))


def test_the_same_images_are_looked_at_once(tmp_path: Path) -> None:
    encoder, images = Mean(), noise(9)
    first = remembered(encoder, images, Cache(tmp_path))
    second = remembered(encoder, InMemory(images), Cache(tmp_path))
    assert encoder.seen == 9
    assert torch.equal(first.features, second.features)
    assert first.logits is not None and second.logits is not None and torch.equal(first.logits, second.logits)


def test_other_images_or_another_protocol_are_looked_at_anew(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    one, other = Mean(), Mean("other")
    remembered(one, noise(9), cache)
    remembered(one, noise(9).flip(0), cache)
    remembered(one, noise(8), cache)
    assert one.seen == 26
    remembered(other, noise(9), cache)
    assert other.seen == 9


def test_without_logits_there_are_none_to_remember(tmp_path: Path) -> None:
    for _ in range(2):
        assert remembered(Pixels(), noise(3), Cache(tmp_path)).logits is None


def test_identity_tells_sets_apart() -> None:
    images = noise(4)
    sets = [images, images[:3], images.flip(0), images.view(4, 1, 8, 24), InMemory(images, torch.arange(4), 4)]
    assert len({identity(s) for s in sets}) == 5
    assert identity(images) == identity(InMemory(images.clone()))


def test_features_of_a_large_file_are_made_again_when_it_was_changed_where_its_fingerprint_does_not_look(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PLACES", 2)
    monkeypatch.setattr(module, "PLACE_BYTES", 200)
    path, x = tmp_path / "large.npy", noise(40).permute(0, 2, 3, 1).numpy()
    np.save(path, x)
    encoder, cache = RandomNet(), Cache(tmp_path / "cache")

    def seen() -> tuple[str, Tensor]:
        source = arrays(path, None, memory_mib=0).train
        return identity(source), remembered(encoder, source, cache).features

    before, again = seen(), seen()
    x[10:30] = 255 - x[10:30]
    np.save(path, x)
    os.utime(path, ns=(0, 1))
    after = seen()
    assert before[0] == after[0], "a run goes on with a copy of its data"
    assert torch.equal(before[1], again[1]) and len(list((tmp_path / "cache").iterdir())) == 2
    assert not torch.equal(before[1], after[1])
