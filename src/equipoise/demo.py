"""The tour: what Equipoise does, in a minute or so, offline, without a GPU; and a rescue that takes longer."""

from __future__ import annotations

import hashlib
import math
import os
import signal
import subprocess
import sys
import time
import webbrowser
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from html import escape
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from PIL import Image

from equipoise import charts, generator, launch
from equipoise.beside import beside, forks
from equipoise.build import splits
from equipoise.config import Digits, TrainConfig, override, write
from equipoise.data.source import scaled
from equipoise.data.toy import ring
from equipoise.encoders.classifier import Classifier, accuracy, trained_classifier
from equipoise.errors import GaveUp, MachineError, Stopped
from equipoise.metrics.modes import PERFECT_HIGH_QUALITY, captured, present
from equipoise.page import document, embedded
from equipoise.progress import Reporter
from equipoise.recipes import recipe
from equipoise.reports import looks
from equipoise.reports.story import changed
from equipoise.runs import checkpoint
from equipoise.runs.folder import RunFolder, fresh_path, rows
from equipoise.words import sentence

POINTS, IMAGES = 2500, 2000
PINNED = (  # on one thread the same counts each time; nobody judges, which would take longer than the game
    "machine.threads=1", "machine.device=cpu", "machine.precision=fp32", "evaluate.metrics=[]",
)  # fmt: skip
BY_PIXELS = ("guardian.features=pixels", "guardian.n=300", *PINNED)  # no net has to learn first
RING = ("kimg=112", *PINNED)  # by then 8 of 8 modes in 20 of 20 seeds
DIGITS = ("kimg=96", *BY_PIXELS)
BROKEN = "stacked-digits-ns"  # a game without a penalty, which collapses
STACKS = 5000  # samples whose modes are counted
WATCHED = (
    "guardian.every_kimg=3.2", "record.every_kimg=3.2", "samples.every_kimg=6.4", "save.every_kimg=16", *BY_PIXELS,
)  # fmt: skip
SHORT_KIMG = 76.8  # what the tour plays of it: by then 72 modes or more in 9 seeds (results/first_minute.jsonl)
EVERY_KIMG = 6.4  # looks of the rescue
SAVED, LEFT = 50, 20  # modes of 1,000: at least so many where it was mended, at most so many where it was left alone
KILLED = ("kimg=6.4", "save.every_kimg=0.64", "guardian.mode=off", *PINNED)  # at its first checkpoint, of ten
POLL_S, PATIENCE_S = 0.01, 120.0  # how often a child is looked after, and how long
COLLAPSE = ("total collapse", "partial collapse")
NAMES = {"watch": "left alone", "on": "mended"}

Say = Callable[[str], None]


@dataclass(frozen=True)
class Toured:
    """What the tour showed; each of these is measured."""

    run: RunFolder  # of the digits
    covered: int  # modes of the ring, of 8
    broken: int  # modes, of 1,000, of the game that was broken and left alone
    mended: int  # the same where the guardian mended it
    named: tuple[str, ...]  # what it was told of that game, but for notes
    digits: int  # of 10
    same_bits: bool  # after a kill and a resume

    @property
    def kept(self) -> bool:
        """Whether all that was promised was seen."""
        collapse = any(symptom in COLLAPSE for symptom in self.named)
        rescued = collapse and self.broken <= LEFT and self.mended >= SAVED
        return self.covered == 8 and rescued and self.digits == 10 and self.same_bits


def demo(
    say: Say, watch: launch.Watch = launch.unwatched, home: Path | None = None, *, seed: int = 0, show: bool = False
) -> Toured:
    """A ring of eight modes; a run that is killed and resumed; a game that is broken, left alone and mended;
    handwritten digits; a report, which is opened where `show` is true and there is a screen.

    Raises:
        MachineError: when no second process can be started.
        StorageError: when runs/ cannot be written.
    """
    say("1. A ring of eight narrow modes: does the generator find all of them?")
    brief, killed = seeded("ring", seed, *KILLED), RunFolder(place(home, "killed"))
    with doomed(brief, killed) as step:  # on the other core
        judge = trained_classifier(splits(Digits()).train, epochs=5)
    digits = partial(launch.start, seeded("digits", seed, *DIGITS), place(home, "digits"), watch=apart(watch))
    with beside(digits) as learned:
        points = launch.start(seeded("ring", seed, *RING), place(home, "ring"), watch=watch)
        covered, words = ring_verdict(points)
        say(words)
        run = learned()
    say("2. Such a run was killed beforehand (SIGKILL). It is resumed, and played once more from beginning to end.")
    same, words = resumed_and_whole(brief, killed, home)
    say(f"   Killed after step {step.result():,}. {words}")
    say("3. A game that is broken on purpose: three digits to an image, 1,000 modes, and no penalty that holds D back.")
    runs, found = both(seeded(BROKEN, seed, *WATCHED), "broken", judge, say, watch, home, 1000 * SHORT_KIMG)
    both_over_time = written(runs, "broken.html")
    say("4. Handwritten digits, learned beside the ring: 1,439 real ones of 8x8 pixels.")
    kinds, words = digits_verdict(run, judge)
    say(words)
    say(f"5. Each run ends with its report, one file that works offline:\n   {runs['on'].report}")
    say(f"   The broken game over time, left alone and mended: {both_over_time}")
    if show:
        opened(runs["on"].report)
    say(next_steps(run))
    return Toured(run, covered, found["watch"], found["on"], told(runs["on"]), kinds, same)


def apart(watch: launch.Watch) -> launch.Watch:
    """What is played in a copy reports to nobody: two processes would write over each other's line."""
    return launch.unwatched if forks() else watch


def seeded(name: str, seed: int, *settings: str) -> TrainConfig:
    return override(recipe(name), [f"seed={seed}", *settings])


def both(
    config: TrainConfig, name: str, judge: Classifier, say: Say, watch: launch.Watch, home: Path | None,
    images: float | None = None,
) -> tuple[dict[str, RunFolder], dict[str, int]]:  # fmt: skip
    """The same game twice at once, watched only and mended, until so many images (None: all) were seen: the runs, and
    how many modes each draws. What was found, done and counted is said."""
    configs = {mode: override(config, [f"guardian.mode={mode}"]) for mode in NAMES}
    runs = {mode: RunFolder(place(home, f"{name}_{mode}")) for mode in NAMES}
    say("   Left alone in a second process, and mended in this one:")
    with beside(partial(counted, configs["watch"], runs["watch"], judge, apart(watch), images)) as left_alone:
        mended = counted(configs["on"], runs["on"], judge, watch, images)
        came = {"watch": left_alone(), "on": mended}
    for mode, run in runs.items():
        ended, modes = came[mode]
        say(f"   {sentence(NAMES[mode])}:")
        for row in rows(run.events):
            if row["kind"] == "change" or (row["kind"] == "finding" and row["severity"] == "severe"):
                say(f"   at {row['seen']:,} images: {row.get('reason') or row['symptom']}")
        if ended:
            say(f"   {ended}")
        say(f"   {modes} of 1,000 modes among {STACKS:,} samples")
    return runs, {mode: modes for mode, (_, modes) in came.items()}


def counted(
    config: TrainConfig, run: RunFolder, judge: Classifier, watch: launch.Watch, images: float | None
) -> tuple[str, int]:
    """Trains, as `played`, and counts the modes."""
    return played(config, run, watch, images), modes_drawn(run, judge)


def played(config: TrainConfig, run: RunFolder, watch: launch.Watch, images: float | None) -> str:
    """Trains until so many images were seen (None: to the end). Why it ended before its time; nothing where it did not.

    Raises: as `launch.start`, but for what ends it as it was asked to, or as its guardian decides.
    """
    until = Until(watch, images or math.inf)
    try:
        launch.start(config, run.path, watch=until)
    except GaveUp as error:
        return str(error).splitlines()[0]
    except Stopped as error:
        if not until.reached:  # somebody else asked
            raise
        return str(error).splitlines()[0].removesuffix(" Go on with:")
    return ""


class Until:
    """A watch that asks a run to stop, politely, once it has seen so many: the rest would take minutes. (SIGINT is
    ignored in what a shell plays in the background.)"""

    def __init__(self, watch: launch.Watch, images: float):
        self.watch, self.images, self.reached = watch, images, False

    @contextmanager
    def __call__(self, label: str, total: int, done: int) -> Iterator[Reporter]:
        with self.watch(label, int(min(total, self.images)), done) as report:

            def reported(seen: int, signals: Mapping[str, float], news: str = "") -> None:
                report(seen, signals, news)
                if seen >= self.images and not self.reached:
                    self.reached = True
                    signal.raise_signal(signal.SIGTERM)

            yield reported


def told(run: RunFolder) -> tuple[str, ...]:
    found = (row["symptom"] for row in rows(run.events) if row["kind"] == "finding" and row["severity"] != "note")
    return tuple(dict.fromkeys(found))


def rescue(say: Say, watch: launch.Watch = launch.unwatched, home: Path | None = None) -> Path:
    """A game of 1,000 modes that collapses by itself, left alone and mended. Returns the page that shows both.

    Raises:
        StorageError: when runs/ cannot be written.
    """
    say("Three digits to an image: 1,000 modes. The non-saturating loss without a penalty finds one or two of them.")
    judge = trained_classifier(splits(Digits()).train, epochs=8)
    game = override(recipe(BROKEN), ["machine.threads=1", f"guardian.every_kimg={EVERY_KIMG}"])
    runs, _ = both(game, "rescue", judge, say, watch, home)
    path = written(runs, "rescue.html")
    say(f"Both, over time: {path}")
    return path


def modes_drawn(run: RunFolder, judge: Classifier) -> int:
    """As a classifier of one digit reads the three channels of each sample."""
    pixels = torch.from_numpy(generator.from_run(run)[0].sample(STACKS)).permute(0, 3, 1, 2)
    spelled = [judge.classify(scaled(pixels[:, i : i + 1])) for i in range(3)]
    return present(100 * spelled[0] + 10 * spelled[1] + spelled[2])


def written(runs: Mapping[str, RunFolder], name: str) -> Path:
    path = runs["on"].path / name
    path.write_text(page_of_both(runs), encoding="utf-8")
    return path


def page_of_both(runs: Mapping[str, RunFolder]) -> str:
    """Modes over time with and without the guardian's hand, and the last samples of both."""
    events = {mode: rows(run.events) for mode, run in runs.items()}
    lines = [looks.modes(NAMES[mode], looks.of_kind(events[mode], "look")) for mode in ("on", "watch")]
    changes = looks.of_kind(events["on"], "change")
    done = [f"<li>{escape(changed(row))}</li>" for row in changes]
    grids = [
        f"<figure>{embedded(Image.open(last_grid(run)), NAMES[mode])}<figcaption>{NAMES[mode]}</figcaption></figure>"
        for mode, run in runs.items()
    ]
    chart = charts.curves("Modes that are drawn (effective number of bins)", lines, looks.marks(lines[0], changes))
    body = ["<h1>A collapse, named and mended</h1>", chart, f"<ol>{''.join(done)}</ol>", *grids]
    return document("A collapse, named and mended", body, charts.STYLE)


def place(home: Path | None, name: str) -> Path:
    return fresh_path(f"demo_{name}", home and home / name)


def ring_verdict(run: RunFolder) -> tuple[int, str]:
    """How many modes are covered, and the same in words."""
    mixture = ring()
    points = torch.from_numpy(generator.from_file(run.model).sample(POINTS))
    found = captured(points, mixture.centres, mixture.sigma)
    words = (
        f"   {found.covered()} of {len(mixture.centres)} modes covered, {found.high_quality:.0%} of the points within "
        f"3 standard deviations of one (a perfect sampler has {PERFECT_HIGH_QUALITY:.0%}).\n"
        f"   Picture: {last_grid(run)}"
    )
    return found.covered(), words


def digits_verdict(run: RunFolder, judge: Classifier) -> tuple[int, str]:
    """How many different digits are drawn, and the same in words."""
    pixels = torch.from_numpy(generator.from_file(run.model).sample(IMAGES)).permute(0, 3, 1, 2)
    classes = judge.classify(scaled(pixels))
    rarest = torch.bincount(classes, minlength=10).min().item() / IMAGES
    words = (
        f"   {present(classes)} of 10 digits among {IMAGES} samples, the rarest with {rarest:.1%}, as read by a "
        f"classifier that is right on {accuracy(judge, splits(Digits()).test):.1%} of the real test digits.\n"
        f"   Picture: {last_grid(run)}"
    )
    return present(classes), words


@contextmanager
def doomed(config: TrainConfig, out: RunFolder) -> Iterator[Future[int]]:
    """Plays a run beside this process, in one of its own, and kills that. What is yielded knows at which step.

    Raises:
        MachineError: once it is over, as `killed_at`.
    """
    with TemporaryDirectory() as folder, ThreadPoolExecutor(1) as pool:
        path = Path(folder) / "config.json"
        write(config, path)
        step = pool.submit(killed_at, path, out)
        yield step
        step.result()


def resumed_and_whole(config: TrainConfig, killed: RunFolder, home: Path | None) -> tuple[bool, str]:
    """Resumes a killed run, plays its like without a break, and compares: whether all is the same to the bit, and what
    was seen."""
    launch.resume(killed.path)
    whole = launch.start(config, place(home, "whole"))
    same = whole.events.read_bytes() == killed.events.read_bytes()
    digests = [hashlib.sha256(run.model.read_bytes()).hexdigest()[:16] for run in (whole, killed)]
    same = same and digests[0] == digests[1]
    words = (
        "SHA-256 of the weights:\n"
        f"   resumed and finished    {digests[1]}..\n"
        f"   never killed            {digests[0]}..  {'The same bits.' if same else 'These are not the same.'}"
    )
    return same, words


def killed_at(config: Path, out: RunFolder) -> int:
    """Plays a config in a process of its own, and kills that once a checkpoint is there. The checkpoint's step.

    Raises:
        MachineError: when the process ends by itself before, or saves nothing.
    """
    command = [sys.executable, "-m", "equipoise.cli.main", "train", "--config", str(config), "--out", str(out.path)]
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    end = time.monotonic() + PATIENCE_S
    while child.poll() is None and not checkpoint.newest_first(out.checkpoints) and time.monotonic() < end:
        time.sleep(POLL_S)
    child.kill()
    told = child.communicate()[1].decode(errors="replace").strip().splitlines()
    saved = checkpoint.newest_first(out.checkpoints)
    if not saved:
        why = told[-1] if told else f"it saved nothing within {PATIENCE_S:.0f} s"
        raise MachineError(f"the run that was to be killed did not get so far: {why}")
    return checkpoint.step_of(saved[0])


def opened(page: Path) -> None:
    """In a browser, where there is a screen: never in a terminal, which it would take over."""
    if sys.platform in ("darwin", "win32") or os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"):
        webbrowser.open(page.resolve().as_uri())


def last_grid(run: RunFolder) -> Path:
    return run.grid(run.drawn()[-1])


def next_steps(run: RunFolder) -> str:
    return (
        "Next:\n"
        f"   equipoise sample {run.path} -n 100 -o digits.png      more of them\n"
        "   equipoise train auto --data FOLDER --time 20m         your own pictures\n"
        "   equipoise recipes                                     what else there is"
    )
