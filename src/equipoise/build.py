"""From a config to objects: the only place that chooses."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import assert_never

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn, optim

from equipoise import augment, init, pictures
from equipoise import config as c
from equipoise.data import arrays, digits, images, toy
from equipoise.data.batches import Batches, Vary, unvaried
from equipoise.data.hooks import Track, Warn, unheard, untracked
from equipoise.data.source import Shape, Splits, near, to_uint8
from equipoise.ema import EMA
from equipoise.errors import ConfigError, MachineError
from equipoise.games.adaptive import Adaptive, Steady
from equipoise.games.answers import Levels
from equipoise.games.base import Game
from equipoise.games.gan import GAN, Augment, Call, Precision
from equipoise.knobs import Knobs
from equipoise.losses import CLASS_LOSSES
from equipoise.nets import dcgan, fastgan, mlp, r3gan, resnet, stylegan2
from equipoise.nets.checkpointing import Through, kept, recomputed
from equipoise.nets.layers import MAPS, Conditioning, Output, with_spectral_norm
from equipoise.nets.packing import packed, shape_of
from equipoise.processes import ALONE, Processes
from equipoise.streams import Stream

SHARE_FOR_DATA = 0.25  # of a CUDA device's free memory: a set that fits lives there
FIXED = 64  # samples in a grid


@dataclass(frozen=True)
class Form:
    """What the networks must know of the data."""

    shape: Shape
    classes: int

    @property
    def is_images(self) -> bool:
        return len(self.shape) == 3


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


def networks(nets: c.Nets, form: Form, seed: int) -> tuple[nn.Module, nn.Module]:
    """G and D, a function of (nets, form, seed).

    Raises:
        ConfigError: when the networks cannot make such samples.
    """
    generator = Stream(seed, "weights").at(0)
    G, D = plain_networks(nets, form)
    if isinstance(nets, c.R3GAN):
        for net in (G, D):
            init.lecun(net, generator)
            init.fixup(r3gan.branches(net), generator)
        return G, D
    if isinstance(nets, c.StyleGAN2):
        for net in (G, D):
            init.normal(stylegan2.starts(net), generator)
        return G, D
    initialize = init.INITIALIZERS[nets.init]
    initialize(G, generator)
    initialize(D, generator)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)  # spectral norm draws its first vector from the global generator
        G = with_spectral_norm(G) if nets.g_norm == "spectral" else G
        G = with_spectral_norm(G, MAPS) if nets.g_norm == "batch+spectral" else G  # tables of classes are left free
        D = with_spectral_norm(D) if nets.d_norm == "spectral" else D
    return G, D


def plain_networks(nets: c.Nets, form: Form) -> tuple[nn.Module, nn.Module]:
    labels = told_by(nets)
    output: Output = "tanh" if form.is_images else "linear"
    shape, classes = form.shape, form.classes
    match nets:
        case c.MLP():
            return (
                mlp.Generator(shape, z_dim=nets.z_dim, widths=nets.g_widths, classes=classes, act=nets.g_act,
                              norms=nets.g_norm, output=output),
                packed(mlp.Discriminator(shape_of(shape, nets.pack), widths=nets.d_widths, classes=classes,
                                         conditioning=labels, act=nets.d_act, norms=nets.d_norm,
                                         mixing=nets.minibatch), nets.pack),
            )  # fmt: skip
        case c.DCGAN():
            require_power_of_two(nets.kind, shape, smallest=8)
            return (
                dcgan.Generator(shape, z_dim=nets.z_dim, width=nets.g_width, max_width=nets.max_width, classes=classes,
                                act=nets.g_act, norms=nets.g_norm, upsample=nets.upsample, output=output),
                packed(dcgan.Discriminator(shape_of(shape, nets.pack), width=nets.d_width, max_width=nets.max_width,
                                           classes=classes, conditioning=labels, act=nets.d_act, norms=nets.d_norm,
                                           mixing=nets.minibatch), nets.pack),
            )  # fmt: skip
        case c.R3GAN():
            require_power_of_two(nets.kind, shape, smallest=8)
            return (
                r3gan.Generator(shape, z_dim=nets.z_dim, width=nets.width, blocks=nets.blocks, classes=classes,
                                through=through(nets)),
                r3gan.Discriminator(shape, width=nets.width, blocks=nets.blocks, classes=classes,
                                    through=through(nets)),
            )  # fmt: skip
        case c.ResNet():
            require_power_of_two(nets.kind, shape, smallest=8)
            require_parts(nets, shape[1])
            return (
                resnet.Generator(shape, z_dim=nets.z_dim, width=nets.g_width, max_width=nets.g_max_width,
                                 classes=classes, embedding=nets.embedding, skip_z=nets.skip_z,
                                 attention=nets.attention, through=through(nets)),
                resnet.Discriminator(shape, width=nets.d_width, max_width=nets.d_max_width, classes=classes,
                                     attention=nets.attention, through=through(nets)),
            )  # fmt: skip
        case c.StyleGAN2():
            require_power_of_two(nets.kind, shape, smallest=8)
            return (
                stylegan2.Generator(shape, z_dim=nets.z_dim, w_dim=nets.w_dim, mapping_layers=nets.mapping_layers,
                                    capacity=nets.capacity, max_width=nets.max_width, classes=classes,
                                    style_mixing=nets.style_mixing, checkpointing=nets.checkpointing),
                stylegan2.Discriminator(shape, w_dim=nets.w_dim, mapping_layers=nets.mapping_layers,
                                        capacity=nets.capacity, max_width=nets.max_width, classes=classes,
                                        group=nets.group, checkpointing=nets.checkpointing),
            )  # fmt: skip
        case c.FastGAN():
            require_power_of_two(nets.kind, shape, smallest=8)
            return (
                fastgan.Generator(shape, z_dim=nets.z_dim, width=nets.g_width, max_width=nets.max_width,
                                  classes=classes),
                fastgan.Discriminator(shape, width=nets.d_width, max_width=nets.max_width, classes=classes),
            )  # fmt: skip
        case other:
            assert_never(other)


def told_by(nets: c.Nets) -> Conditioning:
    """How D is told the class, or tells it; without classes it makes no difference."""
    match nets.conditioning:
        case "none":
            return "concatenation"
        case "auxiliary":
            assert not isinstance(nets, c.R3GAN)
            return nets.evidence
        case told:
            return told


def require_power_of_two(kind: str, shape: Shape, smallest: int) -> None:
    if len(shape) != 3:
        raise ConfigError(
            f"nets.kind={kind} makes images, and this data has the shape {list(shape)}: use nets.kind=mlp."
        )
    _, height, width = shape
    if height != width or height < smallest or height & (height - 1):
        raise ConfigError(
            f"nets.kind={kind} makes square images of {smallest}, {2 * smallest}, ... pixels, not {height} x {width}: "
            "set data.size."
        )


def require_parts(nets: c.ResNet, size: int) -> None:
    sides, parts = resnet.common_sides(size), len(resnet.generator_sides(size))
    if nets.attention is not None and nets.attention not in sides:
        raise ConfigError(
            f"nets.attention={nets.attention}: for images of {size} pixels both players have maps of "
            f"{', '.join(map(str, sides))} pixels. Set nets.attention to one of these, or to null."
        )
    if nets.skip_z and nets.z_dim < parts:
        raise ConfigError(
            f"nets.z_dim={nets.z_dim} is too short for nets.skip_z: the start and each of {parts - 1} blocks take a "
            f"part of z. Set nets.z_dim to {parts} or more."
        )


def through(nets: c.R3GAN | c.ResNet) -> Through:
    """How the residual blocks are run."""
    return recomputed if nets.checkpointing else kept


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
    if config.knobs.unroll and processes.count > 1:
        raise ConfigError(
            "knobs.unroll looks ahead on one process's samples alone: set machine.devices=1, or unroll=0."
        )
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
        pack=config.nets.pack if isinstance(config.nets, c.MLP | c.DCGAN) else 1,
        pace=Adaptive() if config.knobs.augment_target else Steady(),
        precision=precision(config.machine, device),
        homogeneous_D=isinstance(config.nets, c.R3GAN) and not config.freeze_d,  # Euler's identity needs all biases
        shared_fakes=config.shared_fakes,
        processes=processes,
        levels=Levels(device),
    )


def freeze(D: nn.Module, layers: int) -> None:
    """The first layers of D learn no more (FreezeD, Mo et al. 2020, arXiv:2002.10964). A layer is what has a matrix or
    kernel; embeddings of classes, norms and biases go with the layer before which they stand.

    Raises:
        ConfigError: when nothing would be left to learn.
    """
    if not layers:
        return
    left = layers
    for module in D.modules():
        left -= is_layer(module)
        if left < 0:
            return
        for p in module.parameters(recurse=is_layer(module)):
            p.requires_grad_(False)
    raise ConfigError(f"freeze_d={layers} leaves no layer of D to learn: it has {layers - left}.")


def is_layer(module: nn.Module) -> bool:
    weight = getattr(module, "weight", None)
    return isinstance(weight, Tensor) and weight.ndim > 1 and not isinstance(module, nn.Embedding)


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


def layout(nets: c.Nets) -> torch.memory_format:
    """Convolutions are up to twice as fast with the channels of a pixel side by side."""
    match nets:
        case c.MLP():
            return torch.contiguous_format
        case c.DCGAN() | c.R3GAN() | c.ResNet() | c.StyleGAN2() | c.FastGAN():
            return torch.channels_last
        case other:
            assert_never(other)


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
        return lambda game: pictures.grid(as_pixels(game.sampler(z, y)))
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
