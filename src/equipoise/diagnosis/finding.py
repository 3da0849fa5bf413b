"""What was found in a run's numbers: the evidence, what it means, and what to do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Finding:
    symptom: str
    severity: Literal["note", "warning", "severe"]
    evidence: Mapping[str, float]
    meaning: str
    advice: str
    source: str = ""  # where the sign is described
