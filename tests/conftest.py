from __future__ import annotations

import atexit
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
import torch

from equipoise.config import TrainConfig, override
from equipoise.recipes import RECIPES, recipe
from equipoise.runs.folder import RunFolder

torch.set_num_threads(1)

if "EQUIPOISE_CACHE" not in os.environ:  # one for all processes of the tests, and none of the user's own
    os.environ["EQUIPOISE_CACHE"] = tempfile.mkdtemp(prefix="equipoise-tests-")
    atexit.register(shutil.rmtree, os.environ["EQUIPOISE_CACHE"], ignore_errors=True)

TINY = {
    "mlp": ["nets.g_widths=[12,12]", "nets.d_widths=[12,12]"],
    "dcgan": ["nets.g_width=4", "nets.d_width=4"],
    "r3gan": ["nets.width=16", "nets.blocks=1"],
    "resnet": ["nets.g_width=4", "nets.g_max_width=4", "nets.d_width=4", "nets.d_max_width=4", "nets.attention=4"],
    "stylegan2": ["nets.w_dim=8", "nets.capacity=64", "nets.max_width=8"],
    "fastgan": ["nets.g_width=4", "nets.d_width=4", "nets.max_width=8"],
}


def tiny(name: str, *settings: str, steps: int = 60) -> TrainConfig:
    """A recipe with narrow nets, `steps` updates of D, and nothing left to be measured on the machine."""
    config = recipe(name)
    kimg = steps * 8 / 1000
    return override(
        config,
        [
            *TINY[config.nets.kind],
            *(["data.kind=digits"] if config.data.kind == "pictures" else []),  # which a user brings
            "nets.z_dim=4",
            "batch=8",
            f"kimg={kimg}",
            f"record.every_kimg={kimg / 20}",
            f"samples.every_kimg={kimg / 3}",
            f"save.every_kimg={kimg / 6}",
            f"evaluate.every_kimg={kimg / 4}",
            f"evaluate.patience_kimg={kimg / 2}",
            "evaluate.features=pixels",
            "evaluate.n=30",
            f"guardian.every_kimg={kimg / 8}",
            "guardian.features=pixels",
            "guardian.n=30",
            "machine.threads=1",
            "machine.device=cpu",
            "machine.precision=fp32",
            *settings,
        ],
    )


@pytest.fixture(name="tiny")
def tiny_fixture() -> Callable[..., TrainConfig]:
    return tiny


@pytest.fixture(params=sorted(RECIPES))
def recipe_name(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
def run_path(tmp_path: Path) -> Path:
    return tmp_path / "run"


@pytest.fixture
def recorded(tmp_path: Path) -> Callable[..., RunFolder]:
    """Writes the files of a run that nobody played: its config, and rows of its logs."""

    def write(
        name: str,
        *settings: str,
        recipe_name: str = "digits",
        events: Iterable[dict[str, Any]] = (),
        clock: Iterable[dict[str, Any]] = (),
        evaluations: Iterable[dict[str, Any]] = (),
    ) -> RunFolder:
        run = RunFolder(tmp_path / name)
        run.samples.mkdir(parents=True)
        config = override(recipe(recipe_name), settings)
        run.config.write_text(config.model_dump_json(), encoding="utf-8")
        for path, rows in ((run.events, events), (run.clock, clock), (run.evaluations, evaluations)):
            path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        return run

    return write
