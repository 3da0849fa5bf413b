"""What a given net sees as terms of G's loss: its weights are asked for, noted, frozen, and teach G."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from equipoise import build, configuring
from equipoise.encoders.perception import SEEN, perception
from equipoise.encoders.squeezenet import MEAN_BGR, SqueezeNet
from equipoise.encoders.weights import read
from equipoise.errors import ConfigError, DataError

CPU = torch.device("cpu")
NARROW = [
    "nets.g_width=4", "nets.g_max_width=4", "nets.blocks=1", "nets.d_width=4", "nets.d_layers=1", "batch=4",
    "machine.threads=1", "machine.device=cpu", "machine.precision=fp32",
]  # fmt: skip
TERMS = ["knobs.content=1", "knobs.given_style=1", "knobs.features=0", "knobs.style=0"]


@pytest.fixture(scope="module")
def weights(tmp_path_factory) -> Path:
    torch.manual_seed(0)
    path: Path = tmp_path_factory.mktemp("weights") / "squeezenet.npz"
    np.savez(path, **{name: value.numpy() for name, value in SqueezeNet().layers.state_dict().items()})
    return path


@pytest.fixture(scope="module")
def pairs(tmp_path_factory) -> Path:
    path: Path = tmp_path_factory.mktemp("pairs") / "pairs.npz"
    x = np.random.default_rng(0).integers(0, 256, (24, 32, 32), np.uint8)
    np.savez(path, a=x, b=255 - x, patient=np.arange(24) // 4)
    return path


def config(pairs: Path, *settings: str):
    data = ["data.kind=pairs", f"data.path={pairs}", "data.size=32"]
    return configuring.configured("medical-translate", settings=[*data, *NARROW, *settings])


def game_of(config):
    data = build.splits(config.data)
    return build.game(config, build.form(config, data), CPU), build.batches(config, data, CPU)


def test_a_slope_comes_through_the_frozen_net_whose_maps_are_those_of_the_encoder(weights):
    x = torch.rand(2, 1, 32, 32, requires_grad=True)
    found = perception(read(weights), 1, 32, CPU)(x)
    net = SqueezeNet()
    net.layers.load_state_dict(read(weights).tensors)
    bgr = (x.detach().expand(-1, 3, -1, -1) + 1) * 127.5 - torch.tensor(MEAN_BGR).view(3, 1, 1)
    maps = list(net.maps(bgr))
    assert_close(found, [maps[i] for i in SEEN])
    sum(f.mean() for f in found).backward()
    assert x.grad is not None and x.grad.abs().sum() > 0


def test_G_learns_by_them_alone(weights, pairs):
    game, batches = game_of(
        config(pairs, f"given.path={weights}", *TERMS, "knobs.adversarial=0", "knobs.pixel=0", "optim.g.lr=5e-3")
    )
    told = [game.step(batches) for _ in range(20)]
    assert {"content", "given_style"} <= told[0].keys()
    first, last = (sum(float(row["content"] + row["given_style"]) for row in rows) for rows in (told[:3], told[-3:]))
    assert last < 0.9 * first
    control, batches = game_of(config(pairs, f"given.path={weights}", *TERMS, "optim.g.lr=0"))
    still = [float(control.step(batches)["content"]) for _ in range(2)]
    assert still[0] == pytest.approx(still[1], rel=0.2)


def test_without_weights_with_others_and_with_pictures_that_are_too_small_it_is_said_what_to_do(
    weights, pairs, tmp_path
):
    with pytest.raises(ConfigError, match=r"set given\.path=FILE\.npz"):
        config(pairs, *TERMS)
    with pytest.raises(ConfigError, match="from 32 pixels on"):
        game_of(config(pairs, f"given.path={weights}", *TERMS, "data.size=16"))
    other = tmp_path / "other.npz"
    np.savez(other, a=np.zeros(3, np.float32))
    with pytest.raises(DataError, match="does not hold the weights of SqueezeNet"):
        game_of(config(pairs, f"given.path={other}", *TERMS))
    with pytest.raises(DataError, match="cannot be read"):
        config(pairs, "given.path=nowhere.npz", *TERMS)


def test_a_run_sees_by_the_weights_that_it_began_with(weights, pairs, tmp_path):
    mine = tmp_path / "mine.npz"
    mine.write_bytes(weights.read_bytes())
    begun = config(pairs, f"given.path={mine}", *TERMS)
    assert begun.given.sha256 == read(mine).sha256
    np.savez(mine, **{name: value.numpy() + 1 for name, value in read(weights).tensors.items()})
    with pytest.raises(DataError, match="is not what this run was begun with"):
        game_of(begun)
