"""DINOv2 and CLIP by tiny nets with random weights: how they are loaded and what they are shown."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from equipoise.encoders.foundation import FOUNDATIONS, FoundationEncoder, Name
from equipoise.encoders.looked import looked
from equipoise.errors import DataError, MachineError

CPU = torch.device("cpu")
installed = pytest.mark.skipif(
    importlib.util.find_spec("transformers") is None, reason="needs the extra: pip install 'equipoise[foundation]'"
)
SIZES = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}


def tiny_dinov2(folder: Path) -> None:
    from transformers import Dinov2Config, Dinov2Model

    Dinov2Model(Dinov2Config(**SIZES, image_size=56, patch_size=28)).save_pretrained(folder)


def tiny_clip(folder: Path) -> None:
    """Both halves, as it is published: only the eyes are looked through."""
    from transformers import CLIPConfig, CLIPModel

    eyes = {**SIZES, "intermediate_size": 32, "projection_dim": 12, "image_size": 224, "patch_size": 56}
    words = {**SIZES, "intermediate_size": 32, "vocab_size": 50, "bos_token_id": 48, "eos_token_id": 49}
    CLIPModel(CLIPConfig(vision_config=eyes, text_config=words, projection_dim=12)).save_pretrained(folder)


MAKERS: dict[Name, tuple[Callable[[Path], None], int]] = {"dinov2": (tiny_dinov2, 16), "clip": (tiny_clip, 12)}


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[Name, Path]:
    from transformers.utils import logging

    logging.disable_progress_bar()
    folder = tmp_path_factory.mktemp("nets")
    torch.manual_seed(0)
    for name, (make, _) in MAKERS.items():
        make(folder / name)
    return {name: folder / name for name in MAKERS}


def noise(*shape: int) -> Tensor:
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


@installed
@pytest.mark.parametrize("name", MAKERS)
def test_features_are_the_nets_own(name: Name, folders: dict[Name, Path]) -> None:
    encoder, images = FoundationEncoder(name, str(folders[name]), CPU), noise(5, 3, 224, 224)
    kind = FOUNDATIONS[name]
    x = (images / 255 - torch.tensor(kind.mean).view(3, 1, 1)) / torch.tensor(kind.deviation).view(3, 1, 1)
    expected = encoder.net(x)[kind.layer]
    features = looked(encoder, images, 2).features
    torch.testing.assert_close(features, expected, atol=1e-5, rtol=1e-4)
    assert features.shape == (5, MAKERS[name][1]) and encoder.protocol["dimension"] == MAKERS[name][1]


@installed
@pytest.mark.parametrize("name", MAKERS)
def test_any_size_and_grey(name: Name, folders: dict[Name, Path]) -> None:
    encoder, grey = FoundationEncoder(name, str(folders[name]), CPU), noise(2, 1, 30, 40)
    assert torch.equal(encoder.look(grey).features, encoder.look(grey.expand(-1, 3, -1, -1)).features)


@installed
def test_the_protocol_names_the_weights_and_not_their_place(folders: dict[Name, Path], tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    copy.mkdir()
    for file in folders["dinov2"].iterdir():
        (copy / file.name).write_bytes(file.read_bytes())
    one, same = (FoundationEncoder("dinov2", str(f), CPU).protocol for f in (folders["dinov2"], copy))
    assert dict(one) == dict(same)


@installed
def test_another_nets_weights_are_refused(folders: dict[Name, Path]) -> None:
    """transformers itself would draw the missing ones at random, with a warning."""
    with pytest.raises(DataError):
        FoundationEncoder("dinov2", str(folders["clip"]), CPU)
    with pytest.raises(DataError):
        FoundationEncoder("clip", str(folders["dinov2"]), CPU)


@installed
def test_a_folder_without_a_net_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"dinov2=FOLDER") as caught:
        FoundationEncoder("dinov2", str(tmp_path), CPU)
    assert len(str(caught.value).splitlines()) <= 3


@installed
def test_a_damaged_file_is_refused(folders: dict[Name, Path], tmp_path: Path) -> None:
    for file in folders["dinov2"].iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    weights = tmp_path / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-50])
    with pytest.raises(DataError, match="cannot be read"):
        FoundationEncoder("dinov2", str(tmp_path), CPU)


def test_without_the_extra_the_error_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "transformers", None)  # as if it were not installed
    with pytest.raises(MachineError, match=r"pip install 'equipoise\[foundation\]'"):
        FoundationEncoder("dinov2", None, CPU)


def test_it_is_imported_only_when_asked_for() -> None:
    program = "import sys, equipoise.encoders.choose; sys.exit('transformers' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
