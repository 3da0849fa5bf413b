"""The processes that play one game together, each on its share of every batch.

Data, latents and noise are drawn for the whole batch in every process, which then keeps its own part, so that their
number does not change the run. Gradients are averaged inside `descend`, once a step: there is one backward pass for
D's loss and its penalties, and what is averaged is complete, so R1 and R2 are those of the whole batch.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from equipoise.errors import ConfigError, MachineError


@dataclass(frozen=True)
class Processes:
    """Without arguments: this process plays alone."""

    rank: int = 0
    count: int = 1
    control: Any = None  # a gloo group for words and flags, which are on the host whatever the device

    @property
    def leads(self) -> bool:
        """The leader writes the run's folder and decides; the others do the same steps."""
        return self.rank == 0

    def part(self, whole: Tensor) -> Tensor:
        """This process's share of something drawn for the whole batch [B, ...] -> [B / count, ...]."""
        n = len(whole) // self.count
        return whole[self.rank * n : (self.rank + 1) * n]

    def average(self, tensors: Sequence[Tensor]) -> None:
        """Replaces each tensor by its mean over the processes, which is the same to the bit in all of them."""
        if self.count == 1:
            return
        flat = torch.cat([t.detach().flatten() for t in tensors])
        with together():
            dist.all_reduce(flat)
        parts = torch.split(flat.div_(self.count), [t.numel() for t in tensors])
        torch._foreach_copy_([t.detach() for t in tensors], [p.view_as(t) for p, t in zip(parts, tensors, strict=True)])

    def lead(self, tensors: Sequence[Tensor]) -> None:
        """Replaces each tensor by the leader's."""
        if self.count == 1:
            return
        flat = torch.cat([t.detach().flatten() for t in tensors])
        with together():
            dist.broadcast(flat, 0)
        parts = torch.split(flat, [t.numel() for t in tensors])
        torch._foreach_copy_([t.detach() for t in tensors], [p.view_as(t) for p, t in zip(parts, tensors, strict=True)])

    def mean(self, value: Tensor) -> Tensor:
        """The mean of a scalar over the processes. Its gradient is this process's part, as `descend` expects it; where
        it has none, it is the same to the bit in all of them, and may be kept."""
        if self.count == 1:
            return value
        self.average([whole := value.detach().clone()])
        return value + (whole - value.detach()) if value.requires_grad else whole

    def gathered(self, part: Tensor) -> Tensor:
        """The parts [B / count, ...] of all processes, without graph -> [B, ...]."""
        if self.count == 1:
            return part.detach()
        part = part.detach().contiguous()
        parts = [torch.empty_like(part) for _ in range(self.count)]  # in the same layout, which pictures may differ in
        with together():
            dist.all_gather(parts, part)
        return torch.cat(parts)

    def pooled(self, part: Tensor) -> Tensor:
        """As `gathered`, with graph: what any process makes of a part has its gradient where the part was made."""
        if self.count == 1:
            return part
        whole: Tensor = Pooled.apply(part, self)  # type: ignore[no-untyped-call]
        return whole

    def largest(self, number: int) -> int:
        if self.count == 1:
            return number
        flag = torch.tensor(number)
        with together():
            dist.all_reduce(flag, dist.ReduceOp.MAX, group=self.control)
        return int(flag)

    def told(self, text: str) -> str:
        """The leader's text, in every process."""
        if self.count == 1:
            return text
        blob = torch.tensor(list(text.encode()), dtype=torch.uint8)
        size = torch.tensor(len(blob))
        with together():
            dist.broadcast(size, 0, group=self.control)
            blob = blob if self.leads else torch.empty(int(size), dtype=torch.uint8)
            dist.broadcast(blob, 0, group=self.control)
        return bytes(blob.numpy()).decode()

    def require_divides(self, batch: int) -> None:
        if batch % self.count:
            raise ConfigError(f"batch={batch} cannot be shared equally by {self.count} processes: choose a multiple.")


class Pooled(Function):
    """Parts go forward to all processes, and the sum of their gradients goes back; `descend` takes the mean of it over
    the processes, as of the rest of their losses. All of them go back in the same order."""

    @staticmethod
    def forward(ctx: Any, part: Tensor, processes: Processes) -> Tensor:
        ctx.processes = processes
        return processes.gathered(part)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, slope: Tensor) -> tuple[Tensor, None]:
        whole = slope.clone(memory_format=torch.contiguous_format)
        with together():
            dist.all_reduce(whole)
        return ctx.processes.part(whole), None


ALONE = Processes()


@contextmanager
def together() -> Iterator[None]:
    """Raises MachineError when a process that should take part has ended."""
    try:
        yield
    except RuntimeError as error:
        raise MachineError(
            f"another process of this run has ended, so this one ends too: {str(error).splitlines()[0][:100]}\n"
            "The last checkpoint is intact: resume the run."
        ) from error


def joined(device: torch.device, devices: int, nodes: int) -> tuple[Processes, torch.device]:
    """Starts what is missing of `devices` processes on each of `nodes` machines, or joins those of torchrun.

    Returns the processes and this one's device.

    Raises:
        MachineError: when they do not find each other, or there are fewer devices.
    """
    devices, nodes = asked_by_torchrun() or (devices, nodes)
    if devices * nodes == 1:
        return ALONE, device
    if dist.is_initialized():  # a second run in the same processes
        return Processes(dist.get_rank(), dist.get_world_size(), dist.new_group(backend="gloo")), device
    from lightning_fabric import Fabric  # two seconds to import: only for those who need it

    if device.type == "cuda" and torch.cuda.device_count() < devices:
        raise MachineError(f"{devices} devices were asked for, and this machine has {torch.cuda.device_count()}.")
    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)  # the run's own first line tells as much
    fabric = Fabric(accelerator=device.type, devices=devices, num_nodes=nodes, strategy="ddp")
    fabric.launch()
    return Processes(fabric.global_rank, fabric.world_size, dist.new_group(backend="gloo")), fabric.device


def asked_by_torchrun() -> tuple[int, int] | None:
    """(processes on each machine, machines), where torchrun has started this one."""
    if "TORCHELASTIC_RUN_ID" not in os.environ:
        return None
    local = int(os.environ["LOCAL_WORLD_SIZE"])
    return local, int(os.environ["WORLD_SIZE"]) // local
