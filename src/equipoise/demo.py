"""The tour: what Equipoise does, in two minutes (about 88 s of training), offline, without a GPU."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch

from equipoise import generator, launch
from equipoise.build import splits
from equipoise.config import Digits
from equipoise.data.source import scaled
from equipoise.data.toy import ring
from equipoise.encoders.classifier import accuracy, trained_classifier
from equipoise.metrics.modes import PERFECT_HIGH_QUALITY, captured, present
from equipoise.recipes import recipe
from equipoise.runs.folder import RunFolder, fresh_path

RING_S, DIGITS_S = 18.0, 66.0  # of training
POINTS, IMAGES = 2500, 2000


def demo(say: Callable[[str], None], watch: launch.Watch = launch.unwatched, home: Path | None = None) -> RunFolder:
    """A ring of eight modes, then handwritten digits; each is trained, counted and drawn. Returns the digits' run.

    Raises:
        StorageError: when runs/ cannot be written.
    """
    say("1. A ring of eight narrow modes: does the generator find all of them?")
    run = launch.start(recipe("ring"), place(home, "ring"), time_s=RING_S, watch=watch)
    say(ring_verdict(run))
    say("2. Handwritten digits: 1,439 real ones of 8x8 pixels to learn from.")
    run = launch.start(recipe("digits"), place(home, "digits"), time_s=DIGITS_S, watch=watch)
    say(digits_verdict(run))
    say(next_steps(run))
    return run


def place(home: Path | None, name: str) -> Path:
    return fresh_path(f"demo_{name}", home and home / name)


def ring_verdict(run: RunFolder) -> str:
    mixture = ring()
    points = torch.from_numpy(generator.from_file(run.model).sample(POINTS))
    found = captured(points, mixture.centres, mixture.sigma)
    return (
        f"   {found.covered()} of {len(mixture.centres)} modes covered, {found.high_quality:.0%} of the points within "
        f"3 standard deviations of one (a perfect sampler has {PERFECT_HIGH_QUALITY:.0%}).\n"
        f"   Picture: {last_grid(run)}"
    )


def digits_verdict(run: RunFolder) -> str:
    data = splits(Digits())
    judge = trained_classifier(data.train, epochs=8)
    pixels = torch.from_numpy(generator.from_file(run.model).sample(IMAGES)).permute(0, 3, 1, 2)
    classes = judge.classify(scaled(pixels))
    rarest = torch.bincount(classes, minlength=10).min().item() / IMAGES
    return (
        f"   {present(classes)} of 10 digits among {IMAGES} samples, the rarest with {rarest:.1%}, as read by a "
        f"classifier that is right on {accuracy(judge, data.test):.1%} of the real test digits.\n"
        f"   Picture: {last_grid(run)}"
    )


def last_grid(run: RunFolder) -> Path:
    return max(run.samples.glob("step-*.png"))


def next_steps(run: RunFolder) -> str:
    return (
        "Next:\n"
        f"   equipoise sample {run.path} -n 100 -o digits.png      more of them\n"
        "   equipoise train dcgan --data FOLDER --time 20m        your own pictures\n"
        "   equipoise recipes                                     what else there is"
    )
