from __future__ import annotations

import importlib.util
import subprocess
import sys
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from equipoise import generator
from equipoise.build import Form
from equipoise.build.classes import in_proportion
from equipoise.errors import ConfigError, MachineError, StorageError
from equipoise.uses.export import exported, operations, programmed, template

NETS = [("dcgan", (1, 8, 8), 0, ["nets.g_norm=spectral"]), ("r3gan-xs", (3, 8, 8), 3, [])]
WITH_ONNX = all(find_spec(name) for name in ("onnx", "onnxscript", "onnxruntime"))


def beside(path: Path):
    spec = importlib.util.spec_from_file_location("sampler", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def made(untrained, name, shape, classes, settings):
    labelled = ["nets.conditioning=projection"] if classes else []
    return untrained(name, *labelled, *settings, shape=shape, classes=classes)


@pytest.mark.parametrize(("name", "shape", "classes", "settings"), NETS)
def test_the_sampler_draws_what_equipoise_draws(name, shape, classes, settings, tmp_path, untrained):
    trained = made(untrained, name, shape, classes, settings)
    weights, sampler = exported(trained, "safetensors", tmp_path / "g.safetensors")
    samples = beside(sampler).samples(300, 4).numpy()
    assert samples.dtype == trained.sample(1).dtype
    assert abs(samples.astype(int) - trained.sample(300, 4)).max() <= 1
    assert np.array_equal(generator.from_file(weights).sample(5), trained.sample(5))  # the file is one of ours too


def test_the_sampler_draws_classes_as_often_as_equipoise_does_and_none_that_was_never_seen(tmp_path, untrained):
    trained = made(untrained, "r3gan-xs", (3, 8, 8), 3, [])
    trained = replace(trained, form=Form((3, 8, 8), 3, class_counts=(70, 0, 30)))
    _, sampler = exported(trained, "safetensors", tmp_path / "g.safetensors")
    assert abs(beside(sampler).samples(50, 4).numpy().astype(int) - trained.sample(50, 4)).max() <= 1
    assert beside(sampler).classes(300, [70, 0, 30]).tolist() == trained.labels(300, None).tolist()
    with pytest.raises(ValueError, match="no training sample is of it: ask for one of 0, 2"):
        beside(sampler).samples(2, label=1)
    with pytest.raises(ConfigError, match="no training sample is of it: ask for one of 0, 2"):
        trained.sample(2, label=1)


def test_styles_are_exported(tmp_path, styled):
    program = programmed(styled)
    z = styled.latents(0, 0)[:5]
    assert torch.allclose(program.module()(z), styled.G(z, torch.zeros(5, dtype=torch.long)), atol=1e-4)
    assert operations(program)[-1].startswith("    return ")


def test_the_sampler_runs_alone(tmp_path, untrained):
    """Without Equipoise, in a process of its own."""
    trained = untrained("digits")
    exported(trained, "safetensors", tmp_path / "g.safetensors")
    (tmp_path / "equipoise.py").write_text("raise ImportError('Equipoise is not installed')")
    none = subprocess.run([sys.executable, "sampler.py", "-n", "0"], cwd=tmp_path, capture_output=True, text=True)
    assert none.returncode == 2
    assert none.stderr.endswith("error: -n 0: at least one sample is drawn.\n")
    command = [sys.executable, "sampler.py", "-n", "5", "--seed", "2", "-o", "grid.png"]
    subprocess.run(command, cwd=tmp_path, env={"PYTHONPATH": str(tmp_path)}, check=True)
    with Image.open(tmp_path / "grid.png") as image:
        pixels = np.asarray(image).astype(int)
    assert pixels.shape == (16, 24)
    assert abs(pixels[:8, 8:16] - trained.sample(2, 2)[1, :, :, 0]).max() <= 1
    assert (pixels[8:, 16:] == 0).all()


@pytest.mark.parametrize(("classes", "known"), [(3, "classes 0 to 2"), (0, "no classes")])
def test_a_class_that_is_not_there_is_told_in_a_sentence(classes, known, tmp_path, untrained):
    trained = made(untrained, "digits", (1, 8, 8), classes, [])
    _, sampler = exported(trained, "safetensors", tmp_path / "g.safetensors")
    for label in (3, -1):
        command = [sys.executable, "sampler.py", "--class", str(label), "-o", "grid.png"]
        ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
        assert (ended.returncode, ended.stdout) == (2, "")
        assert ended.stderr == f"sampler: class {label} was asked for, and this generator has {known}.\n"
        with pytest.raises(ValueError, match=known):
            beside(sampler).samples(2, label=label)
    assert not (tmp_path / "grid.png").exists()
    assert len(beside(sampler).samples(2, label=2 if classes else None)) == 2


RUNTIME = """
from types import SimpleNamespace

class InferenceSession:
    def __init__(self, *how, **more): pass
    def get_modelmeta(self): return SimpleNamespace(custom_metadata_map={"classes": "3", "class_counts": "[7, 0, 3]"})
    def get_inputs(self): return [SimpleNamespace(shape=["n", 4])]
    def run(self, names, given): return [given["z"] + given["y"][:, None]]
"""


@pytest.mark.parametrize(
    ("label", "told"),
    [
        (3, "this generator has classes 0 to 2"),
        (-1, "this generator has classes 0 to 2"),
        (1, "no training sample is of it: ask for one of 0, 2"),
        (2, ""),
    ],
)
def test_the_sampler_of_an_onnx_file_tells_it_too(label, told, tmp_path):
    """With nothing of ONNX installed: a runtime whose net adds its class to z."""
    (tmp_path / "sampler.py").write_text(template("with_onnx"))
    (tmp_path / "onnxruntime.py").write_text(RUNTIME)
    command = [sys.executable, "sampler.py", "--class", str(label), "-n", "5"]
    ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    told = f"sampler: class {label} was asked for, and {told}.\n" if told else ""
    assert (ended.returncode, ended.stdout, ended.stderr) == (2 if told else 0, "", told)
    assert (tmp_path / "samples.npy").exists() == (not told)


def test_the_sampler_of_an_onnx_file_draws_classes_as_often(tmp_path):
    (tmp_path / "sampler.py").write_text(template("with_onnx"))
    (tmp_path / "onnxruntime.py").write_text(RUNTIME)
    subprocess.run([sys.executable, "sampler.py", "-n", "500"], cwd=tmp_path, check=True)
    z = np.random.default_rng(0).standard_normal((500, 4), np.float32)
    y = (np.load(tmp_path / "samples.npy", allow_pickle=False) - z)[:, 0].round()
    assert y.tolist() == in_proportion(500, (7, 0, 3)).tolist()


@pytest.mark.parametrize(
    ("kind", "name", "words"),
    [
        ("safetensors", "g.onnx", r"add --to onnx, or give it a name that ends with \.safetensors"),
        ("onnx", "g.SafeTensors", r"add --to safetensors, or give it a name that ends with \.onnx"),
    ],
)
def test_a_name_of_the_other_kind_is_refused(kind, name, words, tmp_path, untrained):
    with pytest.raises(ConfigError, match=words):
        exported(untrained("digits"), kind, tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_other_names_are_the_user_s(tmp_path, untrained):
    exported(untrained("digits"), "safetensors", tmp_path / "g.v2")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["g.v2", "sampler.py"]


def test_a_sampler_of_somebody_else_is_not_overwritten(tmp_path, untrained):
    (tmp_path / "sampler.py").write_text("mine")
    with pytest.raises(ConfigError, match="no sampler of ours"):
        exported(untrained("digits"), "safetensors", tmp_path / "g.safetensors")
    assert [path.name for path in tmp_path.iterdir()] == ["sampler.py"]


def test_a_folder_that_is_not_there_is_told(tmp_path, untrained):
    with pytest.raises(StorageError, match="cannot write"):
        exported(untrained("digits"), "safetensors", tmp_path / "nowhere" / "g.safetensors")


@pytest.mark.skipif(WITH_ONNX, reason="onnx is installed")
def test_onnx_where_it_is_missing_is_one_sentence(tmp_path, untrained):
    with pytest.raises(MachineError, match=r"pip install 'equipoise\[export\]'"):
        exported(untrained("digits"), "onnx", tmp_path / "g.onnx")


@pytest.mark.skipif(not WITH_ONNX, reason="onnx, onnxscript or onnxruntime is not installed")
@pytest.mark.parametrize(("name", "shape", "classes", "settings"), NETS)
def test_onnx_draws_the_same(name, shape, classes, settings, tmp_path, untrained):
    import onnxruntime

    trained = made(untrained, name, shape, classes, settings)
    model, sampler = exported(trained, "onnx", tmp_path / "g.onnx")
    session = onnxruntime.InferenceSession(str(model), providers=["CPUExecutionProvider"])
    codes = trained.codes(7, 3)
    given = {"z": codes.at.numpy()} | ({"y": codes.y.numpy()} if classes else {})
    assert abs(session.run(None, given)[0] - trained.space.samples(codes).numpy()).max() < 1e-4
    assert beside(sampler).samples(4).shape == trained.sample(4).shape
    with pytest.raises(ValueError, match="class 99 was asked for, and this generator has"):
        beside(sampler).samples(4, label=99)
