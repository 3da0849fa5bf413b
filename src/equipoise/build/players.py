"""G and D from a config."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, assert_never

import torch
from torch import Tensor, nn

from equipoise import config as c
from equipoise import init
from equipoise.data.source import Shape
from equipoise.data.vocabulary import Vocabulary
from equipoise.errors import ConfigError
from equipoise.nets import (
    adain,
    aligned,
    dcgan,
    fastgan,
    focused,
    inpainting,
    language,
    mlp,
    patchgan,
    r3gan,
    records,
    resnet,
    restyler,
    stylegan2,
    translators,
)
from equipoise.nets.checkpointing import Through, kept, recomputed
from equipoise.nets.layers import MAPS, Conditioning, Output, with_spectral_norm
from equipoise.nets.packing import packed, shape_of
from equipoise.streams import Stream

DRAWN, DRAWN_PIXELS = 256, 2**20  # samples, and pixels of theirs: 256 pictures of 64 pixels, one of 1024


@dataclass(frozen=True)
class Form:
    """What the networks must know of the data."""

    shape: Shape  # of what G makes
    classes: int
    given: int = 0  # channels of the picture that G begins with; 0: it begins with noise
    told: int = 0  # channels of the picture that both players are told
    vocabulary: Vocabulary | None = None  # of sentences
    styles: tuple[str, ...] = ()  # of sentences that are restyled: what the classes are called
    class_counts: tuple[int, ...] = field(default=(), compare=False)  # in the training part; (): as many, or not known

    @classmethod
    def of(cls, facts: Mapping[str, Any]) -> Form:
        """As it was written down."""
        vocabulary = Vocabulary.of(facts["vocabulary"]) if "vocabulary" in facts else None
        return cls(
            tuple(facts["shape"]), facts["classes"], facts.get("given", 0), facts.get("told", 0), vocabulary,
            tuple(facts.get("styles", ())), tuple(facts.get("class_counts", ())),
        )  # fmt: skip

    def facts(self) -> dict[str, Any]:
        """To write down."""
        pictures = {"given": self.given, "told": self.told} if self.given else {}
        sentences = {"vocabulary": self.vocabulary.facts()} if self.vocabulary else {}
        restyled = {"styles": list(self.styles)} if self.styles else {}
        counts = {"class_counts": list(self.class_counts)} if self.class_counts else {}
        return {"shape": list(self.shape), "classes": self.classes} | pictures | sentences | restyled | counts

    @property
    def back(self) -> Form:
        """Of the way back."""
        return Form((self.given, *self.shape[1:]), self.classes, self.shape[0])

    @property
    def is_images(self) -> bool:
        return len(self.shape) == 3

    @property
    def at_once(self) -> int:
        """Samples that are drawn at a time: all alike, only the memory is bounded."""
        return max(1, min(DRAWN, DRAWN_PIXELS // (self.shape[1] * self.shape[2]))) if self.is_images else DRAWN


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
    if isinstance(G, translators.Refiner):
        init.fixup(G.branches(), generator)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)  # spectral norm draws its first vector from the global generator
        G = with_spectral_norm(G) if nets.g_norm == "spectral" else G
        G = with_spectral_norm(G, MAPS) if nets.g_norm == "batch+spectral" else G  # tables of classes are left free
        D = with_spectral_norm(D) if nets.d_norm == "spectral" else D
    return G, D


def plain_networks(nets: c.Nets, form: Form) -> tuple[nn.Module, nn.Module]:
    shape, classes = form.shape, form.classes
    if not isinstance(nets, c.MLP | c.Translation | c.Language | c.Restyler | c.RecordNets):
        require_power_of_two(nets.kind, shape, smallest=8)
    match nets:
        case c.MLP() | c.DCGAN():
            return of_layers(nets, form)
        case c.Language() | c.Restyler() | c.RecordNets():
            return of_no_pictures(nets, form)
        case c.R3GAN():
            return (
                r3gan.Generator(shape, z_dim=nets.z_dim, width=nets.width, blocks=nets.blocks, classes=classes,
                                through=through(nets)),
                r3gan.Discriminator(shape, width=nets.width, blocks=nets.blocks, classes=classes,
                                    through=through(nets)),
            )  # fmt: skip
        case c.ResNet():
            require_parts(nets, shape[1])
            return (
                resnet.Generator(shape, z_dim=nets.z_dim, width=nets.g_width, max_width=nets.g_max_width,
                                 classes=classes, embedding=nets.embedding, skip_z=nets.skip_z,
                                 attention=nets.attention, through=through(nets)),
                resnet.Discriminator(shape, width=nets.d_width, max_width=nets.d_max_width, classes=classes,
                                     attention=nets.attention, through=through(nets)),
            )  # fmt: skip
        case c.StyleGAN2():
            return (
                stylegan2.Generator(shape, z_dim=nets.z_dim, w_dim=nets.w_dim, mapping_layers=nets.mapping_layers,
                                    capacity=nets.capacity, max_width=nets.max_width, classes=classes,
                                    style_mixing=nets.style_mixing, checkpointing=nets.checkpointing),
                stylegan2.Discriminator(shape, w_dim=nets.w_dim, mapping_layers=nets.mapping_layers,
                                        capacity=nets.capacity, max_width=nets.max_width, classes=classes,
                                        group=nets.group, checkpointing=nets.checkpointing),
            )  # fmt: skip
        case c.Translation():
            return translator(nets, form), judge_of_patches(nets, form)
        case c.FastGAN():
            return (
                fastgan.Generator(shape, z_dim=nets.z_dim, width=nets.g_width, max_width=nets.max_width,
                                  classes=classes),
                fastgan.Discriminator(shape, width=nets.d_width, max_width=nets.max_width, classes=classes),
            )  # fmt: skip
        case other:
            assert_never(other)


def of_no_pictures(nets: c.Language | c.Restyler | c.RecordNets, form: Form) -> tuple[nn.Module, nn.Module]:
    """Sentences, and records."""
    shape, classes = form.shape, form.classes
    match nets:
        case c.Language():
            assert form.vocabulary is not None, "rules.speaking pairs these nets with sentences"
            words, length = len(form.vocabulary), shape[0]
            return (
                language.Generator(words, length, embedding=nets.embedding, width=nets.g_width, cell=nets.cell,
                                   slots=nets.slots, heads=nets.heads, layers=nets.layers, classes=classes),
                language.Discriminator(words, length, embedding=nets.d_embedding, views=nets.d_views,
                                       filters=nets.d_filters, classes=classes),
            )  # fmt: skip
        case c.Restyler():
            return of_restyling(nets, form)
        case c.RecordNets():
            return (
                records.Generator(shape, z_dim=nets.z_dim, layers=nets.layers, values=nets.values),
                records.Discriminator(shape, widths=nets.d_widths),
            )
        case other:
            assert_never(other)


def of_restyling(nets: c.Restyler, form: Form) -> tuple[nn.Module, nn.Module]:
    assert form.vocabulary is not None, "rules.speaking pairs these nets with sentences"
    words, length, styles = len(form.vocabulary), form.shape[0], form.classes
    if nets.way == "aligned":
        return (
            aligned.Generator(words, styles, embedding=nets.embedding, content=nets.width, style=nets.style),
            aligned.Discriminator(nets.width + nets.style, styles, filters=nets.d_filters),
        )
    parts = {"width": nets.width, "heads": nets.heads, "layers": nets.layers}
    return restyler.Generator(words, styles, length, **parts), restyler.Discriminator(words, styles, length, **parts)


def of_layers(nets: c.MLP | c.DCGAN, form: Form) -> tuple[nn.Module, nn.Module]:
    """The families whose norms, activations, and ways to see a class or a batch are free."""
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
            return (
                dcgan.Generator(shape, z_dim=nets.z_dim, width=nets.g_width, max_width=nets.max_width, classes=classes,
                                act=nets.g_act, norms=nets.g_norm, upsample=nets.upsample, output=output),
                packed(dcgan.Discriminator(shape_of(shape, nets.pack), width=nets.d_width, max_width=nets.max_width,
                                           classes=classes, conditioning=labels, act=nets.d_act, norms=nets.d_norm,
                                           mixing=nets.minibatch), nets.pack),
            )  # fmt: skip
        case other:
            assert_never(other)


def translator(nets: c.Translation, form: Form) -> nn.Module:
    given, shape, width = (form.given, *form.shape[1:]), form.shape, nets.g_width
    match nets.generator:
        case "resnet":
            return translators.ResNetGenerator(given, shape, width=width, blocks=nets.blocks, downs=nets.downs,
                                               norms=nets.g_norm, contrast=nets.contrast)  # fmt: skip
        case "unet":
            return translators.UNetGenerator(given, shape, width=width, max_width=nets.g_max_width, norms=nets.g_norm)
        case "cascade":
            return translators.Cascade(given, shape, blocks=nets.blocks, width=width, max_width=nets.g_max_width,
                                       norms=nets.g_norm)  # fmt: skip
        case "refiner":
            return translators.Refiner(given, shape, width=width, blocks=nets.blocks)
        case "gated":
            return inpainting.GatedGenerator(given, shape, width=width, norms=nets.g_norm)
        case "styled":
            return adain.StyleGenerator(given, shape, width=width, blocks=nets.blocks, contrast=nets.contrast)
        case other:
            assert_never(other)


def judge_of_patches(nets: c.Translation, form: Form) -> nn.Module:
    """It is told the picture of a pair. What has the style of another picture is judged without that, which is the real
    one itself: D would only have to tell whether the two are the same."""
    if nets.d_focus == "hole":
        return focused.FocusedDiscriminator(
            form.shape, given=form.told, width=nets.d_width, max_width=nets.d_max_width, layers=nets.d_layers,
            norms="none" if nets.d_norm == "spectral" else nets.d_norm,
        )  # fmt: skip
    return patchgan.PatchDiscriminator(
        form.shape, given=0 if nets.generator == "styled" else form.told, width=nets.d_width,
        max_width=nets.d_max_width, layers=nets.d_layers, scales=nets.d_scales,
        norms="none" if nets.d_norm == "spectral" else nets.d_norm,
    )  # fmt: skip


def pack(nets: c.Nets) -> int:
    """Samples that D judges at once."""
    return nets.pack if isinstance(nets, c.MLP | c.DCGAN) else 1


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


def layout(nets: c.Nets) -> torch.memory_format:
    """Convolutions are up to twice as fast with the channels of a pixel side by side."""
    match nets:
        case c.MLP() | c.Language() | c.Restyler() | c.RecordNets():
            return torch.contiguous_format
        case c.DCGAN() | c.R3GAN() | c.ResNet() | c.StyleGAN2() | c.FastGAN() | c.Translation():
            return torch.channels_last
        case other:
            assert_never(other)
