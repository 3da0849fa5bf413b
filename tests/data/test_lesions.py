"""Slices with masks as pairs: nothing of the lesion is left in what is given, and patients stay apart."""

from pathlib import Path

import numpy as np
import pytest
import torch

from equipoise import build, configuring
from equipoise.config import Lesions
from equipoise.data.source import Part
from equipoise.errors import DataError


def made_up(path: Path, patients: int = 6, slices: int = 4, side: int = 16, **others) -> Path:
    """Grey discs on noise, in every other slice; whose they are is shuffled."""
    chance = np.random.default_rng(0)
    n = patients * slices
    images = chance.integers(40, 90, (n, side, side), np.uint8)
    masks = np.zeros((n, side, side), np.uint8)
    masks[::2, 4:9, 5:11] = 255
    images[masks > 0] = 230
    patient = np.array([f"p{i}" for i in np.arange(n) // 2 % patients])
    arrays = {"images": images, "masks": masks, "patient": patient} | others
    np.savez(path, **{name: value for name, value in arrays.items() if value is not None})
    return path


def test_what_is_given_has_a_hole_in_place_of_the_lesion_and_its_mask(tmp_path):
    data = build.splits(Lesions(path=str(made_up(tmp_path / "a.npz"))))
    x, _ = data.train.take(torch.arange(len(data.train)))
    assert data.given == 2 and x.shape[1:] == (3, 16, 16)
    holed, mask, whole = x.unbind(1)
    hole = mask > 0.5
    assert hole.sum() == 30 * len(x)
    assert (holed == whole)[~hole].all()
    assert whole[hole].unique().tolist() == pytest.approx([230 / 127.5 - 1])
    assert holed[hole].max() < 90 / 127.5 - 1  # the mean of the rest


def test_only_slices_with_a_lesion_count_and_no_patient_is_in_two_parts(tmp_path):
    path = made_up(tmp_path / "a.npz", patients=10)
    data = build.splits(Lesions(path=str(path)))
    parts = [part for part in (data.train, data.validation, data.test) if isinstance(part, Part)]
    assert sum(map(len, parts)) == 20
    with np.load(path, allow_pickle=False) as raw:
        whose = raw["patient"][raw["masks"].any((1, 2))]
    names = [set(whose[part.indices.numpy()]) for part in parts]
    assert sum(map(len, names)) == len(set.union(*names)) == 10


def refused(path: Path) -> str:
    with pytest.raises(DataError) as error:
        build.splits(Lesions(path=str(path)))
    assert error.value.exit_code == 3
    return str(error.value)


def test_masks_that_do_not_fit_are_refused(tmp_path):
    zeros = np.zeros((24, 16, 16), np.uint8)
    assert "of its own size" in refused(made_up(tmp_path / "a.npz", masks=zeros[:, :8]))
    assert "empty" in refused(made_up(tmp_path / "b.npz", masks=zeros))
    assert "whose its slices are" in refused(made_up(tmp_path / "c.npz", patient=None))
    assert "1 patient(s)" in refused(made_up(tmp_path / "d.npz", patients=1))
    assert "no slices with masks" in refused(made_up(tmp_path / "e.npz", masks=None))


def test_the_recipe_takes_such_a_file(tmp_path):
    path = made_up(tmp_path / "a.npz")
    assert configuring.configured("lesion", data=str(path)).data.path == str(path)
    with pytest.raises(DataError, match="images, masks and patient"):
        configuring.configured("lesion", data=str(tmp_path / "none.npz"))
