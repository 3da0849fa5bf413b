from __future__ import annotations

import json

import numpy as np
import pytest

import equipoise
from equipoise import GAN
from equipoise.errors import ConfigError, DataError, StorageError

SMALL = ["nets.g_width=4", "nets.d_width=4", "batch=8", "machine.threads=1"]


@pytest.fixture
def images() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 255, (60, 16, 16, 3), np.uint8)


def test_fit_sample_save_load(images, tmp_path):
    gan = GAN("dcgan").fit(images, steps=4, out=tmp_path / "run", settings=SMALL, progress=False)
    samples = gan.sample(5, seed=3)
    assert (samples.dtype, samples.shape) == (np.uint8, (5, 16, 16, 3))
    gan.save(tmp_path / "cats.safetensors")
    (tmp_path / "other").touch()
    assert (tmp_path / "cats.safetensors").stat().st_mode == (tmp_path / "other").stat().st_mode, "it is to be shared"
    again = GAN.load(tmp_path / "cats.safetensors")
    assert np.array_equal(again.sample(5, seed=3), samples)
    assert np.array_equal(GAN.load(tmp_path / "run").sample(5, seed=3), samples)
    assert not np.array_equal(gan.sample(5, seed=4), samples)


def test_samples_do_not_depend_on_how_many_are_drawn_at_once(images, tmp_path):
    gan = GAN("dcgan").fit(images, steps=2, out=tmp_path / "run", settings=SMALL, progress=False)
    few, many = gan.sample(5, seed=1).astype(int), gan.sample(300, seed=1)[:5].astype(int)
    assert abs(few - many).max() <= 1  # a product of other matrices may differ in its last bit
    assert len(np.unique(many, axis=0)) == 5


def test_a_fit_on_an_array_can_be_resumed_from_its_folder(images, tmp_path):
    gan = GAN("dcgan").fit(images, steps=4, out=tmp_path / "run", settings=SMALL, progress=False)
    model = (tmp_path / "run" / "model.safetensors").read_bytes()
    equipoise.launch.resume(tmp_path / "run")
    assert (tmp_path / "run" / "model.safetensors").read_bytes() == model
    assert gan.run is not None
    assert gan.run.path == tmp_path / "run"


def test_a_second_fit_into_a_run_leaves_its_data_alone(images, tmp_path):
    GAN("dcgan").fit(images, steps=2, out=tmp_path / "run", settings=SMALL, progress=False)
    before = (tmp_path / "run" / "data.npz").read_bytes()
    with pytest.raises(ConfigError, match="holds a run already"):
        GAN("dcgan").fit(images[:9], steps=2, out=tmp_path / "run", settings=SMALL, progress=False)
    assert (tmp_path / "run" / "data.npz").read_bytes() == before


def test_an_array_keeps_the_augmentation_that_was_asked_for(images, tmp_path):
    settings = [*SMALL, "data.augment.flip_x=true"]
    run = GAN("dcgan").fit(images, steps=2, out=tmp_path / "run", settings=settings, progress=False).run
    assert run is not None
    data = json.loads(run.config.read_text())["data"]
    assert (data["kind"], data["augment"]["flip_x"], data["augment"]["flip_y"]) == ("arrays", True, False)


def test_an_array_is_spoilt_and_restored_but_is_not_two_domains(images, tmp_path):
    small = ["nets.g_width=4", "nets.d_width=4", "nets.blocks=1", "batch=8", "machine.threads=1"]
    for recipe in ("pix2pix", "cyclegan"):
        with pytest.raises(DataError, match="needs two, A and B"):
            GAN(recipe).fit(images, steps=2, out=tmp_path / "none", settings=small, progress=False)
    assert not (tmp_path / "none").exists()
    run = GAN("denoise").fit(images, steps=2, out=tmp_path / "run", settings=small, progress=False).run
    assert run is not None
    data = json.loads(run.config.read_text())["data"]
    assert (data["kind"], data["how"], data["of"]["kind"]) == ("degrade", "denoise", "arrays")


def test_sampling_before_fit_says_what_to_do():
    with pytest.raises(ConfigError, match="call fit"):
        GAN("digits").sample(1)


def test_a_file_that_is_not_a_generator_is_refused(tmp_path):
    (tmp_path / "x.safetensors").write_bytes(b"nothing")
    with pytest.raises(StorageError):
        GAN.load(tmp_path / "x.safetensors")


def test_importing_the_package_imports_no_torch():
    import subprocess
    import sys

    code = "import sys, equipoise; print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "False\n"
