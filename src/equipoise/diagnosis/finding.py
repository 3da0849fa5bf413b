"""What was found in a run's numbers: the evidence, what it means, and what to do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

Severity = Literal["severe", "warning", "note"]  # the worst first
RANK: tuple[Severity, ...] = get_args(Severity)


@dataclass(frozen=True)
class Finding:
    symptom: str
    severity: Severity
    evidence: Mapping[str, float]
    meaning: str
    advice: str
    source: str = ""  # where the sign is described

    @property
    def verdict(self) -> str:
        """In one word, for all of the run."""
        return VERDICTS.get(self.symptom, self.symptom)


VERDICTS = {
    "divergence": "diverging", "exploding gradients": "diverging", "total collapse": "collapsing",
    "partial collapse": "collapsing", "vanishing gradients": "D too strong", "D too weak": "G too strong",
    "quality loss": "past its best", "converged": "plateau",
}  # fmt: skip
