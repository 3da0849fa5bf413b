"""The configuration of a run: frozen models.

One truth for each value. `loss`, `optim.g.lr` and `optim.d.lr` are accepted spellings of `knobs.loss`,
`knobs.g_lr` and `knobs.d_lr`, because these three may change while a run goes on.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from equipoise.config import rules
from equipoise.config.data import Data, Images
from equipoise.config.dotted import holds, json_copy, nearest, put, take
from equipoise.config.nets import DCGAN, MLP, R3GAN, Beta, FastGAN, Nets, StyleGAN2
from equipoise.config.section import Section
from equipoise.knobs import SCHEDULABLE, WHOLE, Knobs, Schedule, scheduled

ALIASES = {"loss": "knobs.loss", "optim.g.lr": "knobs.g_lr", "optim.d.lr": "knobs.d_lr"}


class SGD(Section):
    kind: Literal["sgd"] = "sgd"
    momentum: float = Field(0.0, ge=0)
    dampening: float = 0.0
    nesterov: bool = False
    weight_decay: float = Field(0.0, ge=0)

    @model_validator(mode="after")
    def nesterov_fits(self) -> SGD:
        if self.nesterov and (self.momentum == 0 or self.dampening != 0):
            raise ValueError("nesterov needs a momentum above 0 and a dampening of 0")
        return self


class Adam(Section):
    kind: Literal["adam"] = "adam"
    betas: tuple[Beta, Beta] = (0.0, 0.99)
    eps: float = Field(1e-8, gt=0)
    weight_decay: float = Field(0.0, ge=0)
    amsgrad: bool = False


class AdamW(Section):
    kind: Literal["adamw"] = "adamw"
    betas: tuple[Beta, Beta] = (0.0, 0.99)
    eps: float = Field(1e-8, gt=0)
    weight_decay: float = Field(0.01, ge=0)
    amsgrad: bool = False


class RMSprop(Section):
    kind: Literal["rmsprop"] = "rmsprop"
    alpha: float = Field(0.99, ge=0, lt=1)
    eps: float = Field(1e-8, gt=0)
    momentum: float = Field(0.0, ge=0)
    centered: bool = False
    weight_decay: float = Field(0.0, ge=0)


AugmentKind = Literal["color", "translation", "cutout", "flip", "ada-blit", "ada-geometric", "ada-color"]
Optimizer = Annotated[SGD | Adam | AdamW | RMSprop, Field(discriminator="kind")]


class Optim(Section):
    """Everything about the optimizers but the learning rates, which are knobs."""

    g: Optimizer = Adam()
    d: Optimizer = Adam()


class Every(Section):
    """How often, in thousands of real samples; None is resolved when a run starts."""

    every_kimg: float | None = Field(None, gt=0)


class Save(Every):
    keep: int = Field(3, ge=1)  # the newest; log-spaced milestones stay beside them


Metrics = Literal[
    "fd",
    "kid",
    "is",
    "prdc",
    "vendi",
    "bins",
    "classes",
    "copies",
    "birthday",
    "two_sample",
    "swd",
    "pairwise",
    "ssim",
    "psnr",
    "bleu",
    "self_bleu",
    "variety",
    "language_model",
    "style",
    "records",
]


class Evaluate(Every):
    """The judge of a run: see `judging`."""

    metrics: tuple[Metrics, ...] = ("fd", "prdc", "vendi", "bins")  # none: the run is not judged
    features: str = "auto"  # auto: a classifier of the data's own labels, where it has some, otherwise random
    n: int = Field(1000, ge=10)  # samples and held-out reals each time, where there are as many
    best_by: str = "fd"  # the figure that the best checkpoint is chosen by
    patience_kimg: float | None = Field(None, gt=0)  # without a gain for that long, a run has converged
    stop_when_converged: bool = False

    @model_validator(mode="after")
    def stops_by_what_it_sees(self) -> Evaluate:
        if self.stop_when_converged and not self.metrics:
            raise ValueError("stop_when_converged needs metrics: without, nobody looks at the samples")
        return self


class Guardian(Every):
    """Whoever watches a run: see `guardian`."""

    mode: Literal["on", "watch", "off"] = "watch"  # on: it mends what it finds; watch: it only says so
    features: str = "auto"  # as for evaluate
    n: int = Field(1000, ge=20)  # samples in a look, where as many reals are held out

    @field_validator("mode", mode="before")
    @classmethod
    def spelled(cls, mode: Any) -> Any:
        """YAML reads on and off as true and false."""
        return {True: "on", False: "off"}.get(mode, mode) if isinstance(mode, bool) else mode


class Machine(Section):
    device: Literal["auto", "cpu", "cuda"] = "auto"
    precision: Literal["auto", "fp32", "bf16"] = "auto"  # auto is measured, where the device has units for bf16
    compile: bool | None = None  # None is measured on CUDA, and False elsewhere
    threads: int | None = Field(None, ge=1)  # None is measured when a run starts
    devices: int = Field(1, ge=1)  # processes on each machine, one a device
    nodes: int = Field(1, ge=1)  # machines


LoggerName = Literal["tensorboard", "csv", "wandb", "mlflow"]


class Log(Section):
    """Where the numbers of a run are sent beside its own record: see `loggers`."""

    to: tuple[LoggerName, ...] = ()


class Start(Section):
    """Trained weights to begin with: see `finetuning`."""

    path: str  # a checkpoint of a run, or a .safetensors file with a generator alone
    sha256: str  # of what it held when the run was begun


class Given(Section):
    """Weights of a trained net that G's samples are seen by: see `encoders.perception`."""

    path: str | None = None  # SqueezeNet's, as in `encoders.squeezenet`; they do not come with Equipoise
    sha256: str = ""  # of the file; noted when a run is configured


# What G begins with: noise; the one picture of a pair; a picture of one of two domains, which is turned into one of the
# other, or there and back; a picture that is given the style of another; a sentence that is told in another style.
Play = Literal["noise", "pairs", "domains", "cycle", "styles", "restyle"]


class Speech(Section):
    """How G learns sentences: see `games.textgan`; of it, restyling knows beta alone."""

    imitates: float = Field(1.0, ge=0, le=1)  # part of the run in which G imitates; the rest it plays against D
    haste: float = Field(1.0, gt=0)  # of G's learning rate while it imitates: so many times knobs.g_lr
    alone: float = Field(0.0, ge=0, le=1)  # part of the run, behind imitation, in which D learns and G waits
    against: Literal["gumbel", "policy"] = "gumbel"  # how it learns from D: RelGAN's way, or SeqGAN's
    beta: float = Field(100.0, ge=1)  # inverse temperature of soft words at the end; it begins with 1
    rollouts: int = Field(16, ge=1)  # of policy: completions of a sentence that is begun


class TrainConfig(Section):
    """All that a run depends on: the same file and the same machine give the same run."""

    recipe: str
    seed: int = Field(0, ge=0, lt=2**63)
    kimg: float = Field(gt=0)  # length of the run: thousands of real samples shown to D
    batch: int = Field(128, ge=2)
    data: Data
    nets: Nets
    play: Play = "noise"
    speech: Speech = Speech()  # of sentences
    pool: int = Field(0, ge=0)  # fakes of the past that D is shown beside the new ones
    start: Start | None = None  # None: weights are drawn
    given: Given = Given()  # what knobs.content and knobs.given_style see by
    freeze_d: int = Field(0, ge=0)  # layers of D, from the pictures on, that stay as they started
    optim: Optim = Optim()
    shared_fakes: bool = False  # G is judged on the very fakes of D's last step: saves one of its forward passes
    knobs: Knobs = Knobs()
    augment: Annotated[tuple[AugmentKind, ...], Field(min_length=1)] = ("color", "translation", "cutout")  # before D
    augment_hears: Literal["pairs", "held-out"] = "pairs"  # what augment_target is of: see games.adaptive
    schedules: dict[str, Schedule] = Field(default_factory=dict)  # factors on knobs, by their names
    record: Every = Every()
    samples: Every = Every()
    save: Save = Save()
    evaluate: Evaluate = Evaluate()
    guardian: Guardian = Guardian()
    log: Log = Log()
    machine: Machine = Machine()

    @property
    def images(self) -> int:
        return max(1, round(1000 * self.kimg))

    @property
    def images_a_round(self) -> int:
        """Real samples shown to D in a round, as the knobs stand at the start."""
        return self.batch * self.knobs.d_steps * self.knobs.accumulate

    @model_validator(mode="before")
    @classmethod
    def spelled_out(cls, raw: Any) -> Any:
        """Moves the accepted spellings to where their values live."""
        if not isinstance(raw, dict):
            return raw
        raw = json_copy(raw)
        for alias, path in ALIASES.items():
            if holds(raw, alias):
                if holds(raw, path):
                    raise ValueError(f"{alias} and {path} are the same value: give one of them")
                put(raw, path, take(raw, alias))
        return raw

    @model_validator(mode="after")
    def players_fit(self) -> TrainConfig:
        knobs = self.knobs
        pairs = knobs.loss == "relativistic" or knobs.r1 or knobs.r2 or knobs.gp
        d_norm = "none" if isinstance(self.nets, R3GAN) else self.nets.d_norm
        if d_norm == "batch" and pairs and not knobs.frozen_norm:
            raise ValueError(
                "BatchNorm in D mixes the samples of a batch, which breaks R1, R2, the gradient penalty and "
                "relativistic pairing: set nets.d_norm to none, layer, instance or spectral"
            )
        held = knobs.clip_weights or knobs.gp or d_norm == "spectral" or knobs.r1
        if knobs.loss == "wasserstein" and not held:
            raise ValueError(
                "the wasserstein loss needs a bound on D's slope: set knobs.gp=10, or knobs.clip_weights=0.01, "
                "or nets.d_norm=spectral"
            )
        return self

    @model_validator(mode="after")
    def mechanisms_fit(self) -> TrainConfig:
        rules.naming(self)
        rules.recording(self)
        rules.focusing(self)
        rules.unrolling(self)
        rules.playing(self)
        rules.speaking(self)
        rules.comparing(self)
        rules.perceiving(self)
        if isinstance(self.nets, StyleGAN2):
            rules.styles(self, self.nets)
        if isinstance(self.nets, MLP | DCGAN):
            rules.mixing(self, self.nets)
            rules.packing(self, self.nets)
        return self

    @model_validator(mode="after")
    def penalties_fit(self) -> TrainConfig:
        if self.knobs.path_length and not isinstance(self.nets, StyleGAN2):
            raise ValueError("knobs.path_length needs a G with styles: set nets.kind=stylegan2, or path_length to 0")
        if self.knobs.reconstruction and not isinstance(self.nets, FastGAN):
            raise ValueError("knobs.reconstruction needs a D with decoders: set nets.kind=fastgan, or it to 0")
        return self

    @model_validator(mode="after")
    def frozen_layers_were_trained(self) -> TrainConfig:
        if self.freeze_d and self.start is None:
            raise ValueError("freeze_d keeps layers of D as they were trained: give a run to start with, --from RUN")
        return self

    @model_validator(mode="after")
    def augmentation_fits(self) -> TrainConfig:
        for name in ("augment_p", "augment_target", "consistency_real", "consistency_fake"):
            if getattr(self.knobs, name) and not isinstance(self.data, Images):
                raise ValueError(f"knobs.{name} is for images, and data.kind={self.data.kind} has points: set it to 0")
        return self

    @model_validator(mode="after")
    def schedules_fit(self) -> TrainConfig:
        for name, schedule in self.schedules.items():
            if name not in SCHEDULABLE:
                raise ValueError(f"schedules.{name} is not a knob with a number{nearest(name, SCHEDULABLE)}")
            if name in WHOLE and schedule.kind not in ("phases", "constant"):
                raise ValueError(f"schedules.{name} holds whole numbers: use kind phases")
            starts = schedule.starts if schedule.kind == "phases" else (0, 1)  # between these a slope is monotone
            for progress in starts:
                Knobs.model_validate(scheduled(self.knobs, {name: schedule}, progress).model_dump())
        return self
