from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

from equipoise.data.hashes import Ints, Pixels


@pytest.fixture(scope="session")
def digits() -> tuple[Pixels, Ints]:
    """1,797 real digits [N, 8, 8, 1] and their labels."""
    x, y = load_digits(return_X_y=True)
    return (x * 255 / 16).round().astype(np.uint8).reshape(-1, 8, 8, 1), y.astype(np.int64)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """120 smooth random pictures in two classes, with a broken file, an empty one, a copy and two hostile names."""
    folder, rng = tmp_path / "photos", np.random.default_rng(0)
    for i in range(120):
        path = folder / ("train/cats" if i % 2 else "train/dogs") / f"{i:03d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        small = Image.fromarray(rng.integers(0, 256, (5, 5, 3), dtype=np.uint8))
        small.resize((16, 16), Image.Resampling.BICUBIC).save(path)
    (folder / "test/cats").mkdir(parents=True)
    (folder / "test/cats/copy.png").write_bytes((folder / "train/dogs/004.png").read_bytes())
    (folder / "train/cats/<script>alert(1)<").mkdir()
    hostile = folder / "train/cats/<script>alert(1)<" / 'script>"><img src=x onerror=alert(2)>.png'
    hostile.write_bytes((folder / "train/dogs/006.png").read_bytes())
    (folder / "train/dogs/half.png").write_bytes((folder / "train/dogs/008.png").read_bytes()[:200])
    (folder / "train/dogs/<b>empty.png").write_bytes(b"")
    (folder / "notes.txt").write_text("mine")
    return folder
