"""The verb that scores samples: evaluate."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from equipoise.cli import screen
from equipoise.errors import ConfigError
from equipoise.figures import meaning, net
from equipoise.metrics import Estimate
from equipoise.metrics.privacy import leaks
from equipoise.scoring import Asked, Score, score
from equipoise.texts import are_asked, score_text
from equipoise.words import counted

KINDS = ("auto", "text", "pictures")  # auto goes by the name of the file, or by the run


def evaluate(asked: Mapping[str, Any], kind: str, as_json: bool, *, privacy: bool = False) -> int:
    """The exit code: 1 when people who were learnt from are given away."""
    if kind not in KINDS:
        raise ConfigError(f"--kind {kind}: it is {', '.join(KINDS[:-1])} or {KINDS[-1]}.")
    wanted = Asked(**asked)
    scored = score_text if kind == "text" or (kind == "auto" and are_asked(wanted)) else score
    found = scored(wanted, screen.track, screen.fail)
    told = list(leaks(found.figures)) if privacy else []
    if as_json:
        screen.show_json(found.as_json() | ({"leaks": told} if privacy else {}))
        return 1 if told else 0
    screen.show_table([row(name, estimate) for name, estimate in found.figures.items()])
    print(f"\n{protocol(found)}")
    for note in found.notes:
        screen.say(note)
    for reason, families in without(found):
        screen.say(f"without {', '.join(families)}: {reason}")
    if privacy:
        for leak in told:
            screen.fail(f"{leak}.")
        screen.say("do not share these." if told else "no leak was found, by these three attacks; others there may be.")
    return 1 if told else 0


def row(name: str, estimate: Estimate) -> dict[str, str]:
    value, interval = told(estimate)
    return {
        "": name, "value": value, "95% interval": interval, "better": meaning(name).better,
        "fakes": f"{estimate.n_fake:,}", "reals": f"{estimate.n_real:,}" if estimate.n_real else "",
    }  # fmt: skip


def told(estimate: Estimate) -> tuple[str, str]:
    """Value and interval with the digits that the interval bears: its half has two. Four where there is none."""
    value, low, high = estimate.value, estimate.low, estimate.high
    if low is None or high is None:
        return f"{value:.4g}", ""
    if not 0 < high - low < math.inf:
        return f"{value:.4g}", f"{low:.4g} to {high:.4g}"
    places = 1 - math.floor(math.log10((high - low) / 2))
    form = ".3g" if places > 6 else f",.{max(places, 0)}f"
    value, low, high = (round(x, places) + 0.0 for x in (value, low, high))  # + 0.0: no minus before a zero
    return f"{value:{form}}", f"{low:{form}} to {high:{form}}"


def protocol(found: Score) -> str:
    """In a sentence or two; the rest is in the JSON."""
    features = found.reference.features
    judge = [net(features), counted(found.fake.features.shape[1], "dimension")]
    if "accuracy" in features:
        judge.append(f"right on {features['accuracy']:.1%} of held-out images")
    of = f" (checkpoint {found.checkpoint}, step {found.step})" if found.checkpoint else ""
    part, size = found.reference.data["part"], found.reference.data["size"]
    whole = "all of" if part == "all" else f"the {part} part of"
    return (
        f"{found.what}{of} against {whole} {found.against}{f', at {size} pixels' if size else ''}. "
        f"Features: {', '.join(judge)}. The whole protocol of each figure: --json."
    )


def without(found: Score) -> Iterator[tuple[str, list[str]]]:
    """Reasons, in a line each, with the families that they keep from saying anything."""
    reasons = {family: reason.splitlines()[0] for family, reason in found.refused.items()}
    for reason in dict.fromkeys(reasons.values()):
        yield reason, [family for family in reasons if reasons[family] == reason]
