from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from equipoise.data.intake import taken_in, with_channels
from equipoise.errors import DataError


@pytest.fixture
def photos(tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    Image.fromarray(np.full((30, 20, 3), (255, 0, 0), np.uint8)).save(folder / "red.png")
    Image.fromarray(np.full((8, 8), 128, np.uint8)).save(folder / "grey.png")
    (folder / "broken.png").write_bytes(b"nothing")
    return folder


def test_pictures_come_to_the_shape_of_the_net_by_name(photos):
    taken = taken_in(photos, (3, 16, 16))
    assert taken.names == ["grey.png", "red.png"]
    assert taken.x.shape == (2, 3, 16, 16)
    assert taken.x[1, :, 0, 0].tolist() == [1, -1, -1]
    assert (taken.x[0] == taken.x[0, 0, 0, 0]).all()
    assert list(taken.bad) == ["broken.png"]


def test_one_picture_and_colour_for_a_grey_net(photos):
    taken = taken_in(photos / "red.png", (1, 8, 8))
    assert taken.names == ["red.png"]
    assert taken.x[0, 0, 0, 0].item() == pytest.approx(2 * 0.299 - 1, abs=0.01)  # ITU-R 601


def test_arrays_are_taken_in_order(tmp_path):
    x = np.arange(3, dtype=np.uint8)[:, None, None].repeat(8, 1).repeat(8, 2)
    np.savez(tmp_path / "x.npz", x=x)
    taken = taken_in(tmp_path / "x.npz", (1, 8, 8))
    assert taken.names == ["x[0]", "x[1]", "x[2]"]
    assert ((taken.x[:, 0, 0, 0] + 1) * 127.5).round().tolist() == [0, 1, 2]


def test_nothing_to_read_is_told(photos, tmp_path):
    with pytest.raises(DataError, match=r"broken\.png"):
        taken_in(photos / "broken.png", (1, 8, 8))
    with pytest.raises(DataError):
        taken_in(tmp_path / "nowhere", (1, 8, 8))
    with pytest.raises(DataError, match="5 channels"):
        with_channels(np.zeros((8, 8, 5), np.uint8), 3)
