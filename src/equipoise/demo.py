"""The tour: what Equipoise does, in two minutes (about 88 s of training), offline, without a GPU; and a rescue."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from html import escape
from pathlib import Path

import torch
from PIL import Image

from equipoise import charts, generator, launch
from equipoise.build import splits
from equipoise.config import Digits, override
from equipoise.data.source import scaled
from equipoise.data.toy import ring
from equipoise.encoders.classifier import Classifier, accuracy, trained_classifier
from equipoise.errors import GaveUp
from equipoise.metrics.modes import PERFECT_HIGH_QUALITY, captured, present
from equipoise.page import document, embedded
from equipoise.recipes import recipe
from equipoise.reports import looks
from equipoise.reports.story import changed
from equipoise.runs.folder import RunFolder, fresh_path, rows

RING_S, DIGITS_S = 18.0, 66.0  # of training
POINTS, IMAGES = 2500, 2000
BROKEN, EVERY_KIMG, STACKS = "stacked-digits-ns", 6.4, 10_000  # what is rescued, looked at so often; samples counted


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


def rescue(say: Callable[[str], None], watch: launch.Watch = launch.unwatched, home: Path | None = None) -> Path:
    """A game that is broken on purpose, left alone and mended: the same seed, twice. Returns the page that shows both.

    Raises:
        StorageError: when runs/ cannot be written.
    """
    say("Three digits to an image: 1,000 modes. The non-saturating loss without a penalty finds one or two of them.")
    runs, judge = dict[str, RunFolder](), trained_classifier(splits(Digits()).train, epochs=8)
    for mode, words in (("watch", "1. Watched only."), ("on", "2. The same game, and the guardian may mend it.")):
        say(words)
        config = override(recipe(BROKEN), [f"guardian.mode={mode}", f"guardian.every_kimg={EVERY_KIMG}"])
        runs[mode] = RunFolder(place(home, f"rescue_{mode}"))
        try:
            launch.start(config, runs[mode].path, watch=watch)
        except GaveUp as error:
            say(f"   {error}")
        for row in rows(runs[mode].events):
            if row["kind"] == "change" or (row["kind"] == "finding" and row["severity"] == "severe"):
                say(f"   at {row['seen']:,} images: {row.get('reason') or row['symptom']}")
        say(f"   {modes_drawn(runs[mode], judge)} of 1,000 modes among {STACKS:,} samples")
    path = runs["on"].path / "rescue.html"
    path.write_text(rescue_page(runs), encoding="utf-8")
    say(f"Both, over time: {path}")
    return path


def modes_drawn(run: RunFolder, judge: Classifier) -> int:
    """As a classifier of one digit reads the three channels of each sample."""
    pixels = torch.from_numpy(generator.from_file(run.model).sample(STACKS)).permute(0, 3, 1, 2)
    spelled = [judge.classify(scaled(pixels[:, i : i + 1])) for i in range(3)]
    return present(100 * spelled[0] + 10 * spelled[1] + spelled[2])


def rescue_page(runs: Mapping[str, RunFolder]) -> str:
    """Modes over time with and without the guardian's hand, and the last samples of both."""
    events = {mode: rows(run.events) for mode, run in runs.items()}
    names = {"watch": "left alone", "on": "mended"}
    lines = [looks.modes(names[mode], looks.of_kind(events[mode], "look")) for mode in ("on", "watch")]
    changes = looks.of_kind(events["on"], "change")
    told = [f"<li>{escape(changed(row))}</li>" for row in changes]
    grids = [
        f"<figure>{embedded(Image.open(last_grid(run)), names[mode])}<figcaption>{names[mode]}</figcaption></figure>"
        for mode, run in runs.items()
    ]
    chart = charts.curves("Modes that are drawn (effective number of bins)", lines, looks.marks(lines[0], changes))
    body = ["<h1>A collapse, named and mended</h1>", chart, f"<ol>{''.join(told)}</ol>", *grids]
    return document("A collapse, named and mended", body, charts.STYLE)


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
