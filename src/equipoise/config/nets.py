"""The networks that a config may ask for: one section a family."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from equipoise.config.section import Section

Activation = Literal["relu", "leaky-relu", "tanh", "silu"]
Norm = Literal["none", "batch", "instance", "layer", "spectral"]
Init = Literal["torch", "xavier", "he", "orthogonal", "normal02"]
Conditioning = Literal["none", "projection", "concatenation", "auxiliary"]  # auxiliary: D names the class itself
Evidence = Literal["cross-entropy", "data-to-data"]  # how, where it does: AC-GAN's classifier, or ReACGAN's proxies
Minibatch = Literal["none", "std", "discrimination"]


Widths = Annotated[tuple[Annotated[int, Field(ge=1)], ...], Field(min_length=1)]
Beta = Annotated[float, Field(ge=0, lt=1)]


class MLP(Section):
    kind: Literal["mlp"] = "mlp"
    z_dim: int = Field(64, ge=1)
    g_widths: Widths = (256, 256, 256)
    d_widths: Widths = (256, 256, 256)
    g_act: Activation = "relu"
    d_act: Activation = "leaky-relu"
    g_norm: Norm = "none"
    d_norm: Norm = "none"
    init: Init = "torch"
    conditioning: Conditioning = "none"
    evidence: Evidence = "cross-entropy"
    minibatch: Minibatch = "none"  # what D sees of the other samples of a batch
    pack: int = Field(1, ge=1)  # samples that D judges at once

    @model_validator(mode="after")
    def norms_fit(self) -> MLP:
        if "instance" in (self.g_norm, self.d_norm):
            raise ValueError("instance norm needs images with space: use layer norm in an mlp, or nets.kind=dcgan")
        return self


class DCGAN(Section):
    kind: Literal["dcgan"] = "dcgan"
    z_dim: int = Field(100, ge=1)
    g_width: int = Field(64, ge=1)
    d_width: int = Field(64, ge=1)
    max_width: int = Field(512, ge=1)
    g_act: Activation = "relu"
    d_act: Activation = "leaky-relu"
    g_norm: Norm = "batch"
    d_norm: Norm = "batch"
    upsample: Literal["resize", "transposed"] = "resize"
    init: Init = "normal02"
    conditioning: Conditioning = "none"
    evidence: Evidence = "cross-entropy"
    minibatch: Minibatch = "none"  # what D sees of the other samples of a batch
    pack: int = Field(1, ge=1)  # samples that D judges at once


class R3GAN(Section):
    """Norm-free residual nets; `width` channels up to 32 pixels, half of them with each doubling beyond."""

    kind: Literal["r3gan"] = "r3gan"
    z_dim: int = Field(64, ge=1)
    width: int = Field(384, ge=16, multiple_of=16)
    blocks: int = Field(2, ge=1)  # residual blocks at each resolution
    conditioning: Literal["none", "projection"] = "none"
    checkpointing: bool = False  # blocks are worked out again in the backward pass: less memory, more time


class ResNet(Section):
    """The residual nets of SNGAN, SAGAN and BigGAN. Widths double towards the small maps."""

    kind: Literal["resnet"] = "resnet"
    z_dim: int = Field(128, ge=1)
    g_width: int = Field(256, ge=1)  # channels at the full size
    g_max_width: int = Field(256, ge=1)
    d_width: int = Field(128, ge=1)  # channels of the first block
    d_max_width: int = Field(128, ge=1)
    g_norm: Literal["batch", "batch+spectral"] = "batch"  # of maps, and of weights
    d_norm: Literal["none", "spectral"] = "spectral"
    attention: int | None = Field(None, ge=4)  # side in pixels of the maps that have it, in both players
    conditioning: Literal["none", "projection"] = "none"
    embedding: Literal["each-norm", "shared"] = "each-norm"  # of the class, in G
    skip_z: bool = False  # each block of G is told a part of z of its own
    init: Init = "xavier"
    checkpointing: bool = False  # blocks are worked out again in the backward pass: less memory, more time

    @model_validator(mode="after")
    def parts_fit(self) -> ResNet:
        if self.skip_z and self.embedding != "shared":
            raise ValueError("skip_z stands beside an embedding that all norms share: set nets.embedding=shared")
        return self


class StyleGAN2(Section):
    """At a side of s pixels the nets have capacity / s channels, at most max_width."""

    kind: Literal["stylegan2"] = "stylegan2"
    z_dim: int = Field(512, ge=1)
    w_dim: int = Field(512, ge=1)
    mapping_layers: int = Field(8, ge=1)
    capacity: int = Field(16384, ge=1)
    max_width: int = Field(512, ge=1)
    group: int = Field(4, ge=1)  # samples that D compares (minibatch standard deviation); 1: none
    style_mixing: float = Field(0.0, ge=0, le=1)  # share of G's samples with the styles of two latents
    checkpointing: bool = False  # feature maps are computed again instead of kept: less memory, a third more time
    conditioning: Literal["none", "projection"] = "none"

    @property
    def d_norm(self) -> Norm:
        return "none"


class FastGAN(Section):
    """Nets for small sets; the widths are those at full size."""

    kind: Literal["fastgan"] = "fastgan"
    z_dim: int = Field(256, ge=1)
    g_width: int = Field(32, ge=1)
    d_width: int = Field(32, ge=1)
    max_width: int = Field(512, ge=1)
    d_norm: Literal["none", "spectral"] = "spectral"
    init: Init = "normal02"
    conditioning: Literal["none", "projection"] = "none"

    @property
    def g_norm(self) -> Norm:
        return "batch"


class Translation(Section):
    """Nets that begin with a picture; the widths are those at full size. D judges patches."""

    kind: Literal["translation"] = "translation"
    generator: Literal["resnet", "unet", "cascade", "refiner", "gated", "styled"] = "resnet"
    g_width: int = Field(64, ge=1)
    g_max_width: int = Field(512, ge=1)  # of the unet and the cascade
    blocks: int = Field(9, ge=1)  # residual ones, of all but the unet and the gated one; U-blocks of the cascade
    downs: int = Field(2, ge=0)  # halvings before them, of the resnet
    g_norm: Literal["none", "batch", "instance"] = "instance"  # of all but the refiner and the styled one
    contrast: int = Field(0, ge=0)  # numbers that describe a patch to knobs.nce; of the resnet and the styled
    d_width: int = Field(64, ge=1)
    d_max_width: int = Field(512, ge=1)
    d_layers: int = Field(3, ge=1)  # halvings: 3 see patches of 70 pixels
    d_scales: int = Field(1, ge=1)  # of the picture that are judged, each half as large
    d_focus: Literal["none", "hole"] = "none"  # hole: a second D looks closely at what was filled
    d_norm: Literal["none", "batch", "instance", "spectral"] = "instance"
    init: Init = "normal02"

    @property
    def z_dim(self) -> int:
        """It begins with pictures."""
        return 0

    @property
    def conditioning(self) -> Literal["none"]:
        return "none"

    @model_validator(mode="after")
    def holes_are_known(self) -> Translation:
        if self.d_focus == "hole" and (self.generator != "gated" or self.d_scales > 1):
            raise ValueError("nets.d_focus=hole is of nets.generator=gated, which fills holes, and of one scale")
        return self

    @model_validator(mode="after")
    def patches_are_described(self) -> Translation:
        if self.contrast and self.generator not in ("resnet", "styled"):
            raise ValueError("nets.contrast is of nets.generator=resnet or styled: set it to 0, or choose one of these")
        return self


class OfSentences(Section):
    """What the nets of sentences have in common: no norms between samples, and the weights that torch begins with."""

    @property
    def g_norm(self) -> Norm:
        return "none"

    @property
    def d_norm(self) -> Norm:
        return "none"

    @property
    def init(self) -> Init:
        return "torch"


class Language(OfSentences):
    """Nets of sentences: G says token after token, D reads them by convolutions."""

    kind: Literal["language"] = "language"
    z_dim: int = Field(32, ge=2)  # one number for each token: data.length
    cell: Literal["lstm", "relational", "transformer"] = "lstm"  # the memory of G
    embedding: int = Field(128, ge=1)
    g_width: int = Field(256, ge=1)  # of the memory, of each slot
    slots: int = Field(1, ge=1)  # of the relational memory
    heads: int = Field(2, ge=1)  # which it, or the transformer, attends by
    layers: int = Field(2, ge=1)  # of the transformer
    d_embedding: int = Field(64, ge=1)  # of all views together
    d_views: int = Field(1, ge=1)  # embeddings by which D sees a sentence; each is judged
    d_filters: int = Field(100, ge=1)  # of each width, 2 to 5 tokens
    conditioning: Literal["none", "projection"] = "none"

    @model_validator(mode="after")
    def parts_fit(self) -> Language:
        if self.g_width % self.heads and self.cell != "lstm":
            raise ValueError(f"g_width={self.g_width} cannot be shared by {self.heads} heads: choose a multiple")
        if self.d_embedding % self.d_views:
            raise ValueError(
                f"d_embedding={self.d_embedding} cannot be shared by {self.d_views} views: choose a multiple"
            )
        return self


class Restyler(OfSentences):
    """Nets that tell a sentence in another style. `transformer`: the Style Transformer, whose D reads words; `aligned`:
    the cross-aligned autoencoder, whose D looks at the states in which G tells."""

    kind: Literal["restyler"] = "restyler"
    way: Literal["transformer", "aligned"] = "transformer"
    width: int = Field(256, ge=1)  # of the transformer; of the autoencoder, of what a sentence means
    heads: int = Field(4, ge=1)  # of the transformer
    layers: int = Field(4, ge=1)  # of the transformer
    embedding: int = Field(100, ge=1)  # of the autoencoder
    style: int = Field(200, ge=1)  # of the autoencoder: width of a style
    d_filters: int = Field(128, ge=1)  # of its D, of each width

    @property
    def z_dim(self) -> int:
        """It begins with sentences."""
        return 0

    @property
    def conditioning(self) -> Literal["none"]:
        """It is told styles, whatever else."""
        return "none"

    @model_validator(mode="after")
    def parts_fit(self) -> Restyler:
        if self.width % self.heads and self.way == "transformer":
            raise ValueError(f"width={self.width} cannot be shared by {self.heads} heads: choose a multiple")
        return self


class RecordNets(Section):
    """Nets of records; G's layers are as wide as z."""

    kind: Literal["records"] = "records"
    z_dim: int = Field(128, ge=1)
    layers: int = Field(2, ge=1)  # of G, before the decoder
    d_widths: Widths = (256, 128)
    values: Literal["flags", "counts"] = "flags"  # what a record holds
    pretrain_epochs: int = Field(100, ge=0)  # in which an autoencoder learns the decoder, before the game
    init: Init = "xavier"

    @property
    def g_norm(self) -> Norm:
        return "batch"

    @property
    def d_norm(self) -> Norm:
        return "none"

    @property
    def conditioning(self) -> Literal["none"]:
        return "none"


Nets = Annotated[
    MLP | DCGAN | R3GAN | ResNet | StyleGAN2 | FastGAN | Translation | Language | Restyler | RecordNets,
    Field(discriminator="kind"),
]
