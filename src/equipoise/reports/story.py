"""A run told in words, from its folder alone: in progress, finished, diverged or hardly begun. No torch."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from equipoise.config import (
    Data,
    Degrade,
    Domains,
    Lesions,
    MadeUpRecords,
    Pairs,
    Pictures,
    Records,
    Sentences,
    TrainConfig,
    read,
)
from equipoise.figures import Measured, Row, final, history, meaning
from equipoise.recipes import RECIPES
from equipoise.reports import pace, verdict
from equipoise.reports.looks import over
from equipoise.reports.settings import assignments, departures
from equipoise.runs import folder
from equipoise.runs.folder import RunFolder
from equipoise.words import counted, duration, number, sentence


@dataclass(frozen=True)
class Story:
    """What the files of a run say."""

    run: RunFolder
    config: TrainConfig
    env: Mapping[str, Any]
    state: str  # see folder.state
    events: Sequence[Row]
    clock: Sequence[Row]
    measured: Sequence[Measured]  # while it ran, in order
    final: Measured | None

    def rows(self, kind: str) -> list[Row]:
        return [row for row in self.events if row["kind"] == kind]

    def last(self, kind: str) -> Row | None:
        return next((row for row in reversed(self.events) if row["kind"] == kind), None)

    @property
    def reached(self) -> tuple[int, int]:
        """Step and images seen, of the last row that tells them."""
        return max(((row["step"], row["seen"]) for row in self.events if "seen" in row), default=(0, 0))

    @property
    def progress(self) -> float:
        return min(1.0, self.reached[1] / self.config.images)

    @property
    def seconds(self) -> float:
        """Time spent, over all its sittings, as far as each was written down."""
        sittings: list[float] = []
        for row in self.clock:
            if row["kind"] in ("started", "resumed"):
                sittings.append(0.0)
            elif "seconds" in row and sittings:
                sittings[-1] = row["seconds"]
        return sum(sittings)

    @property
    def findings(self) -> list[Row]:
        """The newest of each symptom that is not over, the worst first."""
        return verdict.findings(self.events)

    @property
    def over(self) -> list[str]:
        """Symptoms that were found, and are gone."""
        return over(self.events)

    @property
    def path(self) -> str:
        return shlex.quote(str(self.run.path))


def told(run: RunFolder) -> Story:
    """Raises ConfigError for a config that cannot be read, Damaged for a log."""
    events, clock = folder.rows(run.events), folder.rows(run.clock)
    return Story(run, read(run.config), env_of(run), folder.state(run), events, clock, history(events), final(run))


def env_of(run: RunFolder) -> dict[str, Any]:
    """Versions and hardware; nothing where their file is missing or torn: a run is told without them."""
    try:
        found = json.loads(run.env.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


class Said(NamedTuple):
    words: str
    command: str = ""


def answers(story: Story) -> dict[str, list[Said]]:
    """The four questions that one has about a run."""
    return {
        "Is it fine?": [Said(is_it_fine(story))],
        "What is wrong?": [Said(text) for text in what_is_wrong(story)],
        "What will happen?": [Said(what_will_happen(story))],
        "What can I do?": what_to_do(story),
    }


def is_bad(story: Story) -> bool:
    return story.last("diverged") is not None or any(row["severity"] != "note" for row in story.findings)


def is_it_fine(story: Story) -> str:
    return verdict.verdict(story.events).sentence


def what_is_wrong(story: Story) -> list[str]:
    found = [described(row) for row in story.findings if row["severity"] != "note"]
    if diverged := story.last("diverged"):
        found.insert(0, f"Not finite any more: {', '.join(diverged['signals'])}. No checkpoint holds such numbers.")
    if left_out := story.last("left_out"):
        found.append(f"{counted(left_out['count'], 'file')} of the data could not be read, and were left out.")
    found = found or ["Nothing that was looked for."]
    return [*found, f"It was, and is over: {', '.join(story.over)}."] if story.over else found


def described(row: Row) -> str:
    facts = ", ".join(f"{key.replace('_', ' ')} {number(float(value))}" for key, value in row["evidence"].items())
    where = f"at {kimg(row['seen'])}" + (f": {facts}" if facts else "")
    return f"{sentence(row['symptom'])}: {row['meaning']} ({where})."


def what_will_happen(story: Story) -> str:
    step, _ = story.reached
    saved = story.last("checkpoint")
    since = f"goes on from step {saved['step']:,}" if saved else "begins at its beginning, for nothing was saved yet"
    if story.last("diverged"):
        return (
            f"Nothing by itself: it has stopped. Resumed, it {since} and plays the same steps to the same end, "
            "because a resumed run has the same bits. A setting must change."
        )
    match story.state:
        case "running":
            first = f"It is at {story.progress:.0%} of its length{left(story)}."
        case "finished":
            first = "Nothing more: it is finished."
        case "stopped":
            first = f"Nothing until it is resumed: then it goes on from step {step:,}, to the same bits."
        case _:
            first = f"Nothing by itself: it was interrupted at about step {step:,}. Resumed, it {since}."
    notes = [described(row) for row in story.findings if row["severity"] == "note"]
    return " ".join([first, *trend(story), *notes])


def left(story: Story) -> str:
    """The time that is left, at the speeds so far."""
    step, seen = story.reached
    steps = step * (story.config.images / seen - 1) if seen else 0.0
    if found := pace.left(story.clock, steps):
        return f", and needs {found.words} more"
    each = [row["ms_per_step"] for row in story.clock if "ms_per_step" in row]
    return f", and needs about {duration(each[-1] / 1000 * steps)} more" if each and steps else ""


def trend(story: Story) -> list[str]:
    """Whether the last look was the best; nothing where there were too few."""
    best, looks = story.last("best"), [one.seen for one in story.measured if one.net == "average"]
    if best is None or len(looks) < 3:
        return []
    if later := sum(seen is not None and seen > best["seen"] for seen in looks):
        return [f"Its best was at {kimg(best['seen'])}, and {counted(later, 'look')} since found nothing better."]
    return ["Its last look was its best: it may gain from more training."]


def what_to_do(story: Story) -> list[Said]:
    advice = [Said(f"{sentence(row['advice'])}.") for row in story.findings]
    if story.last("diverged"):
        return [calmer(story), *advice]
    if story.state in ("stopped", "interrupted"):
        advice.append(Said("Go on:", story.run.resume_command))
    if story.state == "running":
        advice.append(Said("Let it play, or stop it with Ctrl-C: its state is saved, and it can be resumed."))
    if story.rows("checkpoint"):
        best = " --checkpoint best" if story.last("best") else ""
        words, command = use_of(story.config, story.path)
        advice.append(Said(words, f"{command}{best}"))
    if story.rows("checkpoint") and story.final is None:
        advice.append(Said("Measure its samples:", f"equipoise evaluate {story.path}"))
    if story.final is not None:
        advice.append(Said("One run is one draw. Play other seeds, then compare:", "equipoise compare RUN RUN..."))
    return advice


def use_of(config: TrainConfig, run: str) -> tuple[str, str]:
    """What a trained generator is asked for first: in words, and as a command."""
    match config:
        case TrainConfig(data=Lesions()):
            return "Draw a lesion:", f"equipoise lesion add {run} SLICE --mask MASK -o lesion.png"
        case TrainConfig(play="restyle"):
            return "Tell sentences in another style:", f"equipoise restyle {run} --to STYLE < in.txt > out.txt"
        case TrainConfig(data=Sentences()):
            return "Draw sentences:", f"equipoise sample {run} -n 100 -o samples.txt"
        case TrainConfig(data=Records() | MadeUpRecords()):
            return "Draw samples:", f"equipoise sample {run} -n 100 -o samples.npz"
        case TrainConfig(play="noise"):
            return "Draw samples:", f"equipoise sample {run} -n 100 -o samples.png"
        case _:
            return "Translate pictures:", f"equipoise translate {run} PICTURES -o translated"


def calmer(story: Story) -> Said:
    """The same run with half the learning rates."""
    rates = {"optim.g.lr": story.config.knobs.g_lr / 2, "optim.d.lr": story.config.knobs.d_lr / 2}
    given = " ".join(f"--set {text}" for text in assignments(rates))
    words = "Halve the learning rates, or try knobs.clip_norm=1, or more knobs.r1 and knobs.r2:"
    return Said(words, f"equipoise train --config {shlex.quote(str(story.run.config))} {given}")


def course(story: Story) -> list[str]:
    """How the run went, in a few sentences each."""
    return [text for text in (asked(story), lasted(story), quality(story), interventions(story)) if text]


def asked(story: Story) -> str:
    config = story.config
    weights = {name.upper(): getattr(config.knobs, name) for name in ("r1", "r2", "gp")}
    rules = ", ".join(f"{name} of {number(weight)}" for name, weight in weights.items() if weight)
    penalties = f" with {rules}" if rules else ""
    return (
        f"The recipe {config.recipe} trains {nets(config)} on {data(config.data)}: the {config.knobs.loss} "
        f"loss{penalties}, batches of {config.batch}, {number(config.kimg)} thousand real samples in all, "
        f"seed {config.seed}."
    )


def nets(config: TrainConfig) -> str:
    kind = config.nets.cell if config.nets.kind == "language" else config.nets.kind
    return {
        "mlp": "an MLP", "dcgan": "a DCGAN", "r3gan": "an R3GAN", "resnet": "a ResNet", "stylegan2": "a StyleGAN2",
        "fastgan": "a FastGAN", "translation": "a translator", "records": "a medGAN", "lstm": "an LSTM",
        "relational": "a relational memory", "transformer": "a transformer", "restyler": "a restyler",
    }[kind]  # fmt: skip


def data(source: Data) -> str:
    match source:
        case Pictures(path=path, size=size):
            return f"the pictures of {path}" + (f" at {size} pixels" if size else "")
        case Pairs(path=path, to=str(to)) | Domains(path=path, to=str(to)):
            return f"{path} and {to}"
        case Degrade(of=of, how=how):
            return f"{data(of)}, spoilt ({how})"
        case other:
            return str(getattr(other, "path", other.kind))


def lasted(story: Story) -> str:
    (step, seen), spent = story.reached, story.seconds
    state = "diverged" if story.last("diverged") else f"is {story.state}"
    if not step:
        return f"It {state}, and no step was recorded yet."
    pauses = sum(row["kind"] == "resumed" for row in story.clock)
    broken = f", resumed {counted(pauses, 'time')}" if pauses else ""
    time = f" in {duration(spent)}" if spent else ""
    return f"It {state}, after {counted(step, 'step')} and {kimg(seen)}{time}{broken}."


def quality(story: Story) -> str:
    """Which figure improved from where to where."""
    looks = [one for one in story.measured if one.net == "average"]
    if not looks:
        return ""
    shown = [
        name for name in ("fd", "fid", "precision", "recall") if name in looks[0].figures and name in looks[-1].figures
    ]
    moved = [
        f"{meaning(name).title} from {number(looks[0].figures[name].value)} to {number(looks[-1].figures[name].value)}"
        for name in shown
    ]
    best = story.last("best")
    at = f" The best checkpoint is from {kimg(best['seen'])}." if best else ""
    return f"Its samples were measured {counted(len(looks), 'time')}: {', '.join(moved) or 'see below'}.{at}"


def interventions(story: Story) -> str:
    changes = [f"at {kimg(row['seen'])}: {changed(row)}" for row in story.rows("change")]
    return f"It was changed while it ran, {'; '.join(changes)}." if changes else ""


def changed(row: Row) -> str:
    """A change in words: why, which knobs, and back to where."""
    done = [f"{name}={number(to) if isinstance(to, float) else to}" for name, to in row["knobs"].items()]
    done += [f"back to step {row['back_to']:,}"] if "back_to" in row else []
    return f"{row['reason']} ({', '.join(done)})" if done else str(row["reason"])


def repeating(story: Story) -> dict[str, str]:
    """Exact commands, by what they do."""
    again = f"equipoise train --config {shlex.quote(str(story.run.config))} --out AGAIN"
    if story.rows("request"):
        again += f" --replay {story.path}"  # with what was asked of it while it played
    found = {"The same run, on the same machine to the same bits": again}
    if story.config.recipe in RECIPES:
        given = [f"--set {shlex.quote(text)}" for text in assignments(departures(story.config))]
        words = ["equipoise train", story.config.recipe, f"--seed {story.config.seed}", *given]
        found["The same game without its folder, fitted to another machine"] = " ".join(words)
    return found


def kimg(seen: float) -> str:
    return f"{number(seen / 1000)} kimg"
