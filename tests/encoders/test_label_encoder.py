"""The classifier as an encoder: learns, is remembered, says how sure it is. On real digits, with fewer steps."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from equipoise.data.digits import digits
from equipoise.data.source import InMemory, Source, everything, to_uint8
from equipoise.encoders import classifier as module
from equipoise.encoders.cache import Cache
from equipoise.encoders.classifier import ClassifierEncoder, Small, classifier_encoder
from equipoise.encoders.looked import looked
from equipoise.errors import DataError


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "RECIPE", {**module.RECIPE, "steps": 100})


@pytest.fixture(scope="module")
def learnt(tmp_path_factory: pytest.TempPathFactory) -> tuple[ClassifierEncoder, Path]:
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "RECIPE", {**module.RECIPE, "steps": 100})
        return classifier_encoder(digits().train, Cache(folder)), folder


def test_it_reads_digits_that_it_did_not_learn_from(learnt: tuple[ClassifierEncoder, Path]) -> None:
    encoder, _ = learnt
    x, y = everything(digits().test)
    look = looked(encoder, to_uint8(x))
    assert look.features.shape == (len(x), 64) and look.logits is not None
    right = float((look.logits.argmax(1) == y).double().mean())
    assert right > 0.9
    assert abs(encoder.accuracy - right) < 0.07  # what it says of itself: 143 held-out digits and 179 others
    assert encoder.protocol["accuracy"] == round(encoder.accuracy, 4)


def test_it_learns_once(learnt: tuple[ClassifierEncoder, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    encoder, folder = learnt
    monkeypatch.setattr(module, "trained_classifier", None)  # would raise if it were called
    again = classifier_encoder(digits().train, Cache(folder))
    assert dict(again.protocol) == dict(encoder.protocol) and again.accuracy == encoder.accuracy
    x, _ = everything(digits().test)
    assert torch.equal(looked(again, to_uint8(x)).features, looked(encoder, to_uint8(x)).features)


def test_the_chunk_changes_nothing(learnt: tuple[ClassifierEncoder, Path]) -> None:
    a, b = (looked(learnt[0], digits().test, chunk).features for chunk in (7, 179))
    torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-5)


def test_two_trainings_are_equal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "RECIPE", {**module.RECIPE, "steps": 5})
    a, b = (classifier_encoder(digits().train, Cache(tmp_path / name)).protocol["sha256"] for name in "ab")
    assert a == b


def test_the_global_generator_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "RECIPE", {**module.RECIPE, "steps": 2})
    before = torch.get_rng_state()
    classifier_encoder(digits().train, Cache(tmp_path))
    assert torch.equal(before, torch.get_rng_state())


def test_labels_at_random_are_told(tmp_path: Path) -> None:
    """The negative control: there is nothing to learn, and the accuracy says so."""
    x, _ = everything(digits().train)
    y = torch.randint(10, (len(x),), generator=torch.Generator().manual_seed(0))
    y[: len(y) // 2] = 3
    told: list[str] = []
    encoder = classifier_encoder(InMemory(to_uint8(x), y, 10), Cache(tmp_path), warn=told.append)
    assert encoder.accuracy < 0.65
    assert len(told) == 1 and "say little" in told[0]


def test_large_images_are_shrunk_alike_in_training_and_in_looking() -> None:
    images = torch.randint(0, 256, (3, 1, 100, 60), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    source = Small(InMemory(images))
    assert source.shape == (1, 32, 19)
    assert torch.equal(to_uint8(source.take(torch.arange(3))[0]), module.small(images))


def blank(n: int, *shape: int) -> Tensor:
    return torch.zeros(n, *shape, dtype=torch.uint8)


@pytest.mark.parametrize(
    ("source", "words"),
    [
        (InMemory(blank(50, 1, 8, 8)), "labels of at least two classes"),
        (InMemory(blank(50, 1, 8, 8), torch.zeros(50), 1), "at least two classes, and these images have 1"),
        (InMemory(blank(50, 1, 7, 9), torch.arange(50) % 2, 2), "at least 8 pixels"),
        (InMemory(torch.zeros(50, 2), torch.arange(50) % 2, 2), "at least 8 pixels"),
        (InMemory(blank(19, 1, 8, 8), torch.arange(19) % 2, 2), "at least 20 images"),
    ],
    ids=["unlabelled", "one class", "tiny", "points", "few"],
)
def test_what_nothing_can_be_learnt_from_is_refused(source: Source, words: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=words):
        classifier_encoder(source, Cache(tmp_path))


def test_other_channels_than_it_learnt_from_are_refused(learnt: tuple[ClassifierEncoder, Path]) -> None:
    with pytest.raises(DataError, match=r"images of 1 channel.s., not 3"):
        learnt[0].look(blank(2, 3, 8, 8))
