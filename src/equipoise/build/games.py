"""The game of a config: its players, what stands in front of D, and who begins with what."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import assert_never

import torch
from torch import Tensor, nn, optim

from equipoise import augment
from equipoise import config as c
from equipoise.build.players import Form, freeze, layout, networks, pack
from equipoise.data.vocabulary import END
from equipoise.ema import EMA
from equipoise.encoders.perception import Perceive, perception
from equipoise.encoders.weights import read
from equipoise.errors import ConfigError, DataError
from equipoise.games import dealing as dealings
from equipoise.games.adaptive import Adaptive, AgainstHeldOut, HeldOut, Pairs, Steady
from equipoise.games.aligning import OfStates
from equipoise.games.answers import Levels
from equipoise.games.base import Batch
from equipoise.games.cyclegan import BACK, CycleGAN
from equipoise.games.dealing import Dealing, Undrawn
from equipoise.games.gan import GAN, Augment, Call, Precision, nothing_seen
from equipoise.games.pool import NoPool, Pool
from equipoise.games.restyling import OfWords, Restyling
from equipoise.games.textgan import TextGAN
from equipoise.knobs import Knobs
from equipoise.losses import CLASS_LOSSES
from equipoise.processes import ALONE, Processes
from equipoise.streams import Stream

COLOURS = ("color", "ada-color")  # augmentations that change what a pixel is
AnyGame = GAN | CycleGAN | TextGAN | Restyling


def none_held_out(drawn: int) -> Batch:
    raise ConfigError("augment_hears=held-out asks D about held-out reals, and this game has none: see build.held_out.")


def game(
    config: c.TrainConfig, form: Form, device: torch.device, processes: Processes = ALONE,
    held_out: HeldOut = none_held_out,
) -> AnyGame:  # fmt: skip
    """The game at its start. Raises ConfigError when its parts do not fit together."""
    require_room(config, processes)
    G, D = players(config, form, config.seed, device)
    if isinstance(config.nets, c.Language):
        return of_sentences(config, G, D, device, processes)
    if isinstance(config.nets, c.Restyler):
        return of_restyling(config, config.nets, form, G, D, device, processes)
    if config.play != "cycle":
        g_opt = optimizer(config.optim.g, [G], config.knobs.g_lr)
        return of_two(config, form, G, D, g_opt, device, processes, held_out)
    F, D_back = players(config, form.back, Stream(config.seed, "way back").at(0).initial_seed(), device)
    g_opt = optimizer(config.optim.g, [G, F], config.knobs.g_lr)
    return CycleGAN(
        of_two(config, form, G, D, g_opt, device, processes, held_out),
        of_two(config, form.back, F, D_back, g_opt, device, processes, held_out, BACK),
    )


def players(config: c.TrainConfig, form: Form, seed: int, device: torch.device) -> tuple[nn.Module, nn.Module]:
    G, D = networks(config.nets, form, seed)
    for net in (G, D):
        net.to(device)
        net.to(memory_format=layout(config.nets))  # type: ignore[call-overload]
    freeze(D, config.freeze_d)
    return G, D


def of_two(
    config: c.TrainConfig, form: Form, G: nn.Module, D: nn.Module, g_opt: optim.Optimizer, device: torch.device,
    processes: Processes, held_out: HeldOut, way: str = "",
) -> GAN:  # fmt: skip
    """A game of G against D. `way` stands before the names of its streams."""
    ema, dealing = EMA(G), dealing_of(config.play, form, way)
    if config.machine.compile:
        G.compile()
    return GAN(
        G=G,
        D=D,
        D_of_G=compiled(D) if config.machine.compile else None,
        g_opt=g_opt,
        d_opt=optimizer(config.optim.d, [D], config.knobs.d_lr),
        ema=ema,
        z_dim=config.nets.z_dim,
        latents=Stream(config.seed, f"{way}latents", str(device)),
        chords=Stream(config.seed, f"{way}chords", str(device)),
        knobs=config.knobs,
        augment=in_front_of_D(config, device, processes, way, form.shape[0] if form.given else 0, masks(config)),
        vary=seen_again(config, device, processes, way),
        class_loss=CLASS_LOSSES[config.nets.evidence if isinstance(config.nets, c.MLP | c.DCGAN) else "cross-entropy"],
        pack=pack(config.nets),
        pace=pace(config, lambda drawn: told_apart(dealing, held_out(drawn))),
        precision=precision(config.machine, device),
        homogeneous_D=isinstance(config.nets, c.R3GAN) and not config.freeze_d,  # Euler's identity needs all biases
        shared_fakes=config.shared_fakes,
        processes=processes,
        levels=Levels(device),
        dealing=dealing,
        pool=pool(config, form, device, way),
        perceive=perceive(config, form, device),
    )


def of_sentences(
    config: c.TrainConfig, G: nn.Module, D: nn.Module, device: torch.device, processes: Processes
) -> TextGAN:  # fmt: skip
    return TextGAN(
        G=G,
        D=D,
        g_opt=optimizer(config.optim.g, [G], config.knobs.g_lr),
        d_opt=optimizer(config.optim.d, [D], config.knobs.d_lr),
        ema=EMA(G),
        latents=Stream(config.seed, "latents", str(device)),
        knobs=config.knobs,
        imitates=round(config.speech.imitates * config.images),
        sentences=config.images,
        against=config.speech.against,
        beta=config.speech.beta,
        rollouts=config.speech.rollouts,
        alone=round(config.speech.alone * config.images),
        haste=config.speech.haste,
        processes=processes,
    )


def of_restyling(
    config: c.TrainConfig, nets: c.Restyler, form: Form, G: nn.Module, D: nn.Module, device: torch.device,
    processes: Processes,
) -> Restyling:  # fmt: skip
    return Restyling(
        G=G,
        D=D,
        g_opt=optimizer(config.optim.g, [G], config.knobs.g_lr),
        d_opt=optimizer(config.optim.d, [D], config.knobs.d_lr),
        ema=EMA(G),
        styles=form.classes,
        end=END,
        asked=Stream(config.seed, "styles", str(device)),
        knobs=config.knobs,
        lesson=OfStates() if nets.way == "aligned" else OfWords(),
        sentences=config.images,
        beta=config.speech.beta,
        processes=processes,
    )


def dealing_of(play: c.Play, form: Form, way: str = "") -> Dealing:
    match play:
        case "noise":
            return dealings.from_noise
        case "pairs":
            return dealings.of_pairs(form.given)
        case "styles":
            return dealings.of_styles(form.given)
        case "restyle":
            return dealings.of_sentences
        case "domains" | "cycle":
            return dealings.of_domains(form.given) if way != BACK else dealings.of_domains_back(form.shape[0])
        case other:
            assert_never(other)


def told_apart(dealing: Dealing, batch: Batch) -> Batch:
    """Reals, and what D is told of them."""
    dealt = dealing(Undrawn(), *batch)
    return dealt.real, dealt.y


def pace(config: c.TrainConfig, held_out: HeldOut) -> Adaptive | Steady:
    """Of the augmentation in front of D."""
    if not config.knobs.augment_target:
        return Steady()
    return Adaptive(AgainstHeldOut(held_out) if config.augment_hears == "held-out" else Pairs())


def pool(config: c.TrainConfig, form: Form, device: torch.device, way: str) -> Pool | NoPool:
    if not config.pool:
        return NoPool()
    empty = torch.empty(0, *form.shape, device=device)
    return Pool(config.pool, Stream(config.seed, f"{way}pool", str(device)), empty)


def perceive(config: c.TrainConfig, form: Form, device: torch.device) -> Perceive:
    """Raises ConfigError, DataError for weights that are no longer those of the run, or pictures not seen by them."""
    if config.given.path is None:
        return nothing_seen
    weights = read(Path(config.given.path))
    if config.given.sha256 not in ("", weights.sha256):
        raise DataError(f"{config.given.path} is not what this run was begun with: put it back, or start a new run.")
    return perception(weights, form.shape[0], form.shape[1], device)


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


def require_turnable(began: Knobs, config: c.TrainConfig, processes: Processes) -> None:
    """Raises ConfigError for knobs that a game which began with others cannot be turned to, or could not begin with."""
    require_room(config, processes)
    if config.knobs.augment_target and not began.augment_target:
        raise ConfigError(
            "knobs.augment_target is heard by games that began with one: turn knobs.augment_p, or train a new run with "
            f"knobs.augment_target={config.knobs.augment_target:g}, --from this one's weights"
        )


def masks(config: c.TrainConfig) -> int:
    """Of the channels that D is told of a picture with a hole, the last one says where that is."""
    match config.data:
        case c.Lesions() | c.Degrade(how="inpaint-box" | "inpaint-free"):
            return 1
        case _:
            return 0


def in_front_of_D(
    config: c.TrainConfig, device: torch.device, processes: Processes, way: str = "", made: int = 0, masks: int = 0
) -> Augment:  # fmt: skip
    """`made` are the channels of a sample behind which a picture may lie that D is told with it. Both are augmented by
    the same draws, but each is a picture of its own: its colours are not mixed with those of the other. The last
    `masks` of these channels have no colours: they are only moved."""
    uncoloured = tuple(kind for kind in config.augment if kind not in COLOURS)

    def augmented(x: Tensor, knobs: Knobs, call: Call, drawn: int) -> Tensor:
        count = len(x) * processes.count
        if p := knobs.augment_p:
            generator = Stream(config.seed, f"{way}ada/{call}", str(device)).at(drawn)
            ada = processes.part(augment.draws(count, generator, augment.ADA_COLUMNS))
            whole = augment.draws(count, Stream(config.seed, f"{way}augment/{call}", str(device)).at(drawn))
            diff, kinds = processes.part(whole), config.augment
            told = x.shape[1] - made if 0 < made < x.shape[1] else 0
            cut = [made, told - masks, masks] if told and masks else [made, told] if told else [x.shape[1]]
            of_each = [kinds, kinds, uncoloured][: len(cut)]
            each = [
                augment.diff_augment(augment.ada_augment(one, ada, p, own), diff, p, own)
                for one, own in zip(torch.split(x, cut, 1), of_each, strict=True)
            ]
            x = torch.cat(each, 1)
        if knobs.instance_noise:  # Sonderby et al. 2017 (arXiv:1610.04490)
            generator = Stream(config.seed, f"{way}noise/{call}", str(device)).at(drawn)
            whole = torch.randn(count, *x.shape[1:], generator=generator, device=device)
            x = x + knobs.instance_noise * processes.part(whole)
        return x

    return augmented


def seen_again(config: c.TrainConfig, device: torch.device, processes: Processes, way: str = "") -> Augment:
    """Shifted; mirrored too where `augment` names flips, for not all data may be."""

    def varied(x: Tensor, knobs: Knobs, call: Call, drawn: int) -> Tensor:
        generator = Stream(config.seed, f"{way}again/{call}", str(device)).at(drawn)
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


def optimizer(choice: c.Optimizer, nets: Iterable[nn.Module], lr: float) -> optim.Optimizer:
    """Fused where torch has it: on CPU about seven times faster than its default loop."""
    params = [p for net in nets for p in net.parameters() if p.requires_grad]
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
