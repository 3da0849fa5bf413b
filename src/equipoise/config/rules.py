"""What does not go together, and what to set instead. Each raises ValueError, which a config tells with its key."""

from __future__ import annotations

from typing import TYPE_CHECKING

from equipoise.config.data import ColouredDigits, Domains, MadeUpRecords, Records, Sentences
from equipoise.config.nets import DCGAN, MLP, R3GAN, Language, RecordNets, ResNet, Restyler, StyleGAN2, Translation
from equipoise.knobs import Knobs

if TYPE_CHECKING:
    from equipoise.config.model import TrainConfig


def mixing(config: TrainConfig, nets: MLP | DCGAN) -> None:
    """What D sees of a batch. StyleGAN2 has R1 beside the deviation, which reaches the logits as one number of a group;
    discrimination mixes all features of all samples. Pairs must be independent (R3GAN, arXiv:2501.05441, section 4)."""
    if nets.minibatch == "none":
        return
    knobs = config.knobs
    if knobs.loss == "relativistic" or config.guardian.mode == "on":
        raise ValueError(
            f"nets.minibatch={nets.minibatch} shows D the other samples of a batch, which breaks relativistic pairing, "
            "the guardian's first remedy: set nets.minibatch=none, or another loss and guardian.mode=watch"
        )
    if nets.minibatch == "discrimination" and (knobs.r1 or knobs.r2 or knobs.gp or knobs.unroll):
        raise ValueError(
            "nets.minibatch=discrimination mixes the samples of a batch, which breaks R1, R2, the gradient penalty and "
            "unrolling: set these to 0, or nets.minibatch=std, which goes with them"
        )


HEARD = {
    "loss", "ls_targets", "g_lr", "d_lr", "beta2", "d_steps", "g_steps", "clip_norm", "clip_value", "ema_halflife_kimg",
    "ema_ramp", "accumulate",
}  # fmt: skip
OF_SPEECH, OF_RESTYLING = {"imitation", "temperature"}, {"adversarial", "cycle", "identity"}


def against_D(config: TrainConfig) -> None:
    """Of G that speaks: how it learns from D."""
    speech = config.speech
    if speech.imitates == 1 or not isinstance(config.nets, Language):
        return
    if speech.imitates + speech.alone >= 1:
        raise ValueError(
            f"speech.imitates={speech.imitates:g} and speech.alone={speech.alone:g} leave G no time to play against D: "
            "less of either"
        )
    if speech.against == "policy" and config.knobs.loss == "relativistic":
        raise ValueError(
            "speech.against=policy rewards G by D's probability of real, and under knobs.loss=relativistic a logit "
            "alone means nothing: take nonsaturating"
        )


def speaking(config: TrainConfig) -> None:
    """Of sentences, which have nets and a game of their own."""
    if isinstance(config.data, Sentences) != isinstance(config.nets, Language | Restyler):
        raise ValueError(
            f"data.kind={config.data.kind} and nets.kind={config.nets.kind}: sentences need nets.kind=language or "
            "restyler, and these need sentences; take a recipe whose name begins with text"
        )
    if not isinstance(config.nets, Language) and (config.knobs.imitation or config.knobs.temperature != 1):
        raise ValueError("knobs.imitation and knobs.temperature are of nets.kind=language: set them to 0 and to 1")
    if not isinstance(config.data, Sentences):
        return
    restyles = isinstance(config.nets, Restyler)
    heard = HEARD | (OF_RESTYLING if restyles else OF_SPEECH)
    usual = Knobs().model_dump()
    if deaf := [
        name for name, value in config.knobs.model_dump().items() if name not in heard and value != usual[name]
    ]:
        raise ValueError(
            f"{', '.join(f'knobs.{name}' for name in deaf)} would change nothing of sentences: leave it out"
        )
    if config.knobs.loss == "wasserstein":
        raise ValueError(
            "knobs.loss=wasserstein needs a D that is held back, and nothing holds that of sentences: take "
            "nonsaturating, hinge or relativistic"
        )
    against_D(config)
    if isinstance(config.nets, Language) and config.data.length != config.nets.z_dim:
        raise ValueError(
            f"data.length={config.data.length} and nets.z_dim={config.nets.z_dim} are the same number, that of the "
            "tokens of a sentence: set both"
        )
    if config.shared_fakes:
        raise ValueError("shared_fakes is for pictures: set it to false")
    if config.play != ("restyle" if restyles else "noise"):
        raise ValueError(
            f"play={config.play}: of sentences, nets.kind=restyler needs play=restyle, language play=noise"
        )
    if config.knobs.accumulate > 1 and not restyles:
        raise ValueError("knobs.accumulate is for pictures: set it to 1, and batch as large as it should be")
    if config.guardian.mode == "on" and restyles:
        raise ValueError(
            "the guardian knows no remedies for restyling: set guardian.mode=watch, and it says what it finds"
        )
    if "style" in config.evaluate.metrics and not restyles:
        raise ValueError("evaluate.metrics=style is of sentences that are restyled: leave it out")


def styles(config: TrainConfig, nets: StyleGAN2) -> None:
    """Of StyleGAN2, whose D compares the samples of a group, and whose G draws its mixing from z."""
    knobs = config.knobs
    if nets.group > 1 and (knobs.loss == "relativistic" or config.guardian.mode == "on"):
        raise ValueError(
            f"nets.group={nets.group} shows D other samples, which breaks relativistic pairing, the guardian's first "
            "remedy: set nets.group=1, or another loss and guardian.mode=watch"
        )
    if knobs.g_orthogonal:
        raise ValueError("knobs.g_orthogonal is for weights that are not scaled where they are used: set it to 0")
    if nets.style_mixing and (knobs.z_consistency_d or knobs.z_consistency_g):
        raise ValueError(
            "a latent that was nudged mixes other styles, which is no small change: set nets.style_mixing=0, or "
            "knobs.z_consistency_d and z_consistency_g to 0"
        )


def recording(config: TrainConfig) -> None:
    """Of records, whose D looks at each beside the mean of its batch."""
    knobs = config.knobs
    if not isinstance(config.nets, RecordNets):
        return
    if not isinstance(config.data, Records | MadeUpRecords):
        raise ValueError(f"nets.kind=records draws records, and data.kind={config.data.kind} has none: use other nets")
    if knobs.loss == "relativistic" or knobs.r1 or knobs.r2 or knobs.gp or config.guardian.mode == "on":
        raise ValueError(
            "nets.kind=records shows D the mean of the batch, which breaks relativistic pairing, R1, R2 and the "
            "gradient penalty: set knobs.loss=nonsaturating, these to 0, and guardian.mode=watch"
        )


def focusing(config: TrainConfig) -> None:
    if config.knobs.focus and config.guardian.mode == "off":
        raise ValueError(
            "knobs.focus shows D some bins of the data oftener, and only the guardian knows them: set "
            "guardian.mode=watch, or knobs.focus=0"
        )


def unrolling(config: TrainConfig) -> None:
    if config.knobs.unroll and isinstance(config.nets, R3GAN | ResNet | StyleGAN2) and config.nets.checkpointing:
        raise ValueError("unrolling keeps all graphs: set nets.checkpointing=false, or knobs.unroll to 0")


def packing(config: TrainConfig, nets: MLP | DCGAN) -> None:
    if nets.pack == 1:
        return
    shared = nets.pack * config.machine.devices * config.machine.nodes
    if config.batch % shared:
        raise ValueError(
            f"batch={config.batch} cannot be cut into equal packs of {nets.pack}: use a multiple of {shared}"
        )
    if nets.d_norm == "batch" and config.batch == shared:
        raise ValueError(f"one pack is no batch for BatchNorm in D: use a batch of {2 * shared} or more")
    if nets.conditioning != "none":
        raise ValueError(
            "D has one verdict for a pack, and the classes of its samples differ: set nets.pack=1, or "
            "nets.conditioning=none"
        )


def naming(config: TrainConfig) -> None:
    """Who tells G which class is meant."""
    if (config.nets.conditioning == "auxiliary") != (config.knobs.auxiliary > 0):
        raise ValueError(
            "nets.conditioning=auxiliary and knobs.auxiliary above 0 need each other, or nobody tells G which class is "
            "meant: set both, or another conditioning and knobs.auxiliary=0"
        )


OF_LATENTS = ("mode_seeking", "z_consistency_d", "z_consistency_g", "path_length", "auxiliary", "reconstruction")
OF_PLAYS = {  # the knobs that say something in some plays alone
    "pixel": ("pairs",), "features": ("pairs",), "cycle": ("cycle", "restyle"), "identity": ("cycle", "restyle"),
    "nce": ("domains", "styles"), "nce_identity": ("domains",), "style": ("pairs", "styles"),
    "content": ("pairs",), "given_style": ("pairs", "styles"),
}  # fmt: skip
OF_PARTNERS = ("ssim", "psnr")  # figures


def playing(config: TrainConfig) -> None:
    """What G begins with, and what fits that."""
    knobs, play = config.knobs, config.play
    if isinstance(config.nets, Restyler):
        return
    if (play == "noise") != (not isinstance(config.nets, Translation)):
        raise ValueError(
            f"play={play} does not go with nets.kind={config.nets.kind}: nets.kind=translation begins with pictures, "
            "and all others with noise"
        )
    if isinstance(config.nets, Translation) and (play == "styles") != (config.nets.generator == "styled"):
        raise ValueError(
            f"play={play} does not go with nets.generator={config.nets.generator}: styled is told a style, which "
            "play=styles tells, and the others know of none"
        )
    for name, plays in OF_PLAYS.items():
        if getattr(knobs, name) and play not in plays:
            raise ValueError(f"knobs.{name} needs play={' or '.join(plays)}, and this is play={play}: set it to 0")
    if play != "noise" and (asked := [name for name in OF_LATENTS if getattr(knobs, name)]):
        raise ValueError(f"knobs.{asked[0]} is for generators that begin with noise: set it to 0")
    if (knobs.nce or knobs.nce_identity) and not (isinstance(config.nets, Translation) and config.nets.contrast):
        raise ValueError("knobs.nce compares patches as G describes them: set nets.contrast=256")
    if config.shared_fakes and play == "cycle":
        raise ValueError("shared_fakes is for games of one generator, and play=cycle has two: set it to false")
    if config.pool and play not in ("domains", "cycle"):
        raise ValueError("a pool keeps fakes without what they were made from: set pool=0, or play=domains or cycle")


def perceiving(config: TrainConfig) -> None:
    """Of a trained net, whose weights the user gives."""
    asked = [name for name in ("content", "given_style") if getattr(config.knobs, name)]
    if asked and config.given.path is None:
        raise ValueError(
            f"knobs.{asked[0]} compares pictures as a trained net sees them, and its weights do not come with "
            "Equipoise: set given.path=FILE.npz (SqueezeNet's), or it to 0"
        )


def comparing(config: TrainConfig) -> None:
    """Figures of pairs are told where the data holds what each picture should become."""
    paired = [name for name in config.evaluate.metrics if name in OF_PARTNERS]
    if paired and (config.play == "noise" or isinstance(config.data, Domains | ColouredDigits)):
        raise ValueError(
            f"evaluate.metrics={paired[0]} compares each picture with what it should become, which nobody knows here: "
            "leave it out"
        )
