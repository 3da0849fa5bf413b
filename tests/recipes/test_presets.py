"""Presets made for a size: it is kept for the user's own data, and their nets and attention fit it."""

import numpy as np
import pytest
import torch

from equipoise import build, configuring
from equipoise.build.players import plain_networks
from equipoise.config import Arrays, Pictures, TrainConfig
from equipoise.recipes import RECIPES, recipe

SIZED = {name: make().data.size for name, make in RECIPES.items() if isinstance(make().data, Pictures)}


def test_there_are_presets_from_28_to_1024_pixels():
    assert {"r3gan-28": 32, "r3gan-64": 64, "r3gan-256": 256, "r3gan-1024": 1024}.items() <= SIZED.items()


@pytest.mark.parametrize("name", SIZED)
def test_own_data_is_brought_to_the_size_of_the_preset_unless_another_is_asked_for(name, tmp_path):
    folder, array = tmp_path / "photos", tmp_path / "photos.npz"
    folder.mkdir()
    np.savez(array, x=np.zeros((4, 28, 28), np.uint8))
    for path, kind in ((folder, Pictures), (array, Arrays)):
        data = configuring.configured(name, data=str(path)).data
        assert (type(data), data.size, data.path) == (kind, SIZED[name], str(path))
        assert configuring.configured(name, data=str(path), settings=["data.size=40"]).data.size == 40
        assert configuring.configured("dcgan", data=str(path)).data.size is None
    assert configuring.configured(name, data="stacked-digits").data.kind == "stacked-digits"


@pytest.mark.parametrize("name", SIZED)
def test_the_nets_of_a_preset_fit_its_size_and_its_config_is_whole(name):
    config = recipe(name)
    assert TrainConfig.model_validate(config.model_dump()) == config
    classes = 10 if config.nets.conditioning != "none" else 0
    with torch.device("meta"), torch.no_grad():
        G, D = plain_networks(config.nets, build.Form((3, SIZED[name], SIZED[name]), classes))
        x = G(torch.zeros(2, config.nets.z_dim), torch.zeros(2).long())
        assert x.shape == (2, 3, SIZED[name], SIZED[name])
        assert D(x, torch.zeros(2).long()).shape == (2,)
