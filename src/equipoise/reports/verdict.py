"""Is a run fine? One word and one sentence, the same in the report, `diagnose`, `follow` and the page. No torch."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal, NamedTuple

from equipoise.diagnosis import trainer_log
from equipoise.diagnosis.finding import RANK, Finding
from equipoise.figures import Row
from equipoise.reports.looks import over
from equipoise.words import counted

Mood = Literal["good", "unsure", "bad"]
SYMBOLS: dict[Mood, str] = {"good": "✓", "unsure": "…", "bad": "!"}  # beside the colour, for those who do not see it


class Verdict(NamedTuple):
    word: str  # healthy, collapsing, D too strong, ...
    mood: Mood
    sentence: str

    @property
    def symbol(self) -> str:
        return SYMBOLS[self.mood]


def verdict(events: Sequence[Row]) -> Verdict:
    """Of a run's record: by what it found that is not over, and by its end."""
    current = findings(events)
    worst = next(iter(current), None)
    word = trainer_log.verdict(finding_of(row) for row in current)
    if diverged := last(events, "diverged"):
        return Verdict("diverging", "bad", f"No. The game left the finite numbers at step {diverged['step']:,}.")
    if reason := stopped_by_guardian(events):
        return Verdict(word, "bad", f"No. The guardian stopped it: {reason}.")
    if worst and worst["severity"] == "severe":
        return Verdict(word, "bad", f"No: {worst['symptom']}.")
    if worst and worst["severity"] == "warning":
        return Verdict(word, "bad", f"Not quite: {worst['symptom']}.")
    if not any(row["kind"] == "signals" for row in events):
        word = "warming up" if word == "healthy" else word
        return Verdict(word, "unsure", "It is too early to tell: nothing was recorded yet.")
    looks = len({row["seen"] for row in events if row["kind"] == "metrics"})
    if not looks and last(events, "look"):
        return Verdict(
            word, "good", "As far as the guardian sees, yes: its looks at the samples found nothing to mend."
        )
    if not looks:
        words = "Nothing is known to be wrong, but its samples were not measured. Look at them below."
        return Verdict(word, "unsure", words)
    words = f"As far as its figures tell, yes: {counted(looks, 'look')} at its samples found nothing to mend."
    return Verdict(word, "good", words)


def findings(events: Iterable[Row]) -> list[Row]:
    """The newest of each symptom that is not over, as severe as the last look has it, the worst first."""
    events = list(events)
    past, look = over(events), last(events, "look") or {}
    now = look["ill"] if isinstance(look.get("ill"), Mapping) else {}  # in older records: the symptoms alone
    newest = {row["symptom"]: row for row in events if row["kind"] == "finding" and row["symptom"] not in past}
    current = [{**row, "severity": now.get(symptom, row["severity"])} for symptom, row in newest.items()]
    return sorted(current, key=lambda row: RANK.index(row["severity"]))


def finding_of(row: Row) -> Finding:
    names = ("symptom", "severity", "evidence", "meaning", "advice")
    return Finding(**{name: row[name] for name in names}, source=row.get("source", ""))


def stopped_by_guardian(events: Sequence[Row]) -> str:
    """Why; empty where it did not stop the run."""
    change = last(events, "change")
    return str(change["reason"]) if change and change.get("stop") else ""


def last(events: Sequence[Row], kind: str) -> Row | None:
    return next((row for row in reversed(events) if row["kind"] == kind), None)
