from __future__ import annotations

import pytest
import torch
from safetensors.torch import save_file
from torch.testing import assert_close

from equipoise import foreign, generator
from equipoise.errors import StorageError

W, FC, Z = 6, 2, 5  # of w, mapping layers, of z


def official(classes=0):
    """The names and shapes of NVIDIA's generator of 16x16 pixels with channels 8, 8 and 4."""
    state, widths = {}, {4: 8, 8: 8, 16: 4}
    for i in range(FC):
        inputs = (Z + (W if classes else 0)) if i == 0 else W
        state |= {f"mapping.fc{i}.weight": torch.randn(W, inputs), f"mapping.fc{i}.bias": torch.randn(W)}
    state["mapping.w_avg"] = torch.randn(W)
    if classes:
        state |= {"mapping.embed.weight": torch.randn(W, classes), "mapping.embed.bias": torch.randn(W)}
    state["synthesis.b4.const"] = torch.randn(8, 4, 4)
    for side, width in widths.items():
        before = widths.get(side // 2, width)
        for conv, inputs in (("conv0", before), ("conv1", width)) if side > 4 else (("conv1", width),):
            here = f"synthesis.b{side}.{conv}"
            state |= {
                f"{here}.weight": torch.randn(width, inputs, 3, 3), f"{here}.bias": torch.randn(width),
                f"{here}.noise_const": torch.randn(side, side), f"{here}.noise_strength": torch.randn(()),
                f"{here}.affine.weight": torch.randn(inputs, W), f"{here}.affine.bias": torch.randn(inputs),
                f"{here}.resample_filter": torch.ones(4, 4),
            }  # fmt: skip
        here = f"synthesis.b{side}.torgb"
        state |= {
            f"{here}.weight": torch.randn(3, width, 1, 1), f"{here}.bias": torch.randn(3),
            f"{here}.affine.weight": torch.randn(width, W), f"{here}.affine.bias": torch.randn(width),
            f"synthesis.b{side}.resample_filter": torch.ones(4, 4),
        }  # fmt: skip
    return state


@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
def test_names_and_sizes_are_understood(suffix, tmp_path):
    theirs, path = official(), tmp_path / f"g{suffix}"
    (torch.save if suffix == ".pt" else save_file)(theirs, path)
    found = foreign.stylegan2(path)
    assert (found.shape, found.classes) == ((3, 16, 16), 0)
    wanted = {"kind": "stylegan2", "z_dim": Z, "w_dim": W, "mapping_layers": FC, "capacity": 64, "max_width": 8}
    assert wanted.items() <= found.nets.items()
    for ours, name in {
        "to_w.maps.1.bias": "mapping.fc1.bias",
        "w_mean": "mapping.w_avg",
        "start.conv.style.weight": "synthesis.b4.conv1.affine.weight",
        "start.to_image.bias": "synthesis.b4.torgb.bias",
        "up.0.grow.weight": "synthesis.b8.conv0.weight",
        "up.1.conv.noise.tile": "synthesis.b16.conv1.noise_const",
        "up.1.conv.noise.strength": "synthesis.b16.conv1.noise_strength",
        "up.1.to_image.style.bias": "synthesis.b16.torgb.affine.bias",
    }.items():
        assert torch.equal(found.state[ours], theirs[name])
    kept = [name for name in theirs if "resample_filter" not in name]
    assert len(found.state) == len(kept) + len(foreign.COUNTED)


def test_a_class_is_what_their_map_makes_of_it(tmp_path):
    theirs = official(classes=4)
    found = foreign.understood(theirs)
    one_hot = torch.eye(4)
    expected = one_hot @ theirs["mapping.embed.weight"].T / 2 + theirs["mapping.embed.bias"]  # gain 1 / sqrt(4)
    assert_close(found.state["to_w.label.weight"], expected)
    assert (found.nets["z_dim"], found.classes, found.nets["conditioning"]) == (Z, 4, "projection")


class Anything:
    pass


def test_a_pickle_is_refused_with_what_to_do(tmp_path):
    torch.save({"G_ema": Anything()}, tmp_path / "network.pkl")
    with pytest.raises(StorageError, match=r"torch\.save\(G_ema\.state_dict\(\), 'g\.pt'\)") as told:
        generator.opened(tmp_path / "network.pkl")
    assert len(str(told.value).splitlines()) <= 3


@pytest.mark.parametrize("lost", ["mapping.fc0.weight", "synthesis.b4.const", "synthesis.b16.torgb.weight"])
def test_other_weights_are_refused(lost, tmp_path):
    theirs = official()
    del theirs[lost]
    torch.save(theirs, tmp_path / "g.pt")
    with pytest.raises(StorageError):
        generator.opened(tmp_path / "g.pt")
    torch.save({"weight": torch.zeros(3)}, tmp_path / "other.pt")
    torch.save([1, 2], tmp_path / "list.pt")
    for name in ("other.pt", "list.pt", "missing.pt"):
        with pytest.raises(StorageError):
            foreign.stylegan2(tmp_path / name)
