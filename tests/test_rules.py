"""What does not go together is refused in words that say what to do, and what does is accepted."""

from __future__ import annotations

import pytest

from equipoise.config import TrainConfig, override
from equipoise.errors import ConfigError
from equipoise.knobs import Knobs
from equipoise.recipes import recipe

STYLES = ["nets.kind=stylegan2", "schedules={}", "knobs.loss=nonsaturating", "knobs.r2=0"]
HINGE = ["knobs.loss=hinge", "knobs.r1=0", "knobs.r2=0", "schedules={}"]
AUXILIARY = ["nets.conditioning=auxiliary", "knobs.auxiliary=1"]


def config(*assignments: str, name: str = "digits") -> TrainConfig:
    return override(recipe(name), assignments)


@pytest.mark.parametrize(
    ("assignments", "words"),
    [
        (["knobs.loss=relativistic", "knobs.lecam=.1"], "lecam holds D's logits near a level"),
        (["nets.minibatch=std"], r"breaks relativistic pairing[^\n]*guardian\.mode=watch"),
        ([*HINGE, "nets.minibatch=discrimination", "knobs.r1=1"], "breaks R1, R2"),
        ([*HINGE, "nets.minibatch=discrimination", "knobs.unroll=1"], "unrolling: set these to 0"),
        ([*HINGE, "nets.minibatch=std", "guardian.mode=on"], "the guardian's first remedy"),
        (["nets.pack=3"], r"batch=128 cannot be cut into equal packs of 3: use a multiple of 3"),
        (["nets.pack=2", "batch=6", "machine.devices=2"], "use a multiple of 4"),
        (["nets.pack=2", "nets.conditioning=projection"], r"set nets\.pack=1, or nets\.conditioning=none"),
        (["nets.conditioning=auxiliary"], r"nobody tells G which class is meant: set both"),
        (["knobs.auxiliary=1"], "need each other"),
        (["nets.pack=2", "batch=2", "nets.d_norm=batch", *HINGE], "one pack is no batch"),
        ([*STYLES, "knobs.loss=relativistic"], r"nets\.group=4 shows D other samples"),
        ([*STYLES, "guardian.mode=on"], "the guardian's first remedy"),
        ([*STYLES, "knobs.g_orthogonal=1e-4"], "set it to 0"),
        ([*STYLES, "nets.style_mixing=.5", "knobs.z_consistency_d=1"], "mixes other styles"),
        ([*STYLES, "nets.checkpointing=true", "knobs.unroll=1"], "unrolling keeps all graphs"),
        (["knobs.top_k=0"], "knobs.top_k"),
        (["knobs.unroll=.5"], "knobs.unroll"),
        (["schedules.unroll={kind: linear}"], "whole numbers"),
        ([*HINGE, "knobs.lecam=1", "knobs.loss=relativistic"], "choose another loss"),
    ],
)  # fmt: skip
def test_what_does_not_mix_is_refused(assignments, words):
    with pytest.raises(ConfigError, match=words):
        config(*assignments)


@pytest.mark.parametrize(
    ("name", "assignment", "words"),
    [
        ("cut", "nets.generator=styled", r"play=domains does not go with nets\.generator=styled"),
        ("stylize", "nets.generator=resnet", r"play=styles does not go with nets\.generator=resnet"),
        ("cyclegan", "evaluate.metrics=[fd,psnr]", r"evaluate\.metrics=psnr compares each picture"),
        ("digits", "evaluate.metrics=[ssim]", "leave it out"),
        ("cyclegan", "shared_fakes=true", "one generator"),
    ],
)
def test_what_does_not_go_together_in_a_translation_is_refused(name, assignment, words):
    with pytest.raises(ConfigError, match=words):
        config(assignment, name=name)


@pytest.mark.parametrize("knob", ["consistency_real", "consistency_fake"])
def test_points_are_not_seen_again(knob):
    with pytest.raises(ConfigError, match=rf"knobs\.{knob} is for images, and data\.kind=ring has points"):
        config(f"knobs.{knob}=1", name="ring")


@pytest.mark.parametrize(
    "assignments",
    [
        [*HINGE, "nets.minibatch=std", "knobs.r1=1", "knobs.r2=1"],
        [*HINGE, "nets.minibatch=discrimination", "knobs.lecam=.3"],
        ["nets.pack=4", "batch=64", "machine.devices=2"],
        AUXILIARY,
        [*AUXILIARY, "nets.evidence=data-to-data"],
        ["knobs.unroll=2", "schedules.unroll={kind: phases, starts: [0, .5], values: [1, 0]}"],
        ["knobs.top_k=1", "schedules.top_k={kind: linear, end: .5}"],
    ],
)
def test_what_mixes_is_accepted(assignments):
    accepted = config(*assignments)
    assert accepted != config()
    assert TrainConfig.model_validate(accepted.model_dump()) == accepted


def test_lecam_is_refused_in_mid_run_too():
    with pytest.raises(ValueError, match="lecam"):
        Knobs(loss="relativistic", lecam=0.1)
