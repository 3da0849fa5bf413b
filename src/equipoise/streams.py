"""Random numbers without state: each concern has its own stream, and each draw is a function of its place.

A stateful generator would have to be saved, restored and kept apart from every other consumer. Here the
generator for a draw is made from (seed, name of the stream, index of the draw), so that looking at samples,
adding a metric or resuming can never shift what training sees. After EDM2, which reseeds every step.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Stream:
    """An endless sequence of independent generators, addressed by index."""

    seed: int
    name: str
    device: str = "cpu"

    def at(self, index: int) -> torch.Generator:
        """The generator of draw number `index`. The same triple gives the same numbers on every run."""
        key = f"{self.seed}/{self.name}/{index}".encode()
        number = int.from_bytes(hashlib.blake2b(key, digest_size=8).digest(), "little") >> 1
        return torch.Generator(self.device).manual_seed(number)
