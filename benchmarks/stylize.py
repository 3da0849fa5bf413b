"""python benchmarks/stylize.py --cifar cifar10_jpeg.zip [--kimg K] [-o stylize.png]    five contents in five styles.

To be looked at: no figure is noted. Contents are pictures of CIFAR-10; styles are made up: stripes, checks, waves, dots
and clouds, each in many colours, so that a style is a texture and its colours. `stylize` learns from both, without
pairs. The grid has the styles in its first row, the contents in its first column, and each content in each style; under
it stands how far G's samples are from the contents and from the styles (means and deviations of the colours, of 255).
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from equipoise import build, configuring, generator, launch, pictures
from equipoise.config import Pictures
from equipoise.data.source import mixed, scaled, to_uint8

SIDE, EACH, SHOWN = 32, 400, 5
SETTINGS = [
    "machine.threads=1", "machine.device=cpu", "machine.precision=fp32", "guardian.mode=off", "evaluate.metrics=[]",
    f"data.size={SIDE}", "nets.g_width=24", "nets.blocks=2", "nets.d_width=24", "nets.d_layers=2", "batch=8",
]  # fmt: skip
Plane = NDArray[np.float64]  # [SIDE, SIDE] in 0..1
ROWS, COLUMNS = np.mgrid[:SIDE, :SIDE]


def stripes(chance: np.random.Generator) -> Plane:
    angle, period = chance.uniform(0, np.pi), chance.uniform(4, 10)
    return (np.sin(2 * np.pi * (np.cos(angle) * ROWS + np.sin(angle) * COLUMNS) / period) > 0) * 1.0


def checks(chance: np.random.Generator) -> Plane:
    side = chance.integers(2, 7)
    return ((ROWS // side + COLUMNS // side) % 2) * 1.0


def waves(chance: np.random.Generator) -> Plane:
    period, bend = chance.uniform(5, 12), chance.uniform(1, 4)
    return 0.5 + 0.5 * np.sin(2 * np.pi * (ROWS + bend * np.sin(COLUMNS / 3)) / period)


def dots(chance: np.random.Generator) -> Plane:
    step = chance.integers(5, 10)
    return ((ROWS % step - step / 2) ** 2 + (COLUMNS % step - step / 2) ** 2 < (step / 3) ** 2) * 1.0


def clouds(chance: np.random.Generator) -> Plane:
    coarse = Image.fromarray((chance.random((6, 6)) * 255).astype(np.uint8))
    return np.asarray(coarse.resize((SIDE, SIDE), Image.Resampling.BICUBIC)) / 255


TEXTURES: tuple[Callable[[np.random.Generator], Plane], ...] = (stripes, checks, waves, dots, clouds)


def textures(each: int, seed: int) -> NDArray[np.uint8]:
    """[5 * each, SIDE, SIDE, 3]: each between two colours."""
    chance = np.random.default_rng(seed)
    found = []
    for make in TEXTURES * each:
        a, b = chance.integers(0, 256, (2, 3))
        share = make(chance)[..., None]
        found.append((a * share + b * (1 - share)).astype(np.uint8))
    return np.stack(found)


def domains(cifar: Path, folder: Path) -> tuple[Path, Path]:
    data = build.splits(Pictures(path=str(cifar), size=SIDE))
    x = build.as_pixels(mixed(data.train, 5 * EACH).take(torch.arange(5 * EACH))[0])
    np.save(folder / "contents.npy", x)
    np.save(folder / "styles.npy", textures(EACH, seed=0))
    return folder / "contents.npy", folder / "styles.npy"


def colours(x: Tensor) -> Tensor:
    """Means and deviations of the channels, of 255: [N, 6]."""
    levels = to_uint8(x).double().flatten(2)
    return torch.cat([levels.mean(2), levels.std(2)], 1)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--cifar", type=Path, required=True)
    parser.add_argument("--kimg", type=float, default=20)
    parser.add_argument("-o", type=Path, default=Path("stylize.png"))
    given = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        a, b = domains(given.cifar, Path(folder))
        data = ["data.kind=domains", f"data.path={a}", f"data.to={b}"]
        config = configuring.configured("stylize", settings=[*data, *SETTINGS, f"kimg={given.kimg:g}"])
        trained = generator.from_file(launch.start(config, Path(folder) / "run").model)
        test = build.splits(Pictures(path=str(given.cifar), size=SIDE)).test
    content = mixed(test, SHOWN).take(torch.arange(SHOWN))[0]
    style = scaled(torch.from_numpy(textures(1, seed=1)).permute(0, 3, 1, 2))
    with torch.no_grad():
        made = torch.cat([trained.G(one.expand(SHOWN, -1, -1, -1), style) for one in content[:, None]])
    corner = torch.ones_like(content[:1])
    lines = [corner, style, *(x for i in range(SHOWN) for x in (content[i : i + 1], made[SHOWN * i : SHOWN * (i + 1)]))]
    pictures.grid(build.as_pixels(torch.cat(lines)), SHOWN + 1).save(given.o)
    like_style, like_content = (
        (colours(made) - colours(side)).abs().mean().item()
        for side in (style.repeat(SHOWN, 1, 1, 1), content.repeat_interleave(SHOWN, 0))
    )
    print(f"{given.o}: colours {like_style:.1f} of 255 from the styles, {like_content:.1f} from the contents")


if __name__ == "__main__":
    main()
