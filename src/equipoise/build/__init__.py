"""From a config to objects: the only place that chooses."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import assert_never

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn, optim

from equipoise import augment, pictures
from equipoise import config as c
from equipoise.build.players import Form as Form
from equipoise.build.players import freeze as freeze
from equipoise.build.players import layout as layout
from equipoise.build.players import networks as networks
from equipoise.build.players import pack as pack
from equipoise.data import arrays, digits, images, toy
from equipoise.data.batches import Batches, Vary, unvaried
from equipoise.data.hooks import Track, Warn, unheard, untracked
from equipoise.data.source import Splits, near, to_uint8
from equipoise.ema import EMA
from equipoise.errors import ConfigError, MachineError
from equipoise.games.adaptive import Adaptive, Steady
from equipoise.games.answers import Levels
from equipoise.games.base import Game
from equipoise.games.gan import GAN, Augment, Call, Precision
from equipoise.knobs import Knobs
from equipoise.losses import CLASS_LOSSES
from equipoise.processes import ALONE, Processes
from equipoise.streams import Stream

SHARE_FOR_DATA = 0.25  # of a CUDA device's free memory: a set that fits lives there
FIXED = 64  # samples in a grid


def splits(data: c.Data, track: Track = untracked, warn: Warn = unheard) -> Splits:
    """The parts of a set; a few bad files are left out and told to `warn`.

    Raises:
        DataError: for data that cannot be found, read or used.
        MachineError: when a reading process is killed, or pyarrow is missing.
    """
    match data:
        case c.Toy(kind=kind):
            return toy.splits(toy.MIXTURES[kind]())
        case c.Digits():
            return digits.digits()
        case c.StackedDigits():
            return digits.stacked_digits()
        case c.Pictures():
            return images.pictures(Path(data.path), data.size, data.memory_mib, data.workers, track, warn)
        case c.Arrays():
            return arrays.arrays(Path(data.path), data.size, data.memory_mib, track)
        case other:
            assert_never(other)


def form(config: c.TrainConfig, data: Splits) -> Form:
    classes = data.train.classes if config.nets.conditioning != "none" else 0
    if config.nets.conditioning != "none" and not classes:
        raise ConfigError("nets.conditioning needs labels, and this data has none: set nets.conditioning=none.")
    return Form(data.train.shape, classes)


def optimizer(choice: c.Optimizer, net: nn.Module, lr: float) -> optim.Optimizer:
    """Fused where torch has it: on CPU about seven times faster than its default loop."""
    params = [p for p in net.parameters() if p.requires_grad]
    match choice:
        case c.SGD():
            return optim.SGD(params, lr, momentum=choice.momentum, dampening=choice.dampening,
                             nesterov=choice.nesterov, weight_decay=choice.weight_decay, fused=True)  # fmt: skip
        case c.Adam():
            return optim.Adam(params, lr, betas=choice.betas, eps=choice.eps, weight_decay=choice.weight_decay,
                              amsgrad=choice.amsgrad, fused=True)  # fmt: skip
        case c.AdamW():
            return optim.AdamW(params, lr, betas=choice.betas, eps=choice.eps, weight_decay=choice.weight_decay,
                               amsgrad=choice.amsgrad, fused=True)  # fmt: skip
        case c.RMSprop():
            return optim.RMSprop(params, lr, alpha=choice.alpha, eps=choice.eps, momentum=choice.momentum,
                                 centered=choice.centered, weight_decay=choice.weight_decay, foreach=True)  # fmt: skip
        case other:
            assert_never(other)


def game(config: c.TrainConfig, form: Form, device: torch.device, processes: Processes = ALONE) -> GAN:
    """The game at its start. Raises ConfigError when its parts do not fit together."""
    require_room(config, processes)
    G, D = networks(config.nets, form, config.seed)
    for net in (G, D):
        net.to(device)
        net.to(memory_format=layout(config.nets))  # type: ignore[call-overload]
    freeze(D, config.freeze_d)
    ema = EMA(G)
    if config.machine.compile:
        G.compile()
    return GAN(
        G=G,
        D=D,
        D_of_G=compiled(D) if config.machine.compile else None,
        g_opt=optimizer(config.optim.g, G, config.knobs.g_lr),
        d_opt=optimizer(config.optim.d, D, config.knobs.d_lr),
        ema=ema,
        z_dim=config.nets.z_dim,
        latents=Stream(config.seed, "latents", str(device)),
        chords=Stream(config.seed, "chords", str(device)),
        knobs=config.knobs,
        augment=in_front_of_D(config, device, processes),
        vary=seen_again(config, device, processes),
        class_loss=CLASS_LOSSES[config.nets.evidence if isinstance(config.nets, c.MLP | c.DCGAN) else "cross-entropy"],
        pack=pack(config.nets),
        pace=Adaptive() if config.knobs.augment_target else Steady(),
        precision=precision(config.machine, device),
        homogeneous_D=isinstance(config.nets, c.R3GAN) and not config.freeze_d,  # Euler's identity needs all biases
        shared_fakes=config.shared_fakes,
        processes=processes,
        levels=Levels(device),
    )


def require_room(config: c.TrainConfig, processes: Processes) -> None:
    """That a process's share of the batch is enough for what needs several samples."""
    shared = pack(config.nets) * processes.count
    if config.batch % shared:
        raise ConfigError(
            f"batch={config.batch} cannot be shared by {processes.count} processes in packs of {pack(config.nets)}: "
            f"choose a multiple of {shared}."
        )
    if config.knobs.unroll and processes.count > 1:
        raise ConfigError(
            "knobs.unroll looks ahead on one process's samples alone: set machine.devices=1, or unroll=0."
        )


def in_front_of_D(config: c.TrainConfig, device: torch.device, processes: Processes) -> Augment:
    def augmented(x: Tensor, knobs: Knobs, call: Call, drawn: int) -> Tensor:
        count = len(x) * processes.count
        if knobs.augment_p:
            generator = Stream(config.seed, f"ada/{call}", str(device)).at(drawn)
            whole = augment.draws(count, generator, augment.ADA_COLUMNS)
            x = augment.ada_augment(x, processes.part(whole), knobs.augment_p, config.augment)
            whole = augment.draws(count, Stream(config.seed, f"augment/{call}", str(device)).at(drawn))
            x = augment.diff_augment(x, processes.part(whole), knobs.augment_p, config.augment)
        if knobs.instance_noise:  # Sonderby et al. 2017 (arXiv:1610.04490)
            generator = Stream(config.seed, f"noise/{call}", str(device)).at(drawn)
            whole = torch.randn(count, *x.shape[1:], generator=generator, device=device)
            x = x + knobs.instance_noise * processes.part(whole)
        return x

    return augmented


def seen_again(config: c.TrainConfig, device: torch.device, processes: Processes) -> Augment:
    """Shifted; mirrored too where `augment` names flips, for not all data may be."""

    def varied(x: Tensor, knobs: Knobs, call: Call, drawn: int) -> Tensor:
        generator = Stream(config.seed, f"again/{call}", str(device)).at(drawn)
        whole = augment.draws(len(x) * processes.count, generator)
        return augment.seen_again(x, processes.part(whole), float("flip" in config.augment))

    return varied


def compiled(net: nn.Module) -> nn.Module:
    """A second face of the same weights."""
    face: nn.Module = torch.compile(net)  # type: ignore[assignment]
    return face


def precision(machine: c.Machine, device: torch.device) -> Precision:
    """What the networks compute in; Fabric's own bf16 makes R1 raise."""
    if machine.precision == "bf16":
        return partial(torch.autocast, device.type, torch.bfloat16)
    return nullcontext


def batches(config: c.TrainConfig, data: Splits, device: torch.device, processes: Processes = ALONE) -> Batches:
    source = data.train
    if device.type == "cuda":
        source = near(source, device, room=int(SHARE_FOR_DATA * torch.cuda.mem_get_info(device)[0]))
    return Batches(
        source, config.batch, config.seed, device, of_the_data(config, device, processes), processes,
        layout(config.nets),
    )  # fmt: skip


def of_the_data(config: c.TrainConfig, device: torch.device, processes: Processes) -> Vary:
    if not isinstance(config.data, c.Images) or config.data.augment == c.Augmentation():
        return unvaried
    ranges, stream = augment.Ranges(**dict(config.data.augment)), Stream(config.seed, "augmentation", str(device))

    def vary(x: Tensor, position: int) -> Tensor:
        whole = augment.rows(stream, position, len(x) * processes.count)
        return augment.varied(x, processes.part(whole), ranges)

    return vary


def device(machine: c.Machine) -> torch.device:
    """Raises MachineError when the device that was asked for is not there."""
    if machine.device == "cuda" and not torch.cuda.is_available():
        raise MachineError("machine.device=cuda, but torch finds no CUDA device here: set machine.device=cpu.")
    if machine.device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return torch.device(machine.device)


def drawing(form: Form, data: Splits, seed: int, z_dim: int, device: torch.device) -> Callable[[Game], Image.Image]:
    """A function that draws the samples of latents that stay the same for the whole run."""
    n = FIXED if form.is_images else 2500
    z = torch.randn(n, z_dim, generator=Stream(seed, "fixed").at(0)).to(device)
    y = class_cycle(n, form.classes).to(device)
    if form.is_images:
        parts = list(zip(torch.split(z, form.at_once), torch.split(y, form.at_once), strict=True))
        return lambda game: pictures.grid(as_pixels(torch.cat([game.sampler(*part) for part in parts])))
    reals, _ = data.validation.take(torch.arange(min(n, len(data.validation))))
    return lambda game: pictures.scatter(game.sampler(z, y).cpu().numpy(), reals.numpy())


def class_cycle(n: int, classes: int) -> Tensor:
    """0, 1, 2, ... and again [n]; zeros without classes."""
    return torch.arange(n) % max(classes, 1)


def as_pixels(x: Tensor) -> pictures.Pixels:
    """[N, C, H, W] in [-1, 1] -> uint8 [N, H, W, C]."""
    return in_rows(to_uint8(x))


def in_rows(x: Tensor) -> pictures.Pixels:
    """uint8 [..., C, H, W] -> [..., H, W, C]."""
    pixels: pictures.Pixels = np.ascontiguousarray(x.movedim(-3, -1).cpu().numpy())
    return pixels
