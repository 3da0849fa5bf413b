"""What D says of samples, and how much of it LeCam remembers."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from equipoise.correspondences import per_image

DECAY = 0.99  # of the averages, for each update of D


class Answer(NamedTuple):
    """All float32. A D that names no classes has evidence of no dimensions."""

    logits: Tensor  # [B], or a PatchGAN map
    evidence: Tensor  # [B, E] of the class that D takes a sample for
    classes: Tensor  # [K, E] what the evidence of each class is like


def heard(said: Tensor | tuple[Tensor, Tensor, Tensor]) -> Answer:
    """What a D has returned: logits, or logits, evidence and classes."""
    if isinstance(said, tuple):
        return Answer(*(part.float() for part in said))
    nothing = said.new_zeros(len(said), 0)
    return Answer(said.float(), nothing, nothing[:0])


def of_images(answer: Answer) -> Answer:
    """With one logit for each image, the mean of its patches: the patch at a place of one image has no likeness to that
    of another, with which a relativistic loss would pair it."""
    return answer._replace(logits=per_image(answer.logits)) if answer.logits.ndim > 1 else answer


class Levels:
    """Where D's logits lie of late: the averages of LeCam (Tseng et al. 2021, arXiv:2104.03310, section 3.2).

    They are kept whether LeCam is on or not, so that it can be switched on at any time.
    """

    def __init__(self, device: torch.device | str = "cpu"):
        self.sums = torch.zeros(3, device=device)  # of real logits, of fake ones, and of ones

    def update(self, real_logit: Tensor, fake_logit: Tensor) -> None:
        """By the means of one update of D."""
        now = torch.stack([real_logit, fake_logit, torch.ones_like(real_logit)]).detach()
        self.sums = self.sums.lerp(now, 1 - DECAY)

    @property
    def real(self) -> Tensor:
        """Without the zeros of the start (Kingma & Ba 2014, arXiv:1412.6980, section 3); at the start 0."""
        return self.sums[0] / self.sums[2].clamp(min=1e-12)

    @property
    def fake(self) -> Tensor:
        return self.sums[1] / self.sums[2].clamp(min=1e-12)

    def state_dict(self) -> dict[str, Any]:
        return {"sums": self.sums}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.sums = state["sums"].to(self.sums.device)
