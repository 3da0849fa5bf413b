from __future__ import annotations

import atexit
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from equipoise import build, forecast, launch
from equipoise.config import TrainConfig, override
from equipoise.generator import TrainedGenerator
from equipoise.recipes import recipe
from equipoise.runs.folder import RunFolder
from made_up import OF_TEXT, two_styles

torch.set_num_threads(1)
forecast.REHEARSAL_S = 0.02  # hundreds of short runs are not planned by it: none of their bits depends on its clock

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
    **OF_TEXT,
    "records": ["nets.d_widths=[12]", "nets.pretrain_epochs=1"],
    "translation": ["nets.g_width=4", "nets.g_max_width=8", "nets.blocks=1", "nets.d_width=4", "nets.d_max_width=8"],
}


# a recipe for each kind of nets, and for each way to play them; the others differ from these in numbers
EACH_KIND = (
    "ring", "stacked-digits", "dcgan", "wgan", "wgan-gp", "hinge", "cgan", "reacgan", "biggan", "stylegan2", "fastgan",
    "small-ada", "r3gan-xs", "cyclegan", "cut", "inpaint", "medical-records", "medical-translate", "lesion",
    "text-relgan", "text-seqgan", "text-restyle", "text-aligned",
)  # fmt: skip


@cache
def lesions_file() -> Path:
    """Sixty slices of ten patients, two of three with a bright square that its mask tells of."""
    folder = Path(tempfile.mkdtemp(prefix="equipoise-lesions-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    chance = np.random.default_rng(0)
    x, masks = chance.integers(30, 100, (60, 16, 16), np.uint8), np.zeros((60, 16, 16), np.uint8)
    for i, (top, left) in enumerate(chance.integers(2, 9, (60, 2))):
        masks[i, top : top + 5, left : left + 5] = i % 3 > 0
    x[masks > 0] += 120
    np.savez(folder / "lesions.npz", images=x, masks=masks, patient=np.arange(60) // 6)
    return folder / "lesions.npz"


def tiny(name: str, *settings: str, steps: int = 60) -> TrainConfig:
    """A recipe with narrow nets, `steps` updates of D, and nothing left to be measured on the machine."""
    config = recipe(name)
    kimg = steps * 8 / 1000
    features = "pixels" if config.play == "noise" else "random"  # larger pictures have too many pixels
    return override(
        config,
        [
            *TINY[config.nets.kind],
            *(["data.kind=digits"] if config.data.kind == "pictures" else []),  # which a user brings
            *([f"data.path={lesions_file()}", "data.size=16"] if config.data.kind == "lesions" else []),
            *([f"data.path={two_styles()}"] if config.data.kind == "sentences" else []),
            *(["nets.d_views=4"] if name == "text-relgan" else []),
            *(["nets.z_dim=4"] if config.play == "noise" else []),
            *(["nets.contrast=4"] if config.nets.kind == "translation" and config.nets.contrast else []),
            "batch=8",
            f"kimg={kimg}",
            f"record.every_kimg={kimg / 20}",
            f"samples.every_kimg={kimg / 3}",
            f"save.every_kimg={kimg / 6}",
            f"evaluate.every_kimg={kimg / 4}",
            f"evaluate.patience_kimg={kimg / 2}",
            f"evaluate.features={features}",
            "evaluate.n=30",
            f"guardian.every_kimg={kimg / 8}",
            f"guardian.features={features}",
            "guardian.n=30",
            "machine.threads=1",
            "machine.device=cpu",
            "machine.precision=fp32",
            *settings,
        ],
    )


@pytest.fixture(name="tiny", scope="session")
def tiny_fixture() -> Callable[..., TrainConfig]:
    return tiny


@pytest.fixture(name="lesions_file", scope="session")
def lesions_file_fixture() -> Path:
    return lesions_file()


@pytest.fixture(params=EACH_KIND)
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


@pytest.fixture
def untrained() -> Callable[..., TrainedGenerator]:
    """The generator of a recipe with narrow nets, as it is before training, with weights that are not small."""

    def make(name: str, *settings: str, shape: tuple[int, ...] = (1, 8, 8), classes: int = 0) -> TrainedGenerator:
        config = tiny(name, "nets.z_dim=8", *settings)
        G, _ = build.networks(config.nets, build.Form(shape, classes), seed=0)
        with torch.no_grad():
            for p in G.parameters():
                p.mul_(2)
        return TrainedGenerator(G.eval().requires_grad_(False), config.nets, build.Form(shape, classes))

    return make


class FakeStyled(nn.Module):
    """The interface of a net with styles: each of its layers adds what its style says of its own part of a picture."""

    layers = 4
    w_mean: Tensor

    def __init__(self) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.to_w, self.affine = nn.Linear(8, 6), nn.Linear(6, 16)
        for p in self.parameters():
            nn.init.normal_(p, 0, 0.5, generator=generator)
        self.register_buffer("w_mean", torch.full((6,), 0.1))

    def mapping(self, z: Tensor, y: Tensor) -> Tensor:
        w: Tensor = self.to_w(z).tanh() + 0.1 * y[:, None]
        return w

    def synthesis(self, w: Tensor) -> Tensor:
        rows = torch.stack([self.affine(w[:, i]) for i in range(self.layers)], 1)  # [B, 4, 16]
        return rows.reshape(-1, 1, 8, 8).tanh()

    def forward(self, z: Tensor, y: Tensor) -> Tensor:
        return self.synthesis(self.mapping(z, y)[:, None].expand(-1, self.layers, -1))


@pytest.fixture
def styled() -> TrainedGenerator:
    G = FakeStyled().eval().requires_grad_(False)
    return TrainedGenerator(G, tiny("digits", "nets.z_dim=8").nets, build.Form((1, 8, 8), 0))


UNWATCHED = ("guardian.mode=off", "evaluate.metrics=[]")


@pytest.fixture(scope="session")
def small_run(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """A short run of the digits, for all who only read it."""
    return launch.start(tiny("digits", *UNWATCHED, steps=12), tmp_path_factory.mktemp("runs") / "small")
