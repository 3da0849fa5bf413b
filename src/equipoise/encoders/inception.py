"""Inception as the field uses it for Frechet distances and Inception scores: TensorFlow's graph of 2015-12-05.

It is not torchvision's net: 1,008 classes, means that leave out the padding, and its own bilinear resize to 299 x 299.
The TorchScript translation that StyleGAN2-ADA published gives the same features; it does not come with Equipoise. A
TorchScript file is a program, so that none is run but the one whose SHA-256 stands here.
"""

from __future__ import annotations

import hashlib
import http.client
import io
import urllib.request
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

import torch
from torch import Tensor

from equipoise.data.hooks import Track, untracked
from equipoise.encoders.cache import home, replacing
from equipoise.encoders.encoder import Look, checked, in_pieces
from equipoise.encoders.resize import coloured
from equipoise.encoders.weights import content
from equipoise.errors import DataError

NAME = "inception-2015-12-05.pt"
URL = f"https://nvlabs-fi-cdn.nvidia.com/stylegan2-ada-pytorch/pretrained/metrics/{NAME}"
# As k-diffusion (evaluation.py) and several others pin it; 95,607,719 bytes.
SHA256 = "f58cb9b6ec323ed63459aa4fb441fe750cfe39fafad6da5cb504a16f19e958f4"
MOST_BYTES = 2**28
PIECE = 2**20  # bytes that are fetched at a time
TIMEOUT_S = 30


class InceptionEncoder:
    """Features [B, 2048] (pool3) and logits [B, 1008] without bias, as the Inception score has them."""

    def __init__(self, path: Path, device: torch.device, sha256: str = SHA256):
        self.graph, self.device = opened(path, device, sha256), device
        self.protocol: Mapping[str, Any] = {
            "name": "inception",
            "sha256": sha256,
            "resizer": "the graph's own: bilinear to 299 x 299, not antialiased",
            "range": "uint8",
            "layer": "pool3",
            "dimension": self.graph.output.weight.shape[1],
        }

    @torch.no_grad()
    def look(self, images: Tensor) -> Look:
        """uint8 [B, C, H, W], C 1 or 3 (RGB). Raises DataError for other images."""
        pieces = in_pieces(coloured(checked(images, "inception", (1, 3))), self.device)
        features = torch.cat([self.graph(piece, return_features=True) for piece in pieces])
        logits = features @ self.graph.output.weight.T  # the same as no_output_bias=True, before its softmax
        return Look(features.cpu(), logits.cpu())


def opened(path: Path, device: torch.device, sha256: str) -> torch.jit.ScriptModule:
    """Raises DataError for any file but the one with this SHA-256."""
    raw = content(path)
    if (found := hashlib.sha256(raw).hexdigest()) != sha256:
        raise DataError(
            f"{path} is not {NAME}: its SHA-256 is {found[:12]}..., not {sha256[:12]}...\n"
            f"A TorchScript file is a program, so no other is run. Download it again from\n{URL}"
        )
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "`torch.jit.load` is deprecated", DeprecationWarning)
        graph: torch.jit.ScriptModule = torch.jit.load(io.BytesIO(raw), map_location=device)  # type: ignore[no-untyped-call]
    return graph.eval()


def fetched(folder: Path | None = None, url: str = URL, sha256: str = SHA256, track: Track = untracked) -> Path:
    """The graph's file below the cache, fetched if it is not there yet. Nothing is left of what was fetched in part.

    Raises:
        DataError: when it cannot be fetched, or is not the file that it should be.
    """
    path = (home() / "weights" if folder is None else folder) / NAME
    if path.is_file() and hashlib.sha256(content(path)).hexdigest() == sha256:
        return path
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT_S) as response, replacing(path) as file:
            found = hashlib.sha256()
            count = -(-int(response.headers.get("Content-Length", 0)) // PIECE)
            for piece in track(pieces_of(response), f"fetching {NAME}", count):
                found.update(piece)
                file.write(piece)
            if found.hexdigest() != sha256:
                raise DataError(
                    f"{url} gave another file than {NAME}: its SHA-256 is {found.hexdigest()[:12]}..., "
                    f"not {sha256[:12]}...\nTry again, or download it elsewhere and give its path: inception=FILE.pt"
                )
    except (OSError, http.client.HTTPException) as error:
        if isinstance(error, HTTPError):
            error.close()  # it is the server's answer
        raise DataError(
            f"{NAME} cannot be fetched from {url}: {error}.\n"
            "Download it on a machine with a network, and give its path: inception=FILE.pt"
        ) from error
    return path


def pieces_of(response: http.client.HTTPResponse) -> Iterator[bytes]:
    """At most 256 MiB of them: the file has 91."""
    for _ in range(MOST_BYTES // PIECE):
        if not (piece := response.read(PIECE)):
            return
        yield piece
