"""Fakes of the past, which D is shown beside the new ones, so that it does not forget how they looked.

Shrivastava et al. 2017 (arXiv:1612.07828), section 2.3, as CycleGAN has it (arXiv:1703.10593, section 4): once the pool
is full, half of the fakes change places with one in it, whose turn it is by lot. Written from the papers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from equipoise.processes import Processes
from equipoise.streams import Stream

SWAPPED = 0.5  # of the fakes


class NoPool:
    """D sees new fakes alone."""

    def shown(self, fake: Tensor, index: int, processes: Processes) -> Tensor:
        return fake

    def state_dict(self) -> dict[str, Any]:
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        pass


@dataclass
class Pool:
    """The same in all processes, which must keep the fakes of all of them for that."""

    size: int
    lots: Stream
    kept: Tensor  # [up to size, C, H, W]

    def shown(self, fake: Tensor, index: int, processes: Processes) -> Tensor:
        """What D is shown in place of fakes [B, ...]; the lots follow from `index`, new for each batch."""
        whole = processes.gathered(fake)
        swap, place = torch.rand(2, len(whole), generator=self.lots.at(index), device=self.lots.device)
        kept, shown, swapped = list(self.kept), list(whole), (swap < SWAPPED).tolist()
        for i, slot in enumerate((place * self.size).long().tolist()):
            if len(kept) < self.size:
                kept.append(whole[i])
            elif swapped[i]:
                shown[i], kept[slot] = kept[slot], whole[i]
        self.kept = torch.stack(kept)
        return processes.part(torch.stack(shown))

    def state_dict(self) -> dict[str, Any]:
        return {"pool": self.kept}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.kept = state["pool"].to(self.kept.device)
