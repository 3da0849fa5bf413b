"""SqueezeNet and MobileNet, layer by layer against numpy; with the real weights where they are, on real pictures."""

from __future__ import annotations

import io
import os
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from equipoise.encoders import mobilenet, squeezenet
from equipoise.encoders.encoder import Encoder
from equipoise.encoders.looked import looked
from equipoise.encoders.mobilenet import MobileNetEncoder, MobileNetV2
from equipoise.encoders.random_net import RandomNet
from equipoise.encoders.squeezenet import SqueezeNet, SqueezeNetEncoder
from equipoise.encoders.weights import loaded, read
from equipoise.errors import DataError

CPU = torch.device("cpu")
Floats = NDArray[np.float64]
Arrays = dict[str, NDArray[np.float32]]
SHARED = Path(os.environ.get("EQUIPOISE_SHARED", "/nowhere"))
SQUEEZENET, MOBILENET = (SHARED / "data/features" / f for f in ("squeezenet_v1.0.npz", "mobilenet_v2_backbone.npz"))
CIFAR = SHARED / "data/cifar10/cifar10_jpeg.zip"
given = pytest.mark.skipif(
    not (SQUEEZENET.is_file() and MOBILENET.is_file() and CIFAR.is_file()),
    reason="needs the trained weights and CIFAR-10 in the folder $EQUIPOISE_SHARED",
)


def drawn(net: nn.Module) -> Arrays:
    """Weights of the right shapes that keep the size of what passes through."""
    rng = np.random.default_rng(0)
    shapes = {name: tuple(value.shape) for name, value in net.state_dict().items()}
    return {
        name: (rng.standard_normal(s) * (np.sqrt(2 / np.prod(s[1:])) if len(s) > 1 else 0.1)).astype(np.float32)
        for name, s in shapes.items()
    }


def saved(path: Path, arrays: Arrays) -> Path:
    with path.open("wb") as file:
        np.savez(file, **arrays)
    return path


@pytest.fixture(scope="module")
def squeezed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Arrays]:
    arrays = drawn(SqueezeNet().layers)
    return saved(tmp_path_factory.mktemp("squeezenet") / "weights.npz", arrays), arrays


@pytest.fixture(scope="module")
def mobile(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Arrays]:
    arrays = drawn(MobileNetV2().layers)
    return saved(tmp_path_factory.mktemp("mobilenet") / "weights.npz", arrays), arrays


def convolved(x: Floats, arrays: Arrays, name: str, stride: int = 1, margin: tuple[int, int] = (0, 0)) -> Floats:
    """x [C, H, W] with `margin` zeros before and after each axis; one kernel for each channel if it is depthwise."""
    weight, bias = arrays[f"{name}.weight"].astype(np.float64), arrays[f"{name}.bias"]
    x = np.pad(x, ((0, 0), margin, margin))
    windows = sliding_window_view(x, weight.shape[2:], (1, 2))[:, ::stride, ::stride]  # [C, H', W', k, k]
    if weight.shape[1] == 1 and len(x) > 1:
        return np.einsum("chwij,cij->chw", windows, weight[:, 0]) + bias[:, None, None]
    return np.tensordot(weight, windows, ((1, 2, 3), (0, 3, 4))) + bias[:, None, None]


def rectified(x: Floats, top: float = np.inf) -> Floats:
    return x.clip(0, top)


def caffe_pooled(x: Floats) -> Floats:
    """3 x 3 maxima, two apart; the last window may hang over the edge."""
    h, w = (-(-(side - 3) // 2) + 1 for side in x.shape[1:])
    return np.stack(
        [[x[:, 2 * i : 2 * i + 3, 2 * j : 2 * j + 3].max((1, 2)) for j in range(w)] for i in range(h)], 0
    ).transpose(2, 0, 1)


def test_squeezenet_layer_by_layer(squeezed: tuple[Path, Arrays]) -> None:
    path, arrays = squeezed
    x = np.random.default_rng(1).standard_normal((3, 62, 55))  # odd sizes, so that pooling must round up
    h = caffe_pooled(rectified(convolved(x, arrays, "conv1", 2)))
    for fire in range(2, 10):
        s = rectified(convolved(h, arrays, f"fire{fire}/conv1x1_1"))
        one = convolved(s, arrays, f"fire{fire}/conv1x1_2")
        three = convolved(s, arrays, f"fire{fire}/conv3x3_2", margin=(1, 1))
        h = rectified(np.concatenate([one, three]))
        if fire in (4, 8):
            h = caffe_pooled(h)
    logits = rectified(convolved(h, arrays, "conv_final", margin=(1, 1))).mean((1, 2))
    net = SqueezeNet()
    loaded(net.layers, read(path), "SqueezeNet")
    features, ours = net(torch.from_numpy(x)[None].float())
    np.testing.assert_allclose(features[0].numpy(), h.mean((1, 2)), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(ours[0].numpy(), logits, rtol=1e-4, atol=1e-5)


def test_mobilenet_layer_by_layer(mobile: tuple[Path, Arrays]) -> None:
    """The plan is written out from the paper's table 2: names, strides and short cuts."""
    path, arrays = mobile
    strides = {0: 2, 4: 2, 10: 2, 19: 2, 40: 2}
    short_cuts = {8, 14, 17, 23, 26, 29, 35, 38, 44, 47}  # the last layer of a block
    x = np.random.default_rng(1).standard_normal((3, 64, 96))
    h, block = rectified(convolved(x, arrays, "00_conv", 2, (0, 1)), 6), None
    for i in range(1, 51):
        depthwise = i % 3 == 1
        block = h if i % 3 == 0 else block  # what the block began with
        name = f"{i:02d}_{'dw' if depthwise else 'conv'}"
        stride = strides.get(i, 1)
        out = convolved(h, arrays, name, stride, ((0, 1) if stride == 2 else (1, 1)) if depthwise else (0, 0))
        narrower = out + block if i in short_cuts else out  # linear
        h = narrower if i % 3 == 2 else rectified(out, 6)
    expected = rectified(convolved(h, arrays, "51_conv"), 6).mean((1, 2))
    net = MobileNetV2()
    loaded(net.layers, read(path), "MobileNet")
    assert {name for name in net.layers if net.layers[name].stride == (2, 2)} == {
        "00_conv",
        "04_dw",
        "10_dw",
        "19_dw",
        "40_dw",
    }
    np.testing.assert_allclose(net(torch.from_numpy(x)[None].float())[0].numpy(), expected, rtol=1e-4, atol=1e-5)


def noise(*shape: int) -> Tensor:
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def encoders(squeezed: tuple[Path, Arrays], mobile: tuple[Path, Arrays]) -> list[Encoder]:
    return [SqueezeNetEncoder(read(squeezed[0]), CPU), MobileNetEncoder(read(mobile[0]), CPU)]


def test_the_chunk_changes_nothing(squeezed: tuple[Path, Arrays], mobile: tuple[Path, Arrays]) -> None:
    images = noise(6, 3, 32, 32)
    for encoder in encoders(squeezed, mobile):
        a, b = looked(encoder, images, 1), looked(encoder, images, 6)
        torch.testing.assert_close(a.features, b.features, atol=1e-5, rtol=1e-4)
        assert a.features.shape == (6, encoder.protocol["dimension"])


def test_grey_is_colour_with_equal_channels(squeezed: tuple[Path, Arrays], mobile: tuple[Path, Arrays]) -> None:
    grey = noise(2, 1, 28, 28)
    for encoder in encoders(squeezed, mobile):
        assert torch.equal(encoder.look(grey).features, encoder.look(grey.expand(-1, 3, -1, -1)).features)
        with pytest.raises(DataError, match=r"1 or 3 channel.s., not 4"):
            encoder.look(noise(2, 4, 28, 28))


def test_each_net_is_shown_its_own_range(squeezed: tuple[Path, Arrays], mobile: tuple[Path, Arrays]) -> None:
    """A picture of one colour stays one colour: red, green and blue are (250, 100, 10)."""
    colour = torch.tensor([250, 100, 10], dtype=torch.uint8).view(1, 3, 1, 1).expand(1, 3, 40, 40)
    one, other = SqueezeNetEncoder(read(squeezed[0]), CPU), MobileNetEncoder(read(mobile[0]), CPU)
    assert one.prepared(colour).shape == (1, 3, 227, 227) and other.prepared(colour).shape == (1, 3, 224, 224)
    torch.testing.assert_close(one.prepared(colour)[0, :, 5, 5], torch.tensor([10.0 - 104, 100 - 117, 250 - 123]))
    torch.testing.assert_close(other.prepared(colour)[0, :, 5, 5], torch.tensor([250, 100, 10]) / 127.5 - 1)


def test_making_one_does_not_touch_the_global_generator(squeezed: tuple[Path, Arrays]) -> None:
    before = torch.get_rng_state()
    SqueezeNetEncoder(read(squeezed[0]), CPU)
    assert torch.equal(before, torch.get_rng_state())


def without_one(arrays: Arrays) -> Arrays:
    return {name: array for name, array in arrays.items() if name != "fire5/conv3x3_2.bias"}


def transposed(arrays: Arrays) -> Arrays:
    return arrays | {"conv1.weight": arrays["conv1.weight"].transpose(2, 3, 1, 0)}


def with_nan(arrays: Arrays) -> Arrays:
    return arrays | {"conv_final.bias": np.full(1000, np.nan, np.float32)}


def of_whole_numbers(arrays: Arrays) -> Arrays:
    return {name: array.astype(np.int32) for name, array in arrays.items()}  # type: ignore[misc]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (without_one, "1 of 52 arrays are missing .fire5/conv3x3_2.bias."),
        (transposed, r"1 of 52 arrays differ in shape.\nconv1.weight is \[7, 7, 3, 96\] in the file"),
        (with_nan, "not finite"),
        (of_whole_numbers, "52 of 52 arrays are missing"),
    ],
)
def test_wrong_weights_are_refused(
    change: Callable[[Arrays], Arrays], words: str, squeezed: tuple[Path, Arrays], tmp_path: Path
) -> None:
    path = saved(tmp_path / "wrong.npz", change(squeezed[1]))
    with pytest.raises(DataError, match=words) as caught:
        SqueezeNetEncoder(read(path), CPU)
    assert "wrong.npz" in str(caught.value) and len(str(caught.value).splitlines()) <= 3


def test_files_that_are_no_weights_are_refused(squeezed: tuple[Path, Arrays], tmp_path: Path) -> None:
    raw = squeezed[0].read_bytes()
    middle = bytearray(raw)
    middle[len(raw) // 2] ^= 255
    pickled = io.BytesIO()
    np.savez(pickled, x=np.array([{}], dtype=object))
    for content in (b"", b"text", raw[:1000], raw[:-100], bytes(middle), pickled.getvalue()):
        (tmp_path / "x.npz").write_bytes(content)
        with pytest.raises(DataError, match=r"x\.npz"):
            read(tmp_path / "x.npz")
    with pytest.raises(DataError, match="cannot be read: No such file"):
        read(tmp_path / "missing.npz")
    with pytest.raises(DataError, match="cannot be read"):
        read(tmp_path)


def test_the_protocol_names_the_file_by_its_content(squeezed: tuple[Path, Arrays], tmp_path: Path) -> None:
    one = SqueezeNetEncoder(read(squeezed[0]), CPU).protocol
    other = SqueezeNetEncoder(read(saved(tmp_path / "w.npz", {k: v * 2 for k, v in squeezed[1].items()})), CPU).protocol
    assert one["sha256"] != other["sha256"]
    assert {k: v for k, v in one.items() if k != "sha256"} == {k: v for k, v in other.items() if k != "sha256"}
    assert str(squeezenet.SIDE) in one["resizer"] and mobilenet.SIDE == 224


# ImageNet's classes (ILSVRC 2012, in the order of their synsets) that show what a class of CIFAR-10 shows.
IMAGENET = {
    "airplane": {404, 895},
    "automobile": {407, 436, 468, 511, 609, 627, 656, 705, 751, 817},
    "dog": set(range(151, 269)),
    "ship": {403, 472, 484, 510, 554, 576, 625, 628, 724, 780, 814, 833, 871, 913, 914},
    "truck": {555, 569, 675, 717, 864, 867},
}


def cifar(count: int) -> tuple[Tensor, Tensor, list[str]]:
    """`count` test pictures of each class, their classes and the names of these."""
    with zipfile.ZipFile(CIFAR) as archive:
        names = sorted(n for n in archive.namelist() if n.startswith("test/") and n.endswith(".jpg"))
        classes = sorted({n.split("/")[1] for n in names})
        some = [n for c in classes for n in [m for m in names if m.split("/")[1] == c][:count]]
        pictures = [np.asarray(Image.open(io.BytesIO(archive.read(n))).convert("RGB")) for n in some]
    return torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2), torch.arange(len(some)) // count, classes


def nearest_mean(features: Tensor, y: Tensor) -> float:
    """Accuracy of the nearest class mean: learnt on the even pictures, tried on the odd ones."""
    z = (features - features.mean(0)) / (features.std(0) + 1e-6)
    means = torch.stack([z[::2][y[::2] == k].mean(0) for k in range(int(y.max()) + 1)])
    return float((torch.cdist(z[1::2], means).argmin(1) == y[1::2]).double().mean())


@given
def test_squeezenet_sees_what_the_pictures_show() -> None:
    """How often a picture is given more probability of its own kind than a picture of another kind is: .5 for a net
    that sees nothing. (Its first guess is often a thing of the same colours: the pictures have 32 pixels.)
    """
    images, y, classes = cifar(24)
    look = looked(SqueezeNetEncoder(read(SQUEEZENET), CPU), images)
    assert look.logits is not None
    for name, group in IMAGENET.items():
        probability = look.logits.log_softmax(1)[:, sorted(group)].logsumexp(1)
        own = y == classes.index(name)
        assert (probability[own][:, None] > probability[~own]).double().mean() > 0.7, name


@given
def test_trained_features_tell_more_than_random_ones() -> None:
    images, y, _ = cifar(16)
    random = nearest_mean(looked(RandomNet(), images).features, y)
    for encoder in (SqueezeNetEncoder(read(SQUEEZENET), CPU), MobileNetEncoder(read(MOBILENET), CPU)):
        assert nearest_mean(looked(encoder, images).features, y) > random + 0.1


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_cuda_device_sees_the_same(squeezed: tuple[Path, Arrays], mobile: tuple[Path, Arrays]) -> None:
    images, cuda = noise(5, 3, 32, 32), torch.device("cuda")
    for make, (path, _) in ((SqueezeNetEncoder, squeezed), (MobileNetEncoder, mobile)):
        here, there = (make(read(path), device).look(images).features for device in (CPU, cuda))
        torch.testing.assert_close(here, there, atol=1e-4, rtol=1e-3)
