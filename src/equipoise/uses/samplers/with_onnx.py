"""Draws samples from a generator that Equipoise trained. Needs onnxruntime and numpy, and neither torch nor Equipoise.

python sampler.py -n 16 --seed 0 -o samples.npy

As a module: samples(n, seed, label) gives images as uint8 [n, H, W, C], or points as float32 [n, d]. Its latents are
numpy's: other ones than those that `equipoise sample` draws by the same seed.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

MODEL = Path(__file__).with_name("FILE")


def samples(n: int, seed: int = 0, label: int | None = None) -> NDArray[Any]:
    """Classes are taken in turn unless `label` asks for one. Raises ValueError for one that is not there."""
    session = onnxruntime.InferenceSession(str(MODEL), providers=["CPUExecutionProvider"])
    classes = int(session.get_modelmeta().custom_metadata_map["classes"])
    require_known(label, classes)
    z_dim = session.get_inputs()[0].shape[1]
    given: dict[str, NDArray[Any]] = {"z": np.random.default_rng(seed).standard_normal((n, z_dim), np.float32)}
    if classes:
        given["y"] = np.arange(n) % classes if label is None else np.full(n, label)
    x: NDArray[np.float32] = session.run(None, given)[0]
    if x.ndim != 4:
        return x
    return np.clip(np.round((x + 1) * 127.5), 0, 255).astype(np.uint8).transpose(0, 2, 3, 1)


def require_known(label: int | None, classes: int) -> None:
    if label is not None and not 0 <= label < classes:
        known = f"classes 0 to {classes - 1}" if classes else "no classes"
        raise ValueError(f"class {label} was asked for, and this generator has {known}.")


def main() -> None:
    parser = argparse.ArgumentParser(description="Draws samples from a generator.")
    parser.add_argument("-n", type=int, default=16)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--class", dest="label", type=int)
    parser.add_argument("-o", type=Path, default=Path("samples.npy"))
    asked = parser.parse_args()
    if asked.n < 1:
        parser.error(f"-n {asked.n}: at least one sample is drawn.")
    try:
        x = samples(asked.n, asked.seed, asked.label)
    except ValueError as error:
        print(f"sampler: {error}", file=sys.stderr)
        sys.exit(2)
    np.save(asked.o, x)


if __name__ == "__main__":
    main()
