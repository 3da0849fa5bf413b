"""The verb that scores samples: evaluate."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from equipoise.cli import screen
from equipoise.metrics import Estimate
from equipoise.scoring import Asked, Score, score


def evaluate(asked: Mapping[str, Any], as_json: bool) -> None:
    found = score(Asked(**asked), screen.track, screen.fail)
    if as_json:
        screen.show_json(found.as_json())
        return
    screen.show_table([{"": name, **row(estimate)} for name, estimate in found.figures.items()])
    screen.say(told(found))
    for family, reason in found.refused.items():
        screen.say(f"without {family}: {reason}")


def row(estimate: Estimate) -> dict[str, str]:
    interval = "" if estimate.low is None or estimate.high is None else f"{estimate.low:.4g} to {estimate.high:.4g}"
    return {
        "value": f"{estimate.value:.4g}",
        "95%": interval,
        "fakes": f"{estimate.n_fake:,}",
        "reals": f"{estimate.n_real:,}",
    }


def told(found: Score) -> str:
    features = ", ".join(f"{key} {value}" for key, value in found.reference.features.items())
    part = found.reference.data["part"]
    whose = f" (checkpoint {found.checkpoint})" if found.checkpoint else ""
    return f"{found.what}{whose} against {found.against}, part {part}. Features: {features}. Whole protocol: --json"
