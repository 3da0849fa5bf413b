"""What does not go together, and what to set instead. Each raises ValueError, which a config tells with its key."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from equipoise.config.model import DCGAN, MLP, TrainConfig


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


def packing(config: TrainConfig, nets: MLP | DCGAN) -> None:
    if nets.pack == 1:
        return
    shared = nets.pack * config.machine.devices * config.machine.nodes
    if config.batch % shared:
        raise ValueError(
            f"batch={config.batch} cannot be cut into equal packs of {nets.pack}: use a multiple of {shared}"
        )
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
