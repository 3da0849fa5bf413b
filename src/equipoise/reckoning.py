"""What a step will hold and take, told before anything of it is made.

A round is played with tensors that have a shape and no memory (torch's fake tensors), and counted: what lives at once,
the arithmetic of matrix products and convolutions, and the bytes that all operations read and write. Two short
measurements of the machine turn the counts into a time, of which the fast units and the memory each have their part.

Held against what a process held and took in truth by `benchmarks/large.py`.
"""

from __future__ import annotations

import copy
import time
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import (
    DataDependentOutputException,
    DynamicOutputShapeException,
    FakeCopyMode,
    FakeTensorMode,
    UnsupportedOperatorException,
)
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry

from equipoise import build
from equipoise import config as c
from equipoise.games.base import Batch
from equipoise.games.cyclegan import CycleGAN

LARGE = 128  # pixels of a side from which on it is worth the seconds that counting takes
BESIDE_MIB = 300  # what torch's libraries work with, beside tensors: 40 to 400 were measured
PROBE_S = 0.1  # for each of the two measurements of the machine
CPU = torch.device("cpu")
UNCOUNTABLE = (DataDependentOutputException, DynamicOutputShapeException, UnsupportedOperatorException)


@dataclass(frozen=True)
class Pace:
    """Of one thread of this machine, in fp32."""

    operations: float  # multiplications and additions a second, of a convolution
    moved: float  # bytes a second, read or written, of memory that is new


@dataclass(frozen=True)
class Reckoning:
    """Of one step with all of its penalties, as a rule a little more than it takes."""

    held: int  # bytes that live at once: nets, optimizers, and the graph where it is largest
    operations: float
    moved: float  # bytes

    def seconds(self, pace: Pace) -> float:
        return self.operations / pace.operations + self.moved / pace.moved


def reckoned(config: c.TrainConfig, form: build.Form) -> Reckoning | None:
    """Of a step on a CPU in fp32; None for a game whose course depends on numbers that were not worked out.

    One part of a step is played, and counts for all. Takes some seconds, and the memory of the nets.
    """
    knobs = config.knobs.model_copy(update={"accumulate": 1, "r1_every": 1, "path_every": 1})
    machine = config.machine.model_copy(update={"compile": False})
    played = config.model_copy(update={"knobs": knobs, "machine": machine})
    mode = FakeTensorMode(allow_non_fake_inputs=True)
    with FakeCopyMode(mode):
        game = copy.deepcopy(build.game(played, form, CPU))
    try:
        with mode, Count() as count:
            game.step(reals(played, form))
    except UNCOUNTABLE:
        return None
    return Reckoning(
        held=count.most + kept(game) + BESIDE_MIB * 2**20,
        operations=config.knobs.accumulate * count.operations,
        moved=config.knobs.accumulate * count.moved,
    )


def reals(config: c.TrainConfig, form: build.Form) -> Iterator[Batch]:
    channels, *sides = form.shape  # of what G makes; behind what it is given
    x = torch.zeros(config.batch, form.given + channels, *sides).to(memory_format=build.layout(config.nets))
    while True:
        yield x, torch.zeros(config.batch, dtype=torch.long)


def kept(game: build.AnyGame) -> int:
    """Bytes of the nets, of the average and of what the optimizers remember."""
    games = game.games if isinstance(game, CycleGAN) else (game,)
    players = [net for each in games for net in (each.G, each.D, each.ema.net)]
    nets = [tensor for net in players for tensor in net.state_dict().values()]
    optimizers = dict.fromkeys(optimizer for each in games for optimizer in (each.g_opt, each.d_opt))
    moments = [tensor for optimizer in optimizers for tensor in tree_leaves(optimizer.state)]
    return sum(tensor.nbytes for tensor in (*nets, *moments) if isinstance(tensor, Tensor))


@dataclass
class Counted:
    now: int = 0
    most: int = 0
    storages: dict[int, int] = field(default_factory=dict)  # those that live, and their bytes

    def add(self, tensor: Tensor) -> None:
        storage = tensor.untyped_storage()
        key, size = storage._cdata, storage.nbytes()
        if key in self.storages:
            return
        self.storages[key] = size
        self.now += size
        self.most = max(self.most, self.now)
        weakref.finalize(storage, self.remove, key)

    def remove(self, key: int) -> None:
        self.now -= self.storages.pop(key)


class Count(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts the operations within."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.memory, self.operations, self.moved = Counted(), 0.0, 0.0

    @property
    def most(self) -> int:
        return self.memory.most

    def __torch_dispatch__(
        self, func: Any, types: Sequence[type], args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        out = func(*args, **(kwargs or {}))
        made = [leaf for leaf in tree_leaves(out) if isinstance(leaf, Tensor)]
        for tensor in made:
            self.memory.add(tensor)
        if counted := flop_registry.get(func._overloadpacket):
            self.operations += counted(*args, **(kwargs or {}), out_val=out)
        if not func.is_view:
            taken = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
            self.moved += sum(tensor.nbytes for tensor in (*taken, *made))
        return out


def paced() -> Pace:
    """Measures this machine, as busy as it is now."""
    x = torch.rand(16, 256, 16, 16).contiguous(memory_format=torch.channels_last)
    kernel = torch.rand(256, 256, 3, 3).contiguous(memory_format=torch.channels_last)
    a, b = torch.rand(2, 2**23)
    operations = 2 * 9 * 256 * 256 * 16 * 16 * 16
    return Pace(
        operations=operations / fastest(lambda: torch.conv2d(x, kernel, padding=1)),
        moved=3 * a.nbytes / fastest(lambda: a + b),
    )


def fastest(run: Callable[[], Tensor]) -> float:
    """Seconds of the quickest call on one thread, within PROBE_S."""
    threads, found, began = torch.get_num_threads(), list[float](), time.perf_counter()
    torch.set_num_threads(1)
    while len(found) < 3 or time.perf_counter() - began < PROBE_S:
        start = time.perf_counter()
        run()
        found.append(time.perf_counter() - start)
    torch.set_num_threads(threads)
    return min(found)
