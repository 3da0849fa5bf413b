"""Draws samples from a generator that Equipoise trained. Needs onnxruntime and numpy, and neither torch nor Equipoise.

python sampler.py -n 16 --seed 0 -o samples.npy

As a module: samples(n, seed, label) gives images as uint8 [n, H, W, C], or points as float32 [n, d]. Its latents are
numpy's: other ones than those that `equipoise sample` draws by the same seed.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

MODEL = Path(__file__).with_name("FILE")


def samples(n: int, seed: int = 0, label: int | None = None) -> NDArray[Any]:
    """Classes are as often as in training unless `label` asks for one. Raises ValueError for one that is not there."""
    session = onnxruntime.InferenceSession(str(MODEL), providers=["CPUExecutionProvider"])
    about = session.get_modelmeta().custom_metadata_map
    counts = json.loads(about.get("class_counts", "[]")) or [1] * int(about["classes"])  # training samples of each
    require_known(label, counts)
    z_dim = session.get_inputs()[0].shape[1]
    given: dict[str, NDArray[Any]] = {"z": np.random.default_rng(seed).standard_normal((n, z_dim), np.float32)}
    if counts:
        given["y"] = classes(n, counts) if label is None else np.full(n, label)
    x: NDArray[np.float32] = session.run(None, given)[0]
    if x.ndim != 4:
        return x
    return np.clip(np.round((x + 1) * 127.5), 0, 255).astype(np.uint8).transpose(0, 2, 3, 1)


def classes(n: int, counts: list[int]) -> NDArray[np.int64]:
    """In turns where all are as many; otherwise in proportion, by multiples of the golden ratio."""
    if len(set(counts)) <= 1:
        return np.arange(n) % len(counts)
    ends = np.cumsum(counts)
    at = (np.arange(n) * (5**0.5 - 1) / 2 + 0.5) % 1 * ends[-1]
    y: NDArray[np.int64] = np.searchsorted(ends, at, side="right")
    return y


def require_known(label: int | None, counts: list[int]) -> None:
    if label is not None and not 0 <= label < len(counts):
        known = f"classes 0 to {len(counts) - 1}" if counts else "no classes"
        raise ValueError(f"class {label} was asked for, and this generator has {known}.")
    if label is not None and not counts[label]:
        known = ", ".join(str(k) for k, count in enumerate(counts) if count)
        raise ValueError(f"class {label} was asked for, and no training sample is of it: ask for one of {known}.")


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
