"""Advice that fits the run: without what it does already, or cannot do."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from equipoise.diagnosis.causes import KNOWN, either
from equipoise.diagnosis.finding import Finding

SETTING = re.compile(r"--set ([\w.]+)=([\w.-]+)((?: or [\w.-]+)*)")


def apt(finding: Finding, settings: Mapping[str, Any]) -> Finding:
    """The finding, of whose ways out those are left that would change something. `settings` are in force, by the names
    that --set knows; augmentation that a rule rules counts as whole."""
    known = KNOWN.get(finding.symptom)
    if known is None or finding.advice != known.advice:
        return finding
    if settings.get("knobs.augment_target"):
        settings = {**settings, "knobs.augment_p": 1.0}
    return replace(finding, advice=either([way for way in known.ways if not idle(way, settings)]))


def idle(way: str, settings: Mapping[str, Any]) -> bool:
    """Whether all that it would set is in force, or one of it does not exist here."""
    asked = [(name, [value, *others.split(" or ")[1:]]) for name, value, others in SETTING.findall(way)]
    if any(name not in settings for name, _ in asked):
        return True
    return bool(asked) and all(any(reached(settings[name], value) for value in values) for name, values in asked)


def reached(now: Any, value: str) -> bool:
    """Of numbers: at least so much."""
    try:
        return bool(now >= float(value))
    except (ValueError, TypeError):
        return str(now) == value
