"""Draws samples from a generator that Equipoise trained. Needs torch and safetensors, and no Equipoise.

python sampler.py -n 16 --seed 0 -o samples.png

As a module: samples(n, seed, label) gives images as uint8 [n, H, W, C], or points as float32 [n, d]: those that
`equipoise sample` draws.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import struct
import sys
import zlib
from pathlib import Path

import torch
from safetensors import safe_open
from torch import Tensor

WEIGHTS = Path(__file__).with_name("FILE")
CHUNK = 256  # samples at a time
aten, device, inf, nan = torch.ops.aten, torch.device, math.inf, math.nan  # as torch.export calls them


def network(w: dict[str, Tensor], z: Tensor, y: Tensor) -> Tensor:
    """Latents [n, z_dim] and classes [n] -> [n, ...]; torch.export wrote down what the net does, in order."""
    raise SystemExit("This is a pattern: `equipoise export RUN` writes a sampler with a net in this place.")


@torch.no_grad()
def samples(n: int, seed: int = 0, label: int | None = None) -> Tensor:
    """Classes are as often as in training unless `label` asks for one. Raises ValueError for one that is not there."""
    with safe_open(WEIGHTS, framework="pt") as file:
        about = json.loads(file.metadata()["equipoise"])
        w = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a mapping
    counts = about.get("class_counts") or [1] * about["classes"]  # training samples of each class
    require_known(label, counts)
    y = classes(n, counts) if label is None else torch.full((n,), label)
    parts = [
        network(w, latents(seed, i, about["nets"]["z_dim"])[: len(part)], part)
        for i, part in enumerate(torch.split(y, CHUNK))
    ]
    x = torch.cat(parts)
    if x.ndim != 4:
        return x
    return ((x + 1) * 127.5).round().clamp(0, 255).to(torch.uint8).movedim(1, -1)


def classes(n: int, counts: list[int]) -> Tensor:
    """In turns where all are as many; otherwise in proportion, by multiples of the golden ratio."""
    if len(set(counts)) <= 1:
        return torch.arange(n) % max(len(counts), 1)
    ends = torch.tensor(counts, dtype=torch.float64).cumsum(0)
    at = (torch.arange(n, dtype=torch.float64) * (5**0.5 - 1) / 2 + 0.5) % 1 * ends[-1]
    return torch.searchsorted(ends, at, right=True)


def require_known(label: int | None, counts: list[int]) -> None:
    if label is not None and not 0 <= label < len(counts):
        known = f"classes 0 to {len(counts) - 1}" if counts else "no classes"
        raise ValueError(f"class {label} was asked for, and this generator has {known}.")
    if label is not None and not counts[label]:
        known = ", ".join(str(k) for k, count in enumerate(counts) if count)
        raise ValueError(f"class {label} was asked for, and no training sample is of it: ask for one of {known}.")


def latents(seed: int, chunk: int, z_dim: int) -> Tensor:
    key = hashlib.blake2b(f"{seed}/sample/{chunk}".encode(), digest_size=8).digest()
    generator = torch.Generator().manual_seed(int.from_bytes(key, "little") >> 1)
    return torch.randn(CHUNK, z_dim, generator=generator)


def png(images: Tensor) -> bytes:
    """Side by side, in rows."""
    n, h, w, c = images.shape
    columns = math.ceil(math.sqrt(n))
    rows = math.ceil(n / columns)
    canvas = torch.zeros(rows * columns, h, w, c, dtype=torch.uint8)
    canvas[:n] = images
    lines = canvas.view(rows, columns, h, w, c).transpose(1, 2).reshape(rows * h, columns * w * c)
    raw = b"".join(b"\0" + bytes(line.tolist()) for line in lines)
    head = struct.pack(">IIBBBBB", columns * w, rows * h, 8, {1: 0, 3: 2}[c], 0, 0, 0)
    chunks = [(b"IHDR", head), (b"IDAT", zlib.compress(raw)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body)) for kind, body in chunks
    )


def main() -> None:
    parser = argparse.ArgumentParser(description="Draws samples from a generator.")
    parser.add_argument("-n", type=int, default=16)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--class", dest="label", type=int)
    parser.add_argument("-o", type=Path, default=Path("samples.png"), help="pictures: .png; points: text, one a line")
    asked = parser.parse_args()
    if asked.n < 1:
        parser.error(f"-n {asked.n}: at least one sample is drawn.")
    try:
        x = samples(asked.n, asked.seed, asked.label)
    except ValueError as error:
        print(f"sampler: {error}", file=sys.stderr)
        sys.exit(2)
    if x.ndim == 4:
        asked.o.write_bytes(png(x))
    else:
        asked.o.write_text("".join(",".join(map(str, point)) + "\n" for point in x.tolist()), encoding="utf-8")


if __name__ == "__main__":
    main()
