"""The recipes do what they were made for, and the measures tell when they do not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from equipoise import configuring, generator, launch
from equipoise.config import override
from equipoise.data.digits import stacked_digits
from equipoise.data.source import scaled
from equipoise.data.toy import ring
from equipoise.encoders.classifier import Classifier, accuracy, trained_classifier
from equipoise.metrics.modes import captured, present
from equipoise.recipes import recipe

ALONE = ["machine.threads=1", "guardian.mode=off", "evaluate.metrics=[]"]  # the tests judge by themselves


def capture_of(points: np.ndarray) -> tuple[int, float]:
    found = captured(torch.from_numpy(points), ring().centres, ring().sigma)
    return found.covered(), found.high_quality


@pytest.mark.slow
def test_the_ring_recipe_covers_the_ring_and_controls_do_not(tmp_path):
    config = override(recipe("ring"), ALONE)
    run = launch.start(config, tmp_path / "ring")
    modes, high_quality = capture_of(generator.from_file(run.model).sample(2500))
    assert modes == 8
    assert high_quality > 0.5

    untrained = launch.start(override(config, ["kimg=0.064", "knobs.g_lr=0", "schedules={}"]), tmp_path / "untrained")
    assert capture_of(generator.from_file(untrained.model).sample(2500)) < (8, 0.5)
    constant = np.tile(ring().centres[0].numpy(), (2500, 1))
    assert capture_of(constant)[0] == 1


@pytest.fixture(scope="module")
def judge() -> Classifier:
    """Reads digits, and was never near a D."""
    digits = launch.build.splits(configuring.data_at("digits"))
    net = trained_classifier(digits.train, epochs=6)
    assert accuracy(net, digits.test) > 0.95
    return net


def spelled(judge: Classifier, stacks: torch.Tensor) -> torch.Tensor:
    return sum(judge.classify(stacks[:, i : i + 1]) * 10 ** (2 - i) for i in range(3))


def modes_after(kimg: float, name: str, judge: Classifier, path: Path) -> int:
    run = launch.start(override(recipe(name), [f"kimg={kimg}", *ALONE]), path)
    pixels = torch.from_numpy(generator.from_file(run.model).sample(2000)).permute(0, 3, 1, 2)
    return present(spelled(judge, scaled(pixels)))


def test_the_judge_reads_real_stacks(judge):
    real, labels = stacked_digits().validation.take(torch.arange(500))
    assert (spelled(judge, real) == labels).double().mean() > 0.9


@pytest.mark.slow
def test_stacked_digits_ns_collapses_where_stacked_digits_does_not(judge, tmp_path):
    assert modes_after(90, "stacked-digits-ns", judge, tmp_path / "ns") < 100
    assert modes_after(90, "stacked-digits", judge, tmp_path / "relativistic") > 200
