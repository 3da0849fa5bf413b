"""The profile tells what a step is made of, and a picture shows it."""

import json

import numpy as np
import pytest
import torch

from equipoise import build, profiling
from equipoise.cli import act
from equipoise.errors import StorageError
from equipoise.pictures import bars


@pytest.fixture
def found(tiny):
    config = tiny("dcgan", "nets.g_width=32", "nets.d_width=32", "batch=32")
    return profiling.profiled(config, build.splits(config.data), torch.device("cpu"))


def test_the_parts_are_those_of_a_step_and_make_it_up(found):
    assert set(found.parts) == set(profiling.PARTS)
    assert all(ms > 0 for ms in found.parts.values())
    assert 0.8 * found.ms_per_step < sum(found.parts.values()) < found.ms_per_step


def test_the_costliest_operations_come_first_and_convolutions_are_among_them(found):
    times = list(found.operations.values())
    assert times == sorted(times, reverse=True)
    assert any("convolution" in name for name in list(found.operations)[:4])
    assert sum(times) < found.ms_per_step


def test_a_longer_bar_is_a_larger_share():
    picture = np.asarray(bars({"two": {"half": (0.5, "50%"), "quarter": (0.25, "25%")}}))
    blue = (picture == np.array([27, 94, 144])).all(2).sum(1)
    lengths = [n for i, n in enumerate(blue) if n and n != blue[i - 1]]
    assert lengths[0] == pytest.approx(2 * lengths[1], abs=2)


def test_the_verb_prints_json_and_writes_a_picture(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    settings = ["machine.threads=1", "machine.precision=fp32", "nets.g_widths=[8]", "nets.d_widths=[8]"]
    act.profile("digits", {"settings": settings}, None, as_json=True)
    told = json.loads(capsys.readouterr().out)
    assert set(told) == {"ms_per_step", "parts", "operations", "picture"}
    assert (tmp_path / told["picture"]).read_bytes().startswith(b"\x89PNG")
    with pytest.raises(StorageError, match="--out"):
        act.profile("digits", {"settings": settings}, tmp_path / "nowhere" / "p.png", as_json=True)
