"""DINOv2 and CLIP by way of the package `transformers`, which comes with the extra `foundation`.

DINOv2: Oquab et al. 2023 (arXiv:2304.07193), recommended for judging generators by Stein et al. 2023
(arXiv:2306.04675). CLIP: Radford et al. 2021 (arXiv:2103.00020).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import torch
from safetensors import SafetensorError
from torch import Tensor

from equipoise.encoders.encoder import Look, checked, in_pieces
from equipoise.encoders.resize import CLEAN, clean_bicubic, coloured
from equipoise.encoders.weights import digest
from equipoise.errors import DataError, MachineError

SIDE = 224


@dataclass(frozen=True)
class Foundation:
    """How one of these nets is loaded and looked through."""

    hub: str  # the weights of the papers
    net: str  # class of transformers
    layer: str  # of its output
    mean: tuple[float, float, float]  # of RGB in 0..1, and its standard deviation, as the net was trained
    deviation: tuple[float, float, float]


Name = Literal["dinov2", "clip"]
FOUNDATIONS: Mapping[Name, Foundation] = {
    "dinov2": Foundation(
        "facebook/dinov2-large", "Dinov2Model", "pooler_output", (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    ),
    "clip": Foundation(
        "openai/clip-vit-large-patch14", "CLIPVisionModelWithProjection", "image_embeds",
        (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711),
    ),
}  # fmt: skip


class FoundationEncoder:
    """Features [B, d]: DINOv2's class token after its last norm, or CLIP's projected embedding."""

    def __init__(self, name: Name, where: str | None, device: torch.device):
        """`where`: a folder with config.json and model.safetensors, or a name on the Hugging Face hub.

        Raises:
            MachineError: without transformers.
            DataError: for weights that cannot be read, or are another net's.
        """
        self.kind, self.device = FOUNDATIONS[name], device
        self.net = loaded(self.kind, where or self.kind.hub, name).to(device)
        self.mean, self.deviation = (
            torch.tensor(values, device=device).view(3, 1, 1) for values in (self.kind.mean, self.kind.deviation)
        )
        with torch.no_grad():
            dimension = self.through(torch.zeros(1, 3, SIDE, SIDE, device=device)).shape[1]
        self.protocol: Mapping[str, Any] = {
            "name": name,
            "sha256": digest(self.net.state_dict()),
            "resizer": f"{CLEAN} to {SIDE} x {SIDE}",
            "range": f"0..1, minus {self.kind.mean}, over {self.kind.deviation}",
            "layer": self.kind.layer,
            "dimension": dimension,
        }

    @torch.no_grad()
    def look(self, images: Tensor) -> Look:
        """uint8 [B, C, H, W], C 1 or 3 (RGB). Raises DataError for other images."""
        pieces = in_pieces(checked(images, self.protocol["name"], (1, 3)), self.device)
        return Look(torch.cat([self.through(self.prepared(piece)) for piece in pieces]).cpu())

    def prepared(self, images: Tensor) -> Tensor:
        return (coloured(clean_bicubic(images, SIDE)) / 255 - self.mean) / self.deviation

    def through(self, x: Tensor) -> Tensor:
        out: Tensor = self.net(x)[self.kind.layer]
        return out


def loaded(kind: Foundation, where: str, name: str) -> torch.nn.Module:
    """transformers draws at random what a file lacks, and only warns: here that is an error."""
    try:
        import transformers  # ten seconds to import
    except ImportError as error:
        raise MachineError(
            f"the features {name!r} need the package transformers: pip install 'equipoise[foundation]'"
        ) from error
    wanted = f"Give a folder with config.json and model.safetensors as of {kind.hub}: {name}=FOLDER."
    try:
        with quiet(transformers):
            net, found = getattr(transformers, kind.net).from_pretrained(
                where, use_safetensors=True, output_loading_info=True
            )
    except (OSError, ValueError, KeyError, SafetensorError) as error:
        why = str(error).partition("\n")[0]
        raise DataError(f"the weights of {name} cannot be read from {where}: {why}\n{wanted}") from error
    except RuntimeError as error:
        raise DataError(f"the weights in {where} differ in shape from those of {name}.\n{wanted}") from error
    if missing := sorted(found["missing_keys"]):
        raise DataError(f"{where} lacks {len(missing)} of the weights of {name}, as {missing[0]}.\n{wanted}")
    frozen: torch.nn.Module = net.eval().requires_grad_(False)
    return frozen


@contextmanager
def quiet(transformers: Any) -> Iterator[None]:
    """Without its bars and warnings: progress and errors are shown by the caller."""
    logging = transformers.utils.logging
    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()
