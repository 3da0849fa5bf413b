"""From a config to its data: the parts of a set, and the batches that are made of it."""

from __future__ import annotations

from pathlib import Path
from typing import assert_never

import torch
from torch import Tensor

from equipoise import augment
from equipoise import config as c
from equipoise.build.players import layout
from equipoise.data import arrays, degraded, digits, images, lesions, painted, records, scan_slices, sides, toy
from equipoise.data import text as texts
from equipoise.data.batches import Batches, Vary, unvaried
from equipoise.data.degraded import Spoil
from equipoise.data.domains import Asked
from equipoise.data.hooks import Track, Warn, unheard, untracked
from equipoise.data.pairs import pairs
from equipoise.data.scans import Window
from equipoise.data.source import Splits
from equipoise.data.unpaired import domains
from equipoise.games.adaptive import HeldOut
from equipoise.games.base import Batch
from equipoise.processes import ALONE, Processes
from equipoise.streams import Stream

SHARE_FOR_DATA = 0.25  # of a CUDA device's free memory: a set that fits lives there


def splits(data: c.Data, track: Track = untracked, warn: Warn = unheard) -> Splits:
    """The parts of a set; a few bad files are left out and told to `warn`. Of a translation, the first `given` channels
    of a sample are those of A, the others of B.

    Raises:
        DataError: for data that cannot be found, read or used.
        MachineError: when a reading process is killed, or pyarrow is missing.
    """
    match data:
        case c.Toy(kind=kind):
            return toy.splits(toy.MIXTURES[kind]())
        case c.Records(path=path):
            return records.records(Path(path))
        case c.MadeUpRecords():
            return records.made_up()
        case c.Digits():
            return digits.digits()
        case c.StackedDigits():
            return digits.stacked_digits()
        case c.ColouredDigits():
            return painted.coloured_digits()
        case c.PaintedDigits():
            return painted.painted_digits()
        case c.Pictures():
            return images.pictures(Path(data.path), data.size, data.memory_mib, data.workers, track, warn)
        case c.Arrays():
            return arrays.arrays(Path(data.path), data.size, data.memory_mib, track)
        case c.Scans():
            window = None if data.window is None else Window(*data.window)
            wanted = scan_slices.Asked(
                Path(data.path), data.size, window, data.percentiles, data.mixed_spacings, data.memory_mib
            )
            return scan_slices.slices(wanted, track, warn)
        case c.Lesions():
            return lesions.lesions(lesions.Asked(Path(data.path), data.size, data.channel, data.memory_mib), track)
        case c.Pairs():
            return pairs(asked(data), track, warn)
        case c.Domains():
            return domains(asked(data), track, warn)
        case c.Sentences():
            return texts.text(Path(data.path), data.by, data.words, data.length, warn)
        case c.Degrade():
            held_out = spoiling(data, Stream(0, "spoilt"))  # of no run's seed: all are asked about the same
            return degraded.degraded(splits(data.of, track, warn), held_out, f"{data.how} {data.sigma}")
        case other:
            assert_never(other)


def asked(data: c.Pairs | c.Domains) -> Asked:
    to = None if data.to is None else Path(data.to)
    return Asked(Path(data.path), to, data.swap, data.size, data.memory_mib, data.workers)


def spoiling(data: c.Degrade, stream: Stream) -> Spoil:
    match data.how:
        case "superres-x2":
            return degraded.lowering(2)
        case "superres-x4":
            return degraded.lowering(4)
        case "inpaint-box":
            return degraded.holing(degraded.boxes, stream)
        case "inpaint-free":
            return degraded.holing(degraded.strokes, stream)
        case "denoise":
            return degraded.noising(data.sigma, stream)
        case "colorize":
            return degraded.greying
        case other:
            assert_never(other)


def batches(config: c.TrainConfig, data: Splits, device: torch.device, processes: Processes = ALONE) -> Batches:
    source = degraded.unspoilt(data.train)  # they are spoilt anew each time, after they were varied
    if device.type == "cuda":
        source = sides.near(source, device, room=int(SHARE_FOR_DATA * torch.cuda.mem_get_info(device)[0]))
    vary = of_the_data(config, data.given, device, processes)
    unpaired = isinstance(source, sides.Unpaired)  # each picture meets another one in each epoch
    return Batches(source, config.batch, config.seed, device, vary, processes, layout(config.nets), unpaired)


def held_out(
    config: c.TrainConfig, data: Splits, device: torch.device, processes: Processes = ALONE
) -> HeldOut:  # fmt: skip
    """Batches of the validation part, varied as those are that D learns from."""
    source, stream = degraded.unspoilt(data.validation), Stream(config.seed, "held out")
    vary, places = of_the_data(config, data.given, device, processes), torch.arange(config.batch) % len(source)

    def dealt(drawn: int) -> Batch:
        some = torch.randperm(len(source), generator=stream.at(drawn))[places]
        x, y = source.take(processes.part(some))
        return vary(x.to(device), drawn).to(memory_format=layout(config.nets)), y.to(device)

    return dealt


def of_the_data(config: c.TrainConfig, given: int, device: torch.device, processes: Processes) -> Vary:
    """What is done to each batch: its samples are varied, and spoilt."""
    match config.data:
        case c.Degrade() as data:
            spoil = spoiling(data, Stream(config.seed, "spoilt", str(device)))
            return then(varying(config, "augmentation", device, processes), degraded.degrading(spoil, processes))
        case c.Domains() | c.ColouredDigits():
            a, b = (varying(config, name, device, processes) for name in ("augmentation", "augmentation/b"))
            return a if a is unvaried else sides.each_side(a, b, given)
        case _:  # of pairs, both pictures alike
            return varying(config, "augmentation", device, processes)


def varying(config: c.TrainConfig, name: str, device: torch.device, processes: Processes) -> Vary:
    """By the draws of the stream of this name."""
    if not isinstance(config.data, c.Images) or config.data.augment == c.Augmentation():
        return unvaried
    ranges, stream = augment.Ranges(**dict(config.data.augment)), Stream(config.seed, name, str(device))

    def vary(x: Tensor, position: int) -> Tensor:
        whole = augment.rows(stream, position, len(x) * processes.count)
        return augment.varied(x, processes.part(whole), ranges)

    return vary


def then(first: Vary, second: Vary) -> Vary:
    return lambda x, position: second(first(x, position), position)
