"""What is wrong with a run, or with the log of any trainer: one word, and the findings behind it. No torch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from equipoise.diagnosis import causes, trainer_log
from equipoise.diagnosis.trainer_log import Found
from equipoise.reports import trainer_csv, verdict
from equipoise.reports.looks import calibrated, of_kind, over
from equipoise.runs.folder import RunFolder, existing, rows


@dataclass(frozen=True)
class Diagnosis:
    verdict: str
    findings: Sequence[Found]  # the worst first
    notes: tuple[str, ...] = ()  # what was not read or not judged

    @property
    def is_severe(self) -> bool:
        return any(finding.severity == "severe" for _, finding in self.findings)

    def as_json(self) -> dict[str, Any]:
        return {"verdict": self.verdict, "findings": [{"step": step, **asdict(each)} for step, each in self.findings]}


def of(path: Path) -> Diagnosis:
    """Of a run folder, or of a CSV file.

    Raises:
        ConfigError: for a folder that holds no run.
        DataError: for a file that is no such log.
    """
    return of_run(existing(path)) if path.is_dir() else of_log(path)


def of_log(path: Path) -> Diagnosis:
    log, notes = trainer_csv.read(path)
    return diagnosis(trainer_log.findings(log), (*notes, *trainer_log.unarmed(log)))


def of_run(run: RunFolder) -> Diagnosis:
    return of_events(rows(run.events))


def of_events(events: Sequence[Mapping[str, Any]]) -> Diagnosis:
    """The findings that a run wrote down itself, the newest of each symptom that is not over; and its end, where it
    diverged. Of the first rows of a record: what was known then."""
    past = over(events)
    newest = {row["symptom"]: found(row) for row in verdict.findings(events)}
    for row in events:
        if row["kind"] == "diverged":
            newest["divergence"] = diverged(row)
    notes = [*(f"{symptom} was found, and is over" for symptom in past), *blind_spots(events)]
    worst_first = sorted(newest.values(), key=lambda each: trainer_log.order(each[1]))
    return Diagnosis(verdict.verdict(events).word, worst_first, tuple(notes))


def diverged(row: Mapping[str, Any]) -> Found:
    meaning = f"{', '.join(row['signals'])} left the finite numbers, and the run ended"
    return row["step"], causes.found("divergence", {"signals": len(row["signals"])}, meaning)


def blind_spots(events: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """What the guardian could not see on this data, in words."""
    worth = calibrated(events)
    for name, why in worth.unarmed.items() if worth else ():
        yield f"{name} was not judged: it {why}"
    if not of_kind(events, "look"):
        yield "the guardian did not look at this run: train with --guardian watch"


def found(row: Mapping[str, Any]) -> Found:
    return row["step"], verdict.finding_of(row)


def diagnosis(findings: Sequence[Found], notes: tuple[str, ...] = ()) -> Diagnosis:
    return Diagnosis(trainer_log.verdict(finding for _, finding in findings), findings, notes)
