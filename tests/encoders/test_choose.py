from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from equipoise.data.digits import digits
from equipoise.encoders import choose, classifier
from equipoise.encoders.choose import NAMES, chosen, named
from equipoise.encoders.classifier import ClassifierEncoder
from equipoise.encoders.mobilenet import MobileNetEncoder, MobileNetV2
from equipoise.encoders.pixels import Pixels
from equipoise.encoders.random_net import RandomNet
from equipoise.encoders.squeezenet import SqueezeNet, SqueezeNetEncoder
from equipoise.errors import ConfigError, DataError


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    """Weights of both nets under names that tell nothing."""
    found = {"squeezenet": tmp_path / "a.npz", "mobilenet": tmp_path / "b=c.npz"}
    for net, path in zip((SqueezeNet(), MobileNetV2()), found.values(), strict=True):
        np.savez(path, **{name: value.numpy() for name, value in net.layers.state_dict().items()})
    return found


def test_names_without_weights(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(classifier, "RECIPE", {**classifier.RECIPE, "steps": 2})
    monkeypatch.setenv("EQUIPOISE_CACHE", str(tmp_path))
    assert isinstance(chosen("pixels"), Pixels)
    assert isinstance(chosen("random"), RandomNet)
    assert isinstance(chosen("classifier", train=digits().train), ClassifierEncoder)
    assert len(list((tmp_path / "features").iterdir())) == 1


def test_a_file_is_given_in_three_ways(files: dict[str, Path]) -> None:
    for name, kind in {"squeezenet": SqueezeNetEncoder, "mobilenet": MobileNetEncoder}.items():
        path = files[name]
        ways = [chosen(name, path), chosen(f"{name}={path}"), chosen(str(path))]
        assert all(isinstance(way, kind) for way in ways)
        assert len({way.protocol["sha256"] for way in ways}) == 1


def test_a_file_of_the_other_net_is_refused(files: dict[str, Path]) -> None:
    with pytest.raises(DataError, match="does not hold the weights of SqueezeNet"):
        chosen("squeezenet", files["mobilenet"])


def test_a_file_of_no_net_is_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", images=np.zeros((2, 8, 8, 3), np.uint8))
    with pytest.raises(DataError, match="the weights of no net that is known here"):
        chosen(str(tmp_path / "x.npz"))
    with pytest.raises(DataError, match="cannot be read: No such file"):
        chosen(str(tmp_path / "missing.npz"))
    (tmp_path / "notes.txt").write_text("text")
    with pytest.raises(DataError, match=r"no \.npz"):
        chosen(str(tmp_path / "notes.txt"))


@pytest.mark.parametrize(
    ("wrong", "meant"),
    [("sqeezenet", "squeezenet"), ("Pixel", "pixels"), ("dino", "dinov2"), ("mobilnet=w.bin", "mobilenet")],
)
def test_a_wrong_name_is_put_right(wrong: str, meant: str) -> None:
    with pytest.raises(ConfigError, match=f"Did you mean '{meant}'"):
        chosen(wrong)


def test_a_name_like_no_other_lists_them_all() -> None:
    with pytest.raises(ConfigError) as caught:
        chosen("vgg")
    assert all(name in str(caught.value) for name in NAMES) and "Did you mean" not in str(caught.value)


@pytest.mark.parametrize("name", ["squeezenet", "mobilenet"])
def test_nets_without_their_weights_say_what_to_give(name: str) -> None:
    with pytest.raises(ConfigError, match=rf"{name}=FILE\.npz"):
        chosen(name)


def test_the_classifier_needs_images() -> None:
    with pytest.raises(DataError, match="images with labels"):
        chosen("classifier")


def test_torchscript_is_taken_for_inception_and_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.jit, "load", None)  # would raise if it were called
    (tmp_path / "graph.pt").write_bytes(b"anything")
    for features in (str(tmp_path / "graph.pt"), f"inception={tmp_path / 'graph.pt'}"):
        with pytest.raises(DataError, match=r"is not inception-2015-12-05\.pt"):
            chosen(features)


def test_inception_is_fetched_where_no_file_is_given(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "fetched.pt").write_bytes(b"anything")
    monkeypatch.setattr(choose, "fetched", lambda track: tmp_path / "fetched.pt")
    with pytest.raises(DataError, match=r"fetched\.pt is not inception"):
        chosen("inception")


def test_a_place_on_the_hub_is_no_unknown_name() -> None:
    assert named("dinov2=facebook/dinov2-base", None) == ("dinov2", Path("facebook/dinov2-base"))
