"""What the page draws beside what: its panels, in words that need no other page."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from equipoise.dashboard.digest import Digest
from equipoise.figures import Figure, Measured, history, meaning
from equipoise.words import sentence

Source = Literal["steps", "looks", "figures"]


@dataclass(frozen=True)
class Chart:
    title: str
    source: Source
    curves: dict[str, str]  # key -> what it is called
    about: str = ""
    log: bool = False
    chance: float | None = None  # a line that tells nothing from nothing


@dataclass(frozen=True)
class Panel:
    key: str
    title: str
    about: str
    charts: tuple[Chart, ...]


PANELS = (
    Panel(
        "balance", "Balance", "The game is in balance while D is right more often than by chance, and not always.",
        (
            Chart("How often D is right", "steps", {"d_accuracy": "sample by sample", "back_d_accuracy": "way back"},
                  "Of reals and fakes; .5 is a coin, 1 means that G teaches it nothing more.", chance=0.5),
            Chart("What D answers", "steps", {"real_logit": "to reals", "fake_logit": "to fakes",
                  "held_out_logit": "to reals it never saw"},
                  "Higher means more real. The gap between the first two is what D sees."),
            Chart("Does D know its training data by heart?", "looks", {"d_auc": "training against other reals",
                  "d_tells": "other reals against fakes"}, ".5: it cannot tell them apart; 1: always.", chance=0.5),
            Chart("Losses", "steps", {"d_loss": "of D", "g_loss": "of G", "back_d_loss": "of D, back",
                  "back_g_loss": "of G, back"}, "Levels say little by themselves; sudden changes say more."),
        ),
    ),
    Panel(
        "diversity", "Diversity", "Does G draw all of the data, or only a part of it?",
        (
            Chart("Bins of the data that are filled", "looks", {"modes": "effective number"},
                  "The data is cut into bins of alike samples; so many, filled evenly, would be as varied."),
            Chart("How much of the data is drawn", "looks", {"coverage": "covered", "missing": "missing bins",
                  "obeyed": "of the class asked for"}, "Shares: 1 is all of it."),
            Chart("How varied samples are", "looks", {"vendi": "different samples", "rank": "directions",
                  "spread": "within a bin"}, "Beside as many reals: 1 is as varied as they.", log=True, chance=1.0),
        ),
    ),
    Panel(
        "quality", "Quality", "How far samples are from real ones. The band is the 95% interval.",
        (
            Chart("How far samples fall short of reals", "looks", {"shortfall": "shortfall"},
                  "Summed over all that the guardian sees; 0 is as good as reals."),
            Chart("How good single samples look", "looks", {"precision": "lie among reals"}, "A share: 1 is all."),
        ),
    ),
    Panel(
        "gradients", "Gradients", "How hard the players pull, and how far each step moves them.",
        (
            Chart("Length of the gradients", "steps", {"d_grad_norm": "of D", "g_grad_norm": "of G",
                  "back_d_grad_norm": "of D, back"}, "Ten times as much as before is a warning.", log=True),
            Chart("Size of an update, of the weights", "steps", {"d_update_ratio": "of D", "g_update_ratio": "of G"},
                  "About a thousandth is usual.", log=True),
            Chart("Penalties", "steps", {"d_penalty": "of D", "g_penalty": "of G"}, "What smoothness costs them."),
            Chart("Slope of D at samples", "steps", {"real_input_grad": "at reals", "fake_input_grad": "at fakes"},
                  "How steeply its answer changes with a sample.", log=True),
            Chart("Numbers that are not finite", "steps", {"d_nonfinite": "in D", "g_nonfinite": "in G"},
                  "Any is one too many."),
            Chart("Units that answer nothing", "steps", {"d_dead": "of D", "g_dead": "of G"}, "A share of all units."),
        ),
    ),
    Panel(
        "motion", "Motion", "How far the samples of the same latents move between two looks.",
        (
            Chart("Motion of samples", "looks", {"motion": "of how far reals lie apart"},
                  "It sinks in a game that settles; one that stays high runs in circles."),
            Chart("How far samples move with their latent", "looks", {"sensitivity": "sensitivity"},
                  "Near 0, all latents give the same.", log=True),
        ),
    ),
    Panel(
        "copying", "Copying", "Are samples copies of training images?",
        (
            Chart("Samples that are as near as copies", "looks", {"copy_rate": "share"},
                  "Reals that were held out are at .05 by definition.", chance=0.05),
            Chart("Nearer to training images than held-out reals are?", "looks", {"c_t": "C_T"},
                  "Below -3: nearer than by chance.", chance=-3.0),
        ),
    ),
    Panel(
        "terms", "Other terms", "Further parts of the losses, and what is put in front of D.",
        (
            Chart("Terms of a translation", "steps", {name: name.replace("_", " ") for name in (
                  "pixel", "features", "cycle", "identity", "nce", "nce_identity", "style")}),
            Chart("Augmentation in front of D", "steps", {"augment_p": "p"}, "The share of samples that are changed."),
        ),
    ),
)  # fmt: skip
OF_STEPS, OF_LOOKS = (
    tuple(name for panel in PANELS for chart in panel.charts if chart.source == source for name in chart.curves)
    for source in ("steps", "looks")
)


def figures(measured: list[Measured], most: int = 300) -> list[dict[str, Any]]:
    """Charts of what was measured with intervals: the average of G, and G itself."""
    found: list[dict[str, Any]] = []
    own = [one for one in measured if one.seen is not None and one.part == "validation"]
    for name in dict.fromkeys(name for one in own for name in one.figures):
        lines = []
        for net in dict.fromkeys(one.net for one in own):
            points = [(one.seen or 0, one.figures[name]) for one in own if one.net == net and name in one.figures]
            lines.append({"name": called(net), **line(points[:: 1 + len(points) // most])})
        found.append({"key": name, **named(name), "lines": lines})
    return found


def overlaid(runs: Sequence[tuple[str, Digest]]) -> list[dict[str, Any]]:
    """Charts of several (name, run), a line each: what was measured of G's average, and the first curve of the charts
    of balance, diversity and quality. A chart that only one of them has shows nothing beside it, and is left out."""
    histories = [(name, [one for one in history(digest.rows) if of_average(one)]) for name, digest in runs]
    found: list[dict[str, Any]] = []
    for figure in dict.fromkeys(name for _, measured in histories for one in measured for name in one.figures):
        points = [(run, [(one.seen or 0, one.figures[figure]) for one in measured if figure in one.figures])
                  for run, measured in histories]  # fmt: skip
        lines = [{"name": run, **line(those)} for run, those in points if those]
        found.append({**named(figure), "lines": lines})
    for chart in (chart for panel in PANELS[:3] for chart in panel.charts):
        key, called = next(iter(chart.curves.items()))
        lines = []
        for run, digest in runs:
            given = (digest.steps if chart.source == "steps" else digest.looks).told([key])
            if curve := given["curves"].get(key):
                mean, low, high = curve if len(curve) == 3 else (curve[0],) * 3
                lines.append({"name": run, "x": given["x"], "y": mean, "low": low, "high": high})
        told = f"{sentence(called)}. {chart.about}"
        found.append({"title": chart.title, "about": told, "lines": lines, "log": chart.log, "chance": chart.chance})
    return [chart for chart in found if len(chart["lines"]) > 1]


def named(figure: str) -> dict[str, str]:
    title, better, about = meaning(figure)
    told = "; ".join(words for words in (about, f"{better} is better" if better else "") if words)
    return {"title": sentence(title), "about": sentence(told)}


def of_average(one: Measured) -> bool:
    return one.seen is not None and one.part == "validation" and one.net == "average"


def line(points: list[tuple[int, Figure]]) -> dict[str, Any]:
    def end(value: float | None) -> float | None:
        return float(f"{value:.5g}") if value is not None and math.isfinite(value) else None

    return {
        "x": [seen / 1000 for seen, _ in points], "y": [end(figure.value) for _, figure in points],
        "low": [end(figure.low) for _, figure in points], "high": [end(figure.high) for _, figure in points],
    }  # fmt: skip


def called(net: str) -> str:
    return {"average": "average of G", "generator": "G itself", "average, back": "average, back"}.get(net, net)


def told() -> list[dict[str, Any]]:
    return [asdict(panel) for panel in PANELS]
