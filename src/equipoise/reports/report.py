"""The story of a run as one HTML file that needs nothing else: for a colleague, an appendix, or next year. No torch."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from PIL import Image

from equipoise import charts, figures
from equipoise.charts import Line, Mark
from equipoise.errors import StorageError
from equipoise.figures import Figure, Measured, meaning
from equipoise.page import document, element, embedded
from equipoise.reports import film, story
from equipoise.reports.acts import Act, acts
from equipoise.reports.looks import calibrated
from equipoise.reports.looks import drawn as drawn_looks
from equipoise.reports.settings import departures, usual
from equipoise.reports.story import Said, Story
from equipoise.runs.folder import RunFolder
from equipoise.words import interval, number, sentence

PANELS = {  # signals that are looked at together
    "Losses": ("d_loss", "g_loss"),
    "Losses on the way back": ("back_d_loss", "back_g_loss"),
    "Terms of a translation": ("pixel", "features", "cycle", "identity", "nce", "nce_identity", "style"),
    "Norm of the gradients": ("d_grad_norm", "g_grad_norm"),
    "What D answers": ("real_logit", "fake_logit", "held_out_logit"),
    "How often D is right": ("d_accuracy", "paired_sign"),
    "Size of an update, of the weights": ("d_update_ratio", "g_update_ratio"),
    "Slope of D at the samples": ("real_input_grad", "fake_input_grad"),
    "Penalty of D": ("d_penalty",),
    "p of the augmentation in front of D": ("augment_p",),
}
MOMENTS = {0.0: "at the start", 1.0: "last", 0.5: "half way", 0.25: "after a quarter"}  # of what was drawn
ROUTINE = ("signals", "protocol", "metrics", "best", "checkpoint", "look", "calibration")  # what other sections tell
MOST = 5_000_000  # bytes of the file: what can be sent by mail. Base64 makes 4 bytes of 3
PICTURE, FILM = 250_000, 900_000  # of them at most, before base64: for each picture, and for all of them that move
TOLD = 200  # rows of what happened, from the beginning and up to the end
PLANES = (("recall", "precision"),)  # x, y
STYLE = """
h1 { margin-bottom: .2rem; } th, .number { white-space: nowrap; } small { color: var(--dim); }
.answers { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 24rem), 1fr)); gap: 1rem;
  margin: 1.5rem 0; } .answers > div { border: 1px solid var(--line); border-radius: .5rem; padding: .1rem 1rem .6rem; }
.answers h3 { font-size: 1rem; margin: .6rem 0 .2rem; } .answers p { margin: .3rem 0; }
.answers > .good { border-left: .4rem solid #009e73; } .answers > .bad { border-left: .4rem solid var(--mark); }
.charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 25rem), 1fr)); gap: 1.2rem 1rem; }
.grids { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 17rem), 1fr)); gap: 1rem; }
.grids figure { margin: 0; } .grids img { image-rendering: auto; } figcaption { max-width: none; }
code, pre { font-size: .85rem; overflow-wrap: anywhere; white-space: pre-wrap; } summary { cursor: pointer; }
.acts { list-style: none; padding: 0; margin: 1rem 0; } .acts > li { border-left: 3px solid var(--line);
  padding: 0 0 1rem 1.2rem; margin-left: .8rem; position: relative; } .acts .count { position: absolute;
  left: -.85rem; width: 1.5rem; height: 1.5rem; line-height: 1.5rem; border-radius: 50%; text-align: center;
  background: var(--ink); color: var(--paper); font-size: .8rem; } .acts dl { display: grid; margin: .2rem 0 0;
  grid-template-columns: max-content 1fr; gap: .1rem .8rem; font-size: .9rem; } .acts dt { color: var(--dim); }
.acts dd { margin: 0; overflow-wrap: anywhere; }
pre { border: 1px solid var(--line); border-radius: .4rem; padding: .5rem .8rem; }
"""


def report(run: RunFolder) -> str:
    """The HTML of a run in any state.

    Raises:
        ConfigError: for a config that cannot be read.
    """
    told = story.told(run)
    sections = (
        ("Figures", final(told)),
        ("Figures over time", measured(told)),
        ("Samples over time", grids(told)),
        ("Modes, and nearest training images", pictures(run)),
        ("What the guardian saw", guarded(told)),
        ("What was changed, and what came of it", intervened(told)),
        ("Signals of the game", signals(told)),
        ("What happened", happenings(told)),
        ("Settings", settings(told)),
        ("How to repeat it", repeating(told)),
    )
    body = [opening(told), *(f"<h2>{title}</h2>{content}" for title, content in sections if content)]
    return document(name(run), body, charts.STYLE + STYLE)


def write(run: RunFolder, out: Path | None = None) -> Path:
    """The page as a file, report.html in the run unless told otherwise.

    Raises:
        ConfigError: for a config that cannot be read.
        StorageError: when it cannot be written.
    """
    out = out or run.report
    try:
        out.write_text(report(run), encoding="utf-8", errors="backslashreplace")  # names of files are any bytes
    except OSError as error:
        raise StorageError(f"cannot write {out}: {error.strerror or error}.") from error
    return out


def name(run: RunFolder) -> str:
    return run.path.resolve().name


def opening(told: Story) -> str:
    """The course of the run, and the four questions."""
    answers = "".join(
        f'<div class="{mood(told) if i == 0 else ""}"><h3>{question}</h3>{"".join(map(said, answer))}</div>'
        for i, (question, answer) in enumerate(story.answers(told).items())
    )
    return f'<h1>{escape(name(told.run))}</h1>{paragraphs(story.course(told))}<div class="answers">{answers}</div>'


def said(one: Said) -> str:
    command = f"<br><code>{escape(one.command)}</code>" if one.command else ""
    return f"<p>{escape(one.words)}{command}</p>"


def mood(told: Story) -> str:
    if story.is_bad(told):
        return "bad"
    return "good" if told.measured else ""


def paragraphs(texts: Iterable[str]) -> str:
    return "".join(f"<p>{escape(text)}</p>" for text in texts if text)


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Of cells that are HTML already; empty without rows."""
    body = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows)
    return f"<table><tr>{''.join(f'<th>{title}</th>' for title in head)}</tr>{body}</table>" if body else ""


def final(told: Story) -> str:
    """The final figures, or the newest there are."""
    at_last = [one for one in told.measured if one.net == "average"][-1:]
    newest = told.final or next(iter(at_last), None)
    if newest is None:
        return ""
    usual, own = figures.protocols(newest.figures)
    about = f"{whose(told, newest)} An interval holds 95%, about this generator's samples: it is not about other seeds."
    protocol = f"Unless a line says otherwise: {usual}." if usual else ""
    rows = (cells(key, figure, own[key]) for key, figure in newest.figures.items())
    shown = paragraphs([about, protocol]) + table(("figure", "value", "95%"), rows)
    back = next((one for one in told.measured if one.net == "best, back"), None)
    if back is None:
        return shown
    rows = (cells(key, figure, own.get(key, "")) for key, figure in back.figures.items())
    return shown + paragraphs(["On the way back:"]) + table(("figure", "value", "95%"), rows)


def whose(told: Story, newest: Measured) -> str:
    if told.final is None:
        return f"Not final: of the average of G at {story.kimg(newest.seen or 0)}, against {newest.part} data."
    if newest.net == "best":
        return f"Of the best checkpoint, against {newest.part} data, which nothing was chosen by."
    return f"By equipoise evaluate: {newest.source}."


def cells(key: str, figure: Figure, protocol: str) -> tuple[str, ...]:
    title, better, about = meaning(key)
    told = "; ".join(words for words in (about, f"{better} is better" if better else "", protocol) if words)
    return (
        f"{escape(sentence(title))}<br><small>{escape(told)}</small>",
        f'<span class="number">{number(figure.value)}</span>',
        f'<span class="number">{interval(figure.low, figure.high)}</span>',
    )


def measured(told: Story) -> str:
    """Each figure over time, and those of two that are one trade-off in their plane."""
    nets = "average", "generator", "average, back"
    by_net = {net: [one for one in told.measured if one.net == net] for net in nets}
    best = told.last("best")
    drawn = []
    for key in dict.fromkeys(key for looks in by_net.values() for one in looks for key in one.figures):
        marks = [best_mark(one.figures[key], one) for one in by_net["average"] if at(one, best) and key in one.figures]
        lines = [line(net, key, looks) for net, looks in by_net.items() if any(key in one.figures for one in looks)]
        drawn.append(charts.curves(sentence(meaning(key).title), lines, marks))
    return grouped([*drawn, *(plane(*axes, by_net["average"], best) for axes in PLANES)])


def at(one: Measured, best: Mapping[str, Any] | None) -> bool:
    return best is not None and one.seen == best["seen"]


def best_mark(figure: Figure, one: Measured) -> Mark:
    return Mark((one.seen or 0) / 1000, figure.value, "best")


def line(net: str, key: str, looks: Sequence[Measured]) -> Line:
    found = [(one.seen or 0, one.figures[key]) for one in looks if key in one.figures]
    unknown = float("nan")
    return Line(
        f"{net} of G" if net == "average" else net,
        [seen / 1000 for seen, _ in found],
        [figure.value for _, figure in found],
        [unknown if figure.low is None else figure.low for _, figure in found],
        [unknown if figure.high is None else figure.high for _, figure in found],
    )


def plane(x: str, y: str, looks: Sequence[Measured], best: Mapping[str, Any] | None) -> str:
    """One figure against another over time; empty without both."""
    both = [one for one in looks if x in one.figures and y in one.figures]
    if not both:
        return ""

    def mark(one: Measured, told: str) -> Mark:
        return Mark(one.figures[x].value, one.figures[y].value, told)

    points = [mark(one, f"{story.kimg(one.seen or 0)}: {x} {one.figures[x].value:.3f}") for one in both]
    marks = [mark(one, "best") for one in both if at(one, best)]
    x_name, y_name = meaning(x).title, meaning(y).title
    return charts.plane(f"{sentence(y_name)} and {x_name}, from faint to strong", points, marks, x_name, y_name)


def guarded(told: Story) -> str:
    """Over time, with a number at each change; and what its looks are worth."""
    worth = calibrated(told.events)
    about = [sentence(worth.told())] if worth else []
    return grouped(list(drawn_looks(told.events))) + paragraphs(about)


def intervened(told: Story) -> str:
    """A line of time: the cause of each change, what was done, what came of it, and whether it was undone."""
    done = acts(told.events)
    items = "".join(f"<li>{act_of(each)}</li>" for each in done)
    return f'<ol class="acts">{items}</ol>' if done else ""


def act_of(act: Act) -> str:
    rows = {
        "cause": story.described(act.cause) if act.cause else "",
        "act": story.changed(act.row),
        "effect": sentence(act.effect) + "." if act.effect else "",
        "undone": undone(act),
    }
    told = "".join(f"<dt>{name}</dt><dd>{escape(words)}</dd>" for name, words in rows.items() if words)
    return f'<span class="count">{act.number}</span><strong>{story.kimg(act.seen)}</strong><dl>{told}</dl>'


def undone(act: Act) -> str:
    if act.undoing is None:
        return ""
    number_of_it, row = act.undoing
    back = f", with the weights of step {row['back_to']:,}" if "back_to" in row else ""
    return f"At {story.kimg(row['seen'])} ({number_of_it}), because it did not help{back}."


def signals(told: Story) -> str:
    rows = told.rows("signals")
    drawn = []
    for title, names in PANELS.items():
        lines = [series(each, rows) for each in names if any(each in row for row in rows)]
        if lines:
            drawn.append(charts.curves(title, lines))
    return grouped(drawn)


def series(key: str, rows: Sequence[Mapping[str, Any]]) -> Line:
    """Values that are not finite are words in a record: float() reads them."""
    found = [(row["seen"] / 1000, float(row[key])) for row in rows if key in row]
    return Line(key, [seen for seen, _ in found], [value for _, value in found])


def grouped(drawn: Sequence[str]) -> str:
    """Side by side where there is room."""
    some = "".join(f"<div>{each}</div>" for each in drawn if each)
    return f'<div class="charts">{some}</div>' if some else ""


def grids(told: Story) -> str:
    """The same latents at a few moments, and all of them as a film."""
    shown = []
    if moving := film.of(told.run, FILM):
        caption = "from the start to the last"
        shown.append(
            f"<figure>{element(moving, 'gif', 'samples over time')}<figcaption>{caption}</figcaption></figure>"
        )
    for step, words in moments(told).items():
        if picture := readable(told.run.grid(step), f"samples at step {step}"):
            caption = escape(f"{words}: step {step:,}")
            shown.append(f"<figure>{picture}<figcaption>{caption}</figcaption></figure>")
    return f'<div class="grids">{"".join(shown)}</div>' if shown else ""


def moments(told: Story) -> dict[int, str]:
    """Steps whose samples were drawn -> what they are: the nearest to each of MOMENTS, and to the best."""
    drawn = told.run.drawn()
    found: dict[int, str] = {}
    for part, words in MOMENTS.items() if drawn else ():
        found.setdefault(nearest(part * drawn[-1], drawn), words)
    if drawn and (best := told.last("best")):
        at_best = nearest(best["step"], drawn)
        found[at_best] = ", ".join([*filter(None, [found.get(at_best)]), "nearest to the best"])
    return dict(sorted(found.items()))


def nearest(step: float, steps: Sequence[int]) -> int:
    return min(steps, key=lambda each: abs(each - step))


def readable(path: Path, told: str) -> str:
    """A picture as an element; nothing for one that is not there, or not whole yet."""
    try:
        with Image.open(path) as picture:
            return embedded(picture, told, PICTURE)
    except (OSError, SyntaxError):  # what Pillow raises for a PNG that is cut short or broken
        return ""


def pictures(run: RunFolder) -> str:
    """What an evaluation drew, if there was one."""
    shown = {"modes": "How often each mode is drawn", "nearest": "Samples, and the training images nearest to them"}
    found = [(readable(run.figures / f"{key}.png", words), words) for key, words in shown.items()]
    return "".join(f"<figure>{each}<figcaption>{words}</figcaption></figure>" for each, words in found if each)


def happenings(told: Story) -> str:
    """Findings, changes and what else is no number, in order; of very many the first and the last."""
    events = [row for row in told.events if row["kind"] not in ROUTINE]
    between = max(0, len(events) - 2 * TOLD)
    rows = [(story.kimg(row.get("seen", 0)), *happened(row)) for row in [*events[:TOLD], *events[TOLD + between :]]]
    cells = ((f'<span class="number">{when}</span>', escape(what), escape(words)) for when, what, words in rows)
    left_out = (
        [f"{between:,} rows between the first and the last {TOLD} are in {told.run.events.name}."] if between else []
    )
    return table(("when", "what", ""), cells) + paragraphs(left_out) + files(told)


def happened(row: Mapping[str, Any]) -> tuple[str, str]:
    match row["kind"]:
        case "finding":
            return f"{row['severity']}: {row['symptom']}", f"{story.described(row)} {sentence(row['advice'])}."
        case "change":
            return "change", story.changed(row)
        case "diverged":
            return "diverged", f"not finite: {', '.join(row['signals'])}"
        case "left_out":
            return "left out", f"{row['count']:,} files of the data could not be read"
        case kind:
            rest = {key: value for key, value in row.items() if key not in ("kind", "step", "seen")}
            return kind.replace("_", " "), json.dumps(rest)


def files(told: Story) -> str:
    """The files that were left out, by name."""
    left_out = told.last("left_out")
    if not left_out:
        return ""
    rows = ((escape(str(file)), escape(str(why))) for file, why in left_out["files"].items())
    return folded(f"{len(left_out['files']):,} files that were left out", table(("file", "why"), rows))


def settings(told: Story) -> str:
    """What is not as in the recipe, and everything."""
    recipe = told.config.recipe
    changed = departures(told.config)
    as_usual = usual(told.config)
    rows = ((code(key), code(value), code(as_usual[key]) if key in as_usual else "") for key, value in changed.items())
    words = f"Not as in the recipe {recipe}:" if changed else f"All as in the recipe {recipe}."
    config = f"<pre>{escape(told.config.model_dump_json(indent=2))}</pre>"
    own = table(("setting", "here", "in the recipe"), rows)
    return paragraphs([words]) + own + folded("The whole config", config)


def code(value: Any) -> str:
    return f"<code>{escape(value if isinstance(value, str) else json.dumps(value))}</code>"


def repeating(told: Story) -> str:
    commands = "".join(
        f"<p>{escape(what)}:</p><pre>{escape(command)}</pre>" for what, command in story.repeating(told).items()
    )
    env = {key: value for key, value in told.env.items() if value is not None}
    rows = ((escape(sentence(key.replace("_", " "))), escape(worded(value))) for key, value in env.items())
    return commands + folded("The machine, and the versions", table(("", ""), rows))


def worded(value: Any) -> str:
    return ", ".join(f"{key} {each}" for key, each in value.items()) if isinstance(value, Mapping) else str(value)


def folded(title: str, content: str) -> str:
    return f"<details><summary>{escape(title)}</summary>{content}</details>" if content else ""
