"""The order in which D is shown its training data."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from equipoise.data.source import Source
from equipoise.processes import ALONE, Processes
from equipoise.streams import Stream

AHEAD = 3  # batches that the source is told of before they are due
Vary = Callable[[Tensor, int], Tensor]  # (x [B, ...], place of the whole batch in the endless sequence) -> x


def unvaried(x: Tensor, position: int) -> Tensor:
    return x


class Batches:
    """Endless batches of `size`, or this process's part of them; each epoch is a permutation, a pure function of
    (seed, epoch). Where `epochs_differ`, sample i of epoch k is asked for as i + k len(source).

    A batch may straddle two epochs, so that all have the same size. The source is told of the next few. The state is
    one number, `position`: samples taken so far; the focus is a knob, and set by the loop.
    """

    def __init__(
        self,
        source: Source,
        size: int,
        seed: int,
        device: torch.device | str = "cpu",
        augment: Vary = unvaried,
        processes: Processes = ALONE,
        layout: torch.memory_format = torch.preserve_format,
        epochs_differ: bool = False,
    ):
        self.augment, self.processes, self.layout = augment, processes, layout
        self.epochs_differ = epochs_differ
        self.bins: Mapping[int, Sequence[int]] = {}  # samples of each bin, as far as they are known
        self._focus, self._among = (0.0, tuple[int, ...]()), torch.empty(0, dtype=torch.long)
        self.source, self.size, self.device = source, size, torch.device(device)
        self.position = 0
        self._announced = 0  # samples
        self._ahead: deque[Tensor] = deque()  # announced batches, from `position` on
        self._orders, self._focused = Stream(seed, "order"), Stream(seed, "focus")
        self._epoch, self._order = -1, torch.empty(0, dtype=torch.long)  # kept between batches of one epoch

    def __iter__(self) -> Batches:
        return self

    def __next__(self) -> tuple[Tensor, Tensor]:
        while len(self._ahead) <= AHEAD:
            indices = self.refocused(self.indices(self._announced, self.size), self._announced)
            self._ahead.append(self.processes.part(indices))
            self._announced += self.size
            self.source.expect(self._ahead[-1])
        x, y = self.source.take(self._ahead.popleft())
        x = self.augment(x.to(self.device, non_blocking=True), self.position).to(memory_format=self.layout)
        self.position += self.size
        return x, y.to(self.device, non_blocking=True)

    def focus(self, part: float, bins: Sequence[int]) -> None:
        """From now on, so large a part of the samples is of these bins alone. What was announced is announced anew."""
        if self._focus == (part, tuple(bins)):
            return
        among = [index for cell in bins for index in self.bins.get(cell, ())]
        self._focus, self._among = (part, tuple(bins)), torch.tensor(among, dtype=torch.long)
        self._announced = self.position
        self._ahead.clear()

    def state_dict(self) -> dict[str, int]:
        return {"position": self.position}

    def load_state_dict(self, state: dict[str, int]) -> None:
        self.position = self._announced = state["position"]
        self._ahead.clear()

    def indices(self, start: int, count: int) -> Tensor:
        """The samples at places start .. start + count of the endless sequence. [count]."""
        parts = []
        while count:
            epoch, offset = divmod(start, len(self.source))
            part = self.order(epoch)[offset : offset + count]
            parts.append(part)
            start, count = start + len(part), count - len(part)
        return torch.cat(parts)

    def refocused(self, indices: Tensor, start: int) -> Tensor:
        """With some of them replaced by samples of the bins in focus, by draws that follow from their place."""
        part, among = self._focus[0], self._among
        if not part or not len(among):
            return indices
        replaced, which = torch.rand(2, len(indices), generator=self._focused.at(start))
        return torch.where(replaced < part, among[(which * len(among)).long()], indices)

    def order(self, epoch: int) -> Tensor:
        if epoch != self._epoch:
            count = len(self.source)
            self._epoch, self._order = epoch, torch.randperm(count, generator=self._orders.at(epoch))
            if self.epochs_differ:
                self._order = self._order + epoch * count
        return self._order
